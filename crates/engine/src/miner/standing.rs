//! What a connection shows of those who mine over it.

use std::sync::Arc;
use std::time::Duration;

use crate::ids::{RouteId, SourceId};

/// One worker of a connection, or one channel of it.
#[derive(Clone, Debug)]
pub struct WorkerStanding {
    /// Its name, as the books have it.
    pub name: Arc<str>,
    /// The route that it takes.
    pub route: RouteId,
    /// What it mines for; nothing before its first job.
    pub source: Option<SourceId>,
    /// It is a Stratum V2 standard channel.
    pub standard: bool,
    /// Since when.
    pub since: Duration,
    /// The difficulty that it was told last; 0 before the first.
    pub difficulty: f64,
    /// Hashes per second, as vardiff estimates them; nothing where several share one estimate.
    pub hashrate: Option<f64>,
}
