//! Takes a ledger up where the run before ended, however it ended.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::sync::Arc;

use super::taking::KEYS_REMEMBERED;
use super::{Bounds, Ledger, LedgerError, Note, Standing};
use crate::log::Log;
use crate::numbers::Numbers;
use crate::record::{Cut, Entry, Evicted, EvidenceEncoder, Network, Run, Sums};
use crate::rollup::{HOUR_MS, MINUTE_MS, Rollup};
use crate::sheet::Sheet;
use crate::spans::Spans;
use crate::storage::Storage;
use crate::stream::Stream;

impl Ledger {
    /// Opens a ledger, or begins one. Tells of torn ends that were cut off. Nothing is written yet.
    ///
    /// # Errors
    /// What is there cannot be read.
    pub fn open(
        storage: &Arc<dyn Storage + Sync>,
        instance: [u8; 4],
        bounds: Bounds,
        now_ms: u64,
        version: &str,
    ) -> Result<(Self, Vec<Cut>), LedgerError> {
        let mut cuts = Vec::new();
        let sums = Bounds::segment_length(bounds.sums_bytes);
        let mut log = |stream, length, age| {
            Log::open(Arc::clone(storage), stream, instance, now_ms, &mut cuts)
                .map(|log| log.with_bounds(length, age))
                .map_err(|error| LedgerError { stream, error })
        };
        let mut ledger = Self {
            bounds,
            seconds: log(Stream::Seconds, sums, HOUR_MS)?,
            minutes: log(Stream::Minutes, sums, 24 * HOUR_MS)?,
            hours: log(Stream::Hours, sums, 30 * 24 * HOUR_MS)?,
            evidence: log(Stream::Evidence, Bounds::segment_length(bounds.evidence_bytes), 24 * HOUR_MS)?,
            notes: log(Stream::Notes, 4 << 20, 30 * 24 * HOUR_MS)?,
            numbers: Numbers::default(),
            keys_max: KEYS_REMEMBERED,
            names: Default::default(),
            shares_named: EvidenceEncoder::default(),
            levels: super::thresholds::Levels::default(),
            by_minute: Rollup::new(MINUTE_MS),
            by_hour: Rollup::new(HOUR_MS),
            waiting: VecDeque::new(),
            spare: Sheet::default(),
            tried: 0,
            sequence: 0,
            until_ms: now_ms,
            shares: Vec::new(),
            notes_waiting: Vec::new(),
            evicted: BTreeMap::new(),
            networks: HashMap::new(),
            trouble: None,
            shares_lost: 0,
            flushed_ms: now_ms,
            standing: Standing::default(),
            scratch: Vec::new(),
        };
        ledger.take_up_notes().map_err(|error| LedgerError { stream: Stream::Notes, error })?;
        ledger.take_up_sums()?;
        ledger.flushed_ms = ledger.until_ms;
        let at_ms = ledger.until_ms;
        ledger.note(Note::Run(Run { at_ms, begins: true, version: version.to_owned() }));
        cuts.iter().for_each(|cut| ledger.note(Note::Cut(cut.clone())));
        ledger.measure();
        Ok((ledger, cuts))
    }

    fn take_up_notes(&mut self) -> io::Result<()> {
        let mut evicted: BTreeMap<Stream, Evicted> = BTreeMap::new();
        let mut networks: HashMap<String, Network> = HashMap::new();
        // The newest holds; a segment begins with what holds of all before it. One that was cut off in its very beginning
        // may not: then the one before it has it.
        for segment in self.notes.newest_first().take(2).collect::<Vec<_>>().into_iter().rev() {
            self.notes.read(segment, &mut |entry| match entry {
                Entry::Evicted(note) => {
                    evicted.insert(note.stream, note);
                }
                Entry::Network(note) => {
                    networks.insert(note.source.clone(), note);
                }
                _ => {}
            })?;
        }
        for (stream, note) in &evicted {
            let log = match stream {
                Stream::Seconds => &mut self.seconds,
                Stream::Minutes => &mut self.minutes,
                Stream::Hours => &mut self.hours,
                Stream::Evidence => &mut self.evidence,
                Stream::Notes | Stream::Leases => continue,
            };
            // All ended between the note and the removal.
            while log.oldest().is_some_and(|oldest| oldest.number <= note.through) {
                log.remove_oldest()?;
            }
            log.number_after(note.through);
        }
        self.evicted = evicted;
        self.networks = networks;
        Ok(())
    }

    /// Sums that are not put together yet: those after the last whole hour, and after the last whole minute.
    fn take_up_sums(&mut self) -> Result<(), LedgerError> {
        let (hours, _) = newest(&self.hours, |_| false)?;
        let hours_until = until(&hours);
        let (minutes, _) = newest(&self.minutes, |from_ms| from_ms >= hours_until)?;
        let minutes_until = until(&minutes).max(hours_until);
        let (seconds, sequence) = newest(&self.seconds, |from_ms| from_ms >= minutes_until)?;
        for (sums, rollup, from_ms) in
            [(&minutes, &mut self.by_hour, hours_until), (&seconds, &mut self.by_minute, minutes_until)]
        {
            for sums in sums.iter().filter(|sums| sums.from_ms >= from_ms && !sums.rows.is_empty()) {
                let sheet = rollup.at(sums.from_ms);
                for (key, row) in &sums.rows {
                    let numbers = &mut self.numbers;
                    let cells: Vec<_> =
                        row.cells.iter().map(|(word, amount)| (numbers.word(word), *amount)).collect();
                    sheet.add(numbers.shared_key(key), row.squares, cells);
                }
            }
        }
        self.sequence = sequence;
        self.until_ms = self.until_ms.max(until(&seconds)).max(minutes_until);
        Ok(())
    }
}

fn until(sums: &[Sums]) -> u64 {
    sums.iter().map(|sums| sums.to_ms).max().unwrap_or(0)
}

/// The whole spans of a stream's newest segments, back to one that has something that is not wanted any more; and the
/// highest number of a span.
fn newest(log: &Log, wanted: impl Fn(u64) -> bool) -> Result<(Vec<Sums>, u64), LedgerError> {
    let mut read = Vec::new();
    let mut sequence = 0;
    for segment in log.newest_first() {
        let mut sums = Vec::new();
        let mut enough = false;
        let result = log.read(segment, &mut |entry| {
            if let Entry::Sums(span) = entry {
                sequence = sequence.max(span.sequence);
                // Only what is whole counts: a segment of torn spans is none to stop at.
                enough |= !wanted(span.from_ms) && span.last;
                sums.push(span);
            }
        });
        result.map_err(|error| LedgerError { stream: log.stream(), error })?;
        read.push(sums);
        if enough {
            break;
        }
    }
    let mut spans = Spans::default();
    let whole = read.into_iter().rev().flatten().filter_map(|sums| spans.take(sums)).flatten().collect();
    Ok((whole, sequence))
}
