//! A listener at one moment.

use serde::Serialize;

use super::{BooksSnapshot, Reasons};

/// How many miners a listener has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MinersSnapshot {
    /// Open connections.
    pub connected: u64,
    /// Those of them that have an authorised worker and so can hand in shares.
    pub authorised: u64,
}

/// A place where miners connect.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ListenerSnapshot {
    /// Its name in the configuration.
    pub name: String,
    /// The address that it is bound to, `host:port`.
    pub address: String,
    /// Bytes of a miner's `extranonce1`; absent until it is chosen, at the start.
    pub extranonce1_size: Option<u8>,
    /// Bytes that a miner rolls itself, likewise.
    pub extranonce2_size: Option<u8>,
    /// Miners there now.
    pub miners: MinersSnapshot,
    /// Connections accepted since the start.
    pub connections_total: u64,
    /// Connections closed since the start, by reason.
    pub closed_total: Reasons,
    /// Shares of its miners. Derived from the accounts: leave it empty.
    pub books: BooksSnapshot,
}
