//! What stands in records.

mod evidence;
mod lease;
mod notes;
mod segment;
mod sums;
mod threshold;

pub(crate) use evidence::EvidenceEncoder;
pub use evidence::{Job, Share};
pub use lease::Lease;
pub use notes::{Cut, Evicted, Gap, Network, Run};
pub use segment::{Entry, SegmentEnd, read_segment};
pub(crate) use segment::{read_times, understand};
pub use sums::Sums;
pub(crate) use sums::{Names, Span, SumsEncoder};
pub use threshold::{Threshold, Thresholds};

/// A record's first byte.
mod kind {
    pub(super) const WORDS: u8 = 1;
    pub(super) const KEYS: u8 = 2;
    pub(super) const SUMS: u8 = 3;
    pub(super) const GAP: u8 = 4;
    pub(super) const EVICTED: u8 = 5;
    pub(super) const RUN: u8 = 6;
    pub(super) const NETWORK: u8 = 7;
    pub(super) const JOB: u8 = 8;
    pub(super) const SHARE: u8 = 9;
    pub(super) const LEASE: u8 = 10;
    pub(super) const CUT: u8 = 11;
    pub(super) const THRESHOLDS: u8 = 12;
}
