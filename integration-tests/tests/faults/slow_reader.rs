//! Row 11: miners that do not read.

use std::time::{Duration, Instant};

use integration_tests::dev_pool::DevPool;
use integration_tests::folder::Folder;
use integration_tests::stranger::Stranger;
use integration_tests::{load, promise, wait};
use serde_json::json;

use crate::PATIENCE;
use crate::farm::{FAST, Farm};

/// Miners that do not read.
const DEAF: usize = 20;
/// Miners that do.
const OTHERS: f64 = 50.0;
/// How long those hand in shares.
const LOAD: Duration = Duration::from_secs(8);
/// Bad shares that each of them hands in: fewer than a miner is closed for.
const SHARES_AT_ONCE: usize = 1_000;
/// And one more each time that this has passed.
const SHARE_EVERY: Duration = Duration::from_millis(12);
/// Bytes that wait for one of them in Adit at most (the configuration's default), and as much again for what the
/// allocator keeps.
const PER_MINER_MAX: u64 = 2 * 64 * 1024;

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn a_miner_that_does_not_read_costs_a_bounded_outbox_and_others_nothing() {
    let folder = Folder::new();
    let a = DevPool::start("pool-a", folder.path(), &FAST);
    let farm = Farm::start(folder, &a.url());
    let (before, files) = (farm.adit.resident(), farm.adit.process().open_files());
    // Shares of no job, with as long an id as comes back.
    let share = format!(
        "{{\"id\":\"{}\",\"method\":\"mining.submit\",\"params\":[\"farm.deaf\",\"x\",\"00000000\",\"00000000\",\"00000000\"]}}\n",
        "x".repeat(62)
    );

    let args = ["--miners", "50", "--shares-per-second", "200", "--seconds", "8"];
    let others = load::start(&farm.adit, &args);
    let mut deaf: Vec<Stranger> =
        (0..DEAF).map(|_| Stranger::connect_with(farm.adit.port(), Some(4 * 1024))).collect();
    for stranger in &mut deaf {
        assert!(stranger.send(b"{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n"));
        assert!(
            stranger.send(b"{\"id\":2,\"method\":\"mining.authorize\",\"params\":[\"farm.deaf\",\"x\"]}\n")
        );
    }
    let all = 2.0 + OTHERS + DEAF as f64;
    wait::until_so("all are there", PATIENCE, || farm.adit.connections() >= all);
    let (mut most, mut sent) = (before, 0);
    // Each says as much as is put up with until it is closed: first the system's buffers take the answers, then Adit's
    // outbox does, and then Adit reads no more of what it says. Adit's patience ends after 15 s, the system's, which
    // begins earlier, after 20 s: what comes first closes it.
    let began = Instant::now();
    let mut unsent = vec![Vec::new(); DEAF];
    let mut said = 0;
    let mut others = Some(others);
    let mut report = serde_json::Value::Null;
    while farm.adit.connections() > 2.0 {
        let since = usize::try_from(began.elapsed().as_nanos() / SHARE_EVERY.as_nanos());
        let may_say = SHARES_AT_ONCE + since.expect("a minute at most");
        for (stranger, unsent) in deaf.iter_mut().zip(&mut unsent) {
            unsent.extend_from_slice(share.repeat(may_say - said).as_bytes());
            let taken = stranger.send_for(unsent, Duration::from_millis(10));
            unsent.drain(..taken);
            sent += taken;
        }
        said = may_say;
        most = most.max(farm.adit.resident());
        if let Some(load) = others.take_if(|_| began.elapsed() > LOAD) {
            report = load.report();
        }
        assert!(began.elapsed() < PATIENCE, "{} are left", farm.adit.connections());
    }
    let closed = began.elapsed();
    let closings = farm.adit.closings();
    let slow = closings.get("slow_reader").copied().unwrap_or(0);
    assert_eq!(slow, DEAF as u64, "counted as what they are, after {closed:?}: {closings:?}");
    for other in ["bad_shares", "flood", "garbage"] {
        assert_eq!(closings.get(other), None, "and not as something else: {closings:?}");
    }
    drop(deaf);
    wait::until_so("files are given back", PATIENCE, || farm.adit.process().open_files() <= files + 8);
    // The 50 others and their channel are in it.
    let per_miner = most.saturating_sub(before) / DEAF as u64;
    assert!(per_miner <= PER_MINER_MAX, "{per_miner} bytes");
    assert_eq!(
        (&report["shares"]["unanswered"], &report["connect"]["closed_later"]),
        (&json!(0), &json!(0)),
        "{report}"
    );
    let p99 = report["shares"]["latency_ms"]["p99"].as_f64().expect("a report has latencies");
    assert!(p99 < 10_000.0, "{p99} ms");
    let rest = farm.finish(60);
    promise::figure(
        "11",
        &format!(
            "{DEAF} that do not read, all closed {closed:?} after they came ({slow} by Adit) and {} kB of shares each: {} kB of memory each at \
             most; p99 of 50 others' {} shares {p99:.1} ms; {rest}",
            sent / 1024 / DEAF,
            per_miner / 1024,
            report["shares"]["accepted"]
        ),
    );
}
