//! Templates of the farm's own node, declared to the reference pool and its embedded job declarator server.

use integration_tests::folder::Folder;
use integration_tests::miners::CpuMiner;
use integration_tests::pool::{Pool, PoolSettings};
use integration_tests::proxy::{Adit, Settings};
use integration_tests::{promise, wait};

use super::{
    DECLARED, HASHRATE, POOL, Upstream, ladder, mine_declared_jobs, start_node, wait_active, wait_shares,
};
use crate::PATIENCE;

/// With its job declarator server; each share is acknowledged by itself.
pub(super) fn pool_settings() -> PoolSettings {
    PoolSettings {
        shares_per_minute: 120.0,
        share_batch_size: 1,
        declarator: true,
        ..PoolSettings::default()
    }
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn declared_jobs_are_mined_and_acknowledged_and_their_blocks_are_the_nodes_templates_by_ipc() {
    let folder = Folder::new();
    let node = start_node(&folder);
    let pool = Pool::start("pool-a", &node, folder.path(), &pool_settings());
    let settings = Settings::for_cpus().templates_by_ipc("node", &node);
    let pool = Upstream::from(&pool);
    let settings = ladder(settings, &pool, folder.path(), "");
    let figures = mine_declared_jobs(&settings, folder.path(), &node, &pool, true);
    promise::kept(
        "miners behind Adit mine jobs that it declared to the reference pool, templates by IPC",
        &figures,
    );
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn declared_jobs_are_mined_and_acknowledged_and_their_blocks_are_the_nodes_templates_by_rpc() {
    let folder = Folder::new();
    let node = start_node(&folder);
    let pool = Pool::start("pool-a", &node, folder.path(), &pool_settings());
    let settings = Settings::for_cpus().templates_by_rpc("node", &node);
    let pool = Upstream::from(&pool);
    let settings = ladder(settings, &pool, folder.path(), "");
    let figures = mine_declared_jobs(&settings, folder.path(), &node, &pool, true);
    promise::kept(
        "miners behind Adit mine jobs that it declared to the reference pool, templates by RPC",
        &figures,
    );
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn a_pool_that_serves_no_coinbase_only_mode_is_said_to_and_its_own_jobs_are_mined() {
    let folder = Folder::new();
    let node = start_node(&folder);
    let pool = Pool::start("pool-a", &node, folder.path(), &pool_settings());
    let settings = Settings::for_cpus().templates_by_ipc("node", &node);
    let settings = ladder(settings, &Upstream::from(&pool), folder.path(), "mode = \"coinbase-only\"\n");
    let adit = Adit::start_ready(folder.path(), &settings);
    let miner = CpuMiner::start(adit.port(), "farm.ours", HASHRATE);
    let why = wait::until("the server's refusal is shown", PATIENCE, || {
        let why = adit.source(DECLARED)["declaration"]["jds_last_down"].as_str()?.to_owned();
        why.contains("missing-declare-tx-data-flag").then_some(why)
    });
    assert!(why.contains("set `mode = \"full-template\"`"), "with what to do: {why}");
    wait_active(&adit, POOL);
    wait_shares(&adit, POOL, 10);
    drop(miner);
    let books = adit.settled(PATIENCE);
    assert_eq!((books.refused, books.held, books.unknown), (0, 0, 0), "{books}");
    assert!(adit.log().contains(&why), "the log says it, too: {}", adit.log());
    adit.stop();
    promise::kept(
        "a pool without coinbase-only mode is said to be one, and its own jobs are mined",
        &format!("{why:?}; {books}"),
    );
}
