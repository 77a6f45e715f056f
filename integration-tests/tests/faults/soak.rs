//! Row 34: everything, for a while.

use std::time::{Duration, Instant};

use integration_tests::dev_pool::DevPool;
use integration_tests::fault_pipe::{Cut, FaultPipe, Way};
use integration_tests::folder::Folder;
use integration_tests::proxy::{Adit, Settings};
use integration_tests::stranger::Stranger;
use integration_tests::{load, promise, wait};
use serde_json::json;

use crate::PATIENCE;
use crate::farm::FAST;

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn random_faults_for_half_a_minute_leave_the_books_in_balance_and_memory_where_it_was() {
    soak(Duration::from_secs(30), 100, 300.0, Duration::from_millis(400));
}

#[test]
#[ignore = "needs the release build: integration-tests/run --long"]
fn long_random_faults_for_half_an_hour_leave_the_books_in_balance_and_memory_where_it_was() {
    soak(Duration::from_secs(30 * 60), 1_000, 3_000.0, Duration::from_secs(2));
}

/// Numbers from a seed (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// `pause`: between two faults, at least; three times as long at most.
fn soak(time: Duration, miners: usize, shares_per_second: f64, pause: Duration) {
    let folder = Folder::new();
    let seed = rand::random();
    let mut random = Random(seed);
    let blocks = [&FAST[..], &["--block-interval", "5"]].concat();
    let mut pools = ["pool-a", "pool-b"].map(|name| DevPool::start(name, folder.path(), &blocks));
    let pipes = [0, 1].map(|n| FaultPipe::start(pools[n].port(), seed));
    // Some forty hashes a share: what is measured is Adit under this load, not the load generator's arithmetic.
    let settings = Settings::default()
        .listener("difficulty_start = 1e-9\ndifficulty_min = 1e-9\nvardiff = false\n")
        .source("a", &pipes[0].url(&pools[0].url()), "")
        .source("b", &pipes[1].url(&pools[1].url()), "")
        .route("return_after = \"2s\"\n")
        .limits("setup = \"5s\"\n");
    let mut adit = Adit::start_ready(folder.path(), &settings);
    let (count, rate, seconds) =
        (miners.to_string(), shares_per_second.to_string(), time.as_secs().to_string());
    let args = ["--miners", &count, "--shares-per-second", &rate, "--seconds", &seconds];
    let load = load::start(&adit, &args);

    let began = Instant::now();
    let mut memory = Vec::new();
    let mut faults = 0_u64;
    let mut strangers: Vec<Stranger> = Vec::new();
    while began.elapsed() < time {
        let at = usize::from(random.below(2) == 1);
        let (pool, pipe) = (&mut pools[at], &pipes[at]);
        // What is ordered for bytes to come waits for them: further orders would only pile up for the next connection.
        let waits = [Way::Up, Way::Down].into_iter().any(|way| pipe.waits(way));
        match random.below(9) {
            3..=5 if waits => continue,
            0 => pipe.cut(Cut::Rst),
            1 => pipe.cut(Cut::Fin),
            2 => {
                // Back on the same first tip each time, every share since the start would be one of that tip's, and be
                // remembered.
                pool.restart_on_chain(faults);
            }
            3 => pipe.flip(Way::Down, random.below(2_000)),
            4 => pipe.flip(Way::Up, random.below(2_000)),
            5 => pipe.truncate(Way::Down, random.below(2_000)),
            6 => {
                pipe.hold(Way::Down);
                watch(&adit, Duration::from_millis(500), &mut memory, began);
                pipe.release(Way::Down);
            }
            7 => {
                let mut stranger = Stranger::connect(adit.port());
                stranger.send(&[0xff, b'\n'].repeat(20));
                strangers.push(stranger);
            }
            _ => strangers.push(Stranger::connect(adit.port())),
        }
        faults += 1;
        if strangers.len() > 20 {
            strangers.clear();
        }
        watch(&adit, pause + pause.mul_f64(random.below(1_000) as f64 / 500.0), &mut memory, began);
        assert!(adit.lives(), "after {faults} faults, seed {seed}");
    }
    drop(strangers);
    let report = load.report();
    let books = adit.wait_books("every share is settled", PATIENCE, |books| books.pending + books.held == 0);
    let connect = &report["connect"];
    let closed = (&connect["failed"], &connect["closed_later"]);
    assert_eq!(closed, (&json!(0), &json!(0)), "no miner was closed, seed {seed}: {connect}");
    assert_eq!(report["shares"]["unanswered"], 0, "every share was answered, seed {seed}");
    assert!(books.acknowledged > 0, "{books}");
    wait::until_so("everyone has left", PATIENCE, || adit.connections() < 1.0);
    // The first third is the farm's coming and every pool's first time.
    let rest = &memory[memory.len() / 3..];
    let (slope, error) = slope(rest);
    let per_hour = |bytes_per_second: f64| bytes_per_second * 3_600.0 / 1024.0 / 1024.0;
    let span = rest.last().map_or(0.0, |last| last.0) - rest.first().map_or(0.0, |first| first.0);
    assert!(
        (slope - 3.0 * error) * span < 2.0 * 1024.0 * 1024.0,
        "{slope} +- {error} bytes/s for {span} s, seed {seed}"
    );
    promise::figure(
        "34",
        &format!(
            "{faults} faults in {time:?}, {miners} miners, seed {seed}: memory {:+.1} +- {:.1} MB an hour; {books}, {} told true and \
             lost; p99 of answers {} ms",
            per_hour(slope),
            per_hour(error),
            books.told_true_lost,
            report["shares"]["latency_ms"]["p99"]
        ),
    );
    adit.stop();
}

/// Looks at the books, which balance at every look, and at memory.
fn watch(adit: &Adit, time: Duration, memory: &mut Vec<(f64, f64)>, began: Instant) {
    wait::stays_so("the books balance", time, || adit.books().balance());
    memory.push((began.elapsed().as_secs_f64(), adit.resident() as f64));
}

/// The slope of a line through these points, and its standard error.
fn slope(points: &[(f64, f64)]) -> (f64, f64) {
    let n = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let square: f64 = points.iter().map(|p| (p.0 - x).powi(2)).sum();
    let slope = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum::<f64>() / square;
    let rest: f64 = points.iter().map(|p| (p.1 - y - slope * (p.0 - x)).powi(2)).sum();
    (slope, (rest / (n - 2.0) / square).sqrt())
}

#[test]
fn a_line_is_found_with_its_error() {
    let line: Vec<_> = (0..10).map(|n| (f64::from(n), 2.0 * f64::from(n) + 1.0)).collect();
    let (found, error) = slope(&line);
    assert!((found - 2.0).abs() < 1e-9 && error < 1e-9, "{found} +- {error}");
    let up_and_down = [1.0, -1.0].into_iter().cycle();
    let noisy: Vec<_> = line.iter().zip(up_and_down).map(|((x, y), noise)| (*x, y + noise)).collect();
    let (found, error) = slope(&noisy);
    assert!((found - 2.0).abs() < 3.0 * error && error > 0.05, "{found} +- {error}");
}
