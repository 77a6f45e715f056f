//! Counters of shares by state: any thread may move them without a lock.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::state::{Final, RefuseCode, RejectReason, UnsentReason};
use super::totals::Totals;

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

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Counters {
    rejected: [AtomicU64; RejectReason::COUNT],
    local: AtomicU64,
    unsent: [AtomicU64; UnsentReason::COUNT],
    acknowledged: AtomicU64,
    refused: [AtomicU64; RefuseCode::COUNT],
    unknown: AtomicU64,
    /// Shares that became `pending`, ever.
    opened: AtomicU64,
    /// Shares that were `pending` and found their end, ever.
    closed: AtomicU64,
    /// Shares that became `held`, ever; each is among the opened.
    held: AtomicU64,
    /// Shares that were `held` and are no more, ever.
    released: AtomicU64,
    told_true_lost: AtomicU64,
    blocks: AtomicU64,
    work_verified: Sum,
    work_rejected: Sum,
    work_local: Sum,
    work_unsent: Sum,
    work_acknowledged: Sum,
    work_refused: Sum,
    work_unknown: Sum,
}

impl Counters {
    pub(super) fn settle_at_once(&self, state: Final, difficulty: f64, told_true: bool) {
        self.enter(state, difficulty, told_true);
    }

    pub(super) fn open(&self) {
        self.opened.fetch_add(1, Relaxed);
    }

    pub(super) fn hold(&self) {
        self.held.fetch_add(1, Relaxed);
    }

    pub(super) fn release(&self) {
        self.released.fetch_add(1, Relaxed);
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
        self.blocks.fetch_add(1, Relaxed);
    }

    fn enter(&self, state: Final, difficulty: f64, told_true: bool) {
        let lost = match state {
            Final::Rejected(why) => {
                self.rejected[why as usize].fetch_add(1, Relaxed);
                self.work_rejected.add(difficulty);
                false
            }
            Final::Local => {
                self.local.fetch_add(1, Relaxed);
                self.work_local.add(difficulty);
                false
            }
            Final::Acknowledged => {
                self.acknowledged.fetch_add(1, Relaxed);
                self.work_acknowledged.add(difficulty);
                false
            }
            Final::Refused(code) => {
                self.refused[code as usize].fetch_add(1, Relaxed);
                self.work_refused.add(difficulty);
                true
            }
            Final::Unsent(why) => {
                self.unsent[why as usize].fetch_add(1, Relaxed);
                self.work_unsent.add(difficulty);
                true
            }
            Final::Unknown => {
                self.unknown.fetch_add(1, Relaxed);
                self.work_unknown.add(difficulty);
                true
            }
        };
        if lost && told_true {
            self.told_true_lost.fetch_add(1, Relaxed);
        }
    }

    /// Of what they hold now, the shares that were acknowledged, and those that were rejected.
    pub(super) fn ends(&self) -> (u64, u64) {
        let rejected = self.rejected.iter().map(|reason| reason.load(Relaxed)).sum();
        (self.acknowledged.load(Relaxed), rejected)
    }

    /// What they hold now.
    pub(super) fn totals(&self) -> Totals {
        let closed = self.closed.load(Relaxed);
        let released = self.released.load(Relaxed);
        let held = self.held.load(Relaxed).saturating_sub(released);
        let mut totals = Totals {
            local: self.local.load(Relaxed),
            acknowledged: self.acknowledged.load(Relaxed),
            unknown: self.unknown.load(Relaxed),
            held,
            pending: self.opened.load(Relaxed).saturating_sub(closed).saturating_sub(held),
            told_true_lost: self.told_true_lost.load(Relaxed),
            blocks: self.blocks.load(Relaxed),
            work_verified: self.work_verified.get(),
            work_rejected: self.work_rejected.get(),
            work_local: self.work_local.get(),
            work_unsent: self.work_unsent.get(),
            work_acknowledged: self.work_acknowledged.get(),
            work_refused: self.work_refused.get(),
            work_unknown: self.work_unknown.get(),
            ..Totals::default()
        };
        for (to, from) in totals.rejected.iter_mut().zip(&self.rejected) {
            *to = from.load(Relaxed);
        }
        for (to, from) in totals.unsent.iter_mut().zip(&self.unsent) {
            *to = from.load(Relaxed);
        }
        for (to, from) in totals.refused.iter_mut().zip(&self.refused) {
            *to = from.load(Relaxed);
        }
        totals
    }
}
