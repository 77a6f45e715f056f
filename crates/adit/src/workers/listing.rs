//! The list of all workers at one moment.

use std::sync::Arc;
use std::time::Duration;

use telemetry::{ListedWorker, WorkerList, WorkerSnapshot};

use super::directory::Directory;
use crate::snapshot::Shown;
use crate::snapshot::books;

/// The names of numbered things, each made once for all workers.
pub(super) struct Words {
    listeners: Vec<Arc<str>>,
    routes: Vec<Arc<str>>,
    sources: Vec<Arc<str>>,
    none: Arc<str>,
}

impl Words {
    pub(super) fn of(shown: &Shown) -> Self {
        let shown = shown.lock();
        Self {
            listeners: shown.listeners.iter().map(|listener| listener.name.as_str().into()).collect(),
            routes: shown.routes.iter().map(|route| route.name.as_str().into()).collect(),
            sources: shown.sources.iter().map(|source| source.name.as_str().into()).collect(),
            none: Arc::default(),
        }
    }

    pub(super) fn listener(&self, at: Option<u16>) -> Arc<str> {
        self.word(&self.listeners, at)
    }

    pub(super) fn route(&self, at: Option<u16>) -> Arc<str> {
        self.word(&self.routes, at)
    }

    pub(super) fn source(&self, at: u16) -> Option<Arc<str>> {
        self.sources.get(usize::from(at)).cloned()
    }

    fn word(&self, words: &[Arc<str>], at: Option<u16>) -> Arc<str> {
        Arc::clone(at.and_then(|at| words.get(usize::from(at))).unwrap_or(&self.none))
    }
}

/// What is shown of a worker besides what it is found by; its shares and minutes are looked up when it is shown.
pub(super) struct Rest {
    pub(super) sv2: bool,
    pub(super) since: Duration,
    pub(super) difficulty: f64,
}

/// See the module.
pub(crate) struct Listing {
    directory: Arc<Directory>,
    workers: Vec<ListedWorker>,
    rest: Vec<Rest>,
}

impl Listing {
    pub(super) fn with_capacity(directory: Arc<Directory>, workers: usize) -> Self {
        Self { directory, workers: Vec::with_capacity(workers), rest: Vec::with_capacity(workers) }
    }

    pub(super) fn put(&mut self, worker: ListedWorker, rest: Rest) {
        self.workers.push(worker);
        self.rest.push(rest);
    }

    /// All of them, with all that there is to say of each.
    #[cfg(test)]
    pub(crate) fn snapshots(&self) -> Vec<WorkerSnapshot> {
        (0..self.workers.len()).map(|at| self.snapshot(at)).collect()
    }
}

impl WorkerList for Listing {
    fn workers(&self) -> &[ListedWorker] {
        &self.workers
    }

    fn snapshot(&self, at: usize) -> WorkerSnapshot {
        let (Some(worker), Some(rest)) = (self.workers.get(at), self.rest.get(at)) else {
            return WorkerSnapshot::default();
        };
        WorkerSnapshot {
            name: worker.name.to_string(),
            listener: worker.listener.to_string(),
            route: worker.route.to_string(),
            source: worker.source.as_ref().map(ToString::to_string),
            connections: worker.connections,
            protocol: if rest.sv2 { "sv2" } else { "sv1" },
            user_agent: worker.user_agent.as_ref().map(ToString::to_string),
            address: worker.address.map(|address| address.to_string()),
            since_seconds: rest.since.as_secs_f64(),
            difficulty: rest.difficulty,
            hashrate_hs: worker.hashrate_hs,
            last_share_seconds: worker.last_share_seconds,
            books: books(&self.directory.totals(&worker.name)),
            minutes: self.directory.minutes(&worker.name),
        }
    }
}
