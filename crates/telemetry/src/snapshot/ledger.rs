//! The ledger.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

/// What is written down of every share, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LedgerSnapshot {
    /// Why it cannot be written; absent while it can.
    pub trouble: Option<String>,
    /// Records written since the process started.
    pub records_total: u64,
    /// Shares among them: evidence.
    pub shares_total: u64,
    /// Shares that were to be kept as evidence and were not recorded.
    pub shares_lost_total: u64,
    /// Times that the disk did not take what was to be written.
    pub failures_total: u64,
    /// Gaps that were marked.
    pub gaps_total: u64,
    /// Bytes on the disk, by stream.
    pub bytes: BTreeMap<Cow<'static, str>, u64>,
    /// Records that went because of their age or the ledger's size, by stream.
    pub evicted_total: BTreeMap<Cow<'static, str>, u64>,
}
