//! A worker at one moment.

use std::net::IpAddr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::BooksSnapshot;

/// Who mines, by the name that was authorised. A worker may have any number of connections, on any listener.
///
/// The name, the user agent and the address come from a peer: they are bounded in length, and are any text otherwise.
/// Whoever writes them escapes them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct WorkerSnapshot {
    /// The name.
    pub name: String,
    /// The listener of its newest connection.
    pub listener: String,
    /// The route of its newest connection.
    pub route: String,
    /// What it mines for now; `None` while it is away, or has no work.
    pub source: Option<String>,
    /// Connections (SV2: channels) that it has now.
    pub connections: u64,
    /// What it speaks: `sv1` or `sv2`.
    pub protocol: &'static str,
    /// What its newest connection said it is.
    pub user_agent: Option<String>,
    /// Where its newest connection comes from, without the port.
    pub address: Option<String>,
    /// Seconds since the oldest connection that it has now began; 0 while it is away.
    pub since_seconds: f64,
    /// The difficulty that its newest connection was told last; 0 before the first.
    pub difficulty: f64,
    /// Estimate of what it delivers, hashes per second.
    pub hashrate_hs: f64,
    /// Seconds since its last good share; `None` before the first.
    pub last_share_seconds: Option<f64>,
    /// Its shares since this process first saw it.
    pub books: BooksSnapshot,
    /// Hashes per second in each of the last up to 60 whole minutes, from verified shares, oldest first.
    pub minutes: Vec<f64>,
}

/// What the metrics tell of one worker, or of all others together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkerSeries {
    /// The worker's name.
    pub name: String,
    /// What its series have counted. Of a series that is there before and after, nothing is less than before.
    pub books: BooksSnapshot,
    /// Connections (SV2: channels) that it has now.
    pub connections: u64,
    /// Estimate of what it delivers, hashes per second.
    pub hashrate_hs: f64,
    /// Seconds since its last good share; `None` before the first.
    pub last_share_seconds: Option<f64>,
}

/// Asks for the workers that have series of their own, few of all that there are. Called for each scrape.
pub type WorkersInSeries = Arc<dyn Fn() -> Vec<WorkerSeries> + Send + Sync>;

/// Who mines by which protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Protocols {
    /// Stratum V1 connections.
    pub sv1_connections: u64,
    /// Estimate of what they deliver, hashes per second.
    pub sv1_hashrate_hs: f64,
    /// Stratum V2 connections.
    pub sv2_connections: u64,
    /// Standard channels on them.
    pub sv2_standard_channels: u64,
    /// Extended channels on them.
    pub sv2_extended_channels: u64,
    /// Estimate of what they deliver, hashes per second.
    pub sv2_hashrate_hs: f64,
}

/// Asks who mines by which protocol. Called for each scrape, where the compatibility set is wanted.
pub type ProtocolsNow = Arc<dyn Fn() -> Protocols + Send + Sync>;

/// A worker in a list: what it is found and put in order by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListedWorker {
    /// Its name.
    pub name: Arc<str>,
    /// The listener's.
    pub listener: Arc<str>,
    /// The route's.
    pub route: Arc<str>,
    /// The source's that it mines for; nothing while it has no job.
    pub source: Option<Arc<str>>,
    /// What its newest connection called itself.
    pub user_agent: Option<Arc<str>>,
    /// Where its newest connection comes from.
    pub address: Option<IpAddr>,
    /// Connections that it has now.
    pub connections: u64,
    /// Estimate of what it delivers, hashes per second.
    pub hashrate_hs: f64,
    /// Seconds since its last good share.
    pub last_share_seconds: Option<f64>,
    /// Shares that sources acknowledged.
    pub acknowledged: u64,
    /// Shares that Adit rejected.
    pub rejected: u64,
}

/// All workers at one moment, in no order. With many of them most are not shown: the rest of what there is to say of one is
/// made when it is.
pub trait WorkerList: Send + Sync {
    /// Each of them.
    fn workers(&self) -> &[ListedWorker];

    /// All that there is to say of the one at this place in the list.
    fn snapshot(&self, at: usize) -> WorkerSnapshot;
}

/// Asks for all workers that are known now. It costs something with many: ask only when somebody wants them.
pub type Workers = Arc<dyn Fn() -> Arc<dyn WorkerList> + Send + Sync>;

/// Nobody.
impl WorkerList for () {
    fn workers(&self) -> &[ListedWorker] {
        &[]
    }

    fn snapshot(&self, _: usize) -> WorkerSnapshot {
        WorkerSnapshot::default()
    }
}
