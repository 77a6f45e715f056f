//! Thresholds: the difficulties that held for miners. Who estimates work by shares above one difficulty must know that no
//! miner was held at a higher one, or shares are missing.

use std::collections::HashMap;
use std::sync::Arc;

use super::kind;
use super::sums::Names;
use crate::coding::{Cursor, Encoder};
use crate::frame::write_record;
use crate::rows::RowKey;

/// Rows of a record at most: with numbers at their longest they stay far below the longest record.
const ROWS: usize = 16_384;

/// What held for a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Threshold {
    /// The highest difficulty that its miners were told; 0 for a worker that is gone.
    pub assigned: f64,
    /// The highest difficulty from which on its shares were kept; 0 if none were.
    pub kept_from: f64,
}

impl Threshold {
    /// The higher of each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self { assigned: self.assigned.max(other.assigned), kept_from: self.kept_from.max(other.kept_from) }
    }

    /// Neither is lower than the other's.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.assigned >= other.assigned && self.kept_from >= other.kept_from
    }
}

/// Thresholds that hold from a moment on, each until the next of its key.
#[derive(Clone, Debug, PartialEq)]
pub struct Thresholds {
    /// Since when, Unix milliseconds.
    pub at_ms: u64,
    /// What was said before holds no more, of whatever key.
    pub anew: bool,
    /// By whose shares they are.
    pub rows: Vec<(Arc<RowKey>, Threshold)>,
}

/// Encodes thresholds as records, as many as they need; before them the keys that `keys` has not numbered yet.
pub(super) fn encode(to: &mut Vec<u8>, keys: &mut HashMap<Arc<RowKey>, u64>, thresholds: &Thresholds) {
    let mut rest = &thresholds.rows[..];
    let mut anew = thresholds.anew;
    while anew || !rest.is_empty() {
        let (rows, more) = rest.split_at(rest.len().min(ROWS));
        let mut record = Encoder::default();
        record.byte(kind::THRESHOLDS);
        record.number(thresholds.at_ms);
        record.byte(anew.into());
        record.number(rows.len() as u64);
        for (key, Threshold { assigned, kept_from }) in rows {
            record.number(super::evidence::number_of(to, keys, key));
            record.float(*assigned);
            record.float(*kept_from);
        }
        write_record(to, &record.bytes);
        (rest, anew) = (more, false);
    }
}

impl Thresholds {
    pub(super) fn read(cursor: &mut Cursor<'_>, names: &Names) -> Option<Self> {
        let at_ms = cursor.number()?;
        let anew = match cursor.byte()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        let mut rows = Vec::new();
        for _ in 0..cursor.length()? {
            let key = Arc::clone(names.key(cursor.number()?)?);
            let threshold = Threshold { assigned: cursor.float()?, kept_from: cursor.float()? };
            rows.push((key, threshold));
        }
        cursor.is_empty().then_some(Self { at_ms, anew, rows })
    }
}
