//! What an SV1 dev pool has seen.

use std::collections::{BTreeMap, BTreeSet};

/// What an SV1 dev pool has seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sv1PoolStats {
    /// Connections now.
    pub connections: usize,
    /// Connections, ever.
    pub connected: u64,
    /// Good shares.
    pub accepted: u64,
    /// By worker.
    pub accepted_of: BTreeMap<String, u64>,
    /// Sum of their difficulty.
    pub work: f64,
    /// Shares refused.
    pub refused: u64,
    /// By SV1's numbers.
    pub refused_by: BTreeMap<i64, u64>,
    /// Blocks that the chain took.
    pub blocks: u64,
    /// Height of the chain's tip.
    pub height: u32,
    /// Passwords that workers gave.
    pub passwords: BTreeSet<String>,
}
