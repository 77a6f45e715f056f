//! Row 10: connections that take their time, or ask for far too much.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use integration_tests::dev_pool::DevPool;
use integration_tests::folder::Folder;
use integration_tests::proxy::Settings;
use integration_tests::stranger::Stranger;
use integration_tests::{promise, wait};

use crate::PATIENCE;
use crate::farm::{FAST, Farm};

/// Connections of each kind.
const STRANGERS: usize = 200;
/// Requests in one piece.
const PIPELINED: usize = 10_000;
/// Everything is given back within this after the set-up's deadline.
const GIVEN_BACK: Duration = Duration::from_secs(15);

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn silent_and_slow_connections_are_closed_and_everything_is_given_back() {
    let folder = Folder::new();
    let a = DevPool::start("pool-a", folder.path(), &FAST);
    let settings = Settings::for_cpus().limits("setup = \"3s\"\n");
    let farm = Farm::start_with(folder, &a.url(), settings, "a");
    let files = farm.adit.process().open_files();
    let began = Instant::now();
    let silent: Vec<Stranger> = (0..STRANGERS).map(|_| Stranger::connect(farm.adit.port())).collect();
    let mut slow: Vec<Stranger> = (0..STRANGERS).map(|_| Stranger::connect(farm.adit.port())).collect();
    let subscribes: Vec<Stranger> = (0..STRANGERS)
        .map(|_| {
            let mut stranger = Stranger::connect(farm.adit.port());
            assert!(stranger.send(b"{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n"));
            stranger
        })
        .collect();
    // A byte at a time, for as long as Adit puts up with it.
    let over = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&over);
    let loris = std::thread::spawn(move || {
        let line =
            b"{\"id\":1,\"method\":\"mining.authorize\",\"params\":[\"somebody\",\"x\"]}".iter().cycle();
        for byte in line {
            slow.retain_mut(|stranger| stranger.send(&[*byte]));
            if slow.is_empty() || seen.load(SeqCst) {
                break;
            }
            std::thread::park_timeout(Duration::from_millis(100));
        }
    });
    let all = 3 * STRANGERS;
    wait::until_so("all are closed", PATIENCE, || farm.adit.closed("setup_deadline") >= all as f64);
    let closed = began.elapsed();
    wait::until_so("files are given back", GIVEN_BACK, || farm.adit.process().open_files() <= files + 4);
    let back = began.elapsed();
    over.store(true, SeqCst);
    loris.join().expect("the slow ones end");
    drop((silent, subscribes));
    wait::until_so("tasks have ended", GIVEN_BACK, || farm.adit.connections() <= 2.0);
    farm.wait_acknowledged("a", 5);
    let rest = farm.finish(60);
    promise::figure(
        "10",
        &format!(
            "{all} silent, byte-by-byte and half set-up connections: closed {closed:?} after the first came (deadline 3 s), \
             files back to {files} after {back:?}; {rest}"
        ),
    );
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn ten_thousand_requests_in_one_piece_end_their_connection_and_nobody_waits() {
    let folder = Folder::new();
    let a = DevPool::start("pool-a", folder.path(), &FAST);
    let farm = Farm::start(folder, &a.url());
    let files = farm.adit.process().open_files();
    let memory = farm.adit.resident();
    let mut said = Vec::new();
    for (what, why, method) in [
        ("authorise", "flood", "\"mining.authorize\",\"params\":[\"worker{}\",\"x\"]"),
        ("subscribe", "flood", "\"mining.subscribe\",\"params\":[]"),
        ("unknown", "flood", "\"no.such.method\",\"params\":[{}]"),
        (
            "bad share",
            "bad_shares",
            "\"mining.submit\",\"params\":[\"w\",\"{}\",\"00000000\",\"00000000\",\"00000000\"]",
        ),
    ] {
        let piece: Vec<u8> = (0..PIPELINED)
            .flat_map(|n| {
                format!("{{\"id\":{n},\"method\":{}}}\n", method.replace("{}", &n.to_string())).into_bytes()
            })
            .collect();
        let (began, closed) = (Instant::now(), farm.adit.closed(why));
        let mut stranger = Stranger::connect(farm.adit.port());
        let mut reader = stranger.to_read();
        let answers = std::thread::spawn(move || reader.count_lines(PIPELINED));
        stranger.send(&piece);
        let answers = answers.join().expect("answers are counted");
        assert!(answers > 0, "something is said ({what})");
        assert!(answers < PIPELINED / 5, "{answers} were answered ({what})");
        drop(stranger);
        wait::until_so("the connection is given back", GIVEN_BACK, || {
            farm.adit.process().open_files() <= files + 4 && farm.adit.connections() <= 2.0
        });
        wait::until_so(&format!("it counts as {why} ({what})"), PATIENCE, || {
            farm.adit.closed(why) >= closed + 1.0
        });
        said.push(format!("{what}: {answers} answers, then closed, {:?}", began.elapsed()));
    }
    let growth = farm.adit.resident().saturating_sub(memory);
    assert!(growth < 32 * 1024 * 1024, "{growth} bytes");
    farm.wait_acknowledged("a", 5);
    let rest = farm.finish(40);
    promise::figure(
        "10",
        &format!(
            "{PIPELINED} requests in one piece: {}; {} kB of memory; {rest}",
            said.join("; "),
            growth / 1024
        ),
    );
}
