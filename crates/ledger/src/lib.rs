//! The books and their evidence on disk.
//!
//! A ledger is a directory of segments: append-only files of records, each with its length and a checksum, in six
//! streams ([`Stream`]). [`Ledger`] writes them and never loses what was there for a second; [`Reader`] reads them, also
//! while they are written. `docs/ledger.md` is the format's specification.
//!
//! - sums: what the books' counters have grown by, by worker, listener, route, source, state and reason, each second, put
//!   together by minute and by hour. They are whole numbers: however they are cut, they add up to the books.
//! - evidence: shares with all that it takes to hash them again.
//! - leases: how much work goals with a bound have had ([`LeaseLog`]).
//!
//! Nothing here has a thread, a clock or a queue: whoever owns a [`Ledger`] calls it, on a thread that may wait for the
//! disk.

mod checksum;
mod coding;
mod columns;
pub mod frame;
mod leases;
mod log;
mod network;
mod numbers;
mod read;
pub mod record;
mod rollup;
mod rows;
mod sheet;
mod spans;
mod storage;
mod stream;
#[cfg(test)]
mod tests;
mod writer;

pub use columns::{Columns, Growth, hashes};
pub use leases::LeaseLog;
pub use network::subsidy;
pub use numbers::Key;
pub use read::{Damage, Gone, GoneWhy, Highest, KeptShare, Mark, Period, Reader, Span, Tail, Tailed};
pub use rollup::{HOUR_MS, MINUTE_MS};
pub use rows::{Amount, Column, Row, RowKey, Rows, add_row, without_workers};
pub use storage::{Directory, FILE_MAX, SegmentFile, Storage};
pub use stream::Stream;
pub use writer::{Bounds, Ledger, LedgerError, Looking, Standing, Taking};
