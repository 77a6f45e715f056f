//! A pool that cannot prove the configured authority key is no source of work.

use std::time::Duration;

use integration_tests::folder::Folder;
use integration_tests::miners::CpuMiner;
use integration_tests::node::{Chain, Node};
use integration_tests::pool::{Pool, PoolSettings};
use integration_tests::proxy::{Adit, Settings};
use integration_tests::{promise, wait};

use crate::PATIENCE;

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn no_job_comes_from_a_pool_with_another_authority_key() {
    let folder = Folder::new();
    let node = Node::start(Chain::Mainnet, folder.path());
    let pool = Pool::start("pool-a", &node, folder.path(), &PoolSettings::default());
    // The key of another pool, which is not running.
    let other = Pool::new("pool-b", &node, folder.path(), &PoolSettings::default());
    let settings = Settings::for_cpus().source("pool", &other.url_through(pool.port()), "");
    let adit = Adit::start(folder.path(), &settings);
    let ours = CpuMiner::start(adit.port(), "farm.ours", 100_000.0);

    let (code, body) = wait::until("/readyz says why", PATIENCE, || {
        Some(adit.readiness()).filter(|(_, body)| body.to_string().contains("authority"))
    });
    assert_eq!(code, 503);
    wait::stays_so("no job reaches a miner", Duration::from_secs(2), || ours.books().jobs == 0);
    let log = pool.log();
    assert!(!log.contains("SetupConnection"), "no mining message was sent:\n{log}");
    let failures = wait::until("the failed handshakes are counted", PATIENCE, || {
        adit.status()["events_total"]["source_handshake_failed"].as_u64().filter(|count| *count >= 1)
    });
    assert_eq!(adit.books().submitted, 0);
    drop(ours);
    adit.stop();
    promise::kept(
        "no job comes from a pool with another authority key, and /readyz says why",
        &format!("{code} {}; {failures} handshakes failed", body["reasons"]),
    );
}
