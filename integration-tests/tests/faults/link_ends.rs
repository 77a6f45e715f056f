//! Row 1: the pool's connection ends while shares are open.

use std::time::Instant;

use integration_tests::dev_pool::DevPool;
use integration_tests::fault_pipe::{Cut, FaultPipe, Way};
use integration_tests::folder::Folder;
use integration_tests::{promise, wait};

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

    // Shares that are on their way when it happens; a batch or two of them may have reached the pool before.
    pipe.hold(Way::Up);
    farm.adit.wait_books("shares are open", PATIENCE, |books| books.pending >= 15);
    let at = Instant::now();
    end(&pipe, &mut a);
    let gap = farm.time_to_job(at);
    wait::until_so("open shares are unknown; told true and lost, as is counted", PATIENCE, || {
        let books = farm.adit.source_books("a");
        books.unknown >= 5 && books.pending == 0 && books.told_true_lost >= books.unknown
    });
    farm.wait_active("b");
    farm.wait_acknowledged("b", 5);

    // Back as soon as it is well again.
    pipe.release(Way::Up);
    a.run_unless_it_runs();
    farm.wait_active("a");
    farm.wait_acknowledged("a", 5);
    wait::until_so("it is counted", PATIENCE, || {
        farm.adit.metric("adit_source_reconnects_total", &["source=\"a\""]) >= 1.0
    });
    let rest = farm.finish(20);
    promise::figure("1", &format!("{how}: {gap:?} to a job of the next source; {rest}"));
}
