//! Sums of a span of time, and the words and keys that they refer to by number.

use std::sync::Arc;

use super::kind;
use crate::coding::{Cursor, Encoder};
use crate::frame::write_record;
use crate::numbers::{Numbers, Renumbered};
use crate::rows::{Amount, Column, Row, RowKey};
use crate::sheet::Sheet;

/// A record is closed when it is longer than this: far below the longest, so that one row more always fits.
const RECORD_LENGTH: usize = 256 << 10;

/// What the sums of a span of time have grown by, or a part of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sums {
    /// Seconds: the number of the span in its ledger. One that was seen before is the same again, and takes its place.
    /// Minutes and hours have none: 0.
    pub sequence: u64,
    /// Where the span begins, Unix milliseconds: the minute and the hour that it is counted in are this moment's.
    pub from_ms: u64,
    /// Where it ends.
    pub to_ms: u64,
    /// Which part of the span this is, from 0 on.
    pub part: u64,
    /// The last part. Without it the others do not count: it was being written when all ended.
    pub last: bool,
    /// The rows.
    pub rows: Vec<(Arc<RowKey>, Row)>,
}

/// What one segment has numbered so far. Each segment begins anew, so that it can be read by itself.
#[derive(Debug, Default)]
pub(crate) struct SumsEncoder {
    words: Numbered,
    keys: Numbered,
    parts: [Encoder; 4],
}

/// The numbers that things have in a segment, by those that they have in the writer's memory.
#[derive(Debug, Default)]
struct Numbered {
    /// Plus one; 0 for what the segment has not named yet.
    numbers: Vec<u64>,
    named: u64,
}

impl Numbered {
    /// The number of a thing, and whether it is to be named first.
    fn number(&mut self, of: u32) -> (u64, bool) {
        let at = of as usize;
        if at >= self.numbers.len() {
            self.numbers.resize(at + at / 2 + 16, 0);
        }
        let number = &mut self.numbers[at];
        let new = *number == 0;
        if new {
            self.named += 1;
            *number = self.named;
        }
        (*number - 1, new)
    }

    fn renumber(&mut self, to: &Renumbered) {
        let mut numbers = Vec::new();
        for (former, number) in (0..).zip(&self.numbers) {
            let Some(at) = to.of(former) else { continue };
            numbers.resize(numbers.len().max(at as usize + 1), 0);
            numbers[at as usize] = *number;
        }
        self.numbers = numbers;
    }
}

/// The span of time that sums are of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) from_ms: u64,
    pub(crate) to_ms: u64,
}

impl SumsEncoder {
    /// Encodes rows as records, as many as they need.
    pub(crate) fn encode(
        &mut self,
        to: &mut Vec<u8>,
        sequence: u64,
        span: Span,
        sheet: &Sheet,
        names: &Numbers,
    ) {
        let Self { words: numbered_words, keys: numbered_keys, parts: [words, keys, body, record] } = self;
        let mut rows = sheet.rows().iter().peekable();
        let mut part = 0;
        loop {
            [&mut *words, &mut *keys, &mut *body].into_iter().for_each(|part| part.bytes.clear());
            let (mut new_words, mut new_keys, mut count) = (0u64, 0u64, 0u64);
            while let Some(row) = rows.peek() {
                if words.bytes.len() + keys.bytes.len() + body.bytes.len() > RECORD_LENGTH {
                    break;
                }
                let (number, new) = numbered_keys.number(row.key);
                if new {
                    let key = names.key_of(row.key);
                    for name in [&key.worker, &key.listener, &key.route, &key.source] {
                        keys.text(name);
                    }
                    new_keys += 1;
                }
                body.number(number);
                body.float(if row.squares.is_finite() { row.squares } else { 0.0 });
                body.number(row.cells.into());
                for (word, amount) in sheet.cells(row) {
                    let (number, new) = numbered_words.number(word);
                    if new {
                        words.text(names.word_of(word));
                        new_words += 1;
                    }
                    body.number(number);
                    body.signed(amount.count.into());
                    body.signed(amount.hashes);
                }
                count += 1;
                rows.next();
            }
            for (kind, new, list) in [(kind::WORDS, new_words, &*words), (kind::KEYS, new_keys, &*keys)] {
                if new > 0 {
                    record.bytes.clear();
                    record.byte(kind);
                    record.number(new);
                    record.raw(&list.bytes);
                    write_record(to, &record.bytes);
                }
            }
            let last = rows.peek().is_none();
            record.bytes.clear();
            record.byte(kind::SUMS);
            record.number(sequence);
            record.number(span.from_ms);
            record.number(span.to_ms);
            record.number(part);
            record.byte(last.into());
            record.number(count);
            record.raw(&body.bytes);
            write_record(to, &record.bytes);
            if last {
                return;
            }
            part += 1;
        }
    }

    /// A new segment has named nothing yet.
    pub(crate) fn begin(&mut self) {
        (self.words, self.keys) = (Numbered::default(), Numbered::default());
    }

    /// Keys have new numbers.
    pub(crate) fn renumber(&mut self, numbers: &Renumbered) {
        self.keys.renumber(numbers);
    }
}

/// What a segment has named so far.
#[derive(Debug, Default)]
pub(crate) struct Names {
    words: Vec<Column>,
    keys: Vec<Arc<RowKey>>,
}

impl Names {
    pub(super) fn key(&self, number: u64) -> Option<&Arc<RowKey>> {
        self.keys.get(usize::try_from(number).ok()?)
    }

    pub(super) fn read_words(&mut self, cursor: &mut Cursor<'_>) -> Option<()> {
        for _ in 0..cursor.length()? {
            self.words.push(cursor.text()?.into());
        }
        cursor.is_empty().then_some(())
    }

    pub(super) fn read_keys(&mut self, cursor: &mut Cursor<'_>) -> Option<()> {
        for _ in 0..cursor.length()? {
            let key = RowKey {
                worker: cursor.text()?.into(),
                listener: cursor.text()?.into(),
                route: cursor.text()?.into(),
                source: cursor.text()?.into(),
            };
            self.keys.push(Arc::new(key));
        }
        cursor.is_empty().then_some(())
    }

    pub(super) fn read_sums(&self, cursor: &mut Cursor<'_>) -> Option<Sums> {
        let (sequence, from_ms, to_ms, part) =
            (cursor.number()?, cursor.number()?, cursor.number()?, cursor.number()?);
        let last = match cursor.byte()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        let mut rows = Vec::new();
        for _ in 0..cursor.length()? {
            let key = Arc::clone(self.key(cursor.number()?)?);
            let squares = cursor.float()?;
            let mut row = Row { squares, cells: Vec::new() };
            for _ in 0..cursor.length()? {
                let word = self.words.get(usize::try_from(cursor.number()?).ok()?)?;
                row.cells
                    .push((Arc::clone(word), Amount { count: cursor.count()?, hashes: cursor.signed()? }));
            }
            rows.push((key, row));
        }
        cursor.is_empty().then_some(Sums { sequence, from_ms, to_ms, part, last, rows })
    }
}
