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
/// How long they hand in shares.
const DURATION: Duration = Duration::from_secs(20);

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn a_farm_that_grows_five_thousandfold_never_loses_its_pool() {
    let folder = Folder::new();
    let node = Node::start(Chain::Mainnet, folder.path());
    // As the pool is shipped: it closes a connection with more than 7,200 accepted shares on one tip and channel.
    let pool = Pool::start("pool-a", &node, folder.path(), &PoolSettings::default());
    let settings = Settings::for_cpus().source("pool", &pool.url(), "");
    let adit = Adit::start_ready(folder.path(), &settings);
    let one = CpuMiner::start(adit.port(), "farm.one", 20_000.0);
    adit.wait_books("the first miner's share is acknowledged or counted", PATIENCE, |books| {
        books.acknowledged + books.local + books.pending > 0
    });
    let jobs = adit.source("pool")["jobs_total"].clone();

    let server = ServerAddress { host: "127.0.0.1".to_owned(), port: adit.port() };
    let mut options = Options::new(server, MINERS, SHARES_PER_SECOND);
    options.connect_over = Duration::from_secs(10);
    options.duration = DURATION;
    options.user = "farm.load".to_owned();
    options.password = "d=1e-6".to_owned();
    options.observe_pid = Some(adit.id());
    let report = load::run(options, Arc::new(AtomicBool::new(false))).expect("the load runs");
    let books = adit.settled(PATIENCE);
    let source = adit.source("pool");
    let pool_says = pool.shares();

    assert_eq!(source["reconnects_total"], 0, "the pool never closed the link");
    assert_eq!(books.unknown, 0, "{books}");
    let log = pool.log();
    assert!(!log.contains("dedup budget"), "no channel outran its budget");
    assert_eq!(books.acknowledged + books.pending, pool_says.accepted, "{books}");
    let own = one.stop();
    assert_eq!((own.connections, own.extranonce1_changes), (1, 0), "{own:?}");
    let report = serde_json::to_value(&report).expect("a report is JSON");
    promise::kept(
        "from 1 to 5,000 miners in 10 s without a new template: the pool never closes the link",
        &format!(
            "{} shares in {DURATION:?}, jobs of the pool {jobs} -> {}, channels {}; {books}; the pool says {} accepted; \
             Adit resident {} kB; load: {report}",
            books.submitted,
            source["jobs_total"],
            source["channels"],
            pool_says.accepted,
            adit.resident() / 1024,
        ),
    );
    adit.stop();
}
