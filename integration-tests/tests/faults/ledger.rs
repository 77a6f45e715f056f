//! The ledger of the released program: killed again and again under load, and on a disk that is full.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use integration_tests::dev_pool::DevPool;
use integration_tests::folder::Folder;
use integration_tests::proxy::{Adit, Settings};
use integration_tests::stalls::Stalls;
use integration_tests::{http, load, peers, promise, wait};
use ledger::record::{Entry, Gap};
use ledger::{Reader, Stream};
use serde_json::Value;

use crate::PATIENCE;

/// What the ledger may lack, by its promise, on an idle machine.
const SECOND: Duration = Duration::from_secs(1);

/// Miners whose shares take few hashes, and a ledger in this folder.
pub(crate) fn settings(directory: &Path, url: &str) -> Settings {
    let listener =
        "difficulty_start = 1e-8\ndifficulty_min = 1e-8\nvardiff = false\nshares_per_minute = 600\n";
    let tables = format!("[ledger]\ndirectory = {directory:?}\n");
    Settings { listener: listener.to_owned(), tables, ..Settings::default() }.source("pool", url, "")
}

/// Shares by state, as the ledger adds them up.
pub(crate) fn sums(reader: &Reader) -> BTreeMap<String, i64> {
    let (sums, period) = reader
        .sums::<BTreeMap<String, i64>>(0, u64::MAX / 2, |sums, _, _, row| {
            for (column, amount) in &row.cells {
                let state = column.split('/').next().unwrap_or_default();
                *sums.entry(state.to_owned()).or_default() += amount.count;
            }
        })
        .expect("the reader takes the ledger");
    assert!(period.damages.iter().all(|damage| damage.newest), "{:?}", period.damages);
    assert!(period.evicted.is_none());
    sums
}

const STATES: [&str; 8] =
    ["rejected", "local", "unsent", "acknowledged", "refused", "unknown", "held", "pending"];

pub(crate) fn submitted(sums: &BTreeMap<String, i64>) -> i64 {
    STATES.iter().filter_map(|state| sums.get(*state)).sum()
}

pub(crate) fn gaps(reader: &Reader) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let read = reader.entries(Stream::Notes, &mut |entry| {
        if let Entry::Gap(gap) = entry {
            gaps.push(gap);
        }
    });
    read.expect("the reader takes the notes");
    gaps
}

/// Kills Adit so often while a thousand shares come a second.
fn killed(times: u32) {
    let folder = Folder::new();
    let pool = DevPool::start("pool", folder.path(), &["--shares-per-minute", "600"]);
    let directory = folder.path().join("ledger");
    let settings = settings(&directory, &pool.url());
    let (mut before, mut torn, mut shares, mut oldest) = (0, 0, 0, Duration::ZERO);
    for time in 0..times {
        let stalls = Stalls::watch();
        let mut adit = Adit::start_ready(folder.path(), &settings);
        let args = ["--miners", "50", "--shares-per-second", "1000", "--seconds", "60"];
        let load = load::start(&adit, &args);
        wait::until_so("shares come", PATIENCE, || adit.books().submitted > 100);
        // Not always at the same moment of the ledger's second.
        let until = Instant::now() + SECOND + Duration::from_millis(u64::from(time * 137 % 900) + 100);
        let mut seen = Vec::new();
        while Instant::now() < until {
            let books = adit.books();
            seen.push((Instant::now(), i64::try_from(books.submitted).expect("few")));
            std::thread::sleep(Duration::from_millis(10));
        }
        let killed = Instant::now();
        adit.kill();
        drop(load);
        let reader = Reader::open(&directory).expect("a ledger");
        let has = submitted(&sums(&reader)) - before;
        let may_lack = SECOND + stalls.grace();
        let safe = seen.iter().filter(|(at, _)| *at + may_lack <= killed).map(|(_, shares)| *shares).max();
        let safe = safe.unwrap_or(0);
        assert!(has >= safe, "kill {time}: {has} shares are there, {safe} were counted {may_lack:?} before");
        // How old the first is that is missing.
        let missing = seen.iter().find(|(_, shares)| *shares > has).map(|(at, _)| killed - *at);
        oldest = oldest.max(missing.unwrap_or_default());
        shares += has;
        before += has;
        // The next start cuts off what is torn.
        let names = std::fs::read_dir(&directory).expect("a folder").flatten();
        torn += names.filter(|entry| is_torn(&entry.path())).count();
    }
    let mut adit = Adit::start_ready(folder.path(), &settings);
    adit.signal("TERM");
    let _ = adit.wait_end(PATIENCE);
    let reader = Reader::open(&directory).expect("a ledger");
    assert_eq!(submitted(&sums(&reader)), before, "what was there stays there");
    let report = report(&directory);
    assert_eq!(report["total"]["shares"], before, "adit report adds up the same");
    assert_eq!(report["runs_begun"], times + 1);
    promise::figure(
        "28",
        &format!(
            "killed {times} times under load: the reader takes every ledger, {shares} shares in it; the oldest that was \
             missing was {oldest:?} old; {torn} torn ends"
        ),
    );
}

fn is_torn(path: &Path) -> bool {
    let bytes = std::fs::read(path).unwrap_or_default();
    ledger::record::read_segment(&bytes, &mut |_| ()).is_some_and(|(_, end)| end.unread > 0)
}

/// What `adit report` says of everything.
pub(crate) fn report(directory: &Path) -> Value {
    let output = Command::new(peers::adit())
        .args(["report", "--json", "--from", "30d", "--ledger"])
        .arg(directory)
        .output()
        .expect("adit report runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn killed_twenty_times_under_load_no_more_than_a_second_is_missing() {
    killed(20);
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn long_killed_two_hundred_times_under_load_no_more_than_a_second_is_missing() {
    killed(200);
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn on_a_full_disk_mining_goes_on_and_the_gap_is_marked() {
    let folder = Folder::new();
    let pool = DevPool::start("pool", folder.path(), &["--shares-per-minute", "600"]);
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).expect("the test's folder can be written");
    // A disk of a megabyte that only Adit has, and that is full.
    let filler = disk.join("filler");
    let script = format!(
        "mount -t tmpfs -o size=1m tmpfs {} && (head -c 2m /dev/zero > {} || true) && exec \"$@\"",
        disk.display(),
        filler.display()
    );
    let starter = ["unshare", "-rm", "sh", "-c", &script, "sh"].map(str::to_owned);
    let settings = Settings { starter: starter.into(), ..settings(&disk.join("ledger"), &pool.url()) };
    let mut adit = Adit::start_ready(folder.path(), &settings);
    let root = PathBuf::from(format!("/proc/{}/root", adit.id()));
    let seen = |path: &Path| root.join(path.strip_prefix("/").expect("an absolute path"));
    let alarm = |adit: &Adit| adit.metric("adit_alarm", &["\"ledger_degraded\""]);
    let reader = || Reader::open(&seen(&disk.join("ledger"))).expect("a ledger");
    let load = load::start(&adit, &["--miners", "50", "--shares-per-second", "500", "--seconds", "10"]);
    wait::until_so("the alarm holds", PATIENCE, || alarm(&adit) == 1.0);
    wait::until_so("mining goes on", PATIENCE, || adit.books().submitted > 1_000);
    assert_eq!((adit.metric("adit_ledger_degraded", &[]), alarm(&adit)), (1.0, 1.0));
    assert_eq!(submitted(&sums(&reader())), 0, "nothing is written");

    std::fs::remove_file(seen(&filler)).expect("the disk can be written");
    let empty = Instant::now();
    wait::until_so("the alarm ends", PATIENCE, || alarm(&adit) == 0.0);
    let well = empty.elapsed();
    let report_of_load = load.report();
    assert_eq!(report_of_load["shares"]["unanswered"], 0, "{report_of_load}");
    let handed_in = report_of_load["shares"]["submitted"].as_u64().expect("a report has shares");
    let books = adit.wait_books("every share is settled", PATIENCE, |books| {
        books.pending == 0 && books.submitted >= handed_in
    });
    wait::until_so("the ledger has caught up", PATIENCE, || {
        let sums = sums(&reader());
        let has = |state: &str| sums.get(state).copied().unwrap_or(0).unsigned_abs();
        (has("acknowledged"), has("rejected"), has("local"))
            == (books.acknowledged, books.rejected, books.local)
            && submitted(&sums).unsigned_abs() == books.submitted
    });
    let gaps = gaps(&reader());
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    let length = Duration::from_millis(gaps[0].to_ms - gaps[0].from_ms);
    assert!(gaps[0].why.contains("space"), "{gaps:?}");
    // Logged after it is shown.
    wait::until_so("the log says so", PATIENCE, || {
        let log = adit.log();
        log.contains("the ledger cannot be written") && log.contains("the ledger is written again")
    });
    assert!(http::get(adit.http_port(), "/readyz").is_ok_and(|answer| answer.status == 200));
    adit.signal("TERM");
    let _ = adit.wait_end(PATIENCE);
    promise::figure(
        "28",
        &format!(
            "a full disk: {books} all the same; a gap of {length:?} marked, written again {well:?} after there was room"
        ),
    );
}
