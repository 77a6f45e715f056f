//! Where templates come from, and what became of the blocks made of them, at one moment.

use schemars::JsonSchema;
use serde::Serialize;

/// A template provider.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct TemplateSnapshot {
    /// Its name in the configuration.
    pub name: String,
    /// It gives templates now.
    pub up: bool,
    /// What it speaks to, while it is up.
    pub what: Option<String>,
    /// Seconds since it is up or down.
    pub state_since_seconds: f64,
    /// Why it gave none, the last time; `None` if that never happened.
    pub last_down: Option<String>,
    /// Times that it went down after it had been up, since the start.
    pub losses_total: u64,
    /// Templates given since the start.
    pub templates_total: u64,
    /// The height of the block that its newest template is for; `None` while there is none.
    pub height: Option<u64>,
    /// What that block pays, subsidy and fees, satoshi; `None` while there is no template.
    pub value_remaining_sat: Option<u64>,
    /// The fees of it, satoshi: what it pays beyond the subsidy; `None` while there is no template.
    pub fees_sat: Option<u64>,
    /// Seconds since the newest template came; `None` while there is none.
    pub age_seconds: Option<f64>,
}

/// Blocks that Adit hands in by itself: those of its own templates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BlocksSnapshot {
    /// Found by miners.
    pub found_total: u64,
    /// Taken by a node, those of an earlier run with them.
    pub taken_total: u64,
    /// Refused by every node that answered.
    pub refused_total: u64,
    /// Not handed in, because there were too many of one tip, or at once.
    pub passed_over_total: u64,
    /// On their way to nodes now.
    pub in_work: u64,
    /// On disk, no node has them yet.
    pub waiting_on_disk: u64,
    /// Times that the disk did not take a block or its end.
    pub disk_errors_total: u64,
}
