//! Who takes what workers' tallies have grown by, exactly once, also of workers that are gone since.

use std::sync::{Arc, PoisonError};

use super::account::AccountKey;
use super::list::Books;
use super::tally::{Taken, Tally};
use super::totals::Totals;

/// What a worker's tally had when the reader took it last, and what it has now.
#[derive(Debug)]
pub struct Grown<'a> {
    /// The worker's name.
    pub worker: &'a Arc<str>,
    /// Whose account the shares are in.
    pub key: AccountKey,
    /// As it was taken last.
    pub before: &'a Totals,
    /// As it is now. [`Totals::since`] gives the difference.
    pub now: &'a Totals,
    /// A number that the reader may leave at the tally, and finds there the next time: 0 at first.
    pub mark: &'a mut u64,
}

/// The one reader of the tallies. While there is one, no tally is forgotten before its last figures were taken.
#[derive(Debug)]
pub struct Reader {
    books: Arc<Books>,
}

impl Reader {
    pub(super) fn new(books: Arc<Books>) -> Self {
        Self { books }
    }

    /// The books.
    #[must_use]
    pub fn books(&self) -> &Arc<Books> {
        &self.books
    }

    /// Shows every tally that has changed since it was taken last, in the order of the workers' names. What is shown is
    /// taken: it is in the hands of whoever calls.
    pub fn take(&mut self, mut each: impl FnMut(Grown<'_>)) {
        self.books.each_tally(|tally| take_one(tally, &mut each));
    }
}

fn take_one(tally: &Tally, each: &mut impl FnMut(Grown<'_>)) {
    if !tally.moved() {
        return;
    }
    let mut taken = tally.taken.lock().unwrap_or_else(PoisonError::into_inner);
    let now = tally.totals();
    let same = match taken.as_deref() {
        Some(taken) => taken.totals == now,
        None => now == Totals::default(),
    };
    if same {
        return;
    }
    let Taken { totals, mark } = &mut **taken.get_or_insert_default();
    each(Grown { worker: tally.worker().name(), key: tally.key(), before: totals, now: &now, mark });
    *totals = now;
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.books.reader_left();
    }
}
