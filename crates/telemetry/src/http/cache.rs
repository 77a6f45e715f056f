//! One snapshot for all who ask at about the same time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use tokio::time::Instant;

use super::Provider;
use crate::metrics::{Exporter, RenderError};
use crate::snapshot::{ProtocolsNow, Readiness, Snapshot, WorkersInSeries};

/// The snapshot could not be taken or not be written: a fault in Adit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unavailable(pub(super) &'static str);

/// Texts made from one snapshot, each when it is first asked for.
struct Page {
    taken: Instant,
    snapshot: Result<Arc<Snapshot>, Unavailable>,
    metrics: Option<Result<Bytes, Unavailable>>,
    status: Option<Result<Bytes, Unavailable>>,
}

struct State {
    exporter: Exporter,
    page: Option<Page>,
}

/// Takes snapshots and keeps each for a while.
pub(super) struct Cache {
    provider: Provider,
    keep: Duration,
    state: Mutex<State>,
}

impl Cache {
    pub(super) fn new(provider: Provider, exporter: Exporter, keep: Duration) -> Self {
        Self { provider, keep, state: Mutex::new(State { exporter, page: None }) }
    }

    /// The metrics have the series of workers.
    pub(super) fn add_workers(&self, series: WorkersInSeries) -> Result<(), RenderError> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).exporter.add_workers(series)
    }

    /// The metrics have the reference implementation's names besides.
    pub(super) fn add_compatible(
        &self,
        series: WorkersInSeries,
        protocols: ProtocolsNow,
        wanted: Arc<AtomicBool>,
    ) -> Result<(), RenderError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.exporter.add_compatible(series, protocols, wanted)
    }

    /// Prometheus text.
    pub(super) fn metrics(&self) -> Result<Bytes, Unavailable> {
        self.with_page(|exporter, page| {
            let snapshot = page.snapshot.clone()?;
            let render = || {
                let text = exporter.render(snapshot).map_err(|error| {
                    tracing::error!(%error, "metrics cannot be rendered");
                    Unavailable("the metrics cannot be written")
                });
                text.map(Bytes::from)
            };
            page.metrics.get_or_insert_with(render).clone()
        })
    }

    /// The snapshot as JSON.
    pub(super) fn status(&self) -> Result<Bytes, Unavailable> {
        self.with_page(|_, page| {
            let snapshot = page.snapshot.clone()?;
            let render = || {
                let text = serde_json::to_vec(&*snapshot).map_err(|error| {
                    tracing::error!(%error, "the status cannot be rendered");
                    Unavailable("the status cannot be written")
                });
                text.map(Bytes::from)
            };
            page.status.get_or_insert_with(render).clone()
        })
    }

    /// The snapshot itself, with its sums.
    pub(super) fn snapshot(&self) -> Result<Arc<Snapshot>, Unavailable> {
        self.with_page(|_, page| page.snapshot.clone())
    }

    /// Whether miners can be sent here.
    pub(super) fn readiness(&self) -> Result<Readiness, Unavailable> {
        self.with_page(|_, page| page.snapshot.clone().map(|snapshot| snapshot.readiness.clone()))
    }

    /// Runs `read` on a page that is fresh enough. All of it happens under one lock, so that any number of
    /// requests at once cost one snapshot.
    fn with_page<T>(&self, read: impl FnOnce(&mut Exporter, &mut Page) -> T) -> T {
        let mut state: MutexGuard<'_, State> = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { exporter, page } = &mut *state;
        let now = Instant::now();
        let fresh = page.take().filter(|page| now.duration_since(page.taken) < self.keep);
        let page = page.insert(fresh.unwrap_or_else(|| Page {
            taken: now,
            snapshot: self.take(),
            metrics: None,
            status: None,
        }));
        read(exporter, page)
    }

    fn take(&self) -> Result<Arc<Snapshot>, Unavailable> {
        // A fault in the snapshot must not take the probes away: they answer that something is wrong.
        let snapshot = catch_unwind(AssertUnwindSafe(|| (self.provider)().with_sums()));
        snapshot.map(Arc::new).map_err(|_| {
            tracing::error!("taking the snapshot panicked");
            Unavailable("the snapshot cannot be taken; see the log")
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use super::*;
    use crate::latency::Latencies;

    fn counting(keep: Duration) -> (Cache, Arc<AtomicU64>) {
        let taken = Arc::new(AtomicU64::new(0));
        let count = taken.clone();
        let provider: Provider =
            Arc::new(move || Snapshot { unix_time: count.fetch_add(1, Relaxed), ..Snapshot::default() });
        (Cache::new(provider, Exporter::new(Latencies::default()).unwrap(), keep), taken)
    }

    #[tokio::test(start_paused = true)]
    async fn a_snapshot_serves_all_pages_until_it_is_too_old() {
        let (cache, taken) = counting(Duration::from_millis(250));
        for _ in 0..10 {
            cache.metrics().unwrap();
            cache.status().unwrap();
            cache.readiness().unwrap();
        }
        tokio::time::advance(Duration::from_millis(249)).await;
        let old = cache.status().unwrap();
        assert_eq!(taken.load(Relaxed), 1);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_ne!(cache.status().unwrap(), old);
        assert_eq!(taken.load(Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_provider_that_panics_is_an_answer_not_an_end() {
        let broken = Arc::new(AtomicU64::new(1));
        let switch = broken.clone();
        let provider: Provider = Arc::new(move || {
            assert_eq!(switch.load(Relaxed), 0, "broken on purpose");
            Snapshot::default()
        });
        let cache =
            Cache::new(provider, Exporter::new(Latencies::default()).unwrap(), Duration::from_secs(1));
        assert!(cache.metrics().is_err() && cache.readiness().is_err());
        broken.store(0, Relaxed);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(cache.metrics().is_ok() && cache.status().is_ok());
    }
}
