//! Which difficulties hold for miners: what evidence is to be judged by.

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::books::Books;
use ledger::Ledger;
use ledger::record::Threshold;

use super::names::Names;

/// They are looked at this often. A difficulty that held between two looks is seen at the second.
const EVERY: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct Seen {
    books: Arc<Books>,
    next: Option<Instant>,
}

impl Seen {
    pub(super) fn new(books: Arc<Books>) -> Self {
        Self { books, next: None }
    }

    /// Tells the ledger when it is time. It writes what is new.
    pub(super) fn tell(&mut self, ledger: &mut Ledger, names: &Names, now_ms: u64) {
        let now = Instant::now();
        if self.next.is_some_and(|next| now < next) {
            return;
        }
        self.next = Some(now + EVERY);
        let named = names.now();
        let workers = self.books.workers();
        let rows = workers.iter().flat_map(|books| {
            let worker = &books.worker;
            let seen = Threshold {
                assigned: worker.take_told().unwrap_or(0.0),
                kept_from: worker.keep_difficulty().unwrap_or(0.0),
            };
            let row = |key| named.row(worker.name(), key).unwrap_or_else(|| names.row(worker.name(), key));
            books.tallies.iter().map(move |tally| (Arc::new(row(tally.key())), seen))
        });
        ledger.thresholds(now_ms, rows);
    }
}
