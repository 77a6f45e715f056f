//! From one miner to 5,000 within ten seconds, all on one template: the pool never closes the link.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use integration_tests::folder::Folder;
use integration_tests::miners::CpuMiner;
use integration_tests::node::{Chain, Node};
use integration_tests::pool::{Pool, PoolSettings};
use integration_tests::promise;
use integration_tests::proxy::{Adit, Settings};
use lab::load::{self, Options};
use lab::sv1_miner::ServerAddress;

use crate::PATIENCE;

/// Miners at the end.
const MINERS: usize = 5_000;
/// Shares a second of all of them.
const SHARES_PER_SECOND: f64 = 500.0;
/// Shares that the pool acknowledges together, as it is shipped.
const BATCH: u32 = 10;
/// How long they hand in shares.
const DURATION: Duration = Duration::from_secs(20);

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn a_farm_that_grows_five_thousandfold_on_one_channel_never_loses_its_pool() {
    the_pool_never_closes_the_link("all on one channel", false);
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn a_farm_that_grows_five_thousandfold_with_worker_names_never_loses_its_pool() {
    the_pool_never_closes_the_link("50 on each channel, with worker names", true);
}

/// The pool closes a connection with more than 7,200 accepted shares on one tip and channel, as it is shipped.
fn the_pool_never_closes_the_link(mode: &str, worker_names: bool) {
    let folder = Folder::new();
    let node = Node::start(Chain::Mainnet, folder.path());
    let pool_settings = PoolSettings { share_batch_size: BATCH, worker_names, ..PoolSettings::default() };
    let pool = Pool::start("pool-a", &node, folder.path(), &pool_settings);
    let settings = Settings::for_cpus().source("pool", &pool.url(), "");
    let adit = Adit::start_ready(folder.path(), &settings);
    let one = CpuMiner::start(adit.port(), "farm.one", 20_000.0);
    adit.wait_books("the first miner's share is acknowledged or counted", PATIENCE, |books| {
        books.acknowledged + books.local + books.pending > 0
    });

    let server = ServerAddress { host: "127.0.0.1".to_owned(), port: adit.port() };
    let mut options = Options::new(server, MINERS, SHARES_PER_SECOND);
    options.connect_over = Duration::from_secs(10);
    options.duration = DURATION;
    options.user = "farm.load".to_owned();
    options.password = "d=1e-6".to_owned();
    options.observe_pid = Some(adit.id());
    let report = load::run(options, Arc::new(AtomicBool::new(false))).expect("the load runs");
    let own = one.stop();
    let books = adit.settled(PATIENCE);
    let source = adit.source("pool");
    let pool_says = pool.wait_shares("it has dealt with what is open, too", |says| {
        says.accepted >= books.acknowledged + books.pending + books.unknown
    });

    assert_eq!(source["reconnects_total"], 0, "the pool never closed the link");
    // The pool answers full batches alone: when the farm moves to a further channel, what was left of a batch
    // on the old one stays without an answer.
    assert!(books.unknown < u64::from(BATCH), "{books}");
    let log = pool.log();
    assert_eq!(log.matches("Received: NewTemplate").count(), 1, "all on the template of the start");
    let opened = log.matches("Received OpenExtendedMiningChannel").count();
    assert!(!log.contains("dedup budget"), "no channel outran its budget");
    assert_eq!(books.acknowledged + books.pending + books.unknown, pool_says.accepted, "{books}");
    assert_eq!((own.connections, own.extranonce1_changes), (1, 0), "{own:?}");
    let connect = &report.connect;
    assert_eq!(
        (connect.with_work, connect.failed, connect.closed_later),
        (MINERS as u64, 0, 0),
        "{connect:?}"
    );
    assert!(report.shares.rejected.is_empty(), "{:?}", report.shares.rejected);
    let report = serde_json::to_value(&report).expect("a report is JSON");
    promise::kept(
        &format!(
            "from 1 to 5,000 miners in 10 s without a new template ({mode}): the pool never closes the link"
        ),
        &format!(
            "{} shares in {DURATION:?}; channels: {opened} opened, {} open at the end; {books}; the pool says {} accepted; \
             first job after {} ms (p99), share to answer {} ms (p99); Adit resident {} kB, {} us CPU a share",
            books.submitted,
            source["channels"],
            pool_says.accepted,
            report["connect"]["first_job_ms"]["p99"],
            report["shares"]["latency_ms"]["p99"],
            adit.resident() / 1024,
            report["server"]["cpu_us_per_share"],
        ),
    );
    adit.stop();
}
