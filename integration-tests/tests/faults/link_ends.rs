//! Row 1: the pool's connection ends while shares are open.

use std::time::Instant;

use integration_tests::dev_pool::DevPool;
use integration_tests::fault_pipe::{Cut, FaultPipe, Way};
use integration_tests::folder::Folder;
use integration_tests::promise;

use crate::PATIENCE;
use crate::farm::{FAST, Farm};

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn a_reset_link_leaves_its_shares_unknown_and_its_miners_where_they_are() {
    the_link_ends("reset (RST)", |pipe, _| pipe.cut(Cut::Rst));
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn a_closed_link_leaves_its_shares_unknown_and_its_miners_where_they_are() {
    the_link_ends("closed (FIN)", |pipe, _| pipe.cut(Cut::Fin));
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn a_killed_pool_leaves_its_shares_unknown_and_its_miners_where_they_are() {
    the_link_ends("pool killed (SIGKILL)", |_, pool| {
        pool.kill();
    });
}

fn the_link_ends(how: &str, end: impl FnOnce(&FaultPipe, &mut DevPool)) {
    let folder = Folder::new();
    let mut a = DevPool::start("pool-a", folder.path(), &FAST);
    let pipe = FaultPipe::start(a.port(), 1);
    let farm = Farm::start(folder, &pipe.url(&a.url()));

    // Shares that are on their way when it happens.
    pipe.hold(Way::Up);
    farm.adit.wait_books("shares are open", PATIENCE, |books| books.pending >= 5);
    let at = Instant::now();
    end(&pipe, &mut a);
    let gap = farm.time_to_job(at);
    let books = farm.adit.wait_books("open shares are unknown", PATIENCE, |books| books.unknown >= 5);
    assert_eq!(farm.adit.source_books("a").pending, 0, "{books}");
    assert!(books.told_true_lost >= books.unknown, "told true and lost is counted: {books:?}");
    farm.wait_active("b");
    farm.wait_acknowledged("b", 5);

    // Back as soon as it is well again.
    pipe.release(Way::Up);
    a.run_unless_it_runs();
    farm.wait_active("a");
    farm.wait_acknowledged("a", 5);
    let reconnects = farm.adit.metric("adit_source_reconnects_total", &["source=\"a\""]);
    assert!(reconnects >= 1.0, "counted: {reconnects}");
    let rest = farm.finish(20);
    promise::figure("1", &format!("{how}: {gap:?} to a job of the next source; {rest}"));
}
