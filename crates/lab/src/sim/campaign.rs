//! Many runs, on several threads, and what they came to together.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::plan::RunOptions;
use super::run::{RunReport, run};
use super::tally::Tally;

/// What a campaign is asked for.
#[derive(Clone, Debug)]
pub struct CampaignOptions {
    /// The seeds to run.
    pub seeds: Range<u64>,
    /// Threads to run them on.
    pub threads: usize,
    /// No new seed is begun after this.
    pub at_most: Option<Duration>,
    /// So many of the seeds are run a second time, and must give the same event hash.
    pub twice: u64,
    /// Settings of every run; the seed is put in.
    pub run: RunOptions,
    /// Failing seeds after which no more are run.
    pub failures: usize,
}

/// What a campaign came to.
#[derive(Clone, Debug, Default)]
pub struct CampaignReport {
    /// Runs done.
    pub runs: u64,
    /// Runs that an invariant ended, with what was seen.
    pub failed: Vec<RunReport>,
    /// Runs that differed from themselves.
    pub unstable: Vec<u64>,
    /// Runs done twice.
    pub repeated: u64,
    /// What occurred.
    pub tally: Tally,
    /// Events handled.
    pub events: u64,
    /// Shares submitted, by the books.
    pub submitted: u64,
    /// Shares acknowledged, by the books.
    pub acknowledged: u64,
    /// Blocks found by the farms.
    pub blocks: u64,
    /// The smallest farm.
    pub fewest_miners: usize,
    /// The fewest faults that a run applied.
    pub fewest_faults: u64,
    /// Virtual time of all runs.
    pub virtual_seconds: u64,
    /// The longest that a miner waited for a published job, microseconds.
    pub longest_fanout: u64,
    /// Expected failures, by the mistake behind them: in how many runs.
    pub known: BTreeMap<&'static str, u64>,
    /// Real time.
    pub took: Duration,
}

/// Runs seeds. `tell` hears of each failing one at once.
#[must_use]
pub fn campaign(options: &CampaignOptions, tell: &(dyn Fn(&RunReport) + Sync)) -> CampaignReport {
    let began = Instant::now();
    let next = AtomicU64::new(options.seeds.start);
    let stop = AtomicBool::new(false);
    let sum = Mutex::new(CampaignReport {
        fewest_miners: usize::MAX,
        fewest_faults: u64::MAX,
        ..Default::default()
    });
    let work = || {
        loop {
            let seed = next.fetch_add(1, Relaxed);
            let is_late = options.at_most.is_some_and(|most| began.elapsed() > most);
            if seed >= options.seeds.end || is_late || stop.load(Relaxed) {
                return;
            }
            let run_options = RunOptions { seed, ..options.run.clone() };
            let report = run(&run_options, None);
            let again = seed - options.seeds.start < options.twice;
            let differs = again && run(&run_options, None).event_hash != report.event_hash;
            if !report.violations.is_empty() {
                tell(&report);
            }
            let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
            sum.repeated += u64::from(again);
            if differs {
                sum.unstable.push(seed);
            }
            sum.take(report, &run_options);
            if sum.failed.len() >= options.failures {
                stop.store(true, Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..options.threads.max(1) {
            scope.spawn(work);
        }
        work();
    });
    let mut sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    sum.failed.sort_by_key(|report| report.seed);
    sum.took = began.elapsed();
    sum
}

impl CampaignReport {
    fn take(&mut self, report: RunReport, options: &RunOptions) {
        self.runs += 1;
        self.tally.add(&report.tally);
        self.events += report.events;
        self.submitted += report.submitted;
        self.acknowledged += report.acknowledged;
        self.blocks += report.blocks;
        self.fewest_miners = self.fewest_miners.min(report.miners);
        self.fewest_faults = self.fewest_faults.min(report.faults);
        self.virtual_seconds += options.duration / super::time::SECOND;
        self.longest_fanout = self.longest_fanout.max(report.longest_fanout);
        for bug in report.known.keys() {
            *self.known.entry(bug).or_default() += 1;
        }
        if !report.violations.is_empty() {
            self.failed.push(report);
        }
    }

    /// Whether nothing was wrong. What never occurred counts only where `needs_all`.
    #[must_use]
    pub fn is_good(&self, needs_all: bool) -> bool {
        self.failed.is_empty() && self.unstable.is_empty() && (!needs_all || self.tally.never().is_empty())
    }
}
