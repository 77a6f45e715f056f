//! What the server counts, and the pool of custom jobs. Everything here is rare: one lock holds it.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde::Serialize;

use super::lock;

/// The server's counters at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JdsStats {
    /// Connections open.
    pub connections: u64,
    /// Connections ever accepted.
    pub connections_total: u64,
    /// Tokens given.
    pub tokens: u64,
    /// DeclareMiningJob messages.
    pub declarations: u64,
    /// Of which answered with Success.
    pub declared: u64,
    /// Of which answered with an error, by code.
    pub declarations_refused: BTreeMap<String, u64>,
    /// Transactions asked for.
    pub transactions_asked: u64,
    /// Transactions given when asked for.
    pub transactions_provided: u64,
    /// Answers to nothing that was asked.
    pub stray_answers: u64,
    /// Custom jobs that the pool acknowledged.
    pub custom_jobs: u64,
    /// Custom jobs that it refused, by code.
    pub custom_jobs_refused: BTreeMap<String, u64>,
    /// Shares of custom jobs that were accepted.
    pub custom_shares: u64,
    /// PushSolution messages.
    pub solutions: u64,
    /// Of which belonged to no job that was declared, or are no block.
    pub solutions_useless: u64,
}

#[derive(Debug, Default)]
pub(in crate::dev_pool) struct Counters(Mutex<JdsStats>);

impl Counters {
    pub(in crate::dev_pool) fn count(&self, change: impl FnOnce(&mut JdsStats)) {
        change(&mut lock(&self.0));
    }

    pub(in crate::dev_pool) fn snapshot(&self) -> JdsStats {
        lock(&self.0).clone()
    }
}
