//! The HTTP server.

mod access;
mod answer;
mod cache;
mod changes;
mod counters;
mod details;
mod door;
mod history;
mod moving;
mod openapi;
mod pages;
mod paths;
mod patience;
mod places;
mod query;
mod receipts;
mod server;
mod stream;
mod workers;

use std::sync::Arc;

pub use access::{Access, Tokens};
pub use changes::{CHANGE_LENGTH_MAX, Changes};
pub use details::Details;
pub use moving::{Mover, Moves, MovingListener};
pub use places::SLOW_AFTER;
pub use query::LIMIT_MAX;
pub use receipts::{COUNTER_LENGTH_MAX, RECEIPT_LENGTH_MAX, Receipts};
pub use server::{
    CACHE_FOR, EXCHANGE_DEADLINE, Limits, MAX_CONNECTIONS, MAX_REQUEST_HEAD, SHUTDOWN_GRACE, Server,
};

pub use stream::{MAX_STREAMS, STREAM_EVERY};

use crate::snapshot::Snapshot;

/// Takes a snapshot. Sums need not be made: the server makes them.
pub type Provider = Arc<dyn Fn() -> Snapshot + Send + Sync>;

#[cfg(test)]
mod tests;
