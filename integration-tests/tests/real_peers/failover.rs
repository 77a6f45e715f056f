//! From one pool to another and back, and no miner notices.

use std::time::{Duration, Instant};

use integration_tests::folder::Folder;
use integration_tests::miners::{CpuMiner, ParaMiner};
use integration_tests::node::{Chain, Node};
use integration_tests::pool::{Pool, PoolSettings};
use integration_tests::proxy::{Adit, Settings};
use integration_tests::stalls::Stalls;
use integration_tests::sv1_client::Sv1Client;
use integration_tests::{promise, wait};

use crate::{PARA_USER, PATIENCE};

/// Within this, miners have work of the standby; on an idle machine.
const GOAL: Duration = Duration::from_secs(1);

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn miners_go_to_the_standby_and_back_without_noticing() {
    let folder = Folder::new();
    let node = Node::start(Chain::Mainnet, folder.path());
    let pool_settings =
        PoolSettings { share_batch_size: 1, shares_per_minute: 600.0, ..PoolSettings::default() };
    let mut first = Pool::start("pool-a", &node, folder.path(), &pool_settings);
    let second = Pool::start("pool-b", &node, folder.path(), &pool_settings);
    let source = "nominal_hashrate = 600000\n";
    let settings = Settings::for_cpus()
        .source("a", &first.url(), source)
        .source("b", &second.url(), source)
        .route("return_after = \"1s\"\n");
    let mut adit = Adit::start_ready(folder.path(), &settings);
    wait::until_so("the first pool is used", PATIENCE, || adit.active().as_deref() == Some("a"));
    wait::until_so("the standby is connected in advance", PATIENCE, || adit.source("b")["state"] == "ready");

    let stalls = Stalls::watch();
    let client = Sv1Client::connect(adit.port(), "farm.watcher");
    let ours = CpuMiner::start(adit.port(), "farm.ours", 300_000.0);
    let para = ParaMiner::start(adit.port(), PARA_USER, 300_000, folder.path());
    client.wait_job(&first.signature_hex(), Instant::now() - PATIENCE, PATIENCE);
    wait_acknowledged(&adit, "a", 10);

    let mut gaps = Vec::new();
    let mut returns = Vec::new();
    for _ in 0..3 {
        let before = adit.source_books("b").acknowledged;
        let killed = first.kill();
        let job = client.wait_job(&second.signature_hex(), killed, PATIENCE);
        gaps.push(job.at - killed);
        wait_acknowledged(&adit, "b", before + 10);

        let before = adit.source_books("a").acknowledged;
        // It has a job for them as soon as it listens, which is seen a little later.
        let dead = Instant::now();
        first.run();
        let there = Instant::now();
        let job = client.wait_job(&first.signature_hex(), dead, PATIENCE);
        returns.push(job.at.saturating_duration_since(there));
        wait::until_so("the first pool is used again", PATIENCE, || adit.active().as_deref() == Some("a"));
        wait_acknowledged(&adit, "a", before + 10);
    }

    assert_eq!(client.closed(), None, "the connection stands");
    assert_eq!(client.disturbances(), Vec::<serde_json::Value>::new());
    let log = para.log();
    assert!(!log.contains("Disconnected"), "para never lost its connection:\n{log}");
    let (foreign, own) = (para.stop(), ours.stop());
    assert_eq!((own.connections, own.extranonce1_changes), (1, 0), "{own:?}");
    let books = adit.settled(PATIENCE);
    assert_eq!((books.pending, books.held), (0, 0), "every share has its final state: {books}");
    // What was under way when a pool was killed is unknown to Adit: the pool may have counted it or not.
    let (least, most) = (books.acknowledged, books.acknowledged + books.unknown);
    let accepted = wait::until("the pools have logged all", PATIENCE, || {
        let accepted = first.shares().accepted + second.shares().accepted;
        (accepted >= least).then_some(accepted)
    });
    assert!((least..=most).contains(&accepted), "the pools accepted {accepted}: {books}");
    assert!(adit.lives());
    let slowest = gaps.iter().max().copied().unwrap_or_default();
    promise::kept(
        "fail-over to the standby and back, miners' connections and extranonce1 unchanged",
        &format!(
            "3 kills; without valid work {gaps:?} (goal under {GOAL:?}); work of the first again {returns:?} after it \
             listened (return_after 1 s); {books}, {} told true and lost; the pools accepted {accepted}; ours heard \
             {} jobs and was told true {} times, para {}",
            books.told_true_lost, own.jobs, own.accepted, foreign.accepted
        ),
    );
    let limit = GOAL + stalls.grace();
    assert!(slowest < limit, "without valid work for {slowest:?} of {limit:?}");
    adit.stop();
}

fn wait_acknowledged(adit: &Adit, source: &str, enough: u64) {
    wait::until_so(&format!("{source} acknowledges {enough} shares"), PATIENCE, || {
        adit.source_books(source).acknowledged >= enough
    });
}
