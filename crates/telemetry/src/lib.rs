//! What Adit says about itself: one typed [`Snapshot`], served over HTTP as JSON and as Prometheus metrics.
//!
//! The caller makes a snapshot when asked; everything that is served comes from that one value, so that the
//! metrics, the API and the readiness probe can never disagree. Sums (a listener's, a route's, a source's and
//! all shares) are made here from the accounts, never handed in.
//!
//! Two things do not come from the snapshot: the [`Latencies`], which the hot paths observe into without a
//! lock, and the process's own figures.
//!
//! | path | answer |
//! | --- | --- |
//! | `/metrics` | Prometheus text format; every metric stands in [`METRICS`] and in `docs/metrics.md` |
//! | `/healthz` | 200 while the process serves |
//! | `/readyz` | 200 when every route has a source with work, else 503 with the reasons |
//! | `/api/v1/status` | the snapshot as JSON |
//! | `/api/v1/...` | `docs/api.md`; described by `/api/v1/openapi.json` |
//! | `/api/v1/history` | hashrates and shares over time, see [`history`] |
//! | `/`, `/page/...` | the live page |
//!
//! ```
//! use std::sync::Arc;
//!
//! use telemetry::{Latencies, Limits, Readiness, Server, Snapshot};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let latencies = Latencies::default(); // clones of it go to the hot paths
//! let provider = Arc::new(|| Snapshot {
//!     version: env!("CARGO_PKG_VERSION").into(),
//!     readiness: Readiness::judge(&[], false),
//!     ..Snapshot::default()
//! });
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let server = Server::new(provider, latencies, Limits::default())?;
//! server.serve(listener, async { /* ends when Adit has drained */ }).await;
//! # Ok::<_, Box<dyn std::error::Error>>(()) })?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod events;
pub mod history;
mod http;
mod latency;
mod metrics;
mod page;
mod snapshot;

pub use events::{EVENTS_MAX, Event, EventKind, EventLevel, Events, unix_ms};
pub use http::{
    Access, CACHE_FOR, CHANGE_LENGTH_MAX, COUNTER_LENGTH_MAX, Changes, Details, EXCHANGE_DEADLINE, LIMIT_MAX,
    Limits, MAX_CONNECTIONS, MAX_REQUEST_HEAD, MAX_STREAMS, Mover, Moves, MovingListener, Provider,
    RECEIPT_LENGTH_MAX, Receipts, SHUTDOWN_GRACE, SLOW_AFTER, STREAM_EVERY, Server, Tokens,
};
pub use latency::{Histogram, JobFanout, Latencies};
pub use metrics::{
    COMPATIBLE_METRICS, Exporter, Kind, METRICS, Metric, RenderError, TEXT_FORMAT, compatible_table,
    metrics_table,
};
pub use snapshot::{
    AccountSnapshot, AlarmSnapshot, BlocksSnapshot, BooksSnapshot, DeclarationSnapshot, DeclarationState,
    GoalSnapshot, HandshakesSnapshot, JobOutput, JobSnapshot, LeaseSnapshot, LeaseTagSnapshot,
    LedgerSnapshot, LimitSnapshot, ListedWorker, ListenerSnapshot, MinersSnapshot, NatsSnapshot,
    OverloadSnapshot, Protocols, ProtocolsNow, Readiness, Reasons, ReceiptSnapshot, ReceiptsSnapshot,
    RetargetsSnapshot, RootSnapshot, RouteSnapshot, RouteSourceSnapshot, STATE_CHANGES_MAX, Snapshot,
    SourceKind, SourceSnapshot, SourceState, StateChange, StateHistory, TemplateSnapshot, TermsSnapshot,
    WorkSnapshot, WorkerList, WorkerSeries, WorkerSnapshot, Workers, WorkersInSeries,
};
