//! `[receipts]`

use std::path::PathBuf;
use std::time::Duration;

use super::seconds;
use crate::config::kind::{FilePath, Maybe, Span};
use crate::config::table::table;

table! {
    /// Receipts of delivered hashrate that are issued by themselves: docs/guide/receipts.md.
    #[derive(Default)]
    pub struct Receipts {
        /// File with the key that signs them, as `adit keys --receipt` makes it; only Adit's own user may read it. A ledger with
        /// evidence must be kept.
        key_file: Option<PathBuf> = Maybe(FilePath("/etc/adit/receipt.key")), default None,
            says "not set: none are issued";
        /// Each file `NAME.terms` there says what is delivered and when; as each of its periods is over, the receipt is put
        /// beside it, as `NAME-1.receipt` and so on. While terms that want a tag are on, it is written into the shares. Files may
        /// come and go at any time.
        directory: Option<PathBuf> = Maybe(FilePath("/var/lib/adit/receipts")), default None,
            says "not set: `receipts` in the state directory";
        /// While a period runs, this often a root over its shares so far is put there, as `NAME-1.root`, for the other side to
        /// counter-sign: it bounds from above when they were made. Each time the evidence of the period is read once more. 0: none.
        counter_every: Duration = Span::seconds(seconds(0)..=seconds(7 * 86_400)), default Duration::ZERO;
    }
}
