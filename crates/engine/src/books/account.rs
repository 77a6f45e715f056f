//! Accounts: counters that any thread may move without a lock, and the list of them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::state::{Final, RefuseCode, RejectReason, UnsentReason};
use super::totals::Totals;

/// The most accounts that the books hold. An account is a listener's share of a route on a source, all three
/// from the configuration, so that no peer can make one; beyond the cap the last one takes all.
pub const MAX_ACCOUNTS: usize = 4096;

/// Counters are kept in stripes, picked by miner, so that threads that work side by side seldom write to
/// the same cache line.
const STRIPES: usize = 4;

/// An `f64` that can be added to by many threads.
#[derive(Debug, Default)]
struct Sum(AtomicU64);

impl Sum {
    fn add(&self, value: f64) {
        // Never contended for long: an account's stripe is written by few threads.
        let _ = self.0.fetch_update(Relaxed, Relaxed, |bits| Some((f64::from_bits(bits) + value).to_bits()));
    }

    fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Relaxed))
    }
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe {
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
    work_rejected: Sum,
    work_local: Sum,
    work_unsent: Sum,
    work_acknowledged: Sum,
    work_refused: Sum,
    work_unknown: Sum,
}

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

/// A place in the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AccountId(u16);

/// The counters of one [`AccountKey`].
#[derive(Debug)]
pub struct Account {
    key: AccountKey,
    stripes: [Stripe; STRIPES],
}

impl Account {
    fn new(key: AccountKey) -> Self {
        Self { key, stripes: Default::default() }
    }

    /// Whose it is.
    #[must_use]
    pub fn key(&self) -> AccountKey {
        self.key
    }

    fn stripe(&self, miner: u32) -> &Stripe {
        &self.stripes[miner as usize % STRIPES]
    }

    /// A share that ends at once: rejected, local, or unsent without ever having been queued. `difficulty` is
    /// what it is worth; `told_true` says that the miner was (or is about to be) answered `true`.
    pub fn settle_at_once(&self, miner: u32, state: Final, difficulty: f64, told_true: bool) {
        self.enter(self.stripe(miner), state, difficulty, told_true);
    }

    /// A share is on its way to the source: it is `pending` from now on.
    pub fn open(&self, miner: u32) {
        self.stripe(miner).opened.fetch_add(1, Relaxed);
    }

    /// A `pending` share waits for its declared job to be acknowledged: it is `held` from now on.
    pub fn hold(&self, miner: u32) {
        self.stripe(miner).held.fetch_add(1, Relaxed);
    }

    /// A `held` share is `pending` again: it goes out, or ends.
    pub fn release(&self, miner: u32) {
        self.stripe(miner).released.fetch_add(1, Relaxed);
    }

    /// A `pending` share has found its end.
    pub fn settle(&self, miner: u32, state: Final, difficulty: f64, told_true: bool) {
        let stripe = self.stripe(miner);
        // In this order a snapshot sees the share twice rather than not at all; the reader reads the other
        // way round, so that it sees it exactly once or still open.
        self.enter(stripe, state, difficulty, told_true);
        stripe.closed.fetch_add(1, Relaxed);
    }

    /// A share of this account was a block.
    pub fn found_block(&self, miner: u32) {
        self.stripe(miner).blocks.fetch_add(1, Relaxed);
    }

    fn enter(&self, stripe: &Stripe, state: Final, difficulty: f64, told_true: bool) {
        let lost = match state {
            Final::Rejected(why) => {
                stripe.rejected[why as usize].fetch_add(1, Relaxed);
                stripe.work_rejected.add(difficulty);
                false
            }
            Final::Local => {
                stripe.local.fetch_add(1, Relaxed);
                stripe.work_local.add(difficulty);
                false
            }
            Final::Acknowledged => {
                stripe.acknowledged.fetch_add(1, Relaxed);
                stripe.work_acknowledged.add(difficulty);
                false
            }
            Final::Refused(code) => {
                stripe.refused[code as usize].fetch_add(1, Relaxed);
                stripe.work_refused.add(difficulty);
                true
            }
            Final::Unsent(why) => {
                stripe.unsent[why as usize].fetch_add(1, Relaxed);
                stripe.work_unsent.add(difficulty);
                true
            }
            Final::Unknown => {
                stripe.unknown.fetch_add(1, Relaxed);
                stripe.work_unknown.add(difficulty);
                true
            }
        };
        if lost && told_true {
            stripe.told_true_lost.fetch_add(1, Relaxed);
        }
    }

    /// What the account holds now.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut sum = Totals::default();
        for stripe in &self.stripes {
            let closed = stripe.closed.load(Relaxed);
            let released = stripe.released.load(Relaxed);
            let held = stripe.held.load(Relaxed).saturating_sub(released);
            let mut part = Totals {
                local: stripe.local.load(Relaxed),
                acknowledged: stripe.acknowledged.load(Relaxed),
                unknown: stripe.unknown.load(Relaxed),
                held,
                pending: stripe.opened.load(Relaxed).saturating_sub(closed).saturating_sub(held),
                told_true_lost: stripe.told_true_lost.load(Relaxed),
                blocks: stripe.blocks.load(Relaxed),
                work_rejected: stripe.work_rejected.get(),
                work_local: stripe.work_local.get(),
                work_unsent: stripe.work_unsent.get(),
                work_acknowledged: stripe.work_acknowledged.get(),
                work_refused: stripe.work_refused.get(),
                work_unknown: stripe.work_unknown.get(),
                ..Totals::default()
            };
            for (to, from) in part.rejected.iter_mut().zip(&stripe.rejected) {
                *to = from.load(Relaxed);
            }
            for (to, from) in part.unsent.iter_mut().zip(&stripe.unsent) {
                *to = from.load(Relaxed);
            }
            for (to, from) in part.refused.iter_mut().zip(&stripe.refused) {
                *to = from.load(Relaxed);
            }
            sum.add(&part);
        }
        sum
    }
}

/// All accounts. Reading one is lock-free; making one takes a lock, and happens when a miner meets a source
/// for the first time.
#[derive(Debug)]
pub struct Books {
    accounts: Box<[OnceLock<Box<Account>>]>,
    index: Mutex<Vec<AccountKey>>,
}

impl Default for Books {
    fn default() -> Self {
        Self { accounts: (0..MAX_ACCOUNTS).map(|_| OnceLock::new()).collect(), index: Mutex::new(Vec::new()) }
    }
}

impl Books {
    /// The account of `key`, made when there is none yet.
    pub fn account(&self, key: AccountKey) -> AccountId {
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        let at = index.iter().position(|k| *k == key).unwrap_or_else(|| {
            if index.len() < MAX_ACCOUNTS {
                index.push(key);
            }
            index.len() - 1
        });
        self.accounts[at].get_or_init(|| Box::new(Account::new(key)));
        AccountId(u16::try_from(at).expect("MAX_ACCOUNTS fits 16 bits"))
    }

    /// The account behind an id that [`Books::account`] gave.
    #[must_use]
    pub fn get(&self, id: AccountId) -> &Account {
        self.accounts[usize::from(id.0)].get().expect("an id is only given out for an account that exists")
    }

    /// Every account with what it holds.
    #[must_use]
    pub fn all(&self) -> Vec<(AccountKey, Totals)> {
        self.accounts.iter().map_while(OnceLock::get).map(|a| (a.key(), a.totals())).collect()
    }

    /// The sum of all accounts.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut sum = Totals::default();
        for account in self.accounts.iter().map_while(OnceLock::get) {
            sum.add(&account.totals());
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: AccountKey = AccountKey { listener: 0, route: 0, source: Some(0) };

    #[test]
    fn every_way_of_a_share_balances() {
        let books = Books::default();
        let id = books.account(KEY);
        let account = books.get(id);
        let mut submitted = 0;
        for (n, reason) in (0..).zip(RejectReason::ALL) {
            account.settle_at_once(n, Final::Rejected(*reason), 1.0, false);
            submitted += 1;
        }
        account.settle_at_once(7, Final::Local, 2.0, true);
        account.settle_at_once(7, Final::Unsent(UnsentReason::NoSource), 2.0, false);
        submitted += 2;
        let ends = [
            Final::Acknowledged,
            Final::Refused(RefuseCode::StaleShare),
            Final::Unknown,
            Final::Unsent(UnsentReason::StaleInQueue),
        ];
        for (n, end) in (0..).zip(ends) {
            account.open(n);
            submitted += 1;
            assert_eq!(books.totals().pending, 1);
            account.settle(n, end, 8.0, true);
        }
        account.open(3);
        submitted += 1;
        account.hold(3);
        assert_eq!((books.totals().held, books.totals().pending), (1, 0));
        assert_eq!(books.totals().submitted(), submitted);
        account.release(3);
        let totals = books.totals();
        assert_eq!((totals.held, totals.pending), (0, 1));
        assert_eq!(totals.forwarded(), 4);
        assert_eq!(totals.submitted(), submitted);
        assert_eq!(totals.told_true_lost, 3);
        assert_eq!(totals.work_acknowledged, 8.0);
    }

    #[test]
    fn one_key_has_one_account_and_the_list_is_bounded() {
        let books = Books::default();
        assert_eq!(books.account(KEY), books.account(KEY));
        for listener in (0..).take(MAX_ACCOUNTS + 10) {
            books.account(AccountKey { listener, route: 1, source: None });
        }
        assert_eq!(books.all().len(), MAX_ACCOUNTS);
    }
}
