//! Publishing the ledger.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::Reasons;

/// How the ledger is published to a NATS JetStream system, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct NatsSnapshot {
    /// A server is connected and the stream is as it must be.
    pub connected: bool,
    /// That server; absent while there is none.
    pub server: Option<String>,
    /// The stream that is published to.
    pub stream: String,
    /// Why nothing is published; absent while all is well.
    pub trouble: Option<String>,
    /// How long that has been so; 0 while all is well.
    pub trouble_seconds: f64,
    /// Messages that were acknowledged since the process started, by the word of their subject.
    pub published_total: BTreeMap<Cow<'static, str>, u64>,
    /// Of these, those that the stream had already: they were sent again because an acknowledgement was missing.
    pub duplicates_total: u64,
    /// Times that publishing ended with an error.
    pub failures_total: u64,
    /// Records that were given up, as far as their number is known, by stream and reason.
    pub given_up_total: BTreeMap<Cow<'static, str>, Reasons>,
    /// Gaps that the stream was told of.
    pub gaps_total: u64,
    /// Bytes of the ledger that are not acknowledged yet, by stream.
    pub waiting_bytes: BTreeMap<Cow<'static, str>, u64>,
    /// How old the oldest of these is; 0 where nothing waits.
    pub waiting_seconds: f64,
    /// Messages that were sent and are not acknowledged yet.
    pub in_flight: u64,
}
