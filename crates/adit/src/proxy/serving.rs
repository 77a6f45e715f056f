//! HTTP, and the history that its charts are drawn from, each on a thread of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;

use telemetry::history::History;
use telemetry::{Access, EventKind, EventLevel, Events, Latencies, Mover, Moves, MovingListener};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::threads::{runtime, thread};
use super::{RouteControl, StartError};
use crate::config::{Config, Http};
use crate::details::Inside;
use crate::handover::OpenPorts;
use crate::history;
use crate::receipts::Shelf;
use crate::snapshot::SnapshotMaker;
use crate::workers::Directory;

/// What is served.
pub(super) struct Serving {
    pub(super) maker: Arc<SnapshotMaker>,
    pub(super) workers: Arc<Directory>,
    pub(super) latencies: Latencies,
    pub(super) access: Arc<Access>,
    pub(super) events: Arc<Events>,
    pub(super) inside: Inside,
    pub(super) receipts: Shelf,
    pub(super) control: Arc<RouteControl>,
    /// Where its port moves.
    pub(super) moves: Moves,
    /// Whether metrics are served by the reference implementation's names, too.
    pub(super) compatible: Arc<AtomicBool>,
    /// Cancelled when clients are let in.
    pub(super) gate: CancellationToken,
    pub(super) stop: CancellationToken,
}

impl Serving {
    /// Begins to serve.
    pub(super) fn start(
        self,
        socket: std::net::TcpListener,
        config: &Config,
        dev_mode: bool,
    ) -> Result<Vec<JoinHandle<()>>, StartError> {
        let Self {
            maker,
            workers,
            latencies,
            access,
            events,
            inside,
            receipts,
            control,
            moves,
            compatible,
            gate,
            stop,
        } = self;
        let history = History::default();
        let (kept_in, sampled) = (history::directory(config, dev_mode), Arc::clone(&maker));
        let keep = history::keep(history.clone(), kept_in, sampled, stop.clone());
        let mut threads = vec![thread("history", runtime()?, keep)?];
        let failed = |error: telemetry::RenderError| StartError::Http(error.to_string());
        let (all, few) = (Arc::clone(&workers), Arc::clone(&workers));
        let server = telemetry::Server::new(
            Arc::new(move || maker.snapshot()),
            latencies,
            telemetry::Limits::default(),
        );
        let server = server
            .map_err(failed)?
            .with_workers(Arc::new(move || Arc::new(all.list())))
            .with_worker_series(Arc::new(move || few.series()))
            .map_err(failed)?;
        let (few, counts) = (Arc::clone(&workers), workers);
        let (few, counts) = (Arc::new(move || few.series()), Arc::new(move || counts.protocols()));
        let server = server.with_compatible_metrics(few, counts, compatible).map_err(failed)?;
        let noted = Arc::clone(&events);
        let server = server
            .with_access(access)
            .with_history(history)
            .with_events(events)
            .with_details(Arc::new(inside))
            .with_receipts(Arc::new(receipts))
            .with_changes(Arc::new(move |change| {
                control.patch(change)?;
                noted.note(EventKind::GoalsChanged, EventLevel::Info, "", "goals were changed over the API");
                Ok(())
            }));
        let address = socket.local_addr().ok();
        threads.push(thread("http", runtime()?, async move {
            if stop.run_until_cancelled(gate.cancelled()).await.is_none() {
                return;
            }
            match TcpListener::from_std(socket) {
                Ok(socket) => {
                    server.serve_moving(MovingListener::new(socket, moves), stop.cancelled_owned()).await;
                }
                Err(error) => error!(%error, "HTTP cannot be served"),
            }
        })?);
        if let Some(address) = address {
            say_where(address);
        }
        Ok(threads)
    }
}

fn say_where(address: SocketAddr) {
    info!(%address, "metrics and status on http://{address}/metrics and /api/v1/status; the page is http://{address}/");
}

/// What of HTTP can be changed while it is served.
pub struct Served {
    pub(super) access: Arc<Access>,
    pub(super) workers: Arc<Directory>,
    pub(super) mover: Mover,
    pub(super) compatible: Arc<AtomicBool>,
    /// For a successor.
    pub(super) ports: Arc<OpenPorts>,
}

/// A port for HTTP that is open already, in place of the one that it has.
#[derive(Debug, Default)]
pub(crate) struct FreshHttp(Option<std::net::TcpListener>);

impl Served {
    /// Opens the port that `next` has and what is `running` has not.
    ///
    /// # Errors
    /// Why it cannot be had; nothing has changed then.
    pub(crate) fn prepare(&self, running: &Http, next: &Http) -> Result<FreshHttp, String> {
        if !(running.enabled && next.enabled) || running.listen == next.listen {
            return Ok(FreshHttp::default());
        }
        let socket = crate::sockets::listen(next.listen, false).and_then(TcpListener::into_std);
        let failed = |error| StartError::Bind { what: "http".to_owned(), address: next.listen, error };
        Ok(FreshHttp(Some(socket.map_err(|error| failed(error).to_string())?)))
    }

    /// Puts in force what can be, and copies it to what is `running`. The keys that were others.
    pub(crate) fn apply(&self, running: &mut Http, next: &Http, port: FreshHttp) -> Vec<String> {
        let mut taken = Vec::new();
        if self.access.exchange(next.tokens()) {
            taken.push("the tokens of http".to_owned());
        }
        if self.access.exchange_hosts(next.hosts.clone()) {
            taken.push("http.hosts".to_owned());
        }
        if (running.worker_series, &running.worker_series_allow)
            != (next.worker_series, &next.worker_series_allow)
        {
            self.workers.set_series(next.worker_series as usize, &next.worker_series_allow);
            taken.push("who has series (http.worker_series, http.worker_series_allow)".to_owned());
        }
        if self.compatible.swap(next.compatible_metrics, Relaxed) != next.compatible_metrics {
            taken.push("http.compatible_metrics".to_owned());
        }
        let before = running.clone();
        running.clone_from(next);
        running.enabled = before.enabled;
        match port.0 {
            Some(socket) => {
                match socket.try_clone() {
                    Ok(again) => self.ports.set_http(Some(again)),
                    Err(error) => warn!(%error, "a successor cannot be given HTTP's port"),
                }
                let address = socket.local_addr().unwrap_or(next.listen);
                if self.mover.move_to(socket) {
                    say_where(address);
                    taken.push("http.listen".to_owned());
                } else {
                    running.listen = before.listen;
                }
            }
            // Nobody serves it.
            None => running.listen = before.listen,
        }
        taken
    }
}
