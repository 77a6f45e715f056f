//! The highest difficulties that held in a period, by whose shares.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::record::{Entry, Threshold};
use crate::rows::RowKey;

/// Is given the entries of [`Reader::evidence`](super::Reader::evidence) in their order.
#[derive(Debug)]
pub struct Highest {
    from_ms: u64,
    to_ms: u64,
    rows: BTreeMap<Arc<RowKey>, Threshold>,
}

impl Highest {
    /// Of this period, Unix milliseconds; its end is not part of it.
    #[must_use]
    pub fn of(from_ms: u64, to_ms: u64) -> Self {
        Self { from_ms, to_ms, rows: BTreeMap::new() }
    }

    /// Takes the next entry: what it says of thresholds, and what a share of the period stood under.
    pub fn add(&mut self, entry: &Entry) {
        match entry {
            Entry::Thresholds(thresholds) if thresholds.at_ms <= self.from_ms => {
                if thresholds.anew {
                    self.rows.clear();
                }
                for (key, threshold) in &thresholds.rows {
                    if *threshold == Threshold::default() {
                        self.rows.remove(key);
                    } else {
                        self.rows.insert(Arc::clone(key), *threshold);
                    }
                }
            }
            Entry::Thresholds(thresholds) if thresholds.at_ms < self.to_ms => {
                thresholds.rows.iter().for_each(|(key, threshold)| self.raise(key, *threshold));
            }
            Entry::Share(share) if (self.from_ms..self.to_ms).contains(&share.at_ms) => {
                self.raise(&share.key, Threshold { assigned: share.difficulty, kept_from: share.keep });
            }
            _ => {}
        }
    }

    fn raise(&mut self, key: &Arc<RowKey>, threshold: Threshold) {
        if threshold != Threshold::default() {
            let row = self.rows.entry(Arc::clone(key)).or_default();
            *row = row.max(threshold);
        }
    }

    /// Everybody who was there, also who brought no share.
    #[must_use]
    pub fn rows(&self) -> &BTreeMap<Arc<RowKey>, Threshold> {
        &self.rows
    }
}
