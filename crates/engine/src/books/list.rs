//! All accounts and all workers.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::account::{Account, AccountKey};
use super::reader::Reader;
use super::registry::{DEFAULT_WORKERS_MAX, Locked, Registry, WorkerBooks, WorkerFigures};
use super::tally::Tally;
use super::totals::Totals;

/// The most accounts that the books hold. An account is a listener's share of a route on a source, all three
/// from the configuration, so that no peer can make one; beyond the cap the last one takes all.
pub const MAX_ACCOUNTS: usize = 4096;

/// Workers that are looked at while their list is locked: for well under a millisecond.
const WORKERS_AT_ONCE: usize = 256;

/// All accounts, and workers' parts of them. Reading an account is lock-free; making one, or a worker's part, takes a
/// lock, and happens when a miner brings its first share for a source.
#[derive(Debug)]
pub struct Books {
    accounts: Box<[OnceLock<Arc<Account>>]>,
    index: Mutex<Vec<AccountKey>>,
    workers: Locked,
}

impl Default for Books {
    fn default() -> Self {
        Self::new(DEFAULT_WORKERS_MAX)
    }
}

impl Books {
    /// Empty books that know at most so many workers by name; the shares of all others count for
    /// [`OTHER`](super::OTHER).
    #[must_use]
    pub fn new(workers_max: usize) -> Self {
        Self {
            accounts: (0..MAX_ACCOUNTS).map(|_| OnceLock::new()).collect(),
            index: Mutex::new(Vec::new()),
            workers: Locked::new(Registry::new(workers_max)),
        }
    }

    /// Where shares of this worker in the account of `key` are counted, made when there is no such place yet. Whoever
    /// expects more of them keeps it.
    pub fn tally(&self, worker: &Arc<str>, key: AccountKey) -> Arc<Tally> {
        let account = self.account(key);
        self.workers.lock().tally(worker, account)
    }

    fn account(&self, key: AccountKey) -> &Arc<Account> {
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        let at = index.iter().position(|k| *k == key).unwrap_or_else(|| {
            if index.len() < MAX_ACCOUNTS {
                index.push(key);
            }
            index.len() - 1
        });
        self.accounts[at].get_or_init(|| Arc::new(Account::new(key)))
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

    /// Every worker that is known, in the order of their names. While the result is kept nothing of it is forgotten.
    #[must_use]
    pub fn workers(&self) -> Vec<WorkerBooks> {
        self.workers.lock().workers()
    }

    /// Shows every worker, in the order of their names. Some at a time, so that nobody waits long who is to have a tally
    /// meanwhile; who comes before those that are shown is not. `each` must not ask these books for anything.
    pub fn each_worker(&self, mut each: impl FnMut(&WorkerFigures<'_>)) {
        let mut after = None;
        loop {
            after = self.workers.lock().some(after.as_ref(), WORKERS_AT_ONCE, &mut each);
            if after.is_none() {
                return;
            }
        }
    }

    /// One worker, if it is known.
    #[must_use]
    pub fn worker(&self, name: &str) -> Option<WorkerBooks> {
        self.workers.lock().worker(name)
    }

    /// From now on so many workers may be known by name. Those that are known stay until they are forgotten.
    pub fn set_workers_max(&self, workers_max: usize) {
        self.workers.lock().set_max(workers_max);
    }

    /// Workers that are known, the most that may be, and how often shares began to be counted for
    /// [`OTHER`](super::OTHER) because there were too many.
    #[must_use]
    pub fn worker_figures(&self) -> (usize, usize, u64) {
        self.workers.lock().figures()
    }

    /// What the workers' tallies come to, those that are forgotten with them, by account: the accounts again, when
    /// nothing moves.
    #[must_use]
    pub fn all_by_workers(&self) -> Vec<(AccountKey, Totals)> {
        let mut tallies = Vec::new();
        let mut sums = {
            let workers = self.workers.lock();
            workers.tallies(&mut tallies);
            workers.gone().clone()
        };
        for tally in tallies {
            sums.entry(tally.key()).or_default().add(&tally.totals());
        }
        sums.into_iter().collect()
    }

    /// Forgets tallies, and workers, that nobody holds and that have not moved for `after`. To be called from time to
    /// time.
    pub fn forget_gone(&self, now: Duration, after: Duration) {
        self.workers.lock().sweep(now, after);
    }

    /// Who is to have everything that workers' tallies grow by; nothing while there is one already.
    #[must_use]
    pub fn reader(self: &Arc<Self>) -> Option<Reader> {
        let mut workers = self.workers.lock();
        if std::mem::replace(&mut workers.has_reader, true) {
            return None;
        }
        Some(Reader::new(Arc::clone(self)))
    }

    pub(super) fn reader_left(&self) {
        self.workers.lock().has_reader = false;
    }
}

#[cfg(test)]
mod tests;
