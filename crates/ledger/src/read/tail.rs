//! Follows a stream of a ledger that is being written: what comes after a mark, one record after the other, over segments,
//! restarts and evictions. Nothing comes twice, and what is no more there is told.

use std::io;
use std::sync::Arc;

use super::Reader;
use crate::frame::{FRAME_LENGTH, HEADER_LENGTH, Header, RECORD_MAX, first_record};
use crate::record::{Entry, Job, Names, Share, Sums, understand};
use crate::rows::{Row, RowKey};
use crate::storage::Storage;
use crate::stream::Stream;

/// So much is read of a file at once.
const CHUNK: usize = 256 << 10;

/// A place in a stream: everything before it was read. The default is before everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The segment's number; 0 before the first.
    pub segment: u64,
    /// Whose segment it is, and when it was begun: a ledger that was made anew has segments of the same numbers.
    pub instance: [u8; 4],
    /// See `instance`. Unix milliseconds.
    pub began_ms: u64,
    /// So many of its bytes were read.
    pub offset: u64,
    /// The number of the last span of that instance.
    pub sequence: u64,
}

/// Sums of a span of time, whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The number of the Adit's run that took them.
    pub instance: [u8; 4],
    /// The span's number in its ledger. Together with the instance and the beginning it is like no other's.
    pub sequence: u64,
    /// Where it begins, Unix milliseconds.
    pub from_ms: u64,
    /// Where it ends.
    pub to_ms: u64,
    /// Its rows, in the order of the ledger.
    pub rows: Vec<(Arc<RowKey>, Row)>,
}

/// A share, and where in the evidence it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptShare {
    /// The segment that it stands in; of its offset, where the record begins.
    pub at: Mark,
    /// The number of its job within the segment.
    pub job: u64,
    /// The share, with its job.
    pub share: Share,
}

/// Why something is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoneWhy {
    /// The ledger evicted it.
    Evicted,
    /// It cannot be read.
    Damaged,
    /// The ledger is not the one that the mark was of.
    Replaced,
}

/// Something that was to be read next and is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone {
    /// Why.
    pub why: GoneWhy,
    /// What follows was begun then, Unix milliseconds.
    pub until_ms: u64,
}

/// What came next.
#[derive(Clone, Debug, PartialEq)]
pub enum Tailed {
    /// Sums of a span.
    Span(Span),
    /// A share.
    Share(Box<KeptShare>),
    /// What would have been next is not there.
    Gone(Gone),
}

/// See the module. Of seconds it gives spans, of evidence shares.
#[derive(Debug)]
pub struct Tail {
    reader: Reader,
    stream: Stream,
    mark: Mark,
    /// Before everything, segments that end before this are passed over.
    since_ms: u64,
    open: Option<Open>,
}

/// The segment that is being read.
#[derive(Debug)]
struct Open {
    name: String,
    /// What was read and is not understood yet,
    unread: Vec<u8>,
    /// of which so much is used up,
    used: usize,
    /// and where in the file that is.
    at: u64,
    names: Names,
    jobs: Vec<Arc<Job>>,
    /// The parts of a span that has not ended.
    parts: Vec<Sums>,
}

impl Open {
    fn new(stream: Stream, segment: u64) -> Self {
        Self {
            name: stream.file_name(segment),
            unread: Vec::new(),
            used: 0,
            at: HEADER_LENGTH as u64,
            names: Names::default(),
            jobs: Vec::new(),
            parts: Vec::new(),
        }
    }

    /// The next whole record, if that was read. It is used up.
    fn record(&mut self) -> Option<Vec<u8>> {
        let record = first_record(&self.unread[self.used..])?.to_vec();
        let length = FRAME_LENGTH + record.len();
        self.used += length;
        self.at += length as u64;
        Some(record)
    }

    /// Reads on; false if there is nothing more, or more than any record takes is there already.
    fn read_on(&mut self, storage: &dyn Storage) -> io::Result<bool> {
        self.unread.drain(..self.used);
        self.used = 0;
        if self.unread.len() >= FRAME_LENGTH + RECORD_MAX {
            return Ok(false);
        }
        let more = storage.read_from(&self.name, self.at + self.unread.len() as u64, CHUNK)?;
        self.unread.extend_from_slice(&more);
        Ok(!more.is_empty())
    }
}

impl Tail {
    /// What comes after a mark.
    #[must_use]
    pub fn new(storage: Box<dyn Storage>, stream: Stream, mark: Mark) -> Self {
        Self { reader: Reader::of(storage), stream, mark, since_ms: 0, open: None }
    }

    /// The same, but from before everything it begins with the segment that has this moment in it, Unix milliseconds.
    #[must_use]
    pub fn since(self, since_ms: u64) -> Self {
        Self { since_ms, ..self }
    }

    /// Everything before this was given.
    #[must_use]
    pub fn mark(&self) -> Mark {
        self.mark
    }

    /// Goes back, or on, to a mark.
    pub fn rewind(&mut self, mark: Mark) {
        self.mark = mark;
        self.open = None;
    }

    /// Bytes that are there after a mark.
    ///
    /// # Errors
    /// The system's.
    pub fn bytes_after(&self, mark: Mark) -> io::Result<u64> {
        let mut bytes = 0;
        for (name, length) in self.reader.storage.list()? {
            let Some((stream, number)) = Stream::of_file_name(&name) else { continue };
            if stream == self.stream && number >= mark.segment {
                let read = if number == mark.segment { mark.offset } else { HEADER_LENGTH as u64 };
                bytes += length.saturating_sub(read);
            }
        }
        Ok(bytes)
    }

    /// What comes next; nothing if that is not written yet.
    ///
    /// # Errors
    /// The system's. Nothing is passed over then.
    pub fn follow(&mut self) -> io::Result<Option<Tailed>> {
        loop {
            if self.open.is_none() {
                match self.begin()? {
                    Begun::Nothing => return Ok(None),
                    Begun::Segment => {}
                    Begun::Gone(gone) => return Ok(Some(Tailed::Gone(gone))),
                }
            }
            let Some(open) = &mut self.open else { continue };
            let begins = open.at;
            if let Some(record) = open.record() {
                if let Some(tailed) = self.take(&record, begins) {
                    return Ok(Some(tailed));
                }
                continue;
            }
            if self.read_on()? == More::Some {
                continue;
            }
            let Some(next) = self.next_segment()? else { return Ok(None) };
            // What was written before that one was begun.
            let more = self.read_on()?;
            if more == More::Some {
                continue;
            }
            let left = self.open.as_ref().is_some_and(|open| !open.unread.is_empty());
            if let Some(why) = self.move_to(&next)?.or(match more {
                More::Vanished => Some(GoneWhy::Evicted),
                _ => left.then_some(GoneWhy::Damaged),
            }) {
                return Ok(Some(Tailed::Gone(Gone { why, until_ms: next.header.began_ms })));
            }
        }
    }

    fn read_on(&mut self) -> io::Result<More> {
        let Some(open) = &mut self.open else { return Ok(More::None) };
        match open.read_on(self.reader.storage.as_ref()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(More::Vanished),
            Ok(true) => Ok(More::Some),
            Ok(false) => Ok(More::None),
            Err(error) => Err(error),
        }
    }

    /// What a record says, if that is to be told.
    fn take(&mut self, record: &[u8], begins: u64) -> Option<Tailed> {
        let open = self.open.as_mut()?;
        // What its own checksum vouches for and nobody understands is passed over: a later version's, perhaps.
        match understand(record, &mut open.names, &mut open.jobs)?? {
            Entry::Sums(sums) => {
                let sums = whole(&mut open.parts, sums)?;
                self.mark.offset = open.at;
                // The same again: an error of the disk had it written anew.
                if sums.sequence <= self.mark.sequence {
                    return None;
                }
                self.mark.sequence = sums.sequence;
                let Sums { sequence, from_ms, to_ms, rows, .. } = sums;
                Some(Tailed::Span(Span { instance: self.mark.instance, sequence, from_ms, to_ms, rows }))
            }
            Entry::Share(share) => {
                self.mark.offset = open.at;
                let at = Mark { offset: begins, ..self.mark };
                let job = Share::job_number(record)?;
                Some(Tailed::Share(Box::new(KeptShare { at, job, share })))
            }
            _ => None,
        }
    }

    /// Opens the segment of the mark, or the one after it.
    fn begin(&mut self) -> io::Result<Begun> {
        if self.mark.segment == 0 {
            // Nothing was read yet: what was evicted before is nobody's loss.
            let Some(mut first) = self.next_segment()? else { return Ok(Begun::Nothing) };
            loop {
                self.move_to(&first)?;
                match self.next_segment()? {
                    Some(next) if next.header.began_ms <= self.since_ms => first = next,
                    _ => return Ok(Begun::Segment),
                }
            }
        }
        let name = self.stream.file_name(self.mark.segment);
        let start = match self.reader.storage.read_start(&name, HEADER_LENGTH) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.without_it(),
            start => start?,
        };
        let Mark { instance, began_ms, offset, .. } = self.mark;
        let same = Header::decode(&start)
            .is_some_and(|header| (header.instance, header.began_ms) == (instance, began_ms));
        if !same {
            return Ok(self.replaced());
        }
        let mut open = Open::new(self.stream, self.mark.segment);
        while open.at < offset {
            match open.record() {
                Some(record) => {
                    let _ = understand(&record, &mut open.names, &mut open.jobs);
                }
                None if open.read_on(self.reader.storage.as_ref())? => {}
                // It was cut off before: what was written anew stands in the next.
                None => break,
            }
        }
        if open.at > offset {
            return Ok(self.replaced());
        }
        self.open = Some(open);
        Ok(Begun::Segment)
    }

    /// The segment of the mark is not there any more.
    fn without_it(&mut self) -> io::Result<Begun> {
        let Some(next) = self.next_segment()? else {
            // Lower numbers begin anew where everything was removed.
            let others = self.numbers()?.into_iter().any(|number| number < self.mark.segment);
            return Ok(if others { self.replaced() } else { Begun::Nothing });
        };
        let evicted = self.evicted_through()? >= self.mark.segment;
        self.move_to(&next)?;
        let why = if evicted { GoneWhy::Evicted } else { GoneWhy::Damaged };
        Ok(Begun::Gone(Gone { why, until_ms: next.header.began_ms }))
    }

    /// Another ledger: it is read from its beginning.
    fn replaced(&mut self) -> Begun {
        self.rewind(Mark::default());
        Begun::Gone(Gone { why: GoneWhy::Replaced, until_ms: 0 })
    }

    /// Goes on with a later segment; tells if one before it is missing.
    fn move_to(&mut self, next: &Next) -> io::Result<Option<GoneWhy>> {
        let before = self.mark;
        let Header { instance, began_ms, number, .. } = next.header;
        self.mark = Mark {
            segment: number,
            instance,
            began_ms,
            offset: HEADER_LENGTH as u64,
            // Each run numbers on, and never writes anew what another has written.
            sequence: if instance == before.instance { before.sequence } else { 0 },
        };
        self.open = Some(Open::new(self.stream, number));
        if next.damaged {
            return Ok(Some(GoneWhy::Damaged));
        }
        // A number may be missing because nothing was ever written to its segment.
        let between = before.segment > 0 && number > before.segment + 1;
        let evicted = between && self.evicted_through()? > before.segment;
        Ok(evicted.then_some(GoneWhy::Evicted))
    }

    /// The segment after the mark's.
    fn next_segment(&self) -> io::Result<Option<Next>> {
        let mut later: Vec<u64> =
            self.numbers()?.into_iter().filter(|number| *number > self.mark.segment).collect();
        if later.is_empty() {
            return Ok(None);
        }
        later.sort_unstable();
        let evicted = self.evicted_through()?;
        let mut damaged = false;
        for number in later.into_iter().filter(|number| *number > evicted) {
            let start = match self.reader.storage.read_start(&self.stream.file_name(number), HEADER_LENGTH) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                start => start?,
            };
            match Header::decode(&start) {
                Some(header) if (header.stream, header.number) == (self.stream, number) => {
                    return Ok(Some(Next { header, damaged }));
                }
                // One without a whole header is just being made, or never was.
                _ => damaged |= start.len() >= HEADER_LENGTH,
            }
        }
        Ok(None)
    }

    fn numbers(&self) -> io::Result<Vec<u64>> {
        let files = self.reader.storage.list()?;
        let segments = files.iter().filter_map(|(name, _)| Stream::of_file_name(name));
        Ok(segments.filter(|(stream, _)| *stream == self.stream).map(|(_, number)| number).collect())
    }

    fn evicted_through(&self) -> io::Result<u64> {
        Ok(self.reader.evicted()?.get(&self.stream).map_or(0, |evicted| evicted.through))
    }
}

/// What reading on gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum More {
    Some,
    None,
    /// The file is not there any more.
    Vanished,
}

enum Begun {
    Nothing,
    Segment,
    Gone(Gone),
}

/// A segment that comes next.
struct Next {
    header: Header,
    /// Something that is no segment stands before it.
    damaged: bool,
}

/// Puts the parts of a span together; gives it when it is whole.
fn whole(parts: &mut Vec<Sums>, sums: Sums) -> Option<Sums> {
    let name = |sums: &Sums| (sums.sequence, sums.from_ms);
    if sums.part == 0 || parts.first().is_some_and(|first| name(first) != name(&sums)) {
        parts.clear();
    }
    if parts.len() as u64 != sums.part {
        return None;
    }
    let last = sums.last;
    parts.push(sums);
    if !last {
        return None;
    }
    let mut parts = std::mem::take(parts).into_iter();
    let mut span = parts.next()?;
    parts.for_each(|part| span.rows.extend(part.rows));
    Some(span)
}
