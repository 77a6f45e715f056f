//! Accounts: what the shares of one listener, route and source came to.

use super::counters::Counters;
use super::state::Final;
use super::totals::Totals;

/// Counters are kept in stripes, picked by miner, so that threads that work side by side seldom write to
/// the same cache line.
const STRIPES: usize = 4;

#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe(Counters);

/// Whose shares an account counts: numbers of the configured listener, route and source. No source: shares
/// that came while the route had none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountKey {
    /// Index of the listener in the configuration.
    pub listener: u16,
    /// Index of the route in the configuration.
    pub route: u16,
    /// Index of the source in the configuration.
    pub source: Option<u16>,
}

/// The counters of one [`AccountKey`]. They are moved by a worker's [`Tally`](super::Tally) alone, so that no share counts
/// here and not there.
#[derive(Debug)]
pub(super) struct Account {
    key: AccountKey,
    stripes: [Stripe; STRIPES],
}

impl Account {
    pub(super) fn new(key: AccountKey) -> Self {
        Self { key, stripes: Default::default() }
    }

    pub(super) fn key(&self) -> AccountKey {
        self.key
    }

    fn stripe(&self, miner: u32) -> &Counters {
        &self.stripes[miner as usize % STRIPES].0
    }

    pub(super) fn settle_at_once(&self, miner: u32, state: Final, difficulty: f64, told_true: bool) {
        self.stripe(miner).settle_at_once(state, difficulty, told_true);
    }

    pub(super) fn open(&self, miner: u32) {
        self.stripe(miner).open();
    }

    pub(super) fn hold(&self, miner: u32) {
        self.stripe(miner).hold();
    }

    pub(super) fn release(&self, miner: u32) {
        self.stripe(miner).release();
    }

    pub(super) fn settle(&self, miner: u32, state: Final, difficulty: f64, told_true: bool) {
        self.stripe(miner).settle(state, difficulty, told_true);
    }

    pub(super) fn verified(&self, miner: u32, credited: f64) {
        self.stripe(miner).verified(credited);
    }

    pub(super) fn found_block(&self, miner: u32) {
        self.stripe(miner).found_block();
    }

    /// What the account holds now.
    pub(super) fn totals(&self) -> Totals {
        let mut sum = Totals::default();
        for stripe in &self.stripes {
            sum.add(&stripe.0.totals());
        }
        sum
    }
}
