//! The CPU miner against the bare server, over loopback.

use std::time::Duration;

use lab::bare_server::{BareServer, BareServerOptions};
use lab::sv1_miner::{Miner, MinerConfig, MinerSnapshot};
use tokio::sync::oneshot;

/// Runs a miner until its books satisfy a condition.
async fn mine_until(config: MinerConfig, enough: impl Fn(&MinerSnapshot) -> bool) -> MinerSnapshot {
    let miner = Miner::new(config);
    let stats = miner.stats();
    let (end, ended) = oneshot::channel::<()>();
    let run = tokio::spawn(miner.run(async {
        let _ = ended.await;
    }));
    let wait = async {
        while !enough(&stats.snapshot()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("the miner gets there");
    end.send(()).expect("it still runs");
    run.await.expect("it does not panic")
}

fn config(server: &BareServer) -> MinerConfig {
    let mut config = MinerConfig::new(server.local_addr().expect("it is bound").into(), "farm.one");
    config.reconnect_min = Duration::from_millis(10);
    config
}

#[tokio::test]
async fn every_share_of_the_miner_is_valid_and_answered() {
    let options = BareServerOptions { difficulty: 1e-5, ..Default::default() };
    let server = BareServer::bind("127.0.0.1:0".parse().unwrap(), options).unwrap();
    let mut config = config(&server);
    config.threads = 2;
    let control = server.control();
    tokio::spawn(server.run(std::future::pending()));
    let books = mine_until(config, |books| books.accepted >= 200).await;
    assert_eq!(books.rejected_total(), 0, "{books:?}");
    assert_eq!(books.submitted, books.accepted + books.unanswered + books.open);
    assert_eq!((books.connections, books.jobs, books.clean_jobs), (1, 1, 1));
    assert_eq!(books.difficulty, 1e-5);
    assert_eq!(control.stats().rejected, 0);
    assert!(books.hashes > 0);
}

#[tokio::test]
async fn a_new_job_is_mined_at_once_and_old_shares_are_not_sent_after_it() {
    let options = BareServerOptions { difficulty: 1e-6, ..Default::default() };
    let server = BareServer::bind("127.0.0.1:0".parse().unwrap(), options).unwrap();
    let config = config(&server);
    let control = server.control();
    tokio::spawn(server.run(std::future::pending()));
    let jobs = control.clone();
    tokio::spawn(async move {
        // However fast the machine is: each job has shares before the next one comes.
        let mut enough = 40;
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            if jobs.stats().accepted >= enough {
                enough = jobs.stats().accepted + 40;
                jobs.new_job();
            }
        }
    });
    let books = mine_until(config, |books| books.jobs >= 20 && books.accepted >= 100).await;
    // What is refused was on its way while the job changed.
    assert!(books.rejected.keys().all(|reason| reason == "21 Job not found"), "{books:?}");
    assert!(books.rejected_total() <= books.accepted / 2, "{books:?}");
}

#[tokio::test]
async fn a_throttled_miner_keeps_its_rate() {
    let options = BareServerOptions { difficulty: 1e-7, ..Default::default() };
    let server = BareServer::bind("127.0.0.1:0".parse().unwrap(), options).unwrap();
    let mut config = config(&server);
    config.hashes_per_second = Some(10_000.0);
    tokio::spawn(server.run(std::future::pending()));
    // Some seconds: what it is ahead with at times does not show.
    let books = mine_until(config, |books| books.accepted >= 60).await;
    assert!(books.hash_rate() < 11_000.0, "{books:?}");
}

#[tokio::test]
async fn a_lost_server_is_dialled_until_it_is_back() {
    let options = BareServerOptions { difficulty: 1e-6, ..Default::default() };
    // On an address that nobody else uses: the port is left in between, and is to be had again.
    let server = BareServer::bind("127.77.2.2:0".parse().unwrap(), options).unwrap();
    let address = server.local_addr().unwrap();
    let config = config(&server);
    let runtime = std::thread::spawn(move || {
        // Each round has a runtime of its own: its end closes all sockets.
        let mut server = Some(server);
        for round in 0..2 {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let server = match server.take() {
                    // Bound to the test's own runtime: bind anew.
                    Some(first) => {
                        drop(first);
                        BareServer::bind(address, options).unwrap()
                    }
                    None => BareServer::bind(address, options).unwrap(),
                };
                let control = server.control();
                server
                    .run(async {
                        while round == 1 || control.stats().accepted < 20 {
                            tokio::time::sleep(Duration::from_millis(5)).await;
                            if round == 1 && control.stats().accepted > 0 && control.stats().connections == 0
                            {
                                break;
                            }
                        }
                    })
                    .await;
            });
        }
    });
    let books = mine_until(config, |books| books.connections >= 2 && books.accepted >= 150).await;
    assert_eq!(books.rejected_total(), 0, "{books:?}");
    assert!(!books.connected);
    runtime.join().unwrap();
}

/// A development pool whose shares a CPU finds at once, and its URL's parts.
async fn sv2_pool() -> lab::dev_pool::DevPool {
    let mut options = lab::dev_pool::DevPoolOptions::default();
    options.chain.nbits = 0x1d00_ffff;
    options.shares_per_minute = 6_000.0;
    let keys = lab::dev_pool::DevPoolKeys::random();
    lab::dev_pool::DevPool::bind(([127, 0, 0, 1], 0).into(), options, keys).await.expect("it binds")
}

#[tokio::test]
async fn a_miner_that_speaks_sv2_is_paid_on_both_kinds_of_channel_and_by_several_threads() {
    use lab::sv2_miner::{LastingConfig, LastingMiner};
    let pool = sv2_pool().await;
    for standard in [false, true] {
        let authority = Some(pool.authority_public_key());
        let mut config = LastingConfig::new(pool.local_addr().into(), authority, "farm.one");
        (config.standard, config.threads, config.hashes_per_second) = (standard, 2, Some(200_000.0));
        let miner = LastingMiner::new(config);
        let books = miner.books();
        let enough = async move {
            while books.snapshot().accepted < 60 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let books =
            tokio::time::timeout(Duration::from_secs(60), miner.run(enough)).await.expect("it gets there");
        assert_eq!((books.rejected_total(), books.connections), (0, 1), "{books:?}");
        assert_eq!(books.submitted, books.accepted + books.unanswered + books.open);
        assert!(books.hashes > 0 && !books.connected, "{books:?}");
    }
}

#[tokio::test]
async fn a_miner_that_speaks_sv2_comes_back_to_its_pool_and_ends_when_it_is_told_to() {
    use lab::sv2_miner::{LastingConfig, LastingMiner};
    // Whoever takes a connection and closes it.
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let came = tokio::spawn(async move {
        for _ in 0..3 {
            let _ = server.accept().await;
        }
    });
    let mut config = LastingConfig::new(address.into(), None, "farm.one");
    (config.reconnect_min, config.hashes_per_second) = (Duration::from_millis(5), Some(1_000.0));
    let thrice = async {
        let _ = came.await;
    };
    let run = LastingMiner::new(config).run(thrice);
    let books = tokio::time::timeout(Duration::from_secs(60), run).await.expect("it ends");
    assert_eq!((books.connections, books.submitted), (0, 0), "no handshake, no connection");
}
