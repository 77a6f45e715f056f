//! What other programs were seen to do under load, and Adit must not: the second table of docs/faults.md.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use integration_tests::blockless_pool::BlocklessPool;
use integration_tests::dev_pool::DevPool;
use integration_tests::folder::Folder;
use integration_tests::middleman::{Frame, Middleman, Offer, Way};
use integration_tests::proxy::{Adit, Settings};
use integration_tests::stalls::Stalls;
use integration_tests::{load, promise};
use lab::dev_pool::{DevPoolKeys, DevPoolOptions};
use serde_json::{Value, json};
use sv2::Message;
use sv2::mining::SetNewPrevHash;

use crate::PATIENCE;

/// A pool that has a new block now and then, and wants few shares: most are counted in Adit alone.
const BLOCKS: [&str; 4] = ["--block-interval", "1", "--shares-per-minute", "60"];
/// How long the load takes in front of such a pool: long enough that two blocks come, as good as always.
const SECONDS: f64 = 12.0;
/// Every miner has a new block's job within this, whatever the others do; on a busy machine whose answers are quick.
const JOB_WITHIN: Duration = Duration::from_secs(5);

/// Miners whose shares take few hashes, the same all the time.
fn easy() -> Settings {
    let same = "difficulty_start = 1e-8\ndifficulty_min = 1e-8\nvardiff = false\nshares_per_minute = 600\n";
    Settings { listener: same.to_owned(), ..Settings::default() }
}

fn number(report: &Value, pointer: &str) -> f64 {
    let found = report.pointer(pointer).and_then(Value::as_f64);
    found.unwrap_or_else(|| panic!("the report has a number {pointer}: {report}"))
}

fn fanouts(report: &Value) -> &[Value] {
    report["fanouts"].as_array().map_or(&[], Vec::as_slice)
}

/// All that was due was sent and answered `true`.
fn assert_all_answered(report: &Value) {
    let shares = &report["shares"];
    assert_eq!(shares["unanswered"], 0, "{shares}");
    let connect = &report["connect"];
    assert_eq!((&connect["failed"], &connect["closed_later"]), (&json!(0), &json!(0)), "{connect}");
}

/// When the pool's newest block passed, Unix seconds, each time it did.
fn watched(pool: &DevPool) -> (Middleman, Arc<Mutex<Vec<f64>>>) {
    let tips = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&tips);
    let rule = move |way: Way, frame: Frame| {
        if way == Way::Down && frame.message() == Some(SetNewPrevHash::MSG_TYPE) {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
            record.lock().unwrap_or_else(PoisonError::into_inner).push(now);
        }
        vec![frame]
    };
    (Middleman::start(&pool.url(), Offer::default(), Box::new(rule)), tips)
}

/// The time from a block's passing to its job's arrival at the last miner, for the slowest of all blocks.
fn slowest_job(report: &Value, tips: &[f64]) -> Duration {
    let waits = fanouts(report).iter().filter_map(|fanout| {
        let first = number(fanout, "/first_unix");
        let told = tips.iter().copied().filter(|tip| *tip <= first).fold(f64::MIN, f64::max);
        (told > f64::MIN).then_some(number(fanout, "/last_unix") - told)
    });
    Duration::from_secs_f64(waits.fold(0.0, f64::max))
}

/// The same, by a load generator that may have been late with reading: as late as the answers say.
fn job_within(report: &Value) -> Duration {
    JOB_WITHIN + Duration::from_secs_f64(number(report, "/shares/latency_ms/max") / 1e3)
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn thousands_of_shares_a_second_do_not_delay_a_new_block() {
    let folder = Folder::new();
    let pool = DevPool::start("pool", folder.path(), &BLOCKS);
    let (middleman, tips) = watched(&pool);
    let settings = easy().source("pool", &middleman.url(), "");
    let adit = Adit::start_ready(folder.path(), &settings);
    let stalls = Stalls::watch();
    let seconds = SECONDS.to_string();
    let args = ["--miners", "1000", "--shares-per-second", "10000", "--seconds", &seconds];
    let report = load::run(&adit, &args);
    let books = adit.wait_books("every share is settled", PATIENCE, |books| books.pending == 0);
    let tips = tips.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let slowest = slowest_job(&report, &tips);
    assert!(fanouts(&report).len() >= 2, "blocks came: {report}");
    assert!(slowest < job_within(&report), "{slowest:?}");
    // Told true and then refused: what was on its way while a tip passed, no more.
    let passing = stalls.meanwhile(books.forwarded as f64 / SECONDS) * fanouts(&report).len() as u64;
    assert!(books.refused * 100 < books.acknowledged.max(100) + passing * 100, "{books}");
    adit.stop();
    promise::figure(
        "load",
        &format!(
            "{:.0} shares/s of 1,000 miners and {} blocks: the last miner has its job {slowest:?} after the pool sent it, at the \
             slowest; {} of {} shares sent were refused as stale; p99 {} ms; {books}",
            number(&report, "/shares/accepted_per_second"),
            fanouts(&report).len(),
            books.refused,
            books.forwarded,
            number(&report, "/shares/latency_ms/p99"),
        ),
    );
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn one_connection_that_floods_keeps_no_job_from_the_others_and_no_memory() {
    let folder = Folder::new();
    let pool = DevPool::start("pool", folder.path(), &BLOCKS);
    let (middleman, tips) = watched(&pool);
    let settings = easy().source("pool", &middleman.url(), "");
    let adit = Adit::start_ready(folder.path(), &settings);
    let before = adit.resident();
    let seconds = SECONDS.to_string();
    let args = ["--miners", "101", "--shares-per-second", "100", "--seconds", &seconds, "--mode", "flood"];
    let report = load::run(&adit, &args);
    let books = adit.wait_books("every share is settled", PATIENCE, |books| books.pending == 0);
    let growth = adit.resident().saturating_sub(before);
    let tips = tips.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let slowest = slowest_job(&report, &tips);
    assert!(fanouts(&report).len() >= 2, "blocks came: {report}");
    assert!(slowest < job_within(&report), "{slowest:?}");
    assert!(growth < 64 * 1024 * 1024, "{growth} bytes");
    // It may be closed for what it sends, but no other.
    assert_eq!(
        (&report["shares"]["unanswered"], &report["connect"]["failed"]),
        (&json!(0), &json!(0)),
        "{report}"
    );
    assert!(number(&report, "/connect/closed_later") <= 1.0, "{report}");
    adit.stop();
    promise::figure(
        "load",
        &format!(
            "a flood of {} shares from one connection: 100 others have each of {} blocks' jobs within {slowest:?} and their answers \
             within {} ms (p99); {} kB of memory; {books}",
            report["flood"]["submitted"],
            fanouts(&report).len(),
            number(&report, "/shares/latency_ms/p99"),
            growth / 1024,
        ),
    );
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn shares_are_all_answered_and_cost_no_log() {
    let folder = Folder::new();
    let pool = BlocklessPool::start();
    let settings = easy().source("pool", &pool.url(), "");
    let adit = Adit::start_ready(folder.path(), &settings);
    for (miners, rate) in [("100", "1000"), ("1000", "10000")] {
        let before = adit.log().lines().count();
        let args = ["--miners", miners, "--shares-per-second", rate, "--seconds", "5"];
        let report = load::run(&adit, &args);
        let logged = adit.log().lines().count() - before;
        let cpu = number(&report, "/server/cpu_us_per_share");
        let accepted = &report["shares"]["accepted"];
        assert_all_answered(&report);
        assert_eq!(report["shares"]["rejected"], json!({}));
        assert!(logged <= 10, "{logged} lines for {accepted} shares and {miners} miners that came and left");
        promise::figure(
            "load",
            &format!(
                "{accepted} shares at {rate} a second of {miners} miners that came and left: {cpu:.1} us CPU a share, answers \
                 within {:.1} ms (p50) and {:.1} ms (p99), {logged} lines of log",
                number(&report, "/shares/latency_ms/p50"),
                number(&report, "/shares/latency_ms/p99")
            ),
        );
    }
    adit.stop();
}

/// Every share is a block on this chain: the easiest target that there is.
const EVERY_SHARE_A_BLOCK: u32 = 0x207f_ffff;

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn a_storm_in_which_every_share_is_a_block_stays_within_its_queues() {
    let folder = Folder::new();
    // In this process: no command line makes such a chain.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime can be had");
    let mut pool_options = DevPoolOptions { shares_per_minute: 600.0, ..DevPoolOptions::default() };
    pool_options.chain.nbits = EVERY_SHARE_A_BLOCK;
    let address = ([127, 0, 0, 1], 0).into();
    let pool = runtime.block_on(lab::dev_pool::DevPool::bind(address, pool_options, DevPoolKeys::random()));
    let pool = pool.expect("loopback has a free port");
    let adit = Adit::start_ready(folder.path(), &easy().source("pool", &pool.url(), ""));
    let before = adit.resident();
    let report = load::run(&adit, &["--miners", "50", "--shares-per-second", "300", "--seconds", "5"]);
    let books = adit.wait_books("every share is settled", PATIENCE, |books| books.pending == 0);
    let growth = adit.resident().saturating_sub(before);
    let blocks = pool.stats().blocks_found;
    assert!(books.blocks > 100 && blocks > 0, "{books:?}, {blocks} at the pool");
    assert_eq!(adit.source("pool")["reconnects_total"], 0, "the link stands");
    assert_eq!(books.unsent, 0, "{books}");
    assert_all_answered(&report);
    assert!(growth < 64 * 1024 * 1024, "{growth} bytes");
    adit.stop();
    runtime.block_on(pool.shutdown());
    promise::figure(
        "load",
        &format!(
            "every share a block: {} found by 50 miners in 5 s, {blocks} of them new tips of the pool, each a job for all; \
             {} kB of memory; {books}",
            books.blocks,
            growth / 1024
        ),
    );
}
