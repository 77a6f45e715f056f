//! The HTTP server.

mod cache;
mod changes;
mod counters;
mod pages;
mod patience;
mod server;

use std::sync::Arc;

pub use changes::{CHANGE_LENGTH_MAX, Changes};
pub use server::{
    CACHE_FOR, EXCHANGE_DEADLINE, Limits, MAX_CONNECTIONS, MAX_REQUEST_HEAD, SHUTDOWN_GRACE, Server,
};

use crate::snapshot::Snapshot;

/// Takes a snapshot. Sums need not be made: the server makes them.
pub type Provider = Arc<dyn Fn() -> Snapshot + Send + Sync>;

#[cfg(test)]
mod tests;
