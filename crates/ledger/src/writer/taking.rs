//! Takes what the books have grown by, row by row.

use std::sync::Arc;

use super::{Ledger, SPANS_WAITING, Waiting};
use crate::columns::Growth;
use crate::numbers::Key;
use crate::record::Span;
use crate::rollup::HOUR_MS;
use crate::rows::{Amount, Row, RowKey};
use crate::sheet::Sheet;

/// Keys that are remembered before it is looked which of them are needed no more.
pub(super) const KEYS_REMEMBERED: usize = if cfg!(test) { 8 } else { 262_144 };

/// The growth of one span of time, while it is taken: see [`Ledger::taking`].
#[derive(Debug)]
pub struct Taking<'l> {
    ledger: &'l mut Ledger,
    span: Span,
    /// There is a place for it.
    begun: bool,
}

impl Taking<'_> {
    /// The number of a key, good until the ledger has been written: [`knows`](Self::knows) tells whether it still is.
    pub fn key(&mut self, key: &RowKey) -> Key {
        self.ledger.numbers.key(key)
    }

    /// Whether this number stands for the key that it was given for.
    #[must_use]
    pub fn knows(&self, key: Key) -> bool {
        self.ledger.numbers.known(key).is_some()
    }

    /// What a key's sums have grown by. `false`: the number is no longer known, and nothing was added.
    pub fn add(&mut self, key: Key, growth: &Growth) -> bool {
        let Some(number) = self.ledger.numbers.known(key) else { return false };
        self.put(number, growth.squares(), growth.cells().iter().copied());
        true
    }

    fn put(&mut self, key: u32, squares: f64, cells: impl ExactSizeIterator<Item = (u32, Amount)>) {
        if cells.len() == 0 {
            return;
        }
        if !self.begun {
            self.ledger.begin_span(self.span);
            self.begun = true;
        }
        if let Some(last) = self.ledger.waiting.back_mut() {
            last.sheet.add(key, squares, cells);
        }
    }
}

impl Ledger {
    /// Takes what the books have grown by since the last time: [`Taking`] is told of each row.
    pub fn taking(&mut self, now_ms: u64) -> Taking<'_> {
        let span = Span { from_ms: self.until_ms, to_ms: now_ms.max(self.until_ms) };
        self.until_ms = span.to_ms;
        Taking { ledger: self, span, begun: false }
    }

    /// The same of rows that are there already.
    pub fn take(&mut self, now_ms: u64, rows: impl IntoIterator<Item = (Arc<RowKey>, Row)>) {
        let mut taking = self.taking(now_ms);
        for (key, row) in rows {
            let numbers = &mut taking.ledger.numbers;
            let cells = row.cells.iter().filter(|(_, amount)| !amount.is_zero());
            let cells: Vec<_> = cells.map(|(column, amount)| (numbers.word(column), *amount)).collect();
            let key = numbers.shared_key(&key);
            taking.put(key, row.squares, cells.into_iter());
        }
    }

    /// Something came in this span: it gets a place among those that wait, or is put to the last of them.
    fn begin_span(&mut self, span: Span) {
        let untried = self.waiting.len() > self.tried;
        let full = self.waiting.len() >= SPANS_WAITING;
        let merged = self
            .waiting
            .back_mut()
            .filter(|last| untried && (full || last.span.from_ms / HOUR_MS == span.from_ms / HOUR_MS));
        match merged {
            Some(last) => {
                if let Some(trouble) = &mut self.trouble {
                    trouble.sums_merged += 1;
                }
                last.span.to_ms = span.to_ms;
            }
            None => {
                self.sequence += 1;
                let sheet = std::mem::take(&mut self.spare);
                self.waiting.push_back(Waiting { sequence: self.sequence, span, sheet });
            }
        }
    }

    /// Keys of workers that are gone are forgotten, when there are many.
    pub(super) fn forget_keys(&mut self) {
        if self.numbers.keys() <= self.keys_max {
            return;
        }
        let mut used = vec![false; self.numbers.keys()];
        self.waiting.iter().for_each(|waiting| waiting.sheet.mark(&mut used));
        self.by_minute.mark(&mut used);
        self.by_hour.mark(&mut used);
        self.levels.mark(&mut used);
        let numbers = self.numbers.forget(&used);
        self.waiting.iter_mut().for_each(|waiting| waiting.sheet.renumber(&numbers));
        self.by_minute.renumber(&numbers);
        self.by_hour.renumber(&numbers);
        self.levels.renumber(&numbers);
        self.names.iter_mut().for_each(|names| names.renumber(&numbers));
        self.spare = Sheet::default();
        // Not each time, where so many are needed.
        self.keys_max = KEYS_REMEMBERED.max(2 * self.numbers.keys());
    }
}
