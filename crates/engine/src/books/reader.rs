//! Who takes what workers' tallies have grown by, exactly once, also of workers that are gone since.

use std::sync::Arc;

use super::account::AccountKey;
use super::list::Books;
use super::tally::Tally;
use super::totals::{Totals, Usual};
use super::worker::Worker;

/// A worker's tally that has changed since the reader took it last.
#[derive(Debug)]
pub struct Grown<'a> {
    /// The worker's name.
    pub worker: &'a Arc<str>,
    /// Whose account the shares are in.
    pub key: AccountKey,
    /// What the tally had, and has.
    pub figures: Figures<'a>,
    /// A number that the reader may leave at the tally, and finds there the next time: 0 at first.
    pub mark: &'a mut u64,
}

/// What a tally had when it was taken last, and what it has now.
#[derive(Debug)]
pub enum Figures<'a> {
    /// Nothing else ever happened. By far the most are of this kind, and it is a tenth of the other.
    Usual {
        /// As it was taken last.
        before: Usual,
        /// As it is now.
        now: Usual,
    },
    /// Any.
    All {
        /// As it was taken last.
        before: &'a Totals,
        /// As it is now. [`Totals::since`] gives the difference.
        now: &'a Totals,
    },
}

impl Figures<'_> {
    /// As it was taken last.
    #[must_use]
    pub fn before(&self) -> Totals {
        match self {
            Self::Usual { before, .. } => (*before).into(),
            Self::All { before, .. } => (*before).clone(),
        }
    }

    /// As it is now.
    #[must_use]
    pub fn now(&self) -> Totals {
        match self {
            Self::Usual { now, .. } => (*now).into(),
            Self::All { now, .. } => (*now).clone(),
        }
    }
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
        self.books.each_worker(|worker| worker.tallies().for_each(|tally| take_one(tally, &mut each)));
    }

    /// Shows the number that the reader has left at each tally, whether it has changed or not, and whose account that is.
    /// `of` is asked once for each worker.
    pub fn marks<T>(
        &mut self,
        mut of: impl FnMut(&Worker) -> T,
        mut each: impl FnMut(&T, &Arc<str>, AccountKey, &mut u64),
    ) {
        self.books.each_worker(|figures| {
            let worker = figures.worker();
            let about = of(worker);
            for tally in figures.tallies() {
                each(&about, worker.name(), tally.key(), &mut tally.taken().mark);
            }
        });
    }
}

fn take_one(tally: &Tally, each: &mut impl FnMut(Grown<'_>)) {
    if !tally.moved() {
        return;
    }
    let mut taken = tally.taken();
    let (usual, all) = tally.read();
    if taken.usual == usual && taken.all.as_deref() == all.as_ref() {
        return;
    }
    let (worker, key) = (tally.worker().name(), tally.key());
    match all {
        None => {
            let figures = Figures::Usual { before: taken.usual, now: usual };
            each(Grown { worker, key, figures, mark: &mut taken.mark });
        }
        Some(now) => {
            let before = taken.totals();
            let figures = Figures::All { before: &before, now: &now };
            each(Grown { worker, key, figures, mark: &mut taken.mark });
            match &mut taken.all {
                Some(taken) => **taken = now,
                None => taken.all = Some(Box::new(now)),
            }
        }
    }
    taken.usual = usual;
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.books.reader_left();
    }
}
