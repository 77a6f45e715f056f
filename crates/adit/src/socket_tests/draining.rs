//! RELIABILITY: at the end miners are closed one after the other, are told, and lose nothing.

use std::time::{Duration, Instant};

use super::client::Client;
use super::{Farm, apart, until};

const MINERS: u64 = 60;
/// How often a thing is tried whose pace a machine that stands still for a moment would spoil.
const TRIES: usize = 3;

/// Closes miners, and gives the time from the first to the last.
async fn closing_takes() -> Duration {
    let farm = Farm::start("shutdown_grace = \"20s\"\nsetup = \"600s\"").await;
    let address = farm.address();
    let miners = apart(move || {
        let mut miners = Vec::new();
        for n in 0..MINERS {
            let mut client = Client::mining(address, &format!("farm.{n}"));
            assert_eq!(client.mine(), Some(true));
            miners.push(client);
        }
        miners
    })
    .await;
    let silent = apart(move || Client::connect(address, "farm.silent")).await;
    until("all are there", || farm.connected() == MINERS + 1).await;
    let ends = miners.into_iter().chain([silent]).map(|mut client| {
        std::thread::spawn(move || {
            client.read_to_end();
            (Instant::now(), client)
        })
    });
    let ends: Vec<_> = ends.collect();
    let began = Instant::now();
    let books = farm.proxy.stop().await;
    assert!(began.elapsed() < Duration::from_secs(21), "grace and a second: {:?}", began.elapsed());
    let mut closed: Vec<Instant> = Vec::new();
    let (mut told, mut stale) = (0, 0);
    for end in ends {
        let (at, client) = end.join().expect("no panic");
        closed.push(at);
        stale += client.stale;
        told += u64::from(client.messages.iter().any(|text| text.contains("shutting down")));
    }
    closed.sort_unstable();
    assert_eq!(told, MINERS, "every miner that had subscribed is told");
    assert_eq!((books.pending, books.unknown), (0, 0), "what was sent is answered");
    assert_eq!(books.submitted(), MINERS + stale);
    farm.pool.shutdown().await;
    closed[closed.len() - 1] - closed[0]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn miners_are_closed_over_a_while_and_told_and_every_share_is_settled() {
    let mut spreads = Vec::new();
    for _ in 0..TRIES {
        // 10 ms between two.
        spreads.push(closing_takes().await);
        if spreads[spreads.len() - 1] >= Duration::from_millis(300) {
            return;
        }
    }
    panic!("all closed within {spreads:?}");
}

/// A load balancer's time, and miners' time after it.
const DELAY: Duration = Duration::from_secs(10);

/// Drains, and gives when each was closed, from the beginning on and in order.
async fn draining_closes() -> Vec<Duration> {
    let farm = Farm::start("drain_delay = \"10s\"\ndrain_spread = \"3s\"\nshutdown_grace = \"20s\"").await;
    let address = farm.address();
    let mut miners =
        apart(move || (0..30).map(|n| Client::mining(address, &format!("farm.{n}"))).collect::<Vec<_>>())
            .await;
    let Farm { pool, proxy } = farm;
    let readiness = proxy.ready_probe();
    until("it is ready", &readiness).await;
    let began = Instant::now();
    let stopping = tokio::spawn(proxy.stop());
    until("it says that it is not ready", || !readiness()).await;
    // Meanwhile all is as it was, for those who are there and for those who come.
    let (miners, late) = apart(move || {
        for miner in &mut miners {
            assert_eq!(miner.mine(), Some(true));
        }
        (miners, Client::mining(address, "farm.late"))
    })
    .await;
    // Not only at the end of that time.
    assert!(began.elapsed() < DELAY, "a slow machine: {:?}", began.elapsed());
    let ends: Vec<_> = miners
        .into_iter()
        .chain([late])
        .map(|mut miner| {
            std::thread::spawn(move || {
                miner.read_to_end();
                (Instant::now(), miner.stale)
            })
        })
        .collect();
    let books = stopping.await.expect("no panic");
    let (mut closed, mut stale) = (Vec::new(), 0);
    for end in ends {
        let (at, lost) = end.join().expect("no panic");
        closed.push(at - began);
        stale += lost;
    }
    closed.sort_unstable();
    assert!(closed[0] >= DELAY, "nobody is closed before: {closed:?}");
    assert_eq!((books.submitted(), books.pending), (30 + stale, 0));
    pool.shutdown().await;
    closed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_balancer_has_its_time_and_then_miners_are_closed_over_theirs() {
    let mut tried = Vec::new();
    for _ in 0..TRIES {
        let closed = draining_closes().await;
        let spread = closed[closed.len() - 1] - closed[0];
        let most = closed.windows(2).map(|two| two[1] - two[0]).max().unwrap_or_default();
        // Over three seconds, and evenly.
        if spread >= Duration::from_millis(2_500) && most < Duration::from_secs(1) {
            return;
        }
        tried.push(closed);
    }
    panic!("not evenly over three seconds: {tried:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_it_drains_it_may_refuse_who_comes() {
    let farm = Farm::start("drain_delay = \"10s\"\ndrain_accept = false").await;
    let address = farm.address();
    let miner = apart(move || Client::mining(address, "farm.miner")).await;
    let Farm { pool, proxy } = farm;
    let began = Instant::now();
    let stopping = tokio::spawn(proxy.stop());
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        assert!(began.elapsed() < DELAY, "connections are still taken");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut miner = miner;
    apart(move || assert_eq!(miner.mine(), Some(true), "those who are there stay")).await;
    assert!(began.elapsed() < DELAY, "and not only at the end: {:?}", began.elapsed());
    stopping.await.expect("no panic");
    pool.shutdown().await;
}
