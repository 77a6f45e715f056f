//! Counters of shares by state: any thread may move them without a lock.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::state::{Final, RefuseCode, RejectReason, UnsentReason};
use super::totals::{Totals, Usual};

/// An `f64` that can be added to by many threads.
#[derive(Debug, Default)]
struct Sum(AtomicU64);

impl Sum {
    fn add(&self, value: f64) {
        // Never contended for long: the counters of a stripe, or of a worker, are written by few threads.
        let _ = self.0.fetch_update(Relaxed, Relaxed, |bits| Some((f64::from_bits(bits) + value).to_bits()));
    }

    fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Relaxed))
    }
}

/// What nearly every share moves, and nothing else: a line of the cache, and small where thousands of workers have counters of
/// their own. The rest has a place as soon as it is needed.
#[derive(Debug, Default)]
pub(super) struct Counters {
    local: AtomicU64,
    acknowledged: AtomicU64,
    /// Shares that became `pending`, ever.
    opened: AtomicU64,
    /// Shares that were `pending` and found their end, ever.
    closed: AtomicU64,
    work_verified: Sum,
    work_local: Sum,
    work_acknowledged: Sum,
    seldom: OnceLock<Box<Seldom>>,
}

/// What few shares move.
#[derive(Debug, Default)]
struct Seldom {
    rejected: [AtomicU64; RejectReason::COUNT],
    unsent: [AtomicU64; UnsentReason::COUNT],
    refused: [AtomicU64; RefuseCode::COUNT],
    unknown: AtomicU64,
    /// Shares that became `held`, ever; each is among the opened.
    held: AtomicU64,
    /// Shares that were `held` and are no more, ever.
    released: AtomicU64,
    told_true_lost: AtomicU64,
    blocks: AtomicU64,
    work_rejected: Sum,
    work_unsent: Sum,
    work_refused: Sum,
    work_unknown: Sum,
}

impl Seldom {
    fn rejected_sum(&self) -> u64 {
        self.rejected.iter().map(|reason| reason.load(Relaxed)).sum()
    }
}

impl Counters {
    pub(super) fn settle_at_once(&self, state: Final, difficulty: f64, told_true: bool) {
        self.enter(state, difficulty, told_true);
    }

    pub(super) fn open(&self) {
        self.opened.fetch_add(1, Relaxed);
    }

    pub(super) fn hold(&self) {
        self.seldom().held.fetch_add(1, Relaxed);
    }

    pub(super) fn release(&self) {
        self.seldom().released.fetch_add(1, Relaxed);
    }

    pub(super) fn settle(&self, state: Final, difficulty: f64, told_true: bool) {
        // In this order a snapshot sees the share twice rather than not at all; the reader reads the other
        // way round, so that it sees it exactly once or still open.
        self.enter(state, difficulty, told_true);
        self.closed.fetch_add(1, Relaxed);
    }

    pub(super) fn verified(&self, credited: f64) {
        self.work_verified.add(credited);
    }

    pub(super) fn found_block(&self) {
        self.seldom().blocks.fetch_add(1, Relaxed);
    }

    fn seldom(&self) -> &Seldom {
        self.seldom.get_or_init(Box::default)
    }

    fn enter(&self, state: Final, difficulty: f64, told_true: bool) {
        let (count, work, lost) = match state {
            Final::Local => (&self.local, &self.work_local, None),
            Final::Acknowledged => (&self.acknowledged, &self.work_acknowledged, None),
            Final::Rejected(why) => {
                let seldom = self.seldom();
                (&seldom.rejected[why as usize], &seldom.work_rejected, None)
            }
            Final::Refused(code) => {
                let seldom = self.seldom();
                (&seldom.refused[code as usize], &seldom.work_refused, Some(seldom))
            }
            Final::Unsent(why) => {
                let seldom = self.seldom();
                (&seldom.unsent[why as usize], &seldom.work_unsent, Some(seldom))
            }
            Final::Unknown => {
                let seldom = self.seldom();
                (&seldom.unknown, &seldom.work_unknown, Some(seldom))
            }
        };
        count.fetch_add(1, Relaxed);
        work.add(difficulty);
        if let Some(seldom) = lost.filter(|_| told_true) {
            seldom.told_true_lost.fetch_add(1, Relaxed);
        }
    }

    /// Of what they hold now, the shares that were acknowledged, and those that were rejected.
    pub(super) fn ends(&self) -> (u64, u64) {
        let rejected = self.seldom.get().map_or(0, |seldom| seldom.rejected_sum());
        (self.acknowledged.load(Relaxed), rejected)
    }

    /// The work of what they hold now, by what miners are credited.
    pub(super) fn work_verified(&self) -> f64 {
        self.work_verified.get()
    }

    /// Reads a little of them.
    pub(super) fn touch(&self) -> u64 {
        self.acknowledged.load(Relaxed)
    }

    /// What they hold now: all of it where anything but the usual was ever counted.
    pub(super) fn read(&self) -> (Usual, Option<Totals>) {
        // First, and what few shares move before the rest: see `settle`.
        let closed = self.closed.load(Relaxed);
        let seldom = self.seldom.get();
        let held = seldom.map_or(0, |seldom| {
            let released = seldom.released.load(Relaxed);
            seldom.held.load(Relaxed).saturating_sub(released)
        });
        let mut all = seldom.map(|seldom| Totals {
            unknown: seldom.unknown.load(Relaxed),
            held,
            told_true_lost: seldom.told_true_lost.load(Relaxed),
            blocks: seldom.blocks.load(Relaxed),
            work_rejected: seldom.work_rejected.get(),
            work_unsent: seldom.work_unsent.get(),
            work_refused: seldom.work_refused.get(),
            work_unknown: seldom.work_unknown.get(),
            rejected: seldom.rejected.each_ref().map(|count| count.load(Relaxed)),
            unsent: seldom.unsent.each_ref().map(|count| count.load(Relaxed)),
            refused: seldom.refused.each_ref().map(|count| count.load(Relaxed)),
            ..Totals::default()
        });
        let usual = Usual {
            local: self.local.load(Relaxed),
            acknowledged: self.acknowledged.load(Relaxed),
            work_verified: self.work_verified.get(),
            work_local: self.work_local.get(),
            work_acknowledged: self.work_acknowledged.get(),
            pending: self.opened.load(Relaxed).saturating_sub(closed).saturating_sub(held),
        };
        if let Some(all) = &mut all {
            usual.put(all);
        }
        (usual, all)
    }

    /// What they hold now.
    pub(super) fn totals(&self) -> Totals {
        let (usual, all) = self.read();
        all.unwrap_or_else(|| usual.into())
    }
}
