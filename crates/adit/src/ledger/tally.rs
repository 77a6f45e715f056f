//! What the ledger takes its sums from.

use std::sync::Arc;

use engine::books::{AccountKey, Reader};
use ledger::{Growth, Key, Taking};

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
}
