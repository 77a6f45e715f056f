//! Prometheus metrics: the table of them, and the text that a scrape reads.

mod collect;
mod compatible;
mod families;
pub(crate) mod table;
mod workers;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Registry, TextEncoder};

pub use compatible::{COMPATIBLE_METRICS, compatible_table};
pub(crate) use families::{Families, descriptions};
pub use table::{Kind, METRICS, Metric, metrics_table};

use crate::latency::Latencies;
use crate::snapshot::{ProtocolsNow, Snapshot, WorkersInSeries};

/// The `Content-Type` of the text format.
pub const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Metrics could not be put together: a fault in Adit, not in what was asked.
#[derive(Debug, thiserror::Error)]
#[error("metrics cannot be written: {0}")]
pub struct RenderError(#[from] prometheus::Error);

/// Writes snapshots as Prometheus text.
pub struct Exporter {
    registry: Registry,
    current: Arc<Mutex<Arc<Snapshot>>>,
}

impl Exporter {
    /// An exporter of snapshots, of these histograms, and of the process's own figures (on Linux).
    ///
    /// # Errors
    /// If two metrics have one name.
    pub fn new(latencies: Latencies) -> Result<Self, RenderError> {
        let registry = Registry::new();
        let current = Arc::new(Mutex::new(Arc::new(Snapshot::default())));
        registry.register(Box::new(FromSnapshot {
            current: current.clone(),
            descriptions: descriptions(|m| {
                m.kind != Kind::Histogram
                    && m.name.starts_with("adit_")
                    && !m.name.starts_with("adit_http_")
                    && !workers::is_of_workers(m)
            })?,
        }))?;
        registry.register(Box::new(FromLatencies {
            latencies,
            descriptions: descriptions(|m| m.kind == Kind::Histogram)?,
        }))?;
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(Self { registry, current })
    }

    /// Adds metrics that do not come from the snapshot.
    ///
    /// # Errors
    /// If one of them has a name that is taken.
    pub fn register(&self, collector: Box<dyn Collector>) -> Result<(), RenderError> {
        Ok(self.registry.register(collector)?)
    }

    /// Adds the series of workers, as `series` says with each scrape.
    ///
    /// # Errors
    /// If they are there already.
    pub fn add_workers(&self, series: WorkersInSeries) -> Result<(), RenderError> {
        self.register(Box::new(workers::FromWorkers::new(series)?))
    }

    /// Adds the reference implementation's metrics by its names, as long as they are `wanted`.
    ///
    /// # Errors
    /// If they are there already.
    pub fn add_compatible(
        &self,
        series: WorkersInSeries,
        protocols: ProtocolsNow,
        wanted: Arc<AtomicBool>,
    ) -> Result<(), RenderError> {
        let current = Arc::clone(&self.current);
        self.register(Box::new(compatible::Compatible::new(current, series, protocols, wanted)?))
    }

    /// The text of all metrics, those of the snapshot from `snapshot`, whose sums are made
    /// ([`Snapshot::with_sums`]).
    ///
    /// # Errors
    /// If a metric is not fit to be written.
    pub fn render(&mut self, snapshot: Arc<Snapshot>) -> Result<String, RenderError> {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = snapshot;
        Ok(TextEncoder::new().encode_to_string(&self.registry.gather())?)
    }
}

struct FromSnapshot {
    current: Arc<Mutex<Arc<Snapshot>>>,
    descriptions: Vec<Desc>,
}

impl Collector for FromSnapshot {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = Families::default();
        collect::snapshot(&mut families, &self.current.lock().unwrap_or_else(PoisonError::into_inner));
        families.finish()
    }
}

struct FromLatencies {
    latencies: Latencies,
    descriptions: Vec<Desc>,
}

impl Collector for FromLatencies {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = Families::default();
        collect::latencies(&mut families, &self.latencies);
        families.finish()
    }
}
