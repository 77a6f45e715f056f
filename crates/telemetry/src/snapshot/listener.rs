//! A listener at one moment.

use schemars::JsonSchema;
use serde::Serialize;

use super::{BooksSnapshot, Reasons};

/// How many miners a listener has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MinersSnapshot {
    /// Open connections.
    pub connected: u64,
    /// Those of them that have an authorised worker and so can hand in shares.
    pub authorised: u64,
}

/// Handshakes of miners, by how they ended; one that the miner broke off is in none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HandshakesSnapshot {
    /// Noise handshakes done.
    pub noise_done_total: u64,
    /// Noise handshakes that were wrong, or not done in time.
    pub noise_failed_total: u64,
    /// TLS handshakes done.
    pub tls_done_total: u64,
    /// TLS handshakes that were wrong, or not done in time.
    pub tls_failed_total: u64,
}

/// How often miners were told another difficulty; the first that one is told is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RetargetsSnapshot {
    /// A harder one.
    pub harder_total: u64,
    /// An easier one.
    pub easier_total: u64,
}

/// A place where miners connect.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
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
    /// Handshakes since the start.
    pub handshakes: HandshakesSnapshot,
    /// Changes of its miners' difficulties since the start.
    pub retargets: RetargetsSnapshot,
    /// Shares of its miners. Derived from the accounts: leave it empty.
    pub books: BooksSnapshot,
}
