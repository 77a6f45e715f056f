//! What is known of the ledger itself, and of the network.

use std::sync::Arc;

use super::kind;
use crate::coding::{Cursor, Encoder};
use crate::frame::{RECORD_MAX, write_record};
use crate::rows::{Amount, Row, RowKey, Rows};
use crate::stream::Stream;

/// The disk did not take what was to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Since when, Unix milliseconds.
    pub from_ms: u64,
    /// Until when.
    pub to_ms: u64,
    /// What the system said first.
    pub why: String,
    /// Shares of the evidence that were not recorded. The sums of that time are complete: they were written at its end,
    /// and count from its beginning.
    pub shares_lost: u64,
    /// Seconds' sums that were written together, so that they are known as one.
    pub sums_merged: u64,
}

/// What is no more in the ledger. The newest of a stream holds for all that was ever evicted of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Evicted {
    /// Of which stream.
    pub stream: Stream,
    /// Its segments up to this one are gone, or not to be looked at.
    pub through: u64,
    /// The first moment of what was evicted, Unix milliseconds.
    pub from_ms: u64,
    /// Its end.
    pub to_ms: u64,
    /// Records that were evicted.
    pub records: u64,
    /// Bytes.
    pub bytes: u64,
    /// Of hours: what they summed up to, without workers' names.
    pub rows: Vec<(Arc<RowKey>, Row)>,
}

/// A run of Adit began, or ended in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// When, Unix milliseconds.
    pub at_ms: u64,
    /// It began; else it ended.
    pub begins: bool,
    /// The version of Adit.
    pub version: String,
}

/// What blocks were worth, and how hard they were to find, by a source's job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Since when, Unix milliseconds.
    pub at_ms: u64,
    /// Whose job it was.
    pub source: String,
    /// The network's target in compact form.
    pub nbits: u32,
    /// The block's height; 0 where the coinbase does not say it.
    pub height: u32,
    /// Subsidy and fees in satoshi: what the job's coinbase pays out; 0 where that is not known.
    pub value: u64,
}

/// A torn or damaged end was cut off when a ledger was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// When it was found, Unix milliseconds.
    pub at_ms: u64,
    /// Of which stream.
    pub stream: Stream,
    /// Of which segment.
    pub segment: u64,
    /// From where on.
    pub offset: u64,
    /// How many bytes.
    pub bytes: u64,
}

/// The longest text that a peer or the system has a say in.
const TEXT_MAX: usize = 1024;

fn short(text: &str) -> &str {
    let end = (0..=text.len().min(TEXT_MAX)).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

impl Gap {
    pub(crate) fn encode(&self, to: &mut Vec<u8>) {
        let mut record = Encoder::default();
        record.byte(kind::GAP);
        record.number(self.from_ms);
        record.number(self.to_ms);
        record.text(short(&self.why));
        record.number(self.shares_lost);
        record.number(self.sums_merged);
        write_record(to, &record.bytes);
    }

    pub(super) fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        Some(Self {
            from_ms: cursor.number()?,
            to_ms: cursor.number()?,
            why: cursor.text()?.to_owned(),
            shares_lost: cursor.number()?,
            sums_merged: cursor.number()?,
        })
    }
}

impl Evicted {
    pub(crate) fn encode(&self, to: &mut Vec<u8>) {
        let mut record = Encoder::default();
        record.byte(kind::EVICTED);
        record.byte(self.stream as u8);
        for number in [self.through, self.from_ms, self.to_ms, self.records, self.bytes] {
            record.number(number);
        }
        // Rows without workers are as many as there are accounts: a few, whoever connects. What would not fit is
        // summed up in one row.
        let names = |key: &RowKey| key.worker.len() + key.listener.len() + key.route.len() + key.source.len();
        let size: usize = self.rows.iter().map(|(key, row)| names(key) + 32 + row.cells.len() * 64).sum();
        if size < RECORD_MAX / 2 {
            encode_rows(&mut record, self.rows.iter().map(|(key, row)| (&**key, row)));
        } else {
            let mut all = Row::default();
            self.rows.iter().for_each(|(_, row)| all.add(row));
            let nobody =
                RowKey { worker: "".into(), listener: "".into(), route: "".into(), source: "".into() };
            encode_rows(&mut record, std::iter::once((&nobody, &all)));
        }
        write_record(to, &record.bytes);
    }

    pub(super) fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        let stream = Stream::of_number(cursor.byte()?)?;
        let mut numbers = [0; 5];
        for number in &mut numbers {
            *number = cursor.number()?;
        }
        let [through, from_ms, to_ms, records, bytes] = numbers;
        let rows = read_rows(cursor)?;
        Some(Self { stream, through, from_ms, to_ms, records, bytes, rows })
    }

    /// As rows by key.
    #[must_use]
    pub fn sums(&self) -> Rows {
        let mut sums = Rows::new();
        self.rows.iter().for_each(|(key, row)| crate::rows::add_row(&mut sums, key, row));
        sums
    }
}

fn encode_rows<'r>(record: &mut Encoder, rows: impl ExactSizeIterator<Item = (&'r RowKey, &'r Row)>) {
    record.number(rows.len() as u64);
    for (key, row) in rows {
        for name in [&key.worker, &key.listener, &key.route, &key.source] {
            record.text(name);
        }
        record.float(if row.squares.is_finite() { row.squares } else { 0.0 });
        record.number(row.cells.len() as u64);
        for (column, amount) in &row.cells {
            record.text(column);
            record.signed(amount.count.into());
            record.signed(amount.hashes);
        }
    }
}

fn read_rows(cursor: &mut Cursor<'_>) -> Option<Vec<(Arc<RowKey>, Row)>> {
    let mut rows = Vec::new();
    for _ in 0..cursor.length()? {
        let key = RowKey {
            worker: cursor.text()?.into(),
            listener: cursor.text()?.into(),
            route: cursor.text()?.into(),
            source: cursor.text()?.into(),
        };
        let mut row = Row { squares: cursor.float()?, cells: Vec::new() };
        for _ in 0..cursor.length()? {
            let word = cursor.text()?.into();
            row.cells.push((word, Amount { count: cursor.count()?, hashes: cursor.signed()? }));
        }
        rows.push((Arc::new(key), row));
    }
    Some(rows)
}

impl Run {
    pub(crate) fn encode(&self, to: &mut Vec<u8>) {
        let mut record = Encoder::default();
        record.byte(kind::RUN);
        record.number(self.at_ms);
        record.byte(self.begins.into());
        record.text(short(&self.version));
        write_record(to, &record.bytes);
    }

    pub(super) fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        let at_ms = cursor.number()?;
        let begins = cursor.byte()? == 1;
        Some(Self { at_ms, begins, version: cursor.text()?.to_owned() })
    }
}

impl Network {
    pub(crate) fn encode(&self, to: &mut Vec<u8>) {
        let mut record = Encoder::default();
        record.byte(kind::NETWORK);
        record.number(self.at_ms);
        record.text(short(&self.source));
        record.fixed(self.nbits);
        record.number(self.height.into());
        record.number(self.value);
        write_record(to, &record.bytes);
    }

    pub(super) fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        Some(Self {
            at_ms: cursor.number()?,
            source: cursor.text()?.to_owned(),
            nbits: cursor.fixed()?,
            height: cursor.number()?.try_into().ok()?,
            value: cursor.number()?,
        })
    }
}

impl Cut {
    pub(crate) fn encode(&self, to: &mut Vec<u8>) {
        let mut record = Encoder::default();
        record.byte(kind::CUT);
        record.number(self.at_ms);
        record.byte(self.stream as u8);
        for number in [self.segment, self.offset, self.bytes] {
            record.number(number);
        }
        write_record(to, &record.bytes);
    }

    pub(super) fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        let at_ms = cursor.number()?;
        let stream = Stream::of_number(cursor.byte()?)?;
        Some(Self {
            at_ms,
            stream,
            segment: cursor.number()?,
            offset: cursor.number()?,
            bytes: cursor.number()?,
        })
    }
}
