//! Tallies: one worker's part of one account. Every share moves the two together, and nothing else moves either.

use std::sync::atomic::Ordering::{AcqRel, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::account::{Account, AccountKey};
use super::counters::Counters;
use super::state::Final;
use super::totals::{Totals, Usual};
use super::worker::Worker;
use crate::ids::MinerRef;

/// The counters of one worker's shares in one account. Held by the state machine of whoever mines for the worker, and by
/// each of its shares that is open: a share moves it, and with it the account, without a lock and without looking
/// anything up.
#[derive(Debug)]
// In this order: to pass one over that has not moved takes one line of the cache.
#[repr(C)]
pub struct Tally {
    /// Something was counted since the reader looked last.
    moved: AtomicBool,
    /// When the last good share came, milliseconds on the process's clock plus one; 0 before the first.
    last_share: AtomicU64,
    key: AccountKey,
    account: Arc<Account>,
    worker: Arc<Worker>,
    counters: Counters,
    taken: Mutex<Taken>,
}

/// What the reader has taken of a tally, and the number that it left there.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) usual: Usual,
    /// All of it, where there is anything else.
    pub(super) all: Option<Box<Totals>>,
    pub(super) mark: u64,
}

impl Taken {
    /// As it was taken.
    pub(super) fn totals(&self) -> Totals {
        self.all.as_deref().cloned().unwrap_or_else(|| self.usual.into())
    }
}

impl Tally {
    pub(super) fn new(account: Arc<Account>, worker: Arc<Worker>) -> Self {
        Self {
            moved: AtomicBool::new(false),
            last_share: AtomicU64::new(0),
            key: account.key(),
            account,
            worker,
            counters: Counters::default(),
            taken: Mutex::default(),
        }
    }

    /// Whose account it is part of.
    #[must_use]
    pub fn key(&self) -> AccountKey {
        self.key
    }

    /// Whose shares it counts.
    #[must_use]
    pub fn worker(&self) -> &Arc<Worker> {
        &self.worker
    }

    /// A share that ends at once: rejected, local, or unsent without ever having been queued. `difficulty` is
    /// what it is worth; `told_true` says that the miner was (or is about to be) answered `true`.
    pub fn settle_at_once(&self, miner: MinerRef, state: Final, difficulty: f64, told_true: bool) {
        self.account.settle_at_once(miner.stripe(), state, difficulty, told_true);
        self.counters.settle_at_once(state, difficulty, told_true);
        self.has_moved();
    }

    /// A share is on its way to the source: it is `pending` from now on.
    pub fn open(&self, miner: MinerRef) {
        self.account.open(miner.stripe());
        self.counters.open();
        self.has_moved();
    }

    /// A `pending` share waits for its declared job to be acknowledged: it is `held` from now on.
    pub fn hold(&self, miner: MinerRef) {
        self.account.hold(miner.stripe());
        self.counters.hold();
        self.has_moved();
    }

    /// A `held` share is `pending` again: it goes out, or ends.
    pub fn release(&self, miner: MinerRef) {
        self.account.release(miner.stripe());
        self.counters.release();
        self.has_moved();
    }

    /// A `pending` share has found its end.
    pub fn settle(&self, miner: MinerRef, state: Final, difficulty: f64, told_true: bool) {
        self.account.settle(miner.stripe(), state, difficulty, told_true);
        self.counters.settle(state, difficulty, told_true);
        self.has_moved();
    }

    /// A good share has come, whatever becomes of it. `credited` is the difficulty that its miner is credited: easier than its
    /// source's, as a rule, so that the sums by state are not what was delivered.
    pub fn verified(&self, miner: MinerRef, credited: f64, now: Duration) {
        self.account.verified(miner.stripe(), credited);
        self.counters.verified(credited);
        self.has_moved();
        self.worker.told(credited);
        self.last_share.store(u64::try_from(now.as_millis()).unwrap_or(u64::MAX - 1) + 1, Relaxed);
    }

    /// One of these shares was a block.
    pub fn found_block(&self, miner: MinerRef) {
        self.account.found_block(miner.stripe());
        self.counters.found_block();
        self.has_moved();
    }

    /// After what was counted, so that whoever sees this sees that.
    fn has_moved(&self) {
        self.moved.store(true, Release);
    }

    /// Whether anything was counted since this was asked last. What is counted meanwhile is there now, or the next time says
    /// so.
    pub(super) fn moved(&self) -> bool {
        self.moved.load(Relaxed) && self.moved.swap(false, AcqRel)
    }

    /// When the last good share came, on the process's clock.
    #[must_use]
    pub fn last_share(&self) -> Option<Duration> {
        self.last_share.load(Relaxed).checked_sub(1).map(Duration::from_millis)
    }

    /// What it holds now.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.counters.totals()
    }

    /// The shares of [`Tally::totals`] that were acknowledged, and those that were rejected.
    pub(super) fn ends(&self) -> (u64, u64) {
        self.counters.ends()
    }

    /// Reads a little of each part of it.
    pub(super) fn touch(&self) -> u64 {
        u64::from(self.moved.load(Relaxed)) ^ self.counters.touch() ^ u64::from(self.taken.is_poisoned())
    }

    /// The work of [`Tally::totals`] by what its miners are credited.
    pub(super) fn work_verified(&self) -> f64 {
        self.counters.work_verified()
    }

    /// What it holds now: all of it where anything but the usual was ever counted.
    pub(super) fn read(&self) -> (Usual, Option<Totals>) {
        self.counters.read()
    }

    /// What the reader has.
    pub(super) fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the reader has all of this.
    pub(super) fn is_taken(&self, totals: &Totals) -> bool {
        self.taken().totals() == *totals
    }
}
