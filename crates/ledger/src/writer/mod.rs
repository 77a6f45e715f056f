//! Writes a ledger.

mod evict;
mod recover;
mod standing;
mod taking;
mod thresholds;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;

pub use standing::Standing;
pub use taking::Taking;
pub use thresholds::Looking;

use crate::log::Log;
use crate::numbers::Numbers;
use crate::record::{Cut, Evicted, EvidenceEncoder, Gap, Network, Run, Share, Span, SumsEncoder};
use crate::rollup::{HOUR_MS, Rollup};
use crate::sheet::Sheet;
use crate::stream::Stream;

/// Shares that wait for the disk at most.
const SHARES_WAITING: usize = 32_768;
/// Notes that wait for the disk at most.
const NOTES_WAITING: usize = 4_096;
/// Spans whose sums wait for the disk at most: one an hour.
const SPANS_WAITING: usize = 64;
/// Of what a source's blocks are worth so much change is noted, at most so often.
const NETWORK_EVERY_MS: u64 = 60_000;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Sums of seconds that are younger than this, milliseconds.
    pub seconds_ms: u64,
    /// Sums of minutes.
    pub minutes_ms: u64,
    /// Sums of hours, and notes.
    pub hours_ms: u64,
    /// Evidence.
    pub evidence_ms: u64,
    /// All sums together, in bytes.
    pub sums_bytes: u64,
    /// All evidence, in bytes.
    pub evidence_bytes: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        let day = 24 * HOUR_MS;
        Self {
            seconds_ms: 2 * HOUR_MS,
            minutes_ms: 14 * day,
            hours_ms: 400 * day,
            evidence_ms: 90 * day,
            sums_bytes: 4 << 30,
            evidence_bytes: 8 << 30,
        }
    }
}

impl Bounds {
    /// Segments are so long that evicting one never takes much of what is kept.
    fn segment_length(bytes: u64) -> u64 {
        (bytes / 32).clamp(16 << 10, 16 << 20)
    }
}

/// A ledger cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the {} of the ledger: {error}", stream.as_str())]
pub struct LedgerError {
    /// Which stream.
    pub stream: Stream,
    /// What the system said.
    pub error: io::Error,
}

/// What seconds' sums wait to be written.
#[derive(Debug)]
struct Waiting {
    sequence: u64,
    span: Span,
    sheet: Sheet,
}

/// What notes wait to be written.
#[derive(Clone, Debug)]
enum Note {
    Run(Run),
    Network(Network),
    Cut(Cut),
    Gap(Gap),
}

/// What the disk has not taken since when.
#[derive(Debug)]
struct Trouble {
    from_ms: u64,
    why: String,
    shares_lost: u64,
    sums_merged: u64,
}

/// See the module. Everything that is told to it waits in memory until [`flush`](Self::flush), which alone uses the disk.
#[derive(Debug)]
pub struct Ledger {
    bounds: Bounds,
    seconds: Log,
    minutes: Log,
    hours: Log,
    evidence: Log,
    notes: Log,
    numbers: Numbers,
    /// Keys are looked through when there are more.
    keys_max: usize,
    /// What the open segments of seconds, minutes and hours have named.
    names: [SumsEncoder; 3],
    shares_named: EvidenceEncoder,
    levels: thresholds::Levels,
    by_minute: Rollup,
    by_hour: Rollup,
    waiting: VecDeque<Waiting>,
    /// One that was written, for the next span.
    spare: Sheet,
    /// So many of these were tried already: they stay as they are.
    tried: usize,
    sequence: u64,
    /// Until when sums were taken. Only grows, whatever the clock does.
    until_ms: u64,
    shares: Vec<Share>,
    notes_waiting: Vec<Note>,
    evicted: BTreeMap<Stream, Evicted>,
    networks: HashMap<String, Network>,
    trouble: Option<Trouble>,
    /// Shares that could not be taken while the disk was well.
    shares_lost: u64,
    flushed_ms: u64,
    standing: Standing,
    scratch: Vec<u8>,
}

impl Ledger {
    /// Until when sums were taken, Unix milliseconds.
    #[must_use]
    pub fn until_ms(&self) -> u64 {
        self.until_ms
    }

    /// How many keys have numbers.
    #[cfg(test)]
    pub(crate) fn keys(&self) -> usize {
        self.numbers.keys()
    }

    /// Where the last span that waits begins.
    #[cfg(test)]
    pub(crate) fn last_from_ms(&self) -> Option<u64> {
        self.waiting.back().map(|waiting| waiting.span.from_ms)
    }

    /// Takes a share as evidence.
    pub fn share(&mut self, share: Share) {
        if self.shares.len() < SHARES_WAITING {
            self.shares.push(share);
        } else {
            self.lost(1);
        }
    }

    /// So many shares never came here: whoever brings them had no room for them.
    pub fn lost(&mut self, shares: u64) {
        self.standing.shares_lost += shares;
        match &mut self.trouble {
            Some(trouble) => trouble.shares_lost += shares,
            None => self.shares_lost += shares,
        }
    }

    /// What blocks are worth by a source's newest job. Noted when the tip changes, and of one tip once a minute.
    pub fn network(&mut self, network: Network) {
        let changed = self.networks.get(&network.source).is_none_or(|last| {
            let same_tip = (last.nbits, last.height) == (network.nbits, network.height);
            let aged = network.at_ms.saturating_sub(last.at_ms) >= NETWORK_EVERY_MS;
            !same_tip || (aged && last.value != network.value)
        });
        if changed {
            self.networks.insert(network.source.clone(), network.clone());
            self.note(Note::Network(network));
        }
    }

    fn note(&mut self, note: Note) {
        if self.notes_waiting.len() < NOTES_WAITING {
            self.notes_waiting.push(note);
        }
    }

    /// Writes everything that waits, and returns when it is on the disk. What could not be written waits on; that is told
    /// by [`standing`](Self::standing), and noted in the ledger as soon as that can be written again.
    pub fn flush(&mut self, now_ms: u64) {
        let now_ms = now_ms.max(self.until_ms);
        match self.write_all(now_ms) {
            Ok(()) => {
                self.flushed_ms = now_ms;
                self.standing.trouble = None;
                self.evict(now_ms);
                self.forget_keys();
            }
            Err(error) => {
                let why = error.to_string();
                self.standing.failures += 1;
                self.standing.trouble = Some(why.clone());
                // What was lost before is a part of the same.
                let shares_lost = std::mem::take(&mut self.shares_lost);
                let trouble = self.trouble.get_or_insert(Trouble {
                    from_ms: self.flushed_ms,
                    why,
                    shares_lost: 0,
                    sums_merged: 0,
                });
                trouble.shares_lost += shares_lost;
            }
        }
        self.measure();
    }

    /// The last of this run. True: it is on the disk.
    pub fn end(&mut self, now_ms: u64, version: &str) -> bool {
        let at_ms = now_ms.max(self.until_ms);
        self.note(Note::Run(Run { at_ms, begins: false, version: version.to_owned() }));
        self.flush(now_ms);
        self.standing.trouble.is_none()
    }

    /// How it stands.
    #[must_use]
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    fn write_all(&mut self, now_ms: u64) -> io::Result<()> {
        self.write_seconds(now_ms)?;
        self.write_buckets(now_ms)?;
        self.write_evidence(now_ms)?;
        self.write_notes(now_ms)
    }

    fn write_seconds(&mut self, now_ms: u64) -> io::Result<()> {
        let mut written = 0;
        for waiting in &self.waiting {
            if self.seconds.begin(now_ms)? {
                // Seconds of one segment are written one after the other: an error has closed it before.
                self.names[0].begin();
            }
            written += 1;
            self.tried = self.tried.max(written);
            self.scratch.clear();
            let Waiting { sequence, span, sheet } = waiting;
            self.names[0].encode(&mut self.scratch, *sequence, *span, sheet, &self.numbers);
            self.seconds.append(&self.scratch)?;
        }
        self.seconds.sync()?;
        for waiting in self.waiting.drain(..) {
            self.by_minute.at(waiting.span.from_ms).add_all(&waiting.sheet);
            self.standing.records += 1;
            self.spare = waiting.sheet;
            self.spare.clear();
        }
        self.tried = 0;
        Ok(())
    }

    fn write_buckets(&mut self, now_ms: u64) -> io::Result<()> {
        // The next sums begin where the last ended: a bucket that is over then is complete.
        let over_ms = self.until_ms;
        while let Some(minute) = self.by_minute.complete(over_ms) {
            let to_ms = minute.from_ms + self.by_minute.length_ms;
            let span = Span { from_ms: minute.from_ms, to_ms };
            write_bucket(
                &mut self.minutes,
                &mut self.names[1],
                &mut self.scratch,
                now_ms,
                (span, &minute.sheet, &self.numbers),
            )?;
            self.by_hour.at(minute.from_ms).add_all(&minute.sheet);
            self.by_minute.written();
            self.standing.records += 1;
        }
        // An hour is over when none of its minutes can come any more.
        let over_ms = self.by_minute.pending_from().map_or(over_ms, |pending| pending.min(over_ms));
        while let Some(hour) = self.by_hour.complete(over_ms) {
            let span = Span { from_ms: hour.from_ms, to_ms: hour.from_ms + self.by_hour.length_ms };
            let sums = (span, &hour.sheet, &self.numbers);
            write_bucket(&mut self.hours, &mut self.names[2], &mut self.scratch, now_ms, sums)?;
            self.by_hour.written();
            self.standing.records += 1;
        }
        Ok(())
    }

    fn write_evidence(&mut self, now_ms: u64) -> io::Result<()> {
        if self.shares.is_empty() && !self.levels.is_waiting() {
            return Ok(());
        }
        let begins = self.evidence.begin(now_ms)?;
        if begins {
            self.shares_named = EvidenceEncoder::default();
        }
        self.scratch.clear();
        // They hold for the shares behind them.
        if let Some(thresholds) = self.levels.to_write(begins, now_ms, &self.numbers) {
            self.shares_named.thresholds(&mut self.scratch, &thresholds);
        }
        self.shares.iter().for_each(|share| self.shares_named.share(&mut self.scratch, share));
        self.evidence.append(&self.scratch)?;
        self.evidence.sync()?;
        self.standing.records += self.shares.len() as u64;
        self.standing.shares += self.shares.len() as u64;
        self.shares.clear();
        self.levels.written();
        Ok(())
    }

    fn write_notes(&mut self, now_ms: u64) -> io::Result<()> {
        let gap = self.gap(now_ms);
        if self.notes_waiting.is_empty() && gap.is_none() {
            return Ok(());
        }
        self.begin_notes(now_ms)?;
        self.scratch.clear();
        for note in self.notes_waiting.iter().chain(&gap) {
            match note {
                Note::Run(run) => run.encode(&mut self.scratch),
                Note::Network(network) => network.encode(&mut self.scratch),
                Note::Cut(cut) => cut.encode(&mut self.scratch),
                Note::Gap(gap) => gap.encode(&mut self.scratch),
            }
        }
        self.notes.append(&self.scratch)?;
        self.notes.sync()?;
        self.standing.records += self.notes_waiting.len() as u64 + u64::from(gap.is_some());
        self.standing.gaps += u64::from(gap.is_some());
        self.notes_waiting.clear();
        self.trouble = None;
        self.shares_lost = 0;
        Ok(())
    }

    /// Everything else is written: what was not, and since when.
    fn gap(&self, now_ms: u64) -> Option<Note> {
        let gap = match &self.trouble {
            Some(trouble) => Gap {
                from_ms: trouble.from_ms,
                to_ms: now_ms,
                why: trouble.why.clone(),
                shares_lost: trouble.shares_lost,
                sums_merged: trouble.sums_merged,
            },
            None if self.shares_lost > 0 => Gap {
                from_ms: self.flushed_ms,
                to_ms: now_ms,
                why: "more shares came than could be taken".to_owned(),
                shares_lost: self.shares_lost,
                sums_merged: 0,
            },
            None => return None,
        };
        Some(Note::Gap(gap))
    }

    /// A new segment of notes begins with what holds of all that went before, so that older ones can go.
    fn begin_notes(&mut self, now_ms: u64) -> io::Result<()> {
        if !self.notes.begin(now_ms)? {
            return Ok(());
        }
        self.scratch.clear();
        self.evicted.values().for_each(|evicted| evicted.encode(&mut self.scratch));
        let waits = |network: &Network| {
            self.notes_waiting.iter().any(|note| matches!(note, Note::Network(waiting) if waiting == network))
        };
        for network in self.networks.values().filter(|network| !waits(network)) {
            network.encode(&mut self.scratch);
        }
        if self.scratch.is_empty() { Ok(()) } else { self.notes.append(&self.scratch) }
    }

    fn measure(&mut self) {
        for (bytes, log) in self.standing.bytes.iter_mut().zip([
            &self.seconds,
            &self.minutes,
            &self.hours,
            &self.evidence,
            &self.notes,
        ]) {
            *bytes = (log.stream(), log.bytes());
        }
    }
}

/// One bucket is on the disk when the next is begun: so buckets never have to be told apart by more than their beginning.
fn write_bucket(
    log: &mut Log,
    names: &mut SumsEncoder,
    scratch: &mut Vec<u8>,
    now_ms: u64,
    (span, sheet, numbers): (Span, &Sheet, &Numbers),
) -> io::Result<()> {
    if log.begin(now_ms)? {
        names.begin();
    }
    scratch.clear();
    names.encode(scratch, 0, span, sheet, numbers);
    log.append(scratch)?;
    log.sync()
}
