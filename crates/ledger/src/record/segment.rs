//! Reads a segment: its records one after the other, with what they refer to put in.

use std::sync::Arc;

use super::sums::Names;
use super::{Cut, Evicted, Gap, Job, Lease, Network, Run, Share, Sums, Thresholds, kind};
use crate::coding::Cursor;
use crate::frame::{Header, Records};

/// What a record says.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// Sums of a span of time.
    Sums(Sums),
    /// The disk did not take what was to be written.
    Gap(Gap),
    /// What is no more there.
    Evicted(Evicted),
    /// A run began or ended.
    Run(Run),
    /// What blocks were worth.
    Network(Network),
    /// A share that is kept.
    Share(Share),
    /// Which difficulties held for miners.
    Thresholds(Thresholds),
    /// How much work a goal has had.
    Lease(Lease),
    /// A torn end was cut off.
    Cut(Cut),
    /// Of a kind that this version does not know.
    Unknown,
}

/// How the reading of a segment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentEnd {
    /// Records that were read.
    pub records: u64,
    /// Everything before this was read.
    pub good: usize,
    /// So many bytes after it are torn or damaged.
    pub unread: usize,
}

/// Reads a segment's bytes; gives its header and how it ended, or nothing if there is no good header. What is torn or
/// damaged ends it; what one record refers to and is not there does, too.
pub fn read_segment(bytes: &[u8], entry: &mut dyn FnMut(Entry)) -> Option<(Header, SegmentEnd)> {
    let header = Header::decode(bytes)?;
    let (mut names, mut jobs) = (Names::default(), Vec::new());
    let mut read = Records::new(bytes);
    let (mut records, mut good) = (0, read.position());
    while let Some(record) = read.next() {
        match understand(record, &mut names, &mut jobs) {
            Some(Some(what)) => entry(what),
            Some(None) => {}
            None => break,
        }
        records += 1;
        good = read.position();
    }
    Some((header, SegmentEnd { records, good, unread: bytes.len() - good }))
}

/// Reads only which times a segment is of: from when until when each span of sums is, and when each share came. Gives how many
/// records it has, or nothing if there is no good header.
pub(crate) fn read_times(bytes: &[u8], each: &mut dyn FnMut(u64, u64)) -> Option<u64> {
    Header::decode(bytes)?;
    let mut records = 0;
    for record in Records::new(bytes) {
        let mut cursor = Cursor::new(record);
        let time = match cursor.byte()? {
            kind::SUMS => cursor.number().and_then(|_| Some((cursor.number()?, cursor.number()?))),
            kind::SHARE => cursor.number().map(|at_ms| (at_ms, at_ms)),
            _ => None,
        };
        if let Some((from_ms, to_ms)) = time {
            each(from_ms, to_ms);
        }
        records += 1;
    }
    Some(records)
}

/// `None`: it cannot be understood. `Some(None)`: it only names what later ones refer to.
pub(crate) fn understand(
    record: &[u8],
    names: &mut Names,
    jobs: &mut Vec<Arc<Job>>,
) -> Option<Option<Entry>> {
    let mut cursor = Cursor::new(record);
    let cursor = &mut cursor;
    Some(Some(match cursor.byte()? {
        kind::WORDS => return names.read_words(cursor).map(|()| None),
        kind::KEYS => return names.read_keys(cursor).map(|()| None),
        kind::JOB => {
            jobs.push(Arc::new(Job::read(cursor)?));
            return Some(None);
        }
        kind::SUMS => Entry::Sums(names.read_sums(cursor)?),
        kind::GAP => Entry::Gap(Gap::read(cursor)?),
        kind::EVICTED => Entry::Evicted(Evicted::read(cursor)?),
        kind::RUN => Entry::Run(Run::read(cursor)?),
        kind::NETWORK => Entry::Network(Network::read(cursor)?),
        kind::SHARE => Entry::Share(Share::read(cursor, names, jobs)?),
        kind::THRESHOLDS => Entry::Thresholds(Thresholds::read(cursor, names)?),
        kind::LEASE => Entry::Lease(Lease::read(cursor)?),
        kind::CUT => Entry::Cut(Cut::read(cursor)?),
        _ => Entry::Unknown,
    }))
}
