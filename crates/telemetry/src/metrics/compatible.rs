//! The reference implementation's metrics by its names, so that boards made for it go on.
//!
//! Its labels are kept, with what Adit has for them: a `user_identity` upstream is the source's name, downstream the
//! worker's, for those that have series; `client_id` and `channel_id`, of which there are as many as anybody likes to open,
//! stay empty.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use super::families::{Families, descriptions_of};
use super::table::{metrics, table_of};
use super::workers::label;
use crate::snapshot::{Protocols, ProtocolsNow, Snapshot, WorkersInSeries};

metrics! {
    COMPATIBLE_METRICS "Every metric of the compatibility set, in the order of the documentation.";

    UPTIME = Gauge "sv2_uptime_seconds" [] "seconds"
        "Time since the process started."
    SERVER_CHANNELS = Gauge "sv2_server_channels" ["channel_type"] "channels"
        "Channels open with sources; Adit opens extended ones only, and a Stratum V1 pool's connection counts as one."
    SERVER_HASHRATE = Gauge "sv2_server_hashrate_total" [] "hashes per second"
        "Estimate of what all miners deliver."
    SERVER_CHANNEL_HASHRATE = Gauge "sv2_server_channel_hashrate" ["channel_id" "user_identity"] "hashes per second"
        "Estimate of what is delivered to a source, all channels together: user_identity is its name."
    SERVER_ACCEPTED = Counter "sv2_server_shares_accepted_total" ["channel_id" "user_identity"] "shares"
        "Shares that a source acknowledged, all channels together."
    SERVER_REJECTED = Counter "sv2_server_shares_rejected_total" ["channel_id" "user_identity" "error_code"] "shares"
        "Shares that a source refused, all channels together."
    SERVER_BLOCKS = Counter "sv2_server_blocks_found_total" [] "shares"
        "Shares that were blocks."
    CLIENTS = Gauge "sv2_clients_total" [] "connections"
        "Stratum V2 connections that mine."
    CLIENT_CHANNELS = Gauge "sv2_client_channels" ["channel_type"] "channels"
        "Channels open on these."
    CLIENT_HASHRATE = Gauge "sv2_client_hashrate_total" [] "hashes per second"
        "Estimate of what these deliver."
    CLIENT_CHANNEL_HASHRATE = Gauge "sv2_client_channel_hashrate" ["client_id" "channel_id" "user_identity"] "hashes per second"
        "Estimate of what a worker delivers, whatever it speaks; the others' is other's."
    CLIENT_ACCEPTED = Counter "sv2_client_shares_accepted_total" ["client_id" "channel_id" "user_identity"] "shares"
        "Good shares of a worker that have ended, whatever became of them; the others' are other's."
    CLIENT_REJECTED = Counter "sv2_client_shares_rejected_total" ["client_id" "channel_id" "user_identity" "error_code"] "shares"
        "Shares of a worker that Adit rejected; the others' are other's."
    CLIENT_BLOCKS = Counter "sv2_client_blocks_found_total" [] "shares"
        "Shares that were blocks."
    SV1_CLIENTS = Gauge "sv1_clients_total" [] "connections"
        "Stratum V1 connections that mine."
    SV1_HASHRATE = Gauge "sv1_hashrate_total" [] "hashes per second"
        "Estimate of what these deliver."
}

/// The table of the compatibility set as Markdown, as it stands in `docs/metrics.md`.
#[must_use]
pub fn compatible_table() -> String {
    table_of(COMPATIBLE_METRICS)
}

/// Shows the compatibility set to a registry.
pub(super) struct Compatible {
    current: Arc<Mutex<Arc<Snapshot>>>,
    series: WorkersInSeries,
    protocols: ProtocolsNow,
    /// Whether they are shown.
    wanted: Arc<AtomicBool>,
    descriptions: Vec<Desc>,
}

impl Compatible {
    pub(super) fn new(
        current: Arc<Mutex<Arc<Snapshot>>>,
        series: WorkersInSeries,
        protocols: ProtocolsNow,
        wanted: Arc<AtomicBool>,
    ) -> Result<Self, prometheus::Error> {
        let descriptions = descriptions_of(COMPATIBLE_METRICS, |_| true)?;
        Ok(Self { current, series, protocols, wanted, descriptions })
    }
}

impl Collector for Compatible {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        if !self.wanted.load(Relaxed) {
            return Vec::new();
        }
        let snapshot = Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner));
        let mut to = Families::default();
        upstream(&mut to, &snapshot);
        downstream(&mut to, &snapshot, &(self.protocols)());
        for worker in (self.series)() {
            let name = &*label(&worker.name);
            let books = &worker.books;
            to.add(CLIENT_CHANNEL_HASHRATE, ["", "", name], worker.hashrate_hs);
            let good = books.submitted.saturating_sub(books.rejected_total + books.held + books.pending);
            to.count(CLIENT_ACCEPTED, ["", "", name], good);
            for (reason, count) in &books.rejected {
                to.count(CLIENT_REJECTED, ["", "", name, reason], *count);
            }
        }
        to.finish()
    }
}

fn upstream(to: &mut Families, snapshot: &Snapshot) {
    to.add(UPTIME, [], snapshot.uptime_seconds);
    to.count(SERVER_CHANNELS, ["extended"], snapshot.sources.iter().map(|source| source.channels).sum());
    to.add(SERVER_HASHRATE, [], snapshot.routes.iter().map(|route| route.hashrate_hs).sum());
    let mut hashrates: BTreeMap<&str, f64> = BTreeMap::new();
    for goal in snapshot.routes.iter().flat_map(|route| &route.goals) {
        if let Some(active) = &goal.active {
            *hashrates.entry(active).or_default() += goal.hashrate_hs;
        }
    }
    for source in &snapshot.sources {
        let (name, books) = (source.name.as_str(), &source.books);
        let hashrate = hashrates.get(name).copied().unwrap_or(0.0);
        to.add(SERVER_CHANNEL_HASHRATE, ["", name], hashrate);
        to.count(SERVER_ACCEPTED, ["", name], books.acknowledged);
        for (code, count) in &books.refused {
            to.count(SERVER_REJECTED, ["", name, code], *count);
        }
    }
    to.count(SERVER_BLOCKS, [], snapshot.books.blocks_found);
}

fn downstream(to: &mut Families, snapshot: &Snapshot, protocols: &Protocols) {
    to.count(CLIENTS, [], protocols.sv2_connections);
    to.count(CLIENT_CHANNELS, ["extended"], protocols.sv2_extended_channels);
    to.count(CLIENT_CHANNELS, ["standard"], protocols.sv2_standard_channels);
    to.add(CLIENT_HASHRATE, [], protocols.sv2_hashrate_hs);
    to.count(CLIENT_BLOCKS, [], snapshot.books.blocks_found);
    to.count(SV1_CLIENTS, [], protocols.sv1_connections);
    to.add(SV1_HASHRATE, [], protocols.sv1_hashrate_hs);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::table::Kind;

    #[test]
    fn the_set_has_the_references_names_and_true_kinds() {
        for metric in COMPATIBLE_METRICS {
            assert!(metric.name.starts_with("sv2_") || metric.name.starts_with("sv1_"), "{}", metric.name);
            assert_ne!(metric.kind, Kind::Histogram);
            let counts = metric.name.contains("_shares_") || metric.name.contains("_blocks_");
            assert_eq!(metric.kind == Kind::Counter, counts, "{}", metric.name);
            assert!(metric.help.ends_with('.') && !metric.help.contains(['|', '\n']), "{}", metric.name);
        }
    }
}
