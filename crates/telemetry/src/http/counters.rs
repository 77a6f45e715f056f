//! What the HTTP server counts about itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::http::StatusCode;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use crate::metrics::{Families, RenderError, descriptions, table};

/// What was asked for. A fixed list: a client must not be able to make series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Path {
    Metrics,
    Healthz,
    Readyz,
    Status,
    Routes,
    Other,
}

impl Path {
    const ALL: [Self; 6] =
        [Self::Metrics, Self::Healthz, Self::Readyz, Self::Status, Self::Routes, Self::Other];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Metrics => "/metrics",
            Self::Healthz => "/healthz",
            Self::Readyz => "/readyz",
            Self::Status => "/api/v1/status",
            Self::Routes => "/api/v1/routes",
            Self::Other => "other",
        }
    }

    pub(super) fn of(path: &str) -> Self {
        Self::ALL.into_iter().find(|p| p.as_str() == path).unwrap_or(Self::Other)
    }

    /// Those that there are.
    pub(super) fn served() -> impl Iterator<Item = &'static str> {
        Self::ALL.into_iter().filter(|p| *p != Self::Other).map(Self::as_str)
    }
}

/// Every status that the server answers with by itself.
const CODES: [StatusCode; 9] = [
    StatusCode::OK,
    StatusCode::FORBIDDEN,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    StatusCode::UNPROCESSABLE_ENTITY,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::SERVICE_UNAVAILABLE,
];

/// The server's counters.
#[derive(Debug, Default)]
pub(super) struct Counters {
    requests: [[AtomicU64; CODES.len()]; Path::ALL.len()],
    pub(super) connections: AtomicU64,
    pub(super) slow_clients: AtomicU64,
    pub(super) accept_errors: AtomicU64,
}

impl Counters {
    pub(super) fn answered(&self, path: Path, status: StatusCode) {
        if let Some(code) = CODES.iter().position(|code| *code == status) {
            self.requests[path as usize][code].fetch_add(1, Relaxed);
        }
    }
}

/// Shows the counters to a registry.
pub(super) struct CountersCollector {
    counters: Arc<Counters>,
    descriptions: Vec<Desc>,
}

impl CountersCollector {
    pub(super) fn new(counters: Arc<Counters>) -> Result<Self, RenderError> {
        Ok(Self { counters, descriptions: descriptions(|m| m.name.starts_with("adit_http_"))? })
    }
}

impl Collector for CountersCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let counters = &self.counters;
        let mut families = Families::default();
        for (path, by_code) in Path::ALL.into_iter().zip(&counters.requests) {
            for (code, count) in CODES.iter().zip(by_code) {
                let count = count.load(Relaxed);
                // Most pairs cannot occur.
                if count > 0 || *code == StatusCode::OK {
                    families.count(table::HTTP_REQUESTS, [path.as_str(), code.as_str()], count);
                }
            }
        }
        families.count(table::HTTP_CONNECTIONS, [], counters.connections.load(Relaxed));
        families.count(table::HTTP_SLOW, [], counters.slow_clients.load(Relaxed));
        families.count(table::HTTP_ACCEPT_ERRORS, [], counters.accept_errors.load(Relaxed));
        families.finish()
    }
}
