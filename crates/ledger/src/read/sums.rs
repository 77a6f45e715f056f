//! The sums of a period: hours where whole hours fit into it, then minutes, then seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::{Damage, Reader};
use crate::record::{Entry, Evicted, Sums};
use crate::rollup::{HOUR_MS, MINUTE_MS};
use crate::rows::{Row, RowKey};
use crate::spans::Spans;
use crate::stream::Stream;

/// Segments are evicted while a ledger is read; then it is read again, so often.
const TRIES: usize = 8;
/// Sums that wait for the disk are written so long after their time at most.
const LATE_MS: u64 = 5 * 24 * HOUR_MS;

/// What sums are of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Period {
    /// The beginning, Unix milliseconds. Before what was asked for where nothing finer than the minute or hour is kept.
    pub from_ms: u64,
    /// The end. After what was asked for, likewise.
    pub to_ms: u64,
    /// Hours that were evicted and reach into the period: the sums are without them.
    pub evicted: Option<Evicted>,
    /// What cannot be read. The newest segments' torn ends are among it.
    pub damages: Vec<Damage>,
}

impl Reader {
    /// Adds up the sums from one moment to another, both Unix milliseconds, whatever they are to be added up to: `add` is
    /// given the span that a row is of, the row's key, and the row.
    ///
    /// # Errors
    /// The system's.
    pub fn sums<S: Default>(
        &self,
        from_ms: u64,
        to_ms: u64,
        add: impl Fn(&mut S, Range<u64>, &Arc<RowKey>, &Row),
    ) -> io::Result<(S, Period)> {
        let mut tries = 0;
        loop {
            tries += 1;
            let before = self.evicted()?;
            let result = self.try_sums(from_ms, to_ms, &before, &add);
            let vanished = matches!(&result, Err(error) if error.kind() == io::ErrorKind::NotFound);
            // What went meanwhile may have been counted nowhere.
            if tries < TRIES && (vanished || self.evicted()? != before) {
                continue;
            }
            return result;
        }
    }

    fn try_sums<S: Default>(
        &self,
        from_ms: u64,
        to_ms: u64,
        evicted: &BTreeMap<Stream, Evicted>,
        add: &impl Fn(&mut S, Range<u64>, &Arc<RowKey>, &Row),
    ) -> io::Result<(S, Period)> {
        let mut sum = S::default();
        let mut period = Period { from_ms, to_ms, ..Period::default() };
        let until = |stream| evicted.get(&stream).map_or(0, |evicted| evicted.to_ms);
        let hours_from = until(Stream::Hours);
        period.evicted = evicted.get(&Stream::Hours).filter(|_| hours_from > from_ms).cloned();
        // Spans that a coarser stream has had, by beginning.
        let (mut hours, mut minutes) = (BTreeSet::new(), BTreeSet::new());
        for (stream, length_ms) in
            [(Stream::Hours, HOUR_MS), (Stream::Minutes, MINUTE_MS), (Stream::Seconds, 0)]
        {
            let through = evicted.get(&stream).map_or(0, |evicted| evicted.through);
            let wanted = |began_ms: u64, next: Option<u64>| {
                began_ms <= to_ms.saturating_add(LATE_MS)
                    && next.is_none_or(|next| next.saturating_add(HOUR_MS) > from_ms)
            };
            // From here on there is something finer.
            let finer_from = match stream {
                Stream::Hours => until(Stream::Minutes),
                Stream::Minutes => until(Stream::Seconds),
                _ => 0,
            };
            let mut spans = Spans::default();
            let mut take = |sums: Sums| {
                let start = sums.from_ms;
                let hour = start - start % HOUR_MS;
                let minute = start - start % MINUTE_MS;
                if hours.contains(&hour) || minutes.contains(&minute) || start < hours_from {
                    return;
                }
                let parts = match spans.take(sums) {
                    Some(parts) => parts,
                    None => return,
                };
                // A moment, as far as the finest are concerned.
                let end = start + length_ms.max(1);
                if end <= from_ms || start >= to_ms {
                    return;
                }
                if start < from_ms || end > to_ms {
                    if start >= finer_from {
                        return;
                    }
                    period.from_ms = period.from_ms.min(start);
                    period.to_ms = period.to_ms.max(end);
                }
                match stream {
                    Stream::Hours => hours.insert(hour),
                    Stream::Minutes => minutes.insert(minute),
                    _ => false,
                };
                for part in &parts {
                    part.rows.iter().for_each(|(key, row)| add(&mut sum, start..part.to_ms, key, row));
                }
            };
            let damages = self.entries_of(stream, through, wanted, &mut |entry| {
                if let Entry::Sums(sums) = entry {
                    take(sums);
                }
            })?;
            period.damages.extend(damages);
        }
        Ok((sum, period))
    }
}
