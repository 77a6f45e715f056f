//! What is published: JSON documents, each with an id that is the same however often it is made. docs/nats.md describes
//! them field by field.

use std::collections::BTreeMap;

use bytes::Bytes;
use ledger::record::{Job, Share};
use ledger::{KeptShare, Mark, Row, RowKey, Span};
use serde::{Serialize, Serializer};

use super::settings::Subject;

/// The version of the documents.
const VERSION: u32 = 1;
/// A message of sums is closed before it is longer than this: it fits where the servers take 64 KiB.
const SUMS_LENGTH: usize = 60_000;

/// A message that is ready to be sent.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) subject: Subject,
    pub(super) id: String,
    pub(super) body: Bytes,
}

/// What every document begins with.
#[derive(Serialize)]
struct Head<'a> {
    v: u32,
    kind: &'static str,
    id: &'a str,
    adit: &'a str,
}

#[derive(Serialize)]
struct SumsDocument<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    sequence: u64,
    part: usize,
    last: bool,
    from_ms: u64,
    to_ms: u64,
    rows: &'a [RowDocument<'a>],
}

#[derive(Serialize)]
struct RowDocument<'a> {
    #[serde(flatten)]
    key: KeyDocument<'a>,
    squares: f64,
    cells: BTreeMap<&'a str, (i64, Digits)>,
}

#[derive(Serialize)]
struct KeyDocument<'a> {
    worker: &'a str,
    listener: &'a str,
    route: &'a str,
    source: &'a str,
}

/// A whole number that may have more digits than a reader's floats keep.
struct Digits(i128);

impl Serialize for Digits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

#[derive(Serialize)]
struct JobDocument<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    source: &'a str,
    version: u32,
    prev_hash: String,
    nbits: u32,
    min_ntime: u32,
    prefix_length: Option<u8>,
    coinbase_prefix: String,
    coinbase_suffix: String,
    merkle_path: Vec<String>,
}

#[derive(Serialize)]
struct ShareDocument<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    job: &'a str,
    at_ms: u64,
    #[serde(flatten)]
    key: KeyDocument<'a>,
    extranonce: String,
    ntime: u32,
    nonce: u32,
    version: u32,
    difficulty: f64,
    keep: f64,
}

#[derive(Serialize)]
struct GapDocument<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    stream: &'static str,
    why: &'static str,
    records: Option<u64>,
    from_ms: u64,
    to_ms: u64,
}

/// Something that is not published, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) stream: Subject,
    pub(super) why: Why,
    /// Where nobody knows how many there were: nothing.
    pub(super) records: Option<u64>,
    pub(super) from_ms: u64,
    pub(super) to_ms: u64,
}

/// Why something is not published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Why {
    /// Older than `spool_age`.
    Age,
    /// More waited than `spool_max`.
    Size,
    /// The ledger evicted it before.
    Evicted,
    /// It cannot be read.
    Damaged,
    /// Another ledger stands in its place.
    Replaced,
    /// The servers take no message of that length.
    TooLong,
}

impl Why {
    pub(super) const ALL: [Self; 6] =
        [Self::Age, Self::Size, Self::Evicted, Self::Damaged, Self::Replaced, Self::TooLong];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Size => "size",
            Self::Evicted => "evicted",
            Self::Damaged => "damaged",
            Self::Replaced => "replaced",
            Self::TooLong => "too_long",
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn key(key: &RowKey) -> KeyDocument<'_> {
    KeyDocument { worker: &key.worker, listener: &key.listener, route: &key.route, source: &key.source }
}

fn message(subject: Subject, id: &str, document: &impl Serialize) -> Message {
    let body = serde_json::to_vec(document).expect("numbers, texts and lists of them");
    Message { subject, id: id.to_owned(), body: body.into() }
}

fn head<'a>(kind: &'static str, id: &'a str, adit: &'a str) -> Head<'a> {
    Head { v: VERSION, kind, id, adit }
}

/// A span of sums: as many messages as it takes, always the same.
pub(super) fn sums(span: &Span, adit: &str) -> Vec<Message> {
    let rows: Vec<RowDocument<'_>> = span.rows.iter().map(|(of, row)| row_document(of, row)).collect();
    let mut parts = Vec::new();
    let (mut begin, mut length) = (0, 0);
    for (at, row) in rows.iter().enumerate() {
        let mut counter = Counter(0);
        let _ = serde_json::to_writer(&mut counter, row);
        if at > begin && length + counter.0 > SUMS_LENGTH {
            parts.push(begin..at);
            (begin, length) = (at, 0);
        }
        length += counter.0 + 1;
    }
    parts.push(begin..rows.len());
    let last = parts.len() - 1;
    let document = |(part, range): (usize, std::ops::Range<usize>)| {
        let id = format!("{}-s-{}-{}-{part}", hex(&span.instance), span.from_ms, span.sequence);
        let document = SumsDocument {
            head: head("sums", &id, adit),
            sequence: span.sequence,
            part,
            last: part == last,
            from_ms: span.from_ms,
            to_ms: span.to_ms,
            rows: &rows[range],
        };
        message(Subject::Sums, &id, &document)
    };
    parts.into_iter().enumerate().map(document).collect()
}

fn row_document<'a>(of: &'a RowKey, row: &'a Row) -> RowDocument<'a> {
    let cells = row.cells.iter().filter(|(_, amount)| !amount.is_zero());
    let cells = cells.map(|(word, amount)| (&**word, (amount.count, Digits(amount.hashes)))).collect();
    RowDocument { key: key(of), squares: row.squares, cells }
}

/// Counts what is written to it.
struct Counter(usize);

impl std::io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The id of a job that shares of a segment refer to.
fn job_id(at: Mark, number: u64) -> String {
    format!("{}-j-{}-{}-{number}", hex(&at.instance), at.began_ms, at.segment)
}

/// A job that shares refer to.
pub(super) fn job(kept: &KeptShare, adit: &str) -> Message {
    let job: &Job = &kept.share.job;
    let id = job_id(kept.at, kept.job);
    let document = JobDocument {
        head: head("job", &id, adit),
        source: &job.source,
        version: job.version,
        prev_hash: hex(&job.prev_hash),
        nbits: job.nbits,
        min_ntime: job.min_ntime,
        prefix_length: job.prefix_length,
        coinbase_prefix: hex(&job.coinbase_prefix),
        coinbase_suffix: hex(&job.coinbase_suffix),
        merkle_path: job.merkle_path.iter().map(|node| hex(node)).collect(),
    };
    message(Subject::Evidence, &id, &document)
}

/// A share.
pub(super) fn share(kept: &KeptShare, adit: &str) -> Message {
    let KeptShare { at, job, share } = kept;
    let share: &Share = share;
    let id = format!("{}-e-{}-{}-{}", hex(&at.instance), at.began_ms, at.segment, at.offset);
    let document = ShareDocument {
        head: head("share", &id, adit),
        job: &job_id(*at, *job),
        at_ms: share.at_ms,
        key: key(&share.key),
        extranonce: hex(&share.extranonce),
        ntime: share.ntime,
        nonce: share.nonce,
        version: share.version,
        difficulty: share.difficulty,
        keep: share.keep,
    };
    message(Subject::Evidence, &id, &document)
}

/// What is not published between two marks.
pub(super) fn gap(gap: &Gap, from: Mark, to: Mark, adit: &str) -> Message {
    let id = format!(
        "{}-g-{}-{}-{}-{}-{}-{}-{}-{}",
        hex(&from.instance),
        gap.stream.word(),
        from.began_ms,
        from.segment,
        from.offset,
        hex(&to.instance),
        to.began_ms,
        to.segment,
        to.offset
    );
    let document = GapDocument {
        head: head("gap", &id, adit),
        stream: gap.stream.word(),
        why: gap.why.word(),
        records: gap.records,
        from_ms: gap.from_ms,
        to_ms: gap.to_ms,
    };
    message(Subject::Gaps, &id, &document)
}
