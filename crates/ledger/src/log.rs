//! One stream's segments: written at the end, rolled, cut off where they are torn.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use crate::frame::{HEADER_LENGTH, Header};
use crate::record::{Cut, Entry, read_segment, read_times};
use crate::storage::{SegmentFile, Storage};
use crate::stream::Stream;

/// A torn end is at most what was written since the last `fsync`. What is longer was damaged otherwise, and is left
/// as it is for whoever wants to look at it.
const CUT_MAX: u64 = 8 << 20;

/// A segment that is no longer written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) began_ms: u64,
    pub(crate) bytes: u64,
}

#[derive(Debug)]
struct Open {
    file: Box<dyn SegmentFile>,
    segment: Segment,
    /// So much of it will outlive a loss of power.
    synced: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Log {
    storage: Arc<dyn Storage + Sync>,
    stream: Stream,
    instance: [u8; 4],
    closed: VecDeque<Segment>,
    open: Option<Open>,
    next: u64,
    /// A segment is closed when it is longer,
    length_max: u64,
    /// or older.
    age_max_ms: u64,
}

impl Log {
    /// Finds a stream's segments among a directory's files; the last one's torn end is cut off, and told of.
    pub(crate) fn open(
        storage: Arc<dyn Storage + Sync>,
        stream: Stream,
        instance: [u8; 4],
        now_ms: u64,
        cuts: &mut Vec<Cut>,
    ) -> io::Result<Self> {
        let mut closed = Vec::new();
        for (name, bytes) in storage.list()? {
            if let Some((of, number)) = Stream::of_file_name(&name)
                && of == stream
            {
                let began_ms = Header::decode(&storage.read_start(&name, HEADER_LENGTH)?);
                closed.push(Segment {
                    number,
                    began_ms: began_ms.map_or(0, |header| header.began_ms),
                    bytes,
                });
            }
        }
        closed.sort_unstable_by_key(|segment| segment.number);
        let next = closed.last().map_or(1, |segment| segment.number.saturating_add(1));
        if let Some(last) = closed.last_mut() {
            let name = stream.file_name(last.number);
            let end = read_segment(&storage.read(&name)?, &mut |_| ());
            // Without a header there is nothing in it: it was just being made.
            let good = end.map_or(0, |(_, end)| end.good as u64);
            let torn = last.bytes.saturating_sub(good);
            if torn > 0 && torn <= CUT_MAX {
                cuts.push(Cut { at_ms: now_ms, stream, segment: last.number, offset: good, bytes: torn });
                if good == 0 {
                    storage.remove(&name)?;
                    closed.pop();
                } else {
                    storage.cut(&name, good)?;
                    last.bytes = good;
                }
            }
        }
        Ok(Self {
            storage,
            stream,
            instance,
            closed: closed.into(),
            open: None,
            next,
            length_max: 16 << 20,
            age_max_ms: u64::MAX,
        })
    }

    pub(crate) fn with_bounds(mut self, length_max: u64, age_max_ms: u64) -> Self {
        self.length_max = length_max;
        self.age_max_ms = age_max_ms;
        self
    }

    pub(crate) fn stream(&self) -> Stream {
        self.stream
    }

    /// No segment gets this number or a lower one.
    pub(crate) fn number_after(&mut self, number: u64) {
        self.next = self.next.max(number.saturating_add(1));
    }

    /// Whether the segment is to be closed before more is written.
    fn is_full(&self, now_ms: u64) -> bool {
        self.open.as_ref().is_some_and(|open| {
            open.segment.bytes > self.length_max
                || now_ms.saturating_sub(open.segment.began_ms) > self.age_max_ms
        })
    }

    /// Makes sure that there is a segment to write to. True: it is a new one, which knows no names yet.
    pub(crate) fn begin(&mut self, now_ms: u64) -> io::Result<bool> {
        if self.is_full(now_ms) {
            self.close()?;
        }
        if self.open.is_some() {
            return Ok(false);
        }
        let header =
            Header { stream: self.stream, number: self.next, began_ms: now_ms, instance: self.instance };
        let name = self.stream.file_name(self.next);
        let mut file = match self.storage.create(&name) {
            Ok(file) => file,
            Err(error) => {
                // The next try must not find its name taken.
                let _ = self.storage.remove(&name);
                return Err(error);
            }
        };
        if let Err(error) = file.append(&header.encode()) {
            drop(file);
            let _ = self.storage.remove(&name);
            return Err(error);
        }
        let segment = Segment { number: self.next, began_ms: now_ms, bytes: HEADER_LENGTH as u64 };
        self.next = self.next.saturating_add(1);
        self.open = Some(Open { file, segment, synced: 0 });
        Ok(true)
    }

    /// Appends to the segment that [`begin`](Self::begin) saw to. After an error the segment is closed, at what was
    /// written to it and synced.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Err(io::Error::other("no segment is open")) };
        let result = open.file.append(bytes);
        if result.is_err() {
            self.abandon();
        } else {
            open.segment.bytes += bytes.len() as u64;
        }
        result
    }

    /// Returns when everything appended is on the disk. After an error the segment is closed, at what was synced before:
    /// what came since must be written again.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        if open.synced == open.segment.bytes {
            return Ok(());
        }
        let result = open.file.sync();
        match result {
            Ok(()) => open.synced = open.segment.bytes,
            Err(_) => self.abandon(),
        }
        result
    }

    /// No more is written to the segment.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        self.sync()?;
        if let Some(open) = self.open.take() {
            self.closed.push_back(open.segment);
        }
        Ok(())
    }

    /// Gives the segment up as it last was for certain.
    fn abandon(&mut self) {
        let Some(mut open) = self.open.take() else { return };
        let _ = open.file.cut(open.synced);
        if open.synced <= HEADER_LENGTH as u64 {
            drop(open.file);
            let _ = self.storage.remove(&self.stream.file_name(open.segment.number));
        } else {
            // Should it not have been cut, then what is behind is the same that is written again: seconds' sums have
            // numbers by which that is seen, and minutes and hours say where a span begins anew.
            self.closed.push_back(Segment { bytes: open.synced, ..open.segment });
        }
    }

    /// Bytes of all segments.
    pub(crate) fn bytes(&self) -> u64 {
        let open = self.open.as_ref().map_or(0, |open| open.segment.bytes);
        self.closed.iter().map(|segment| segment.bytes).sum::<u64>() + open
    }

    /// The oldest segment that is no longer written.
    pub(crate) fn oldest(&self) -> Option<Segment> {
        self.closed.front().copied()
    }

    /// When the segment after the oldest was begun: the oldest has nothing later. `None`: there is none after it.
    pub(crate) fn oldest_ends_ms(&self) -> Option<u64> {
        self.closed.front()?;
        self.closed
            .get(1)
            .map(|segment| segment.began_ms)
            .or(self.open.as_ref().map(|open| open.segment.began_ms))
    }

    /// The segments that are no longer written, the newest first.
    pub(crate) fn newest_first(&self) -> impl Iterator<Item = Segment> + '_ {
        self.closed.iter().rev().copied()
    }

    /// Reads a segment that is no longer written. What cannot be read is as if it were empty.
    pub(crate) fn read(&self, segment: Segment, entry: &mut dyn FnMut(Entry)) -> io::Result<u64> {
        let bytes = self.storage.read(&self.stream.file_name(segment.number))?;
        Ok(read_segment(&bytes, entry).map_or(0, |(_, end)| end.records))
    }

    /// The same, but only which times it is of; see [`read_times`].
    pub(crate) fn read_times(&self, segment: Segment, each: &mut dyn FnMut(u64, u64)) -> io::Result<u64> {
        let bytes = self.storage.read(&self.stream.file_name(segment.number))?;
        Ok(read_times(&bytes, each).unwrap_or(0))
    }

    /// Removes the oldest segment.
    pub(crate) fn remove_oldest(&mut self) -> io::Result<()> {
        if let Some(oldest) = self.closed.front() {
            match self.storage.remove(&self.stream.file_name(oldest.number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => self.closed.pop_front(),
            };
        }
        Ok(())
    }
}
