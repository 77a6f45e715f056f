//! With `reply = "source"` a miner is told what the pool says.

use std::time::Duration;

use integration_tests::folder::Folder;
use integration_tests::miners::CpuMiner;
use integration_tests::node::{Chain, Node};
use integration_tests::pool::{Pool, PoolSettings};
use integration_tests::proxy::{Adit, Settings};
use integration_tests::relay::Relay;
use integration_tests::{promise, wait};

use crate::PATIENCE;

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn a_miner_is_told_what_the_pool_says_if_told_so() {
    let folder = Folder::new();
    let mut node = Node::start(Chain::Signet, folder.path());
    let pool_settings =
        PoolSettings { share_batch_size: 1, shares_per_minute: 1200.0, ..PoolSettings::default() };
    let pool = Pool::start("pool-a", &node, folder.path(), &pool_settings);
    let relay = Relay::start(pool.port());
    let settings = Settings::for_cpus().listener("reply = \"source\"\n").source(
        "pool",
        &pool.url_through(relay.port()),
        "nominal_hashrate = 300000\n",
    );
    let adit = Adit::start_ready(folder.path(), &settings);
    let ours = CpuMiner::start(adit.port(), "farm.ours", 300_000.0);
    adit.wait_books("shares are acknowledged", PATIENCE, |books| books.acknowledged >= 20);

    // Shares are held on their way while the tip changes: good when they were found, stale for the pool.
    relay.hold_upward();
    let held = wait::until("shares are under way", PATIENCE, || {
        Some(adit.books().pending).filter(|pending| *pending >= 5)
    });
    let before = ours.books();
    wait::stays_so("held shares are not answered", Duration::from_millis(500), || {
        ours.books().rejected == before.rejected
    });
    let jobs = ours.books().clean_jobs;
    node.change_tip();
    wait::until_so("the miner hears of the new tip", PATIENCE, || ours.books().clean_jobs > jobs);
    relay.release();
    adit.wait_books("the pool refuses what was held", PATIENCE, |books| books.refused >= 5);
    wait::until_so("the miner hears so", PATIENCE, || ours.books().rejected_total() >= 5);

    let own = ours.stop();
    let books = adit.settled(PATIENCE);
    let pool_says = pool.wait_shares("it has logged all", |says| {
        says.accepted >= books.acknowledged && says.refused_total() >= books.refused
    });
    assert_eq!(books.acknowledged, pool_says.accepted, "{books}");
    assert_eq!(books.refused, pool_says.refused_total(), "{books}");
    assert_eq!(books.told_true_lost, 0, "nobody was told true of a share that was lost: {books}");
    // The connection was closed with some answers under way.
    let (told, cut) = (own.accepted + own.rejected_total(), own.unanswered);
    assert!((told..=told + cut).contains(&books.submitted), "{own:?} {books}");
    assert!(own.accepted <= books.acknowledged + books.local, "{own:?} {books}");
    assert!(
        own.rejected_total() >= 5 && own.rejected_total() <= books.refused + books.rejected,
        "{own:?} {books}"
    );
    adit.stop();
    promise::kept(
        "with reply = \"source\" a miner's answer is the pool's",
        &format!(
            "{held} shares were held while the tip changed; the pool refused {:?}, the miner was told {:?} and {} times \
             true; {books}",
            pool_says.refused, own.rejected, own.accepted
        ),
    );
}
