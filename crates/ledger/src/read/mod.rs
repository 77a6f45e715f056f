//! Reads a ledger, also one that is being written: nothing is locked, and nothing is changed.

mod highest;
mod sums;
mod tail;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

pub use highest::Highest;
pub use sums::Period;
pub use tail::{Gone, GoneWhy, KeptShare, Mark, Span, Tail, Tailed};

use crate::frame::HEADER_LENGTH;
use crate::frame::Header;
use crate::record::{Entry, Evicted, read_segment};
use crate::storage::{Directory, Storage};
use crate::stream::Stream;

/// Evidence that waits for the disk is written so long after its time at most, or rather: later it is not looked for.
const EVIDENCE_LATE_MS: u64 = 24 * 3_600_000;

/// A part of a segment that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: String,
    /// From where on.
    pub offset: u64,
    /// How many bytes.
    pub bytes: u64,
    /// It is the newest of its stream: its end may be just being written, or torn.
    pub newest: bool,
}

/// A segment that is there.
#[derive(Clone, Debug)]
struct Found {
    number: u64,
    name: String,
    began_ms: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Reader {
    storage: Box<dyn Storage>,
}

impl Reader {
    /// Reads the ledger of a directory.
    ///
    /// # Errors
    /// There is no such directory, or it may not be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let storage = Directory::existing(path);
        storage.list()?;
        Ok(Self::of(Box::new(storage)))
    }

    /// Reads the ledger of any storage.
    #[must_use]
    pub fn of(storage: Box<dyn Storage>) -> Self {
        Self { storage }
    }

    /// What was evicted, by stream.
    ///
    /// # Errors
    /// The system's.
    pub fn evicted(&self) -> io::Result<BTreeMap<Stream, Evicted>> {
        let mut evicted = BTreeMap::new();
        let found = self.find(Stream::Notes)?;
        // The newest holds, and stands in the newest segments: at the beginning, if nowhere else.
        for segment in found.iter().rev().take(2).rev() {
            self.read_one(segment, &mut |entry| {
                if let Entry::Evicted(note) = entry {
                    evicted.insert(note.stream, note);
                }
            })?;
        }
        Ok(evicted)
    }

    /// Reads a stream's records in the order in which they were written. Tells what cannot be read.
    ///
    /// # Errors
    /// The system's. A segment that was evicted meanwhile is `NotFound`: read again.
    pub fn entries(&self, stream: Stream, entry: &mut dyn FnMut(Entry)) -> io::Result<Vec<Damage>> {
        let through = self.evicted()?.get(&stream).map_or(0, |evicted| evicted.through);
        self.entries_of(stream, through, |_, _| true, entry)
    }

    /// Reads the evidence that there may be of a period (Unix milliseconds), with what held for miners in it. More may come:
    /// segments are read whole.
    ///
    /// # Errors
    /// As [`entries`](Self::entries).
    pub fn evidence(
        &self,
        from_ms: u64,
        to_ms: u64,
        entry: &mut dyn FnMut(Entry),
    ) -> io::Result<Vec<Damage>> {
        let through = self.evicted()?.get(&Stream::Evidence).map_or(0, |evicted| evicted.through);
        // Shares wait for a disk that is full; they are in a later segment then.
        let wanted = |began_ms: u64, next: Option<u64>| {
            began_ms <= to_ms.saturating_add(EVIDENCE_LATE_MS) && next.is_none_or(|next| next >= from_ms)
        };
        self.entries_of(Stream::Evidence, through, wanted, entry)
    }

    /// The same for the segments that are wanted, by when they were begun and when the next was.
    fn entries_of(
        &self,
        stream: Stream,
        through: u64,
        wanted: impl Fn(u64, Option<u64>) -> bool,
        entry: &mut dyn FnMut(Entry),
    ) -> io::Result<Vec<Damage>> {
        let found = self.find(stream)?;
        let mut damages = Vec::new();
        for (at, segment) in found.iter().enumerate() {
            let next = found.get(at + 1);
            if segment.number <= through || !wanted(segment.began_ms, next.map(|next| next.began_ms)) {
                continue;
            }
            if let Some((offset, bytes)) = self.read_one(segment, entry)? {
                damages.push(Damage { file: segment.name.clone(), offset, bytes, newest: next.is_none() });
            }
        }
        Ok(damages)
    }

    /// Reads a segment; gives where it cannot be read, and how much that is.
    fn read_one(&self, segment: &Found, entry: &mut dyn FnMut(Entry)) -> io::Result<Option<(u64, u64)>> {
        let bytes = self.storage.read(&segment.name)?;
        let end = read_segment(&bytes, entry);
        let good = end.map_or(0, |(_, end)| end.good as u64);
        let there = bytes.len() as u64;
        Ok((there > good).then_some((good, there - good)))
    }

    fn find(&self, stream: Stream) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        for (name, _) in self.storage.list()? {
            let Some((of, number)) = Stream::of_file_name(&name) else { continue };
            if of != stream {
                continue;
            }
            let start = match self.storage.read_start(&name, HEADER_LENGTH) {
                Ok(start) => start,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let began_ms = Header::decode(&start).map_or(0, |header| header.began_ms);
            found.push(Found { number, name, began_ms });
        }
        found.sort_unstable_by_key(|found| found.number);
        Ok(found)
    }
}
