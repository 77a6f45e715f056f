//! Pools that speak Stratum V1: mined for, left and returned to, without a miner noticing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use lab::dev_pool::{DevPool, DevPoolKeys, DevPoolOptions};
use lab::sv1_pool::{Sv1Pool, Sv1PoolOptions};
use telemetry::SourceSnapshot;

use super::client::Client;
use super::{apart, until};
use crate::config::Config;
use crate::proxy::{Embedded, Proxy};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
/// A loopback address of its own: a port there that is left for a while is given to nobody else's connection.
const OWN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(127, 77, 1, 1)), 0);
/// No share is a block: a new tip would cost shares that are on their way.
const NBITS: u32 = 0x1d00_ffff;

fn options() -> Sv1PoolOptions {
    let mut options = Sv1PoolOptions::default();
    options.chain.nbits = NBITS;
    options
}

/// A proxy with these sources in one fail-over list.
async fn proxy(sources: &[(&str, &str, &str)]) -> Proxy {
    proxy_with("", sources).await
}

/// The same with these lines in its listener, and tables behind.
async fn proxy_with(listener: &str, sources: &[(&str, &str, &str)]) -> Proxy {
    let names: Vec<String> = sources.iter().map(|(name, ..)| format!("\"{name}\"")).collect();
    let mut text = format!(
        "version = 1\n[listener.main]\nlisten = \"127.0.0.1:0\"\ndifficulty_start = 1e-6\ndifficulty_min = 1e-6\n\
         vardiff = false\n{listener}\n[route.main]\nlisteners = [\"main\"]\nreturn_after = \"1s\"\nsources = [{}]\n\
         [http]\nenabled = false\n",
        names.join(", ")
    );
    for (name, url, more) in sources {
        text += &format!("[source.{name}]\nurl = \"{url}\"\nuser_identity = \"farm.1\"\n{more}\n");
    }
    let config = Config::from_str_named("test", &text).unwrap_or_else(|errors| panic!("{errors}")).config;
    Proxy::start(&config, Embedded::default()).await.expect("a proxy")
}

fn active(proxy: &Proxy) -> Option<String> {
    proxy.snapshot().routes[0].active.clone()
}

/// A miner on a thread of its own until it is told to end.
struct Digger {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Client>,
}

impl Digger {
    fn start(address: SocketAddr, user: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (until, user) = (Arc::clone(&stop), user.to_owned());
        let thread = std::thread::spawn(move || {
            let mut client = Client::mining(address, &user);
            let extranonce1 = client.extranonce1.clone();
            while !until.load(Relaxed) {
                assert!(client.mine().is_some(), "it stays connected");
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            assert_eq!(client.extranonce1, extranonce1);
            client
        });
        Self { stop, thread }
    }

    fn end(self) -> Client {
        self.stop.store(true, Relaxed);
        self.thread.join().expect("no panic")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shares_go_to_an_sv1_pool_and_its_answers_settle_the_books() {
    let pool = Sv1Pool::bind(LOOPBACK, options()).await.expect("a pool");
    let proxy = proxy(&[("pool", &pool.url(), "password = \"d=1\"")]).await;
    let address = proxy.addresses()[0];
    let miners: Vec<Digger> = (0..3).map(|n| Digger::start(address, &format!("farm.{n}"))).collect();
    until("shares are taken", || pool.stats().accepted >= 30).await;
    // What the pool changes midway: extranonce, difficulty, job, tip.
    pool.act(|core, _, out| core.set_extranonces(out));
    pool.act(|core, now, out| {
        core.set_difficulty(2e-6, out);
        core.new_job(now, out);
    });
    pool.act(|core, now, out| core.new_tip(now, out));
    until("shares are taken afterwards", || pool.stats().accepted >= 60).await;
    let seen = pool.stats();
    assert!(seen.passwords.contains("d=1"), "{seen:?}");
    assert_eq!(seen.connections, 1, "one connection for all");
    let ends = apart(move || miners.into_iter().map(Digger::end).collect::<Vec<_>>()).await;
    assert_eq!(ends.len(), 3);
    let books = proxy.stop().await;
    let seen = pool.stats();
    assert_eq!((books.pending, books.unknown), (0, 0));
    assert_eq!(books.acknowledged, seen.accepted);
    assert_eq!(books.refused_sum(), seen.refused);
    // Only shares that crossed a new tip or a new extranonce on their way.
    assert!(seen.refused_by.keys().all(|code| *code == 21), "{seen:?}");
    assert!((books.work_acknowledged - seen.work).abs() < 1e-9 * seen.work.max(1.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_goes_from_sv2_to_sv1_and_back_without_a_miner_noticing() {
    let old = Sv1Pool::bind(LOOPBACK, options()).await.expect("a pool");
    // Of twenty shares a minute, as many as it wants otherwise, ten may take more than a minute.
    let mut sv2 = DevPoolOptions { shares_per_minute: 6_000.0, ..DevPoolOptions::default() };
    sv2.chain.nbits = NBITS;
    let keys = DevPoolKeys::random();
    let new = DevPool::bind(OWN, sv2.clone(), keys.clone()).await.expect("a pool");
    let (new_address, new_url) = (new.local_addr(), new.url());
    let nominal = "nominal_hashrate = \"1 MH/s\"";
    let proxy = proxy(&[("new", &new_url, nominal), ("old", &old.url(), "")]).await;
    let address = proxy.addresses()[0];
    until("the better one is mined for", || active(&proxy).as_deref() == Some("new")).await;
    let miners: Vec<Digger> = (0..2).map(|n| Digger::start(address, &format!("farm.{n}"))).collect();
    until("shares are taken", || new.stats().accepted >= 10).await;

    new.shutdown().await;
    until("the SV1 pool is mined for", || active(&proxy).as_deref() == Some("old")).await;
    until("its shares are taken", || old.stats().accepted >= 10).await;

    let again = DevPool::bind(new_address, sv2, keys).await.expect("a pool");
    until("the SV2 pool is returned to", || active(&proxy).as_deref() == Some("new")).await;
    until("its shares are taken again", || again.stats().accepted >= 10).await;

    again.disconnect_all();
    let before = old.stats().accepted;
    until("over again", || old.stats().accepted >= before || again.stats().accepted >= 20).await;
    let ends = apart(move || miners.into_iter().map(Digger::end).collect::<Vec<_>>()).await;
    assert_eq!(ends.len(), 2, "both stayed connected under their extranonce1");
    let books = proxy.stop().await;
    assert_eq!(books.pending, 0);
    let taken = books.acknowledged + books.unknown;
    assert!(taken >= 30, "{books:?}");
    assert_eq!(old.stats().refused, 0, "{:?}", old.stats());
    again.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_sv1_pool_cannot_give_is_said_and_the_next_source_is_used() {
    let mut small = options();
    small.extranonce2_size = 4;
    let small = Sv1Pool::bind(LOOPBACK, small).await.expect("a pool");
    let mut fixed = options();
    fixed.version_mask = 0;
    let fixed = Sv1Pool::bind(LOOPBACK, fixed).await.expect("a pool");
    let mut strict = options();
    strict.refused_worker = Some("farm.1".into());
    let strict = Sv1Pool::bind(LOOPBACK, strict).await.expect("a pool");
    let good = Sv1Pool::bind(LOOPBACK, options()).await.expect("a pool");
    let sources = [
        ("fixed", fixed.url(), ""),
        ("strict", strict.url(), ""),
        ("small", small.url(), ""),
        ("good", good.url(), ""),
    ];
    let sources = sources.each_ref().map(|(name, url, more)| (*name, url.as_str(), *more));
    let proxy = proxy_with("extranonce1_size = 4\nextranonce2_size = 4", &sources).await;
    let miner = Digger::start(proxy.addresses()[0], "farm.7");
    until("the good one is mined for", || good.stats().accepted >= 5).await;
    let unusable = |part: &str| {
        let sources = proxy.snapshot().routes[0].sources.clone();
        sources.iter().any(|source| source.reason.as_ref().is_some_and(|why| why.contains(part)))
    };
    until("the reason is shown", || unusable("leaves 4 bytes")).await;
    let names: Vec<String> = proxy.snapshot().sources.into_iter().map(|source| source.name).collect();
    assert_eq!(names, ["fixed", "good", "small", "strict"]);
    let why = |at: usize| proxy.snapshot().sources[at].last_down.clone().unwrap_or_default();
    until("so are the others'", || {
        why(0).contains("allows version bits 00000000") && why(3).contains("Unauthorized worker")
    })
    .await;
    apart(move || miner.end()).await;
    let books = proxy.stop().await;
    assert_eq!((books.pending, books.unknown, books.refused_sum()), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_reconnect_is_followed_within_the_domain_and_not_beyond_it() {
    let first = Sv1Pool::bind(LOOPBACK, options()).await.expect("a pool");
    let second = Sv1Pool::bind(LOOPBACK, options()).await.expect("a pool");
    let proxy = proxy(&[("pool", &first.url(), "")]).await;
    let miner = Digger::start(proxy.addresses()[0], "farm.7");
    until("shares are taken", || first.stats().accepted >= 5).await;
    let port = second.address().port();
    let strange = format!(r#"{{"id":null,"method":"client.reconnect","params":["127.0.0.2",{port},0]}}"#);
    first.act(|core, _, out| core.say(&strange, out));
    let before = first.stats().accepted;
    until("it goes on", || first.stats().accepted >= before + 5).await;
    assert_eq!(second.stats().connected, 0, "nobody is led away");
    let near = format!(r#"{{"id":null,"method":"client.reconnect","params":["127.0.0.1",{port},0]}}"#);
    first.act(|core, _, out| core.say(&near, out));
    until("the other port is mined at", || second.stats().accepted >= 5).await;
    apart(move || miner.end()).await;
    let books = proxy.stop().await;
    assert_eq!(books.pending, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_miner_may_have_a_connection_and_an_identity_of_its_own() {
    let pool = Sv1Pool::bind(LOOPBACK, options()).await.expect("a pool");
    let proxy = proxy(&[("pool", &pool.url(), "miners_per_channel = 1")]).await;
    let miners: Vec<Digger> =
        (0..3).map(|n| Digger::start(proxy.addresses()[0], &format!("rig.{n}"))).collect();
    until("all three are known to the pool", || {
        (0..3).all(|n| pool.stats().accepted_of.get(&format!("rig.{n}")).is_some_and(|shares| *shares >= 3))
    })
    .await;
    apart(move || miners.into_iter().map(Digger::end).count()).await;
    let books = proxy.stop().await;
    assert_eq!((books.pending, books.refused_sum()), (0, 0));
    assert_eq!(books.acknowledged, pool.stats().accepted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_each_pool_offers_and_whom_it_fits_is_found_out_by_asking() {
    let mut small = options();
    small.extranonce2_size = 4;
    small.version_mask = 0;
    let small = Sv1Pool::bind(LOOPBACK, small).await.expect("a pool");
    let good = Sv1Pool::bind(LOOPBACK, options()).await.expect("a pool");
    let mut sv2 = DevPoolOptions::default();
    sv2.chain.nbits = NBITS;
    let new = DevPool::bind(LOOPBACK, sv2, DevPoolKeys::random()).await.expect("a pool");
    let text = format!(
        "version = 1\n[listener.main]\n[route.main]\nlisteners = [\"main\"]\nsources = [\"a\", \"b\", \"c\", \"d\"]\n\
         [source.a]\nurl = \"{}\"\nuser_identity = \"x\"\n[source.b]\nurl = \"{}\"\nuser_identity = \"x\"\n\
         [source.c]\nurl = \"{}\"\nuser_identity = \"x\"\n\
         [source.d]\nurl = \"stratum+tcp://127.77.0.2:1\"\nuser_identity = \"x\"\n",
        good.url(),
        small.url(),
        new.url()
    );
    let config = Config::from_str_named("test", &text).unwrap_or_else(|errors| panic!("{errors}")).config;
    let probed = crate::probe::probe(&config).await;
    let shown: Vec<&str> = probed.iter().map(|one| one.text.as_str()).collect();
    let goods: Vec<bool> = probed.iter().map(|one| one.good).collect();
    assert_eq!(goods, [true, false, true, false, true], "{shown:#?}");
    assert!(shown[0].contains("4 bytes of its own, 8 to roll; version bits 1fffe000"), "{}", shown[0]);
    assert!(shown[0].contains("fits listener.main (2 + 2 bytes)"), "{}", shown[0]);
    assert!(
        shown[1].contains("does not fit listener.main (2 + 2 bytes): its miners may roll"),
        "{}",
        shown[1]
    );
    assert!(shown[1].contains("version_mask = \"00000000\" would fit"), "{}", shown[1]);
    assert!(shown[2].contains("its authority key"), "{}", shown[2]);
    assert!(shown[3].contains("no work: cannot connect"), "{}", shown[3]);
    assert!(shown[4].contains("extranonce 2 + 2 bytes, chosen because source.b leaves 4"), "{}", shown[4]);
    assert!(
        shown[4].contains("room for 65536 miners on a connection to a pool, 1048576 on 16"),
        "{}",
        shown[4]
    );
    assert!(shown[4].contains("source.d could not be asked"), "{}", shown[4]);

    let given = text.replacen("[listener.main]\n", "[listener.main]\nextranonce1_size = 4\n", 1);
    let config = Config::from_str_named("test", &given).unwrap_or_else(|errors| panic!("{errors}")).config;
    let probed = crate::probe::probe(&config).await;
    let shown: Vec<&str> = probed.iter().map(|one| one.text.as_str()).collect();
    assert!(shown[1].contains("extranonce1_size = 2 and extranonce2_size = 2 would fit"), "{}", shown[1]);
    assert!(shown[4].contains("extranonce 4 + 4 bytes\n"), "{}", shown[4]);
    assert!(shown[4].contains("source.b leaves 4 bytes and is left out for its miners"), "{}", shown[4]);
    assert!(!probed[4].good);
    new.shutdown().await;
}

/// A door with TLS before a pool, under this name. Gives its address and its certificate.
async fn tls_door(pool: SocketAddr, name: &str) -> (SocketAddr, String) {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("a certificate");
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key)
        })
        .expect("a server");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind(LOOPBACK).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut inside) = acceptor.accept(stream).await else { return };
                let mut plain = tokio::net::TcpStream::connect(pool).await.expect("the pool is there");
                let _ = tokio::io::copy_bidirectional(&mut inside, &mut plain).await;
            });
        }
    });
    (address, made.cert.pem())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_only_a_pool_that_proves_its_name_is_mined_for() {
    let pool = Sv1Pool::bind(LOOPBACK, options()).await.expect("a pool");
    let (good, pem) = tls_door(pool.address(), "127.0.0.1").await;
    let (other, _) = tls_door(pool.address(), "127.0.0.1").await;
    let file = std::env::temp_dir().join(format!("adit-ca-{}-{}.pem", std::process::id(), good.port()));
    std::fs::write(&file, pem).expect("a file");
    let own = format!("ca_file = \"{}\"", file.display());
    let proxy = proxy(&[
        ("unknown", &format!("stratum+ssl://{good}"), ""),
        ("stranger", &format!("stratum+ssl://{other}"), &own),
        ("good", &format!("stratum+ssl://{good}"), &own),
    ])
    .await;
    let miner = Digger::start(proxy.addresses()[0], "farm.7");
    until("shares are taken", || pool.stats().accepted >= 5).await;
    until("it is shown", || active(&proxy).as_deref() == Some("good")).await;
    let failed = |source: &SourceSnapshot| {
        source.last_down.as_ref().is_some_and(|why| why.contains("handshake failed"))
    };
    until("the others have failed", || proxy.snapshot().sources.iter().filter(|s| failed(s)).count() == 2)
        .await;
    let snapshot = proxy.snapshot();
    for source in &snapshot.sources {
        assert_eq!(failed(source), source.name != "good", "{}: {:?}", source.name, source.last_down);
    }
    assert_eq!(pool.stats().connected, 1, "nobody else came as far as the pool");
    apart(move || miner.end()).await;
    let books = proxy.stop().await;
    assert_eq!((books.pending, books.acknowledged), (0, pool.stats().accepted));
    let _ = std::fs::remove_file(file);
}
