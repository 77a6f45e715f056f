//! Accepts connections and serves the pages, within limits.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, Request, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower_service::Service as _;

use super::Provider;
use super::access::{Access, Local};
use super::cache::Cache;
use super::changes::Changes;
use super::counters::{Counters, CountersCollector};
use super::details::Details;
use super::door::Door;
use super::moving::MovingListener;
use super::pages::{Pages, router};
use super::patience::Patient;
use super::places::Places;
use super::receipts::Receipts;
use super::stream::Seat;
use super::workers::WorkersCache;
use crate::events::Events;
use crate::history::History;
use crate::latency::Latencies;
use crate::metrics::{Exporter, RenderError};
use crate::snapshot::{ProtocolsNow, Workers, WorkersInSeries};

/// Connections served at once by default; one address has three quarters of them at most. While no place is free for them, some
/// more wait in hand and the others in the operating system's queue; connections are closed after their answer, and slow ones
/// ([`SLOW_AFTER`](super::SLOW_AFTER)) at once, so that those who wait get their turn.
pub const MAX_CONNECTIONS: usize = 64;

/// By default, a client has this long to send a request and to take the whole answer; a connection that asks
/// for nothing is closed after the same time.
pub const EXCHANGE_DEADLINE: Duration = Duration::from_secs(10);

/// By default, all who ask within this time see the same snapshot.
pub const CACHE_FOR: Duration = Duration::from_millis(250);

/// The longest request line with headers, bytes (more: status 431, and the connection ends).
pub const MAX_REQUEST_HEAD: usize = 16 * 1024;

/// At shutdown, requests under way have this long to be answered.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

/// What a server allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// See [`MAX_CONNECTIONS`]; at least 1 is taken.
    pub connections: usize,
    /// See [`EXCHANGE_DEADLINE`].
    pub exchange_deadline: Duration,
    /// See [`CACHE_FOR`].
    pub cache_for: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: MAX_CONNECTIONS, exchange_deadline: EXCHANGE_DEADLINE, cache_for: CACHE_FOR }
    }
}

/// Serves metrics, probes and status.
pub struct Server {
    pages: Pages,
    counters: Arc<Counters>,
    limits: Limits,
}

impl Server {
    /// A server of what `provider` says, and of these histograms. The provider is called on the thread that
    /// serves, at most once per [`Limits::cache_for`]; it must not block for long. If it panics, the answer
    /// is 500 until it no longer does.
    ///
    /// # Errors
    /// If two metrics have one name.
    pub fn new(provider: Provider, latencies: Latencies, limits: Limits) -> Result<Self, RenderError> {
        let counters = Arc::new(Counters::default());
        let exporter = Exporter::new(latencies)?;
        exporter.register(Box::new(CountersCollector::new(counters.clone())?))?;
        let cache = Cache::new(provider, exporter, limits.cache_for);
        let pages = Pages {
            cache,
            counters: counters.clone(),
            access: Arc::default(),
            changes: None,
            details: None,
            events: Arc::default(),
            streams: Arc::clone(&counters.streams),
            workers: WorkersCache::new(None),
            history: None,
            receipts: None,
            shelf_turn: Arc::new(Semaphore::new(1)),
            verify_turn: Arc::new(Semaphore::new(1)),
        };
        Ok(Self { pages, counters, limits })
    }

    /// The same, and it asks for these tokens.
    #[must_use]
    pub fn with_access(mut self, access: Arc<Access>) -> Self {
        self.pages.access = access;
        self
    }

    /// The same, and it shows these events.
    #[must_use]
    pub fn with_events(mut self, events: Arc<Events>) -> Self {
        self.pages.events = events;
        self
    }

    /// The same, and it asks `details` for what is asked for seldom.
    #[must_use]
    pub fn with_details(mut self, details: Arc<dyn Details>) -> Self {
        self.pages.details = Some(details);
        self
    }

    /// The same, and it takes changes, from whoever may make them.
    #[must_use]
    pub fn with_changes(mut self, changes: Changes) -> Self {
        self.pages.changes = Some(changes);
        self
    }

    /// The same, and it asks `workers` for all workers when somebody wants them.
    #[must_use]
    pub fn with_workers(mut self, workers: Workers) -> Self {
        self.pages.workers = WorkersCache::new(Some(workers));
        self
    }

    /// The same, and it asks `receipts` for those that there are, and to verify others.
    #[must_use]
    pub fn with_receipts(mut self, receipts: Arc<dyn Receipts>) -> Self {
        self.pages.receipts = Some(receipts);
        self
    }

    /// The same, and the page's charts are drawn from this.
    #[must_use]
    pub fn with_history(mut self, history: History) -> Self {
        self.pages.history = Some(history);
        self
    }

    /// The same, and its metrics have the series of these workers.
    ///
    /// # Errors
    /// If they are there already.
    pub fn with_worker_series(self, series: WorkersInSeries) -> Result<Self, RenderError> {
        self.pages.cache.add_workers(series)?;
        Ok(self)
    }

    /// The same, and its metrics are there by the reference implementation's names, too, as long as they are `wanted`.
    ///
    /// # Errors
    /// If they are there already.
    pub fn with_compatible_metrics(
        self,
        series: WorkersInSeries,
        protocols: ProtocolsNow,
        wanted: Arc<AtomicBool>,
    ) -> Result<Self, RenderError> {
        self.pages.cache.add_compatible(series, protocols, wanted)?;
        Ok(self)
    }

    /// Serves until `shutdown` completes, then stops to accept, lets requests under way end within
    /// [`SHUTDOWN_GRACE`], and returns. Dropping the future closes everything at once.
    ///
    /// Give it a small runtime of its own, so that scrapes and miners do not share threads; the runtime needs
    /// its clock and its IO enabled.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        self.run(listener, shutdown).await;
    }

    /// The same at a port that may become another one meanwhile.
    pub async fn serve_moving(self, listener: MovingListener, shutdown: impl Future<Output = ()>) {
        self.run(listener, shutdown).await;
    }

    pub(super) async fn run<L: Accept>(self, listener: L, shutdown: impl Future<Output = ()>) {
        let streams = Arc::clone(&self.counters.streams);
        let router = router(Arc::new(self.pages));
        let places = Places::new(self.limits.connections);
        let finish = watch::Sender::new(());
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        let mut door = Door::new(listener, self.counters.clone());
        loop {
            let (io, place) = tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => continue,
                admitted = door.admit(&places, &finish) => admitted,
            };
            let local = Local(L::address(&io).is_some_and(|address| address.is_loopback()));
            let (leave, owing) = (Arc::clone(&place.leave), Arc::clone(&place.owing));
            let seat = Seat::new(place);
            let io = Patient::new(io, self.limits.exchange_deadline, owing, self.counters.clone());
            let (router, finish) = (router.clone(), finish.subscribe());
            let open = Open::new(self.counters.clone());
            let counters = self.counters.clone();
            connections.spawn(async move {
                tokio::select! {
                    () = converse(io, router, (local, seat), finish) => {}
                    () = leave.notified() => {
                        counters.slow_clients.fetch_add(1, Relaxed);
                    }
                }
                drop(open);
            });
        }
        drop(door);
        streams.end();
        finish.send_replace(());
        let all = async { while connections.join_next().await.is_some() {} };
        // Whoever is not done by then is cut off as the set is dropped.
        let _ = tokio::time::timeout(SHUTDOWN_GRACE, all).await;
    }
}

/// One connection, until it ends; once it is told to finish, until its next answer, or until now if it is
/// between two requests.
async fn converse<Io>(
    io: Patient<Io>,
    router: Router,
    (local, seat): (Local, Seat),
    mut finish: watch::Receiver<()>,
) where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let answered = io.answered();
    let told = finish.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(local);
        request.extensions_mut().insert(seat.clone());
        let answer = router.clone().call(request);
        let told = told.clone();
        async move {
            let mut answer = answer.await?;
            if told.has_changed().unwrap_or(true) {
                answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let mut http = http1::Builder::new();
    http.max_buf_size(MAX_REQUEST_HEAD);
    let mut connection = pin!(http.serve_connection(TokioIo::new(io), service));
    tokio::select! {
        // A client's faults are counted where they are found; there is nobody to tell.
        _ = connection.as_mut() => return,
        _ = finish.changed() => {}
    }
    // hyper's graceful shutdown drops a connection whose first request it has not read yet. That one may be
    // on its way: it is waited for, and its answer says that the connection ends.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = answered.notified() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// Where connections come from.
pub(super) trait Accept {
    /// A connection.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Where it comes from, as far as that is known.
    fn address(_io: &Self::Io) -> Option<IpAddr> {
        None
    }

    /// The next one. Dropping the future loses none.
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Io>>;
}

impl Accept for TcpListener {
    type Io = TcpStream;

    fn address(io: &TcpStream) -> Option<IpAddr> {
        io.peer_addr().ok().map(|peer| peer.ip().to_canonical())
    }

    async fn accept(&mut self) -> io::Result<TcpStream> {
        let (stream, _) = TcpListener::accept(self).await?;
        // Without it an answer's end may wait for the client's acknowledgement of its beginning.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Counts a connection while it is open, however it ends.
struct Open(Arc<Counters>);

impl Open {
    fn new(counters: Arc<Counters>) -> Self {
        counters.connections.fetch_add(1, Relaxed);
        Self(counters)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}
