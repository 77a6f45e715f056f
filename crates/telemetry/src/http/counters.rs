//! What the HTTP server counts about itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::http::StatusCode;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use super::access::Refusal;
use super::paths::Path;
use super::stream::Streams;
use crate::metrics::{Families, RenderError, descriptions, table};

/// Every status that the server answers with by itself.
const CODES: [StatusCode; 13] = [
    StatusCode::OK,
    StatusCode::NOT_MODIFIED,
    StatusCode::BAD_REQUEST,
    StatusCode::UNAUTHORIZED,
    StatusCode::FORBIDDEN,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    StatusCode::UNPROCESSABLE_ENTITY,
    StatusCode::MISDIRECTED_REQUEST,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::SERVICE_UNAVAILABLE,
];

/// The server's counters.
#[derive(Debug, Default)]
pub(super) struct Counters {
    requests: [[AtomicU64; CODES.len()]; Path::ALL.len()],
    refused: [AtomicU64; Refusal::COUNT],
    pub(super) connections: AtomicU64,
    pub(super) slow_clients: AtomicU64,
    pub(super) accept_errors: AtomicU64,
    /// Connections of addresses that had their share of the places.
    pub(super) crowded: AtomicU64,
    pub(super) streams: Arc<Streams>,
}

impl Counters {
    pub(super) fn answered(&self, path: Path, status: StatusCode) {
        if let Some(code) = CODES.iter().position(|code| *code == status) {
            self.requests[path as usize][code].fetch_add(1, Relaxed);
        }
    }

    pub(super) fn refused(&self, refusal: Refusal) {
        self.refused[refusal.index()].fetch_add(1, Relaxed);
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
        for (reason, count) in Refusal::WORDS.into_iter().zip(&counters.refused) {
            families.count(table::HTTP_REFUSED, [reason], count.load(Relaxed));
        }
        families.count(table::HTTP_REFUSED, ["address_full"], counters.crowded.load(Relaxed));
        families.count(table::HTTP_CONNECTIONS, [], counters.connections.load(Relaxed));
        families.count(table::HTTP_STREAMS, [], counters.streams.open());
        families.count(table::HTTP_SLOW, [], counters.slow_clients.load(Relaxed));
        families.count(table::HTTP_ACCEPT_ERRORS, [], counters.accept_errors.load(Relaxed));
        families.finish()
    }
}
