//! Accepts connections and serves the pages, within limits.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, Request, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tower_service::Service as _;

use super::Provider;
use super::cache::Cache;
use super::changes::{Changes, Local};
use super::counters::{Counters, CountersCollector};
use super::pages::{Pages, router};
use super::patience::Patient;
use crate::latency::Latencies;
use crate::metrics::{Exporter, RenderError};

/// Connections served at once by default. More wait in the operating system's queue: the permit is taken
/// before the accept. While all are taken, connections are closed after their answer, so that those who wait
/// get their turn.
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

/// Rest after a failed accept. With no file descriptor left an accept fails at once, again and again.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// A failing accept is logged at most this often.
const ACCEPT_LOG_EVERY: Duration = Duration::from_secs(60);

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
        let pages = Pages { cache, counters: counters.clone(), changes: None };
        Ok(Self { pages, counters, limits })
    }

    /// The same, and it takes changes from this machine.
    #[must_use]
    pub fn with_changes(mut self, changes: Changes) -> Self {
        self.pages.changes = Some(changes);
        self
    }

    /// Serves until `shutdown` completes, then stops to accept, lets requests under way end within
    /// [`SHUTDOWN_GRACE`], and returns. Dropping the future closes everything at once.
    ///
    /// Give it a small runtime of its own, so that scrapes and miners do not share threads; the runtime needs
    /// its clock and its IO enabled.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        self.run(listener, shutdown).await;
    }

    pub(super) async fn run<L: Accept>(self, listener: L, shutdown: impl Future<Output = ()>) {
        let router = router(Arc::new(self.pages));
        let permits = Arc::new(Semaphore::new(self.limits.connections.max(1)));
        let finish = watch::Sender::new(());
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        let mut door = Door { listener, counters: self.counters.clone(), logged: None };
        loop {
            let (io, permit) = tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => continue,
                admitted = door.admit(&permits, &finish) => admitted,
            };
            let local = Local(L::is_local(&io));
            let io = Patient::new(io, self.limits.exchange_deadline, self.counters.clone());
            let (router, finish) = (router.clone(), finish.subscribe());
            let open = Open::new(self.counters.clone());
            connections.spawn(async move {
                converse(io, router, local, finish).await;
                drop((open, permit));
            });
        }
        drop(door);
        finish.send_replace(());
        let all = async { while connections.join_next().await.is_some() {} };
        // Whoever is not done by then is cut off as the set is dropped.
        let _ = tokio::time::timeout(SHUTDOWN_GRACE, all).await;
    }
}

/// One connection, until it ends; once it is told to finish, until its next answer, or until now if it is
/// between two requests.
async fn converse<Io>(io: Patient<Io>, router: Router, local: Local, mut finish: watch::Receiver<()>)
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let answered = io.answered();
    let told = finish.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(local);
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

    /// Whether it comes from this machine.
    fn is_local(_io: &Self::Io) -> bool {
        false
    }

    /// The next one. Dropping the future loses none.
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Io>>;
}

impl Accept for TcpListener {
    type Io = TcpStream;

    fn is_local(io: &TcpStream) -> bool {
        io.peer_addr().is_ok_and(|peer| peer.ip().to_canonical().is_loopback())
    }

    async fn accept(&mut self) -> io::Result<TcpStream> {
        let (stream, _) = TcpListener::accept(self).await?;
        // Without it an answer's end may wait for the client's acknowledgement of its beginning.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Lets connections in, one permit each.
struct Door<L> {
    listener: L,
    counters: Arc<Counters>,
    logged: Option<Instant>,
}

impl<L: Accept> Door<L> {
    async fn admit(
        &mut self,
        permits: &Arc<Semaphore>,
        finish: &watch::Sender<()>,
    ) -> (L::Io, OwnedSemaphorePermit) {
        let permit = match permits.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                finish.send_replace(());
                permits.clone().acquire_owned().await.expect("the semaphore is never closed")
            }
        };
        loop {
            match self.listener.accept().await {
                Ok(io) => return (io, permit),
                Err(error) => {
                    self.counters.accept_errors.fetch_add(1, Relaxed);
                    if self.logged.is_none_or(|at| at.elapsed() >= ACCEPT_LOG_EVERY) {
                        self.logged = Some(Instant::now());
                        tracing::warn!(%error, "the HTTP server cannot accept a connection; it tries again");
                    }
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
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
