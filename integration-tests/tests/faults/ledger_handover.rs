//! A new version takes over from one that keeps a ledger, under load: nothing is missing, and nobody is alarmed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use integration_tests::dev_pool::DevPool;
use integration_tests::folder::Folder;
use integration_tests::miners::CpuMiner;
use integration_tests::proxy::Adit;
use integration_tests::{http, promise, wait};
use ledger::Reader;

use crate::PATIENCE;
use crate::evidence::accepted;
use crate::farm::FAST;
use crate::ledger::{gaps, report, settings, submitted, sums};

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn a_ledger_is_handed_over_under_load_and_nothing_is_missing() {
    let folder = Folder::new();
    let pool = DevPool::start("pool", folder.path(), &FAST);
    let directory = folder.path().join("ledger");
    let mut settings = settings(&directory, &pool.url());
    settings.tables.push_str(&format!("[state]\nhandover_socket = {:?}\n", folder.path().join("handover")));
    let mut old = Adit::start_ready(folder.path(), &settings);
    let miners: Vec<_> =
        (0..4).map(|n| CpuMiner::start(old.port(), &format!("farm.hashes{n}"), 20_000.0)).collect();
    old.wait_books("shares are acknowledged", PATIENCE, |books| books.acknowledged >= 50);

    let mut new = old.successor(&settings, "new.log");
    let (port, ends) = (new.http_port(), Arc::new(AtomicBool::new(false)));
    let asked = Arc::new(AtomicU32::new(0));
    let (ended, asks) = (Arc::clone(&ends), Arc::clone(&asked));
    let alarmed = std::thread::spawn(move || {
        let mut alarmed = 0;
        while !ended.load(SeqCst) {
            // The port is the old one's at first, and the new one's without a break.
            if let Ok(answer) = http::get(port, "/metrics").map(|answer| answer.body) {
                asks.fetch_add(1, SeqCst);
                alarmed += u32::from(answer.lines().any(|line| line == "adit_ledger_degraded 1"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        alarmed
    });
    let status = old.wait_end(PATIENCE);
    assert!(status.success(), "{status}: {}", old.log());
    new.wait_ready();
    new.wait_books("shares are acknowledged", PATIENCE, |books| books.acknowledged >= 50);
    let books = new.settled_after(miners);
    wait::until_so("it was looked at often", PATIENCE, || asked.load(SeqCst) > 20);
    ends.store(true, SeqCst);
    let (asked, alarmed) = (asked.load(SeqCst), alarmed.join().expect("it does not panic"));
    new.signal("TERM");
    let _ = new.wait_end(PATIENCE);
    let log = new.log();
    assert!(alarmed == 0, "{alarmed} of {asked} times there was an alarm: {log}");
    assert!(!log.contains("written by another Adit"), "{log}");

    let reader = Reader::open(&directory).expect("a ledger");
    let sums = sums(&reader);
    let of = |state: &str| sums.get(state).copied().unwrap_or_default();
    assert_eq!((of("pending"), of("held"), of("unknown"), of("unsent")), (0, 0, 0, 0), "{sums:?}");
    assert!(of("acknowledged") >= 100 && u64::try_from(submitted(&sums)).expect("few") > books.submitted);
    assert_eq!(gaps(&reader).len(), 0);
    let report = report(&directory);
    assert_eq!((&report["runs_begun"], &report["total"]["shares"]), (&2.into(), &submitted(&sums).into()));
    wait::until_so("the pool has counted the same", PATIENCE, || {
        accepted(&pool) == u64::try_from(of("acknowledged")).ok()
    });
    promise::figure(
        "29",
        &format!(
            "a ledger handed over under load: {} shares in two runs, {} acknowledged, as the pool counts; no alarm in {asked} \
             looks",
            submitted(&sums),
            of("acknowledged")
        ),
    );
}
