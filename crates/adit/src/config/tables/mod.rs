//! Every key of the configuration: its type, its default, its bounds and what it does.
//!
//! `docs/configuration.md`, the example configuration's test and every suggestion in an error are made from
//! these tables, one a file.

mod declared;
mod firmware;
mod goal;
mod http;
mod ledger;
mod limits;
mod listener;
mod log;
mod nats;
mod pin;
mod receipts;
mod route;
mod solo;
mod source;
mod state;
mod template;

use std::time::Duration;

pub use self::ledger::{EVIDENCE_KEPT, EVIDENCE_MAX, HOURS_KEPT, Ledger, MINUTES_KEPT, SUMS_MAX};
pub use declared::{DeclareMode, Declared};
pub use firmware::{FIRMWARE_EXTRANONCE2_MAX, Firmware};
pub use goal::{Goal, WEIGHT};
pub use http::{HTTP_LISTEN, Http, WORKER_SERIES, WORKER_SERIES_MAX};
pub use limits::{
    ACCEPT_RATE, CONNECTIONS_MAX, FRAME, HANDSHAKE, IDLE, LINE, LOOKUP, Limits, MAX_CONNECTIONS, MEMORY_MAX,
    MEMORY_MIN, OPEN_FILES_RESERVE, OUTBOX, SETUP, SHUTDOWN_GRACE, WORKERS_MAX, WORKERS_MAX_MAX,
};
pub use listener::{
    DIFFICULTY_MIN, DIFFICULTY_START, EXTRANONCE1_SIZE, EXTRANONCE2_SIZE, LISTENER_LISTEN, Listener,
    MAX_CONNECTIONS_PER_ADDRESS, Protocol, Reply, SHARES_PER_MINUTE, VERSION_MASK,
};
pub use log::{Log, LogFormat, LogLevel};
pub use nats::{Nats, SPOOL_AGE, SPOOL_MAX, WhenFull};
pub use pin::Pin;
pub use receipts::Receipts;
pub use route::{KEEPALIVE, OUTAGE_GRACE, RETURN_AFTER, Route};
pub use solo::Solo;
pub use source::{
    CERTIFICATE_LEEWAY, CONNECT_TIMEOUT, NTIME_SLACK, NTIME_SLACK_MAX, PAYOUT_PERCENT, SHARES_UNSETTLED_MAX,
    SHARES_UNSETTLED_MIN, Source,
};
pub use state::{State, state_directory};
pub use template::{
    Chain, FEE_THRESHOLD, FEE_THRESHOLD_MAX, Interface, MIN_INTERVAL, RpcLogin, Template, TemplateFrom,
    TemplateKind,
};

use super::section::Table;
use super::table::KeyInfo;

/// The only version of the configuration's format there is.
pub const VERSION: i64 = 1;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The keys of a table, in the order of the documentation.
pub(crate) fn keys_of(table: Table) -> Vec<KeyInfo> {
    match table {
        Table::Listener => Listener::keys(),
        Table::Source => Source::keys(),
        Table::Template => Template::keys(),
        Table::Solo => Solo::keys(),
        Table::Declared => Declared::keys(),
        Table::Route => Route::keys(),
        Table::Goal => Goal::keys(),
        Table::Pin => Pin::keys(),
        Table::Firmware => Firmware::keys(),
        Table::State => State::keys(),
        Table::Ledger => Ledger::keys(),
        Table::Nats => Nats::keys(),
        Table::Receipts => Receipts::keys(),
        Table::Http => Http::keys(),
        Table::Log => Log::keys(),
        Table::Limits => Limits::keys(),
    }
}
