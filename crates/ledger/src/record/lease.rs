//! How much work a goal with a bound has had.

use super::kind;
use crate::coding::{Cursor, Encoder};
use crate::frame::write_record;

/// The newest of a goal holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Lease {
    /// The goal, by the name that it is counted under.
    pub goal: String,
    /// Hashes that it has had.
    pub hashes: f64,
    /// Up to so many more may have been done, after the last record of a run that was killed.
    pub uncertain: f64,
    /// Hashes per second when it was written: what may be missing if nothing follows.
    pub rate: f64,
    /// Nothing follows: the run ended in order.
    pub last: bool,
}

impl Lease {
    pub(crate) fn encode(&self, to: &mut Vec<u8>) {
        let mut record = Encoder::default();
        record.byte(kind::LEASE);
        record.text(&self.goal);
        for number in [self.hashes, self.uncertain, self.rate] {
            record.float(number);
        }
        record.byte(self.last.into());
        write_record(to, &record.bytes);
    }

    pub(super) fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        let goal = cursor.text()?.to_owned();
        let mut number = || cursor.float().filter(|number| *number >= 0.0);
        let (hashes, uncertain, rate) = (number()?, number()?, number()?);
        Some(Self { goal, hashes, uncertain, rate, last: cursor.byte()? == 1 })
    }
}
