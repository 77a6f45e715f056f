//! Stratum V1 pools that leave little extranonce: the split is chosen for them, and what one connection cannot tell apart
//! goes on several.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use lab::dev_pool::{DevPool, DevPoolKeys, DevPoolOptions};
use lab::sv1_pool::{Sv1Pool, Sv1PoolOptions};
use lab::sv1_wire::ServerLine;

use super::client::Client;
use super::{apart, until};
use crate::config::Config;
use crate::proxy::{Embedded, Proxy};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
/// No share is a block: a new tip would cost shares that are on their way.
const NBITS: u32 = 0x1d00_ffff;

async fn pool(extranonce2_size: usize) -> Sv1Pool {
    let mut options = Sv1PoolOptions { extranonce2_size, ..Sv1PoolOptions::default() };
    options.chain.nbits = NBITS;
    Sv1Pool::bind(LOOPBACK, options).await.expect("a pool")
}

async fn sv2_pool() -> DevPool {
    let mut options = DevPoolOptions::default();
    options.chain.nbits = NBITS;
    DevPool::bind(LOOPBACK, options, DevPoolKeys::random()).await.expect("a pool")
}

/// A proxy with these lines in its listener, these sources in one fail-over list, and these tables.
async fn proxy(listener: &str, sources: &[(&str, &str, &str)], tables: &str) -> Proxy {
    let names: Vec<String> = sources.iter().map(|(name, ..)| format!("\"{name}\"")).collect();
    let mut text = format!(
        "version = 1\n[listener.main]\nlisten = \"127.0.0.1:0\"\ndifficulty_start = 1e-6\ndifficulty_min = 1e-6\n\
         vardiff = false\n{listener}\n[route.main]\nlisteners = [\"main\"]\nreturn_after = \"1s\"\nsources = [{}]\n\
         [http]\nenabled = false\n{tables}\n",
        names.join(", ")
    );
    for (name, url, more) in sources {
        text += &format!("[source.{name}]\nurl = \"{url}\"\nuser_identity = \"farm.1\"\n{more}\n");
    }
    let config = Config::from_str_named("test", &text).unwrap_or_else(|errors| panic!("{errors}")).config;
    Proxy::start(&config, Embedded::default()).await.expect("a proxy")
}

fn closed(proxy: &Proxy, why: &str) -> u64 {
    proxy.snapshot().listeners[0].closed_total.get(why).copied().unwrap_or(0)
}

fn active(proxy: &Proxy) -> Option<String> {
    proxy.snapshot().routes[0].active.clone()
}

fn bytes(size: usize) -> u8 {
    u8::try_from(size).expect("a few bytes")
}

fn event(proxy: &Proxy, name: &str) -> u64 {
    proxy.snapshot().events_total.get(name).copied().expect(name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_without_sizes_takes_what_the_pools_leave() {
    for (left, split) in [(8, (4, 4)), (5, (2, 3)), (4, (2, 2)), (3, (1, 2)), (2, (1, 1))] {
        let (small, large) = (pool(left).await, sv2_pool().await);
        let nominal = "nominal_hashrate = \"1 MH/s\"";
        let proxy = proxy("", &[("small", &small.url(), ""), ("large", &large.url(), nominal)], "").await;
        let address = proxy.addresses()[0];
        until("the small pool is mined for", || active(&proxy).as_deref() == Some("small")).await;
        let sizes = apart(move || {
            let mut client = Client::mining(address, "farm.7");
            assert_eq!(client.mine(), Some(true));
            (bytes(client.extranonce1.len()), bytes(client.extranonce2_size))
        });
        assert_eq!(sizes.await, split, "the pool leaves {left}");
        let listener = &proxy.snapshot().listeners[0];
        assert_eq!((listener.extranonce1_size, listener.extranonce2_size), (Some(split.0), Some(split.1)));
        until("the share is taken", || small.stats().accepted == 1).await;
        let books = proxy.stop().await;
        assert_eq!((books.acknowledged, books.refused_sum()), (1, 0));
        large.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_ids_are_taken_they_are_used_again_on_a_further_connection_and_nowhere_twice() {
    const MINERS: usize = 300;
    let (small, large) = (pool(2).await, sv2_pool().await);
    let (small_url, large_url) = (small.url(), large.url());
    let nominal = "nominal_hashrate = \"1 MH/s\"";
    let proxy = proxy("", &[("small", &small_url, ""), ("large", &large_url, nominal)], "").await;
    let address = proxy.addresses()[0];
    until("the small pool is mined for", || active(&proxy).as_deref() == Some("small")).await;
    let miners = apart(move || {
        let mut miners: Vec<Client> = (0..MINERS).map(|_| Client::mining(address, "farm.7")).collect();
        miners.iter_mut().for_each(|miner| assert_eq!(miner.mine(), Some(true)));
        miners
    });
    let mut miners = miners.await;
    let mut of_id: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    miners.iter().for_each(|miner| *of_id.entry(miner.extranonce1.clone()).or_default() += 1);
    assert_eq!((of_id.len(), of_id.values().max()), (256, Some(&2)));
    until("all shares are taken", || small.stats().accepted == MINERS as u64).await;
    let seen = small.stats();
    assert_eq!((seen.connections, seen.refused), (2, 0), "nobody found what another had found: {seen:?}");

    // The other pool knows nothing of connections: each space has a channel of its own there.
    drop(small);
    until("the SV2 pool is mined for", || active(&proxy).as_deref() == Some("large")).await;
    until("two channels have work", || {
        proxy.snapshot().sources.iter().any(|s| s.name == "large" && s.channels == 2)
    })
    .await;
    // Of so many miners' shares it wants a part only.
    while large.stats().accepted < 3 {
        miners = apart(move || {
            miners.iter_mut().for_each(|miner| assert!(miner.mine().is_some(), "it stays connected"));
            miners
        })
        .await;
    }
    drop(miners);
    let books = proxy.stop().await;
    assert_eq!(books.refused_sum(), 0);
    large.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_no_connection_can_tell_apart_is_told_so() {
    let small = pool(2).await;
    let proxy = proxy("", &[("small", &small.url(), "connections_max = 1")], "").await;
    let address = proxy.addresses()[0];
    let (full, miners) = apart(move || {
        let mut miners: Vec<Client> = (0..256).map(|_| Client::mining(address, "farm.7")).collect();
        let mut late = Client::connect(address, "farm.8");
        late.send("{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}");
        let Some(ServerLine::Reply { error: Some(error), .. }) = late.read() else { panic!("it is refused") };
        late.read_to_end();
        // One that brought no share leaves its number to the next; the others' rest until their jobs are dead.
        drop(miners.pop());
        (error.message, miners)
    })
    .await;
    assert!(full.contains("every extranonce1 of 1 bytes is taken"), "{full}");
    assert_eq!(closed(&proxy, "no_miner_id"), 1);
    until("one has left", || proxy.snapshot().listeners[0].miners.connected == 255).await;
    let again = apart(move || Client::mining(address, "farm.8")).await;
    assert_eq!(small.stats().connections, 1);
    drop((again, miners));
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_extranonce1_is_for_firmware_that_takes_it_and_each_has_a_connection() {
    let tiny = pool(1).await;
    let known = "[firmware.able]\nuser_agents = [\"able/*\"]\nempty_extranonce1 = true\n";
    let proxy = proxy("", &[("tiny", &tiny.url(), "connections_max = 3")], known).await;
    let address = proxy.addresses()[0];
    let (refused, full, miners) = apart(move || {
        let refusal = |agent: &str| {
            let mut client = Client::connect(address, "farm.7");
            client.send(&format!("{{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[\"{agent}\"]}}"));
            let Some(ServerLine::Reply { error: Some(error), .. }) = client.read() else {
                panic!("it is refused")
            };
            client.read_to_end();
            error.message
        };
        let refused = refusal("unheard-of/1");
        let mut miners: Vec<Client> =
            (0..3).map(|_| Client::mining_as(address, "farm.7", "able/1")).collect();
        for miner in &mut miners {
            assert_eq!((miner.extranonce1.len(), miner.extranonce2_size), (0, 1));
            assert_eq!(miner.mine(), Some(true));
        }
        (refused, refusal("able/1"), miners)
    })
    .await;
    assert!(refused.contains("empty_extranonce1 = true"), "{refused}");
    assert!(full.contains("every extranonce1 of 0 bytes is taken"), "{full}");
    assert_eq!((closed(&proxy, "firmware"), closed(&proxy, "no_miner_id")), (1, 1));
    until("all shares are taken", || tiny.stats().accepted == 3).await;
    assert_eq!((tiny.stats().connections, tiny.stats().refused), (3, 0));
    drop(miners);
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn firmware_that_only_looks_is_no_miner_that_failed() {
    let small = pool(2).await;
    // Long enough for each of them to say what it has to, and the last one is waited for.
    let limits = "[limits]\nsetup = \"10s\"\n";
    let proxy = proxy("", &[("small", &small.url(), "connections_max = 1")], limits).await;
    let address = proxy.addresses()[0];
    let mut looking = apart(move || {
        // More than there are numbers: none of them keeps one.
        for _ in 0..300 {
            let looked = Client::mining_as(address, "farm.7", "bitaxe/BM1370/v2.12.2");
            drop(looked);
        }
        let mut looking = Client::connect(address, "farm.7");
        looking.send("{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[\"bitaxe/BM1370/v2.14.0\"]}");
        looking
    })
    .await;
    until("all are counted as what they are", || event(&proxy, "probe") == 301).await;
    apart(move || looking.read_to_end()).await;
    let listener = &proxy.snapshot().listeners[0];
    assert_eq!(listener.closed_total.values().sum::<u64>(), 0, "{:?}", listener.closed_total);
    proxy.stop().await;
}
