//! Row 7: somebody on the way to the pool changes bytes, or only their pace.

use std::time::Duration;

use integration_tests::blockless_pool::BlocklessPool;
use integration_tests::dev_pool::DevPool;
use integration_tests::fault_pipe::{FaultPipe, Way};
use integration_tests::folder::Folder;
use integration_tests::{promise, wait};

use crate::PATIENCE;
use crate::farm::{FAST, Farm};

/// Its name, whose bytes it is about, and what it is.
type Attack = (&'static str, Way, fn(&FaultPipe, Way));

/// What somebody on the way does.
const ATTACKS: [Attack; 6] = [
    ("a bit of what comes from the pool flipped", Way::Down, |pipe, way| pipe.flip(way, 7)),
    ("a bit of what goes to the pool flipped", Way::Up, |pipe, way| pipe.flip(way, 40)),
    ("blocks from the pool replayed", Way::Down, FaultPipe::replay),
    ("blocks to the pool replayed", Way::Up, FaultPipe::replay),
    ("blocks from the pool in another order", Way::Down, FaultPipe::reorder),
    ("a frame from the pool cut short", Way::Down, |pipe, way| pipe.truncate(way, 9)),
];

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn a_link_that_somebody_tampers_with_ends_and_is_dialled_again_at_once() {
    let folder = Folder::new();
    let a = DevPool::start("pool-a", folder.path(), &FAST);
    let pipe = FaultPipe::start(a.port(), 7);
    let farm = Farm::start(folder, &pipe.url(&a.url()));
    let mut slowest = Duration::ZERO;
    for (what, way, attack) in ATTACKS {
        let (links, ends) = (pipe.connections().len(), pipe.ends().len());
        attack(&pipe, way);
        let ended =
            wait::until(&format!("the link ends ({what})"), PATIENCE, || pipe.ends().get(ends).copied());
        let dialled = wait::until(&format!("it is dialled again ({what})"), PATIENCE, || {
            pipe.connections().get(links).copied()
        });
        let again = dialled.saturating_duration_since(ended);
        let job = farm.time_to_job(ended);
        farm.wait_active("a");
        farm.wait_acknowledged("a", 3);
        slowest = slowest.max(again);
        promise::figure(
            "7",
            &format!("{what}: dialled again {again:?} after the link ended, next job {job:?} after it"),
        );
    }
    // Half a second with jitter is what Adit waits; the rest is the machine's.
    assert!(slowest < Duration::from_secs(10), "{slowest:?}");
    let unknown = farm.adit.books().unknown;
    let rest = farm.finish(80);
    promise::figure("7", &format!("{} attacks cost {unknown} shares; {rest}", ATTACKS.len()));
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn a_link_that_is_only_slow_and_in_pieces_loses_nothing() {
    let folder = Folder::new();
    let a = BlocklessPool::start();
    let pipe = FaultPipe::start(a.port(), 8);
    for way in [Way::Up, Way::Down] {
        pipe.single_bytes(way, true);
        pipe.delay(way, Duration::from_millis(100));
    }
    let farm = Farm::start(folder, &pipe.url(&a.url()));
    farm.wait_acknowledged("a", 30);
    assert_eq!(pipe.connections().len(), 1, "the link stands");
    let books = farm.adit.books();
    assert_eq!((books.refused, books.unknown, books.unsent), (0, 0, 0), "{books}");
    let rest = farm.finish(5);
    promise::figure("7", &format!("100 ms of delay each way, byte by byte: {rest}"));
}
