//! The workers that shares are counted for, by name: bounded, and forgotten when they are gone.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::ops::Bound;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::account::{Account, AccountKey};
use super::tally::Tally;
use super::totals::Totals;
use super::worker::Worker;

/// Who shares are counted for when there are too many workers. One that calls itself so is counted with them.
pub const OTHER: &str = "other";
/// Workers that are known by name, unless said otherwise.
pub const DEFAULT_WORKERS_MAX: usize = 65_536;
/// Tallies to each worker that there may be, on average.
const TALLIES_EACH: usize = 4;

/// A worker as a reader sees it.
#[derive(Debug)]
pub struct WorkerBooks {
    /// Who.
    pub worker: Arc<Worker>,
    /// Its tallies that somebody may still move, or did not long ago.
    pub tallies: Vec<Arc<Tally>>,
    /// What its tallies held that are forgotten; nothing while there are none.
    pub past: Option<Box<Totals>>,
}

/// A worker while the list is gone through: see [`Books::each_worker`](super::Books::each_worker).
#[derive(Debug)]
pub struct WorkerFigures<'a>(&'a Entry);

impl WorkerFigures<'_> {
    /// Who.
    #[must_use]
    pub fn worker(&self) -> &Arc<Worker> {
        &self.0.worker
    }

    /// All of its shares.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = self.0.past.as_deref().cloned().unwrap_or_default();
        self.tallies().for_each(|tally| totals.add(&tally.totals()));
        totals
    }

    /// Of all of its shares those that sources acknowledged, and those that Adit rejected: a part of
    /// [`WorkerFigures::totals`] that is read without the rest.
    #[must_use]
    pub fn ends(&self) -> (u64, u64) {
        let past = self.0.past.as_ref().map_or((0, 0), |past| (past.acknowledged, past.rejected_sum()));
        self.tallies().map(Tally::ends).fold(past, |sum, ends| (sum.0 + ends.0, sum.1 + ends.1))
    }

    /// The work of all of its shares by what it is credited: [`Totals::work_verified`] of [`WorkerFigures::totals`], read
    /// without the rest.
    #[must_use]
    pub fn work_verified(&self) -> f64 {
        let past = self.0.past.as_ref().map_or(0.0, |past| past.work_verified);
        past + self.tallies().map(Tally::work_verified).sum::<f64>()
    }

    /// When its last good share came, on the process's clock.
    #[must_use]
    pub fn last_share(&self) -> Option<Duration> {
        self.tallies().filter_map(Tally::last_share).max()
    }

    /// Where its newest shares were counted.
    #[must_use]
    pub fn newest_key(&self) -> Option<AccountKey> {
        self.tallies().max_by_key(|tally| tally.last_share()).map(Tally::key)
    }

    pub(super) fn tallies(&self) -> impl Iterator<Item = &Tally> {
        self.0.slots.iter().map(|slot| &*slot.tally)
    }
}

impl WorkerBooks {
    /// All of its shares.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = self.past.as_deref().cloned().unwrap_or_default();
        self.tallies.iter().for_each(|tally| totals.add(&tally.totals()));
        totals
    }
}

#[derive(Debug)]
struct Slot {
    tally: Arc<Tally>,
    /// How much it had moved when it was looked at last, and since when it has not.
    moved: (u64, Duration),
}

#[derive(Debug)]
struct Entry {
    worker: Arc<Worker>,
    slots: Vec<Slot>,
    /// Most workers never have one: not to have room for it spares a third of what a worker takes.
    past: Option<Box<Totals>>,
}

impl Entry {
    /// Reads a little of all that is read of a worker.
    fn touch(&self) -> u64 {
        self.slots.iter().fold(0, |all, slot| all ^ slot.tally.touch())
    }

    fn books(&self) -> WorkerBooks {
        WorkerBooks {
            worker: Arc::clone(&self.worker),
            tallies: self.slots.iter().map(|slot| Arc::clone(&slot.tally)).collect(),
            past: self.past.clone(),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Registry {
    max: usize,
    // In the order of names: hostile names cannot make it slow, and the order is the same in every run.
    entries: BTreeMap<Arc<str>, Entry>,
    tallies: usize,
    /// Of tallies that are forgotten, by account.
    gone: BTreeMap<AccountKey, Totals>,
    /// Times that a worker's shares began to be counted for [`OTHER`].
    overflows: u64,
    /// There is a reader that is to have everything before it is forgotten.
    pub(super) has_reader: bool,
    /// The process's clock as the last sweep saw it.
    swept: Duration,
}

impl Registry {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max: max.max(1),
            entries: BTreeMap::new(),
            tallies: 0,
            gone: BTreeMap::new(),
            overflows: 0,
            has_reader: false,
            swept: Duration::ZERO,
        }
    }

    /// From now on so many may be known.
    pub(super) fn set_max(&mut self, max: usize) {
        self.max = max.max(1);
    }

    /// The worker's tally in this account, made when there is none yet.
    pub(super) fn tally(&mut self, name: &Arc<str>, account: &Arc<Account>) -> Arc<Tally> {
        let (key, now) = (account.key(), self.swept);
        let known =
            self.entries.get(name).map(|entry| entry.slots.iter().find(|slot| slot.tally.key() == key));
        if let Some(Some(slot)) = known {
            return Arc::clone(&slot.tally);
        }
        let full = self.tallies >= self.max.saturating_mul(TALLIES_EACH)
            || (known.is_none() && self.entries.len() >= self.max);
        if full && **name != *OTHER {
            self.overflows += 1;
            return self.tally(&Arc::from(OTHER), account);
        }
        let entry = self.entries.entry(Arc::clone(name)).or_insert_with_key(|name| Entry {
            worker: Arc::new(Worker::new(Arc::clone(name))),
            slots: Vec::with_capacity(1),
            past: None,
        });
        let tally = Arc::new(Tally::new(Arc::clone(account), Arc::clone(&entry.worker)));
        entry.slots.push(Slot { tally: Arc::clone(&tally), moved: (0, now) });
        self.tallies += 1;
        tally
    }

    /// Forgets what nobody holds any more, has not moved for so long, and was taken by the reader if there is one.
    pub(super) fn sweep(&mut self, now: Duration, after: Duration) {
        self.swept = now;
        let (gone, has_reader) = (&mut self.gone, self.has_reader);
        let mut left = 0;
        for entry in self.entries.values_mut() {
            let past = &mut entry.past;
            entry.slots.retain_mut(|slot| {
                let totals = slot.tally.totals();
                let movement = totals.submitted() + totals.closed();
                if movement != slot.moved.0 {
                    slot.moved = (movement, now);
                }
                // That it can be had alone says that nobody holds it, and that whoever did is done with it.
                if now.saturating_sub(slot.moved.1) < after || Arc::get_mut(&mut slot.tally).is_none() {
                    return true;
                }
                let totals = slot.tally.totals();
                if totals.submitted() + totals.closed() != movement
                    || (has_reader && !slot.tally.is_taken(&totals))
                {
                    return true;
                }
                past.get_or_insert_default().add(&totals);
                gone.entry(slot.tally.key()).or_default().add(&totals);
                false
            });
            left += entry.slots.len();
        }
        self.tallies = left;
        self.entries.retain(|_, entry| !entry.slots.is_empty() || Arc::strong_count(&entry.worker) > 1);
    }

    pub(super) fn workers(&self) -> Vec<WorkerBooks> {
        self.entries.values().map(Entry::books).collect()
    }

    pub(super) fn worker(&self, name: &str) -> Option<WorkerBooks> {
        self.entries.get(name).map(Entry::books)
    }

    pub(super) fn tallies(&self, into: &mut Vec<Arc<Tally>>) {
        into.clear();
        let slots = self.entries.values().flat_map(|entry| &entry.slots);
        into.extend(slots.map(|slot| Arc::clone(&slot.tally)));
    }

    /// Shows so many workers behind the one of this name, or from the first on. Gives the last of these if there may be more.
    pub(super) fn some(
        &self,
        after: Option<&Arc<str>>,
        workers: usize,
        each: &mut impl FnMut(&WorkerFigures<'_>),
    ) -> Option<Arc<str>> {
        let start = after.map_or(Bound::Unbounded, |name| Bound::Excluded(&**name));
        let some = || self.entries.range::<str, _>((start, Bound::Unbounded)).take(workers);
        // Those of thousands are in no cache. Touched first, with nothing that waits for one of them, they come from memory
        // several at a time and not one after the other.
        black_box(some().map(|(_, entry)| entry.touch()).fold(0, |all, one| all ^ one));
        let mut shown = 0;
        let mut last = None;
        for (name, entry) in some() {
            each(&WorkerFigures(entry));
            shown += 1;
            last = Some(name);
        }
        last.filter(|_| shown == workers).map(Arc::clone)
    }

    pub(super) fn gone(&self) -> &BTreeMap<AccountKey, Totals> {
        &self.gone
    }

    /// Workers that there are, the most that may be, and how often there were too many.
    pub(super) fn figures(&self) -> (usize, usize, u64) {
        (self.entries.len(), self.max, self.overflows)
    }
}

/// The registry behind a lock that a miner takes at its first share for a source, and readers.
#[derive(Debug)]
pub(super) struct Locked(std::sync::Mutex<Registry>);

impl Locked {
    pub(super) fn new(registry: Registry) -> Self {
        Self(std::sync::Mutex::new(registry))
    }

    pub(super) fn lock(&self) -> std::sync::MutexGuard<'_, Registry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
