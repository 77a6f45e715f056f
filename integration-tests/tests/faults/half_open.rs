//! Row 2: the pool is gone and nobody says so.

use std::time::{Duration, Instant};

use integration_tests::dev_pool::DevPool;
use integration_tests::fault_pipe::{FaultPipe, Way};
use integration_tests::folder::Folder;
use integration_tests::proxy::{Adit, Settings};
use integration_tests::{promise, wait};

use crate::PATIENCE;
use crate::farm::{FAST, Farm, NOMINAL};

/// Keep-alive, or data that nobody acknowledges, finds it within this; and what a busy machine needs.
const DETECTED: Duration = Duration::from_secs(30 + 5);

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn a_link_that_pauses_for_seconds_keeps_its_shares_and_its_place() {
    let folder = Folder::new();
    let a = DevPool::start("pool-a", folder.path(), &FAST);
    let pipe = FaultPipe::start(a.port(), 2);
    let farm = Farm::start(folder, &pipe.url(&a.url()));
    pipe.hold(Way::Up);
    pipe.hold(Way::Down);
    let at = Instant::now();
    let books = farm.adit.wait_books("shares wait for an answer", PATIENCE, |books| books.pending >= 20);
    pipe.release(Way::Up);
    pipe.release(Way::Down);
    let paused = at.elapsed();
    farm.wait_acknowledged("a", 20);
    assert_eq!(pipe.connections().len(), 1, "the link stands");
    let rest = farm.finish(5);
    promise::figure(
        "2",
        &format!("link paused for {paused:?} with {} shares open: the link stands; {rest}", books.pending),
    );
}

#[test]
#[ignore = "needs the release build: integration-tests/run --long"]
fn long_a_pool_that_vanishes_is_found_out_within_half_a_minute() {
    let folder = Folder::new();
    let a = DevPool::start("pool-a", folder.path(), &FAST);
    let pipe = FaultPipe::start(a.port(), 2);
    let farm = Farm::start(folder, &pipe.url(&a.url()));
    let at = Instant::now();
    pipe.vanish();
    wait::until_so("the link is given up", PATIENCE, || farm.adit.source("a")["state"] != "ready");
    let detected = at.elapsed();
    let gap = farm.time_to_job(at);
    farm.wait_acknowledged("b", 5);
    let books = farm.adit.books();
    assert!(books.unknown > 0, "what was on its way is unknown: {books}");
    assert!(detected <= DETECTED, "{detected:?}");
    pipe.come_back();
    farm.wait_active("a");
    farm.wait_acknowledged("a", 5);
    let rest = farm.finish(30);
    promise::figure(
        "2",
        &format!("half-open with shares open: found after {detected:?}, next job after {gap:?}; {rest}"),
    );
}

#[test]
#[ignore = "needs the release build: integration-tests/run --long"]
fn long_a_standby_that_vanishes_is_found_out_within_half_a_minute() {
    let folder = Folder::new();
    let a = DevPool::start("pool-a", folder.path(), &FAST);
    let spare = DevPool::start("pool-c", folder.path(), &FAST);
    let pipe = FaultPipe::start(spare.port(), 2);
    let settings =
        Settings::for_cpus().source("a", &a.url(), NOMINAL).source("b", &pipe.url(&spare.url()), NOMINAL);
    let adit = Adit::start_ready(folder.path(), &settings);
    wait::until_so("the standby is ready", PATIENCE, || adit.source("b")["state"] == "ready");
    let at = Instant::now();
    pipe.vanish();
    wait::until_so("the link is given up", PATIENCE, || adit.source("b")["state"] != "ready");
    let detected = at.elapsed();
    assert!(detected <= DETECTED, "{detected:?}");
    promise::figure("2", &format!("half-open and idle (a standby): found after {detected:?}"));
    adit.stop();
}
