//! How a receipt lies in its file: eight bytes, then one zlib stream of records, then nothing.

/// The first bytes of a receipt: name, version 1, kind 1.
pub const MAGIC: [u8; 8] = *b"ADITRC\x01\x01";
/// The first bytes of several receipts that were merged: kind 2.
pub const MERGED_MAGIC: [u8; 8] = *b"ADITRC\x01\x02";

/// Shares at most. About 2,000 are expected.
pub const MAX_SHARES: u64 = 100_000;
/// Counter-signatures at most: one an hour for a year, and some.
pub const MAX_COUNTER_SIGNATURES: u64 = 10_000;
/// The longest record, in bytes: a job with both halves of its coinbase at their longest.
pub const MAX_RECORD: usize = 160 * 1024;
/// What a receipt may unpack to, in bytes.
pub const MAX_UNPACKED: u64 = 64 * 1024 * 1024;
/// What its jobs may come to when they are whole, in bytes.
pub const MAX_JOBS: u64 = 256 * 1024 * 1024;
/// How many jobs back a share's job may be. A job that is older stands there again.
pub const JOB_WINDOW: usize = 256;
/// What those jobs may come to, in bytes.
pub const MAX_WINDOW: usize = 8 * 1024 * 1024;
/// What there may be to hash for all shares, in bytes: a second's worth.
pub const MAX_HASHED: u64 = 512 * 1024 * 1024;

/// Kinds of records.
pub(crate) mod kind {
    pub(crate) const TERMS: u8 = 1;
    pub(crate) const HEADER: u8 = 2;
    pub(crate) const JOB: u8 = 3;
    pub(crate) const SHARE: u8 = 4;
    pub(crate) const COUNTER: u8 = 5;
    pub(crate) const CLAIM: u8 = 6;
}
