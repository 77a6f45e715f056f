//! No pool at the start, or none for a while: Adit waits for it and miners wait with it.

use std::time::Instant;

use integration_tests::folder::Folder;
use integration_tests::miners::CpuMiner;
use integration_tests::node::{Chain, Node};
use integration_tests::pool::{Pool, PoolSettings};
use integration_tests::proxy::{Adit, Settings};
use integration_tests::sv1_client::Sv1Client;
use integration_tests::{promise, wait};

use crate::PATIENCE;

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn a_pool_that_is_not_there_is_waited_for_at_the_start_and_after_its_end() {
    let folder = Folder::new();
    let node = Node::start(Chain::Mainnet, folder.path());
    let pool_settings =
        PoolSettings { share_batch_size: 1, shares_per_minute: 600.0, ..PoolSettings::default() };
    let mut pool = Pool::new("pool-a", &node, folder.path(), &pool_settings);
    let settings = Settings::for_cpus().source("pool", &pool.url(), "nominal_hashrate = 300000\n");
    let mut adit = Adit::start(folder.path(), &settings);

    let ours = CpuMiner::start(adit.port(), "farm.ours", 300_000.0);
    let (code, readiness) = wait::until("/readyz says that the pool is not there", PATIENCE, || {
        Some(adit.readiness()).filter(|(code, body)| *code == 503 && body.to_string().contains("refused"))
    });
    assert_eq!(ours.books().jobs, 0, "no job while there is no pool");
    let why = readiness["reasons"].to_string();

    pool.run();
    let there = Instant::now();
    adit.wait_ready();
    let ready_after = there.elapsed();
    adit.wait_books("shares are acknowledged", PATIENCE, |books| books.acknowledged >= 10);
    // A miner that found no work at the start may have been sent away; from here on it stays.
    let before = ours.books();
    let client = Sv1Client::connect(adit.port(), "farm.watcher");

    // Its only pool goes and comes back (the reference's translator ends with it).
    pool.kill();
    wait::until_so("/readyz says so", PATIENCE, || adit.readiness().0 == 503);
    // It has a job as soon as it listens, which is seen a little later.
    let (dead, known) = (Instant::now(), adit.books().acknowledged);
    pool.run();
    let there = Instant::now();
    let job = client.wait_job(&pool.signature_hex(), dead, PATIENCE);
    adit.wait_books("shares are acknowledged again", PATIENCE, |books| books.acknowledged >= known + 10);
    assert!(adit.lives());
    assert_eq!(client.closed(), None);
    assert_eq!(client.disturbances(), Vec::<serde_json::Value>::new());
    let own = ours.stop();
    assert_eq!((own.connections, own.extranonce1_changes), (before.connections, 0), "{own:?}");
    let books = adit.settled(PATIENCE);
    assert_eq!(books.pending, 0, "{books}");
    adit.stop();
    promise::kept(
        "a pool that is absent at the start, or ends, is waited for; Adit never exits, miners stay",
        &format!(
            "/readyz {code} {why}; ready {ready_after:?} after the pool listened; after its restart work in {:?}; {books}",
            job.at.saturating_duration_since(there)
        ),
    );
}
