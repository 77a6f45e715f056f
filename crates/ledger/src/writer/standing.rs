//! How a ledger stands.

use std::collections::BTreeMap;

use crate::stream::Stream;

/// Counts since it was opened, but for the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Records written: spans of sums, shares, notes.
    pub records: u64,
    /// Shares among them.
    pub shares: u64,
    /// Shares that were to be kept and were not recorded.
    pub shares_lost: u64,
    /// Times that the disk did not take what was to be written.
    pub failures: u64,
    /// Gaps that were noted.
    pub gaps: u64,
    /// Why nothing can be written at present; nothing while it can.
    pub trouble: Option<String>,
    /// Bytes on the disk, by stream.
    pub bytes: [(Stream, u64); 5],
    /// Records that were evicted, by stream.
    pub evicted: BTreeMap<Stream, u64>,
}

impl Default for Standing {
    fn default() -> Self {
        let streams = [Stream::Seconds, Stream::Minutes, Stream::Hours, Stream::Evidence, Stream::Notes];
        Self {
            records: 0,
            shares: 0,
            shares_lost: 0,
            failures: 0,
            gaps: 0,
            trouble: None,
            bytes: streams.map(|stream| (stream, 0)),
            evicted: BTreeMap::new(),
        }
    }
}
