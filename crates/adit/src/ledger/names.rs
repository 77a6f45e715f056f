//! The names that listeners, routes and sources have in the ledger.

use std::sync::Arc;

use engine::books::AccountKey;
use ledger::RowKey;
use ledger::record::Network;

use crate::snapshot::Shown;

/// Looked up by number each time: what there is may change at SIGHUP.
pub(super) struct Names {
    shown: Arc<Shown>,
}

impl Names {
    pub(super) fn new(shown: Arc<Shown>) -> Self {
        Self { shown }
    }

    /// Whose shares a worker's account holds.
    pub(super) fn row(&self, worker: &str, key: AccountKey) -> RowKey {
        let shown = self.shown.lock();
        let source = key.source.and_then(|source| shown.sources.get(usize::from(source)));
        let route = shown.routes.get(usize::from(key.route));
        RowKey {
            worker: worker.into(),
            listener: shown.listener_name(key.listener).into(),
            route: route.map_or("", |route| route.name.as_str()).into(),
            source: source.map_or("", |source| source.name.as_str()).into(),
        }
    }

    /// The names as they are now.
    pub(super) fn now(&self) -> NamesNow {
        let shown = self.shown.lock();
        NamesNow {
            listeners: shown.listeners.iter().map(|listener| listener.name.as_str().into()).collect(),
            routes: shown.routes.iter().map(|route| route.name.as_str().into()).collect(),
            sources: shown.sources.iter().map(|source| source.name.as_str().into()).collect(),
        }
    }

    /// What each source's newest job says of the network.
    pub(super) fn networks(&self, at_ms: u64) -> Vec<Network> {
        let shown = self.shown.lock();
        let newest = shown.sources.iter().filter(|source| !source.removed).filter_map(|source| {
            let job = source.figures.newest_job()?;
            Some((source.name.clone(), job))
        });
        let newest: Vec<_> = newest.collect();
        drop(shown);
        newest.iter().map(|(name, job)| Network::of_job(at_ms, name, job)).collect()
    }
}

/// The names at one moment.
pub(super) struct NamesNow {
    listeners: Vec<Box<str>>,
    routes: Vec<Box<str>>,
    sources: Vec<Box<str>>,
}

impl NamesNow {
    /// Whose shares a worker's account holds. `None`: its listener, route or source came since.
    pub(super) fn row(&self, worker: &str, key: AccountKey) -> Option<RowKey> {
        Some(RowKey {
            worker: worker.into(),
            listener: self.listeners.get(usize::from(key.listener))?.clone(),
            route: self.routes.get(usize::from(key.route))?.clone(),
            source: match key.source {
                Some(source) => self.sources.get(usize::from(source))?.clone(),
                None => "".into(),
            },
        })
    }
}
