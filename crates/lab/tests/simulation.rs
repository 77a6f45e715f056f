//! The simulator's promises, on few seeds; continuous integration runs thousands (`docs/simulation.md`).
#![expect(clippy::print_stdout, reason = "what broke is told with its seed")]

use lab::sim::campaign::{CampaignOptions, CampaignReport, campaign};
use lab::sim::scale::scale;
use lab::sim::time::MINUTE;
use lab::sim::{Message, RunOptions, run};

fn options(seeds: std::ops::Range<u64>) -> CampaignOptions {
    CampaignOptions {
        seeds,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        at_most: None,
        twice: 0,
        run: RunOptions::hour(0),
        failures: 3,
    }
}

fn run_all(options: &CampaignOptions) -> CampaignReport {
    let report = campaign(options, &|_| ());
    for failed in &report.failed {
        for violation in &failed.violations {
            println!("seed {}: {violation}", failed.seed);
        }
    }
    report
}

#[test]
fn without_faults_the_books_balance_and_nothing_breaks() {
    let mut options = options(0..4);
    options.run.faults = 0;
    let report = run_all(&options);
    assert!(report.is_good(false));
    assert!(report.acknowledged > 1000, "{}", report.acknowledged);
}

#[test]
fn no_invariant_breaks_under_faults() {
    let report = run_all(&options(1000..1024));
    assert!(report.is_good(false));
    assert!(report.fewest_miners >= 20 && report.fewest_faults >= 10);
    // One run in three declares its own jobs.
    let acknowledged = |kind: Message| matches!(kind, Message::CustomSuccess | Message::DeclareSuccess);
    assert!(report.tally.messages().filter(|(kind, _)| acknowledged(*kind)).all(|(_, n)| n > 100));
}

#[test]
fn a_seed_is_one_run() {
    let mut options = options(500..506);
    options.twice = 6;
    options.run.duration = 20 * MINUTE;
    let report = run_all(&options);
    assert_eq!((report.repeated, report.unstable.len()), (6, 0));
    let hash = |seed| run(&RunOptions { duration: 10 * MINUTE, ..RunOptions::hour(seed) }, None).event_hash;
    assert_ne!(hash(1), hash(2));
}

#[test]
fn a_thousand_miners_each_get_work_and_a_share_through() {
    let report = scale(1000);
    assert_eq!(report.shares, 3000);
    assert!(report.acknowledged > 0);
}

/// Runs in which a planted mistake must show.
#[cfg(feature = "planted-bugs")]
const RUNS: u64 = 80;

#[cfg(feature = "planted-bugs")]
#[test]
fn every_planted_mistake_is_found() {
    use lab::sim::PlantedBug;
    for bug in PlantedBug::ALL {
        let mut options = options(0..RUNS);
        options.failures = 1;
        options.run.planted = Some(*bug);
        let report = campaign(&options, &|_| ());
        let found = report.failed.first().and_then(|failed| failed.violations.first());
        println!("{}: {} runs, {found:?}", bug.name(), report.runs);
        assert!(found.is_some(), "{} was not found in {} runs", bug.name(), report.runs);
    }
}
