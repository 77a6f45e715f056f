//! What the ledger takes its sums from.

use std::sync::Arc;

use engine::books::{AccountKey, Reader, Worker};
use ledger::record::Threshold;
use ledger::{Growth, Key, Looking, Taking};

use super::names::Names;

/// The books, worker by worker.
pub(super) struct BooksTally {
    books: Reader,
    /// Used again for each row.
    growth: Growth,
    /// Rows whose names came while the books were gone through.
    late: Vec<(Arc<str>, AccountKey, Growth)>,
}

impl BooksTally {
    pub(super) fn new(books: Reader) -> Self {
        Self { books, growth: Growth::default(), late: Vec::new() }
    }

    /// What has come since this was last called. It is the ledger's from then on: what the disk does not take waits there.
    pub(super) fn growth(&mut self, names: &Names, ledger: &mut Taking<'_>) {
        let Self { books, growth, late } = self;
        // Not looked up while the list of workers is locked.
        let now = names.now();
        books.take(|grown| {
            growth.set_grown(&grown.figures);
            // Each tally carries the number of its row, so that nothing is looked up by name but the first time.
            if Key::from_bits(*grown.mark).is_some_and(|key| ledger.add(key, growth)) {
                return;
            }
            match now.row(grown.worker, grown.key) {
                Some(row) => {
                    let key = ledger.key(&row);
                    *grown.mark = key.to_bits();
                    ledger.add(key, growth);
                }
                None => late.push((Arc::clone(grown.worker), grown.key, growth.clone())),
            }
        });
        for (worker, key, growth) in late.drain(..) {
            let key = ledger.key(&names.row(&worker, key));
            ledger.add(key, &growth);
        }
    }

    /// Which difficulties were told, or seen, since this was last called.
    pub(super) fn thresholds(&mut self, names: &Names, ledger: &mut Looking<'_>) {
        let now = names.now();
        let mut late = Vec::new();
        let seen = |worker: &Worker| Threshold {
            assigned: worker.take_told().unwrap_or(0.0),
            kept_from: worker.keep_difficulty().unwrap_or(0.0),
        };
        self.books.marks(seen, |seen, worker, key, mark| {
            if Key::from_bits(*mark).is_some_and(|key| ledger.add(key, *seen)) {
                return;
            }
            match now.row(worker, key) {
                Some(row) => {
                    let key = ledger.key(&row);
                    *mark = key.to_bits();
                    ledger.add(key, *seen);
                }
                None => late.push((Arc::clone(worker), key, *seen)),
            }
        });
        for (worker, key, seen) in late {
            let key = ledger.key(&names.row(&worker, key));
            ledger.add(key, seen);
        }
    }
}
