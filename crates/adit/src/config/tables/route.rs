//! `[route.NAME]`

use std::time::Duration;

use super::seconds;
use crate::config::kind::{Names, Network, Networks, Patterns, Span};
use crate::config::name::Name;
use crate::config::table::table;

/// `route.NAME.return_after`.
pub const RETURN_AFTER: Duration = Duration::from_secs(60);
/// `route.NAME.outage_grace`.
pub const OUTAGE_GRACE: Duration = Duration::from_secs(600);
/// `route.NAME.keepalive`: cpuminer gives up after 120 s without a job.
pub const KEEPALIVE: Duration = Duration::from_secs(30);

table! {
    /// Binds listeners to sources.
    pub struct Route {
        /// The listeners whose miners take this route. Each listener belongs to exactly one route
        /// that takes everybody, and to any number of routes with `workers` or `networks`.
        listeners: Vec<Name> = Names, required;
        /// The sources in the order of preference: the first that works is used.
        sources: Vec<Name> = Names, default Vec::new(),
            says "not set: the `[goal.NAME]` of this route have the sources";
        /// How long an earlier source must have worked before the route goes back to it.
        return_after: Duration = Span::of(seconds(0)..=seconds(86_400)), default RETURN_AFTER;
        /// How long miners hash the last job while no source works, before they are told.
        outage_grace: Duration = Span::of(seconds(0)..=seconds(86_400)), default OUTAGE_GRACE;
        /// A miner that was sent no job for this long is sent the present one again, with a new time.
        keepalive: Duration = Span::of(seconds(1)..=seconds(600)), default KEEPALIVE;
        /// Only workers whose names fit one of these patterns, `*` standing for any text; a connection goes by its first
        /// worker. A route without `workers` and `networks` takes the rest of its listeners' miners.
        workers: Vec<String> = Patterns, default Vec::new(), says "not set: any";
        /// Only miners from these addresses and networks.
        networks: Vec<Network> = Networks, default Vec::new(), says "not set: any";
    }
}
