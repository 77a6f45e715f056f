//! Retention: by age, and by bytes. Seconds go when their minutes are written, minutes when their hours are, and of hours
//! that go a sum stays.

use std::io;

use super::Ledger;
use crate::log::Log;
use crate::record::{Entry, Evicted};
use crate::rows::{Rows, add_row, without_workers};
use crate::spans::Spans;
use crate::stream::Stream;

impl Ledger {
    /// Evicts what has had its time, and what there is no room for. A disk that does not take the note of it keeps
    /// everything.
    pub(super) fn evict(&mut self, now_ms: u64) {
        if self.try_to_evict(now_ms).is_err() {
            self.standing.failures += 1;
        }
    }

    fn try_to_evict(&mut self, now_ms: u64) -> io::Result<()> {
        let bounds = self.bounds;
        let ages = [
            (Stream::Seconds, bounds.seconds_ms),
            (Stream::Minutes, bounds.minutes_ms),
            (Stream::Hours, bounds.hours_ms),
            (Stream::Evidence, bounds.evidence_ms),
        ];
        for (stream, age) in ages {
            while self.may_go(stream).is_some_and(|ends| ends.saturating_add(age) <= now_ms) {
                self.evict_oldest(stream)?;
            }
        }
        // Notes of that age say nothing of what is left; what they say of everything stands in each newer segment.
        while self.notes.oldest_ends_ms().is_some_and(|ends| ends.saturating_add(bounds.hours_ms) <= now_ms) {
            self.notes.remove_oldest()?;
        }
        while self.evidence.bytes() > bounds.evidence_bytes && self.may_go(Stream::Evidence).is_some() {
            self.evict_oldest(Stream::Evidence)?;
        }
        // The finest first: nothing is lost of a sum but where in the minute, or in the hour, it belongs.
        for stream in [Stream::Seconds, Stream::Minutes, Stream::Hours] {
            while self.seconds.bytes() + self.minutes.bytes() + self.hours.bytes() > bounds.sums_bytes
                && self.may_go(stream).is_some()
            {
                self.evict_oldest(stream)?;
            }
        }
        Ok(())
    }

    fn log(&mut self, stream: Stream) -> &mut Log {
        match stream {
            Stream::Seconds => &mut self.seconds,
            Stream::Minutes => &mut self.minutes,
            Stream::Hours => &mut self.hours,
            Stream::Evidence => &mut self.evidence,
            // Leases are kept by a log of their own.
            Stream::Notes | Stream::Leases => &mut self.notes,
        }
    }

    /// Whether a stream's oldest segment may go, whatever its age: then the moment that it ends at.
    fn may_go(&mut self, stream: Stream) -> Option<u64> {
        let written_until = match stream {
            Stream::Seconds => self.by_minute.pending_from(),
            Stream::Minutes => self.by_hour.pending_from(),
            _ => None,
        };
        let ends = self.log(stream).oldest_ends_ms()?;
        written_until.is_none_or(|until| ends <= until).then_some(ends)
    }

    fn evict_oldest(&mut self, stream: Stream) -> io::Result<()> {
        let log = self.log(stream);
        let Some(oldest) = log.oldest() else { return Ok(()) };
        let ends = log.oldest_ends_ms().unwrap_or(oldest.began_ms);
        let mut from_ms = u64::MAX;
        let mut to_ms = 0;
        let (mut spans, mut sums_up) = (Spans::default(), Rows::new());
        let mut within = |from: u64, to: u64| {
            from_ms = from_ms.min(from);
            to_ms = to_ms.max(to);
        };
        let records = if stream == Stream::Hours {
            log.read(oldest, &mut |entry| {
                let Entry::Sums(sums) = entry else { return };
                within(sums.from_ms, sums.to_ms);
                let parts = spans.take(sums).unwrap_or_default();
                parts.iter().flat_map(|part| &part.rows).for_each(|(k, r)| add_row(&mut sums_up, k, r));
            })
        } else {
            // Their sums stand in what is coarser.
            log.read_times(oldest, &mut within)
        };
        // One that cannot be read has nothing to be kept.
        let records = records.unwrap_or(0);
        let mut evicted = self.evicted.get(&stream).cloned().unwrap_or(Evicted {
            stream,
            through: 0,
            from_ms: u64::MAX,
            to_ms: 0,
            records: 0,
            bytes: 0,
            rows: Vec::new(),
        });
        evicted.through = oldest.number;
        evicted.from_ms = evicted.from_ms.min(from_ms).min(oldest.began_ms);
        evicted.to_ms = evicted.to_ms.max(to_ms).max(if stream == Stream::Evidence { ends } else { 0 });
        evicted.records += records;
        evicted.bytes += oldest.bytes;
        if stream == Stream::Hours {
            let mut rows = evicted.sums();
            for (key, row) in &without_workers(&sums_up) {
                add_row(&mut rows, key, row);
            }
            evicted.rows = rows.into_iter().collect();
        }
        // The note first: whatever happens after it, readers know that the segment no longer counts.
        let now_ms = self.until_ms.max(self.flushed_ms);
        let earlier = self.evicted.insert(stream, evicted.clone());
        let noted = self.begin_notes(now_ms).and_then(|()| {
            self.scratch.clear();
            evicted.encode(&mut self.scratch);
            self.notes.append(&self.scratch)?;
            self.notes.sync()
        });
        if let Err(error) = noted {
            match earlier {
                Some(earlier) => self.evicted.insert(stream, earlier),
                None => self.evicted.remove(&stream),
            };
            return Err(error);
        }
        *self.standing.evicted.entry(stream).or_default() += records;
        self.log(stream).remove_oldest()
    }
}
