//! What is read of the API's answers. Whatever is missing there is nothing here: an older or a newer Adit can be looked at.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    pub(super) version: String,
    pub(super) uptime_seconds: f64,
    pub(super) dev_mode: bool,
    pub(super) readiness: Ready,
    pub(super) routes: Vec<Route>,
    pub(super) sources: Vec<Source>,
    pub(super) listeners: Vec<Listener>,
    pub(super) books: Books,
    pub(super) alarms: Vec<Alarm>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Ready {
    pub(super) ready: bool,
    pub(super) reasons: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Route {
    pub(super) name: String,
    pub(super) active: Option<String>,
    pub(super) hashrate_hs: f64,
    pub(super) miners: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) state: String,
    pub(super) state_since_seconds: f64,
    pub(super) last_down: Option<String>,
    pub(super) channels: u64,
    pub(super) open_shares: u64,
    pub(super) job_age_seconds: Option<f64>,
    pub(super) declaration: Option<Declaration>,
    pub(super) books: Books,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Declaration {
    pub(super) state: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Listener {
    pub(super) name: String,
    pub(super) miners: Miners,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Miners {
    pub(super) connected: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Books {
    pub(super) submitted: u64,
    pub(super) rejected: BTreeMap<String, u64>,
    pub(super) rejected_total: u64,
    pub(super) local: u64,
    pub(super) held: u64,
    pub(super) unsent: BTreeMap<String, u64>,
    pub(super) unsent_total: u64,
    pub(super) acknowledged: u64,
    pub(super) refused: BTreeMap<String, u64>,
    pub(super) refused_total: u64,
    pub(super) unknown: u64,
    pub(super) pending: u64,
    pub(super) blocks_found: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Alarm {
    pub(super) name: String,
    pub(super) subject: String,
    pub(super) active: bool,
    pub(super) detail: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WorkersPage {
    pub(super) total: usize,
    pub(super) workers: Vec<Worker>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Worker {
    pub(super) name: String,
    pub(super) route: String,
    pub(super) source: Option<String>,
    pub(super) connections: u64,
    pub(super) protocol: String,
    pub(super) difficulty: f64,
    pub(super) hashrate_hs: f64,
    pub(super) last_share_seconds: Option<f64>,
    pub(super) books: Books,
    pub(super) minutes: Vec<f64>,
}

/// Means over each step, the newest last.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct History {
    pub(super) step_seconds: usize,
    pub(super) series: BTreeMap<String, Vec<Option<f64>>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct EventsPage {
    pub(super) events: Vec<Event>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Event {
    pub(super) id: u64,
    pub(super) unix_ms: u64,
    pub(super) kind: String,
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) level: String,
}
