//! The whole proxy: built from a configuration, run until it is told to stop.
//!
//! Three kinds of threads: miners' tasks run on the current runtime's threads, one per core; the router and
//! the sources on a thread of their own, so that jobs never wait behind what miners send; HTTP on another.

mod control;
mod settings;
mod splitting;
mod upstream;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use engine::books::{Books, Totals};
use engine::miner::CloseReason;
use engine::router::Router;
use telemetry::{AlarmSnapshot, Latencies, Snapshot};
use template::ProviderHandle;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

pub use control::RouteControl;
pub(crate) use settings::goals;
pub(crate) use settings::{lane_settings, source_settings, sv1_settings};
use settings::{listener_policy, route_settings};
use splitting::Splitting;
use upstream::Upstream;

use crate::alarms::Alarms;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::downstream::{
    Access, Admission, CertificateError, Certificates, Declarators, FreshCertificates, JdcRoutes,
    ListenerContext, ListenerFigures, MinerIdPool, Roster, Sv2Identity, WorkerMemory, run_listener,
};
use crate::overload::{Budget, OverloadFigures, Warden, resident};
use crate::snapshot::{GoalView, ListenerView, RouteView, SnapshotMaker};
use crate::state::StateError;
use crate::upstream::{Mailboxes, RouterMessage, RouterStatus, SourceDoor, SourceFigures};

/// Messages that wait for the router: joins of a whole farm at once, and events of sources.
const ROUTER_QUEUE: usize = 32_768;
/// Commands that wait for a source.
const COMMAND_QUEUE: usize = 65_536;
/// A miner that takes nothing it is sent for this long is closed: before the system gives its socket up (after 20 s,
/// see `sockets`), so that it is counted and told as what it is.
const WRITE_STALL: Duration = Duration::from_secs(15);
/// At the end each miner has so long until the next is closed, as far as the grace allows.
const CLOSE_EVERY: Duration = Duration::from_millis(10);
/// At most so much of the grace is used for closing miners: the rest is for the pools' answers.
const CLOSE_WITHIN: f64 = 0.6;
/// While draining, the end is not waited for any longer once no share was answered for this long.
const DRAIN_WITHOUT_PROGRESS: Duration = Duration::from_secs(3);

/// Alarms are looked at this often, besides whenever somebody asks.
const ALARMS_EVERY: Duration = Duration::from_secs(10);

/// Why the proxy cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A port cannot be had.
    #[error("cannot listen on {address} ({what}): {error}")]
    Bind {
        /// What for.
        what: String,
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        error: std::io::Error,
    },
    /// The state directory cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// A listener's certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A thread cannot be had.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// Nobody can vouch for a pool.
    #[error("{key}: {file}: {why}")]
    Authorities {
        /// The key that names the file.
        key: String,
        /// The file.
        file: String,
        /// What is wrong.
        why: String,
    },
    /// The HTTP server cannot be made.
    #[error("cannot make the HTTP server: {0}")]
    Http(String),
}

/// What runs in this process beside the proxy, for development mode.
#[derive(Debug, Default)]
pub struct Embedded {
    /// The only pool is the embedded one: nothing is earned.
    pub dev_mode: bool,
    /// Template providers that are there already, by their names in the configuration; what that says of them besides is
    /// not looked at.
    pub templates: HashMap<String, ProviderHandle>,
}

/// How miners are parted with at the end.
#[derive(Clone, Copy, Debug)]
struct Drain {
    /// They are left alone for so long.
    delay: Duration,
    /// More are taken meanwhile.
    accept: bool,
    /// Then they are closed over so long; nothing where that follows from the grace.
    spread: Option<Duration>,
}

/// A running proxy.
pub struct Proxy {
    maker: Arc<SnapshotMaker>,
    addresses: Vec<SocketAddr>,
    http: Option<SocketAddr>,
    tasks: TaskTracker,
    stop_accepting: CancellationToken,
    stop_http: CancellationToken,
    router: mpsc::Sender<RouterMessage>,
    draining: watch::Sender<bool>,
    threads: Vec<std::thread::JoinHandle<()>>,
    grace: Duration,
    drain: Drain,
    books: Arc<Books>,
    roster: Arc<Roster>,
    reloads: Arc<ReloadFigures>,
    control: Arc<RouteControl>,
    certificates: Arc<Certificates>,
}

/// How often the configuration was read anew.
#[derive(Debug, Default)]
pub struct ReloadFigures {
    /// And was good.
    pub applied: AtomicU64,
    /// And was not.
    pub refused: AtomicU64,
}

impl Proxy {
    /// Starts everything that a configuration says.
    ///
    /// # Errors
    /// [`StartError`]; nothing runs then.
    #[expect(
        clippy::too_many_lines,
        reason = "a table of contents: what there is, in the order of its making"
    )]
    pub async fn start(config: &Config, embedded: Embedded) -> Result<Self, StartError> {
        let Embedded { dev_mode, templates } = embedded;
        let clock = Clock::start();
        let books = Arc::new(Books::default());
        let latencies = Latencies::default();
        let mailboxes = Arc::new(Mailboxes::default());

        let certificates = Arc::new(Certificates::new(FreshCertificates::read(config)?));
        // Every port first: nothing else is begun when one cannot be had.
        let mut sockets = Vec::new();
        for (name, listener) in &config.listeners {
            sockets.push(bind(listener.listen, listener.reuse_port, &format!("listener.{name}"))?);
        }
        let http_socket = match config.http.enabled {
            true => Some(bind(config.http.listen, false, "http")?),
            false => None,
        };

        // Sources, and routes over them.
        let (router_tx, router_rx) = mpsc::channel(ROUTER_QUEUE);
        let upstream =
            Upstream::prepare(config, templates, &books, &mailboxes, &latencies, &router_tx, clock)?;
        let listener_at =
            |name: &config::Name| config.listeners.keys().position(|n| n == name).expect("checked");
        let goals: Vec<String> =
            settings::goals(config).iter().map(|(_, name, _)| name.to_string()).collect();
        let mut routes = Vec::new();
        let mut route_views = Vec::new();
        for (at, (name, route)) in config.routes.iter().enumerate() {
            let settings = route_settings(at, name, route, config);
            let goals = settings.goals.iter().map(|goal| GoalView {
                name: goals[usize::from(goal.id.0)].clone(),
                at: usize::from(goal.id.0),
                sources: goal.sources.iter().map(|source| usize::from(source.0)).collect(),
            });
            let goals: Vec<GoalView> = goals.collect();
            let mut sources = Vec::new();
            for source in goals.iter().flat_map(|goal| &goal.sources) {
                if !sources.contains(source) {
                    sources.push(*source);
                }
            }
            let listeners = route.listeners.iter().map(listener_at).collect();
            let others = config.routes.iter().filter(|(other, _)| *other != name);
            let shares_listeners = others
                .flat_map(|(_, other)| &other.listeners)
                .any(|listener| route.listeners.contains(listener));
            let name = name.to_string();
            route_views.push(RouteView { name, sources, listeners, goals, shares_listeners });
            routes.push(settings);
        }
        let router = Router::new(upstream.plans(), routes, rand::random(), clock.now());
        let route_names = route_views.iter().map(|route| route.name.clone()).collect();
        let (status_tx, status) = watch::channel(RouterStatus::default());
        let doors: Arc<[SourceDoor]> = upstream.doors().into();
        let source_figures: Arc<[Arc<SourceFigures>]> = upstream.figures().into();
        let mut threads = Vec::new();
        let seen = upstream.run(router, route_names, router_rx, status_tx, &mut threads)?;

        // Listeners.
        let jdc_routes = JdcRoutes {
            ways: settings::jdc_ways(config).into(),
            names: settings::source_names(config).map(ToString::to_string).collect(),
            routes: route_views.iter().map(|route| route.name.clone()).collect(),
            goals: route_views.iter().map(|route| route.goals.iter().map(|goal| goal.at).collect()).collect(),
            status: status.clone(),
        };
        let admission = Arc::new(Admission::new(config.limits.max_connections, config.limits.accept_rate));
        let roster = Arc::new(Roster::default());
        let ids = Arc::new(MinerIdPool::new(rand::random(), rand::random()));
        let memory = Arc::new(WorkerMemory::default());
        let next_miner = Arc::new(AtomicU64::new(1));
        let firmware = settings::firmware(config);
        let tasks = TaskTracker::new();
        let stop_accepting = CancellationToken::new();
        let mut addresses = Vec::new();
        let mut listener_views = Vec::new();
        for (at, ((name, listener), socket)) in config.listeners.iter().zip(sockets).enumerate() {
            let choices = settings::route_choices(name, config);
            let route = usize::from(choices.rest.0);
            let figures = Arc::new(ListenerFigures::default());
            let address = socket.local_addr().unwrap_or(listener.listen);
            let policy = listener_policy(at, route, (name, listener), config, &firmware);
            let key = listener.authority_secret_key.as_ref();
            let identity = key.map(|key| Sv2Identity::new(key.reveal().clone()));
            if let Some(identity) = &identity {
                // As miners are told it.
                let url = format!("stratum2+tcp://{address}/{}", identity.public());
                info!(listener = %name, %url, "for Stratum V2 miners");
            }
            let splitting = Splitting::of(name, listener, config, &seen.sources);
            let context = ListenerContext {
                name: name.to_string(),
                protocol: listener.protocol,
                identity,
                policy: Arc::new(policy),
                declarators: (listener.job_declarators > 0)
                    .then(|| Declarators::new(listener.job_declarators, jdc_routes.clone())),
                routes: choices,
                books: Arc::clone(&books),
                admission: Arc::clone(&admission),
                cap: listener.max_connections.map(|n| Arc::new(Semaphore::new(n as usize))),
                access: Access {
                    allow: listener.allow.clone(),
                    deny: listener.deny.clone(),
                    proxies: listener.proxy_protocol_from.clone(),
                },
                per_address: listener.max_connections_per_address,
                unlimited_addresses: listener.unlimited_addresses.clone(),
                max_line: config.limits.line,
                outbox: config.limits.outbox,
                handshake: config.limits.handshake,
                certificate: certificates.of(name),
                write_stall: WRITE_STALL,
                roster: Arc::clone(&roster),
                ids: Arc::clone(&ids),
                id_spaces: splitting.spaces(),
                memory: Arc::clone(&memory),
                router: router_tx.clone(),
                doors: Arc::clone(&doors),
                sources: Arc::clone(&source_figures),
                mailboxes: Arc::clone(&mailboxes),
                latencies: latencies.clone(),
                figures: Arc::clone(&figures),
                clock,
                next_miner: Arc::clone(&next_miner),
                quiet: crate::downstream::Quiet::default(),
            };
            info!(listener = %name, %address, "listening for miners");
            listener_views.push(ListenerView {
                name: name.to_string(),
                address: address.to_string(),
                figures,
            });
            addresses.push(address);
            tokio::spawn(let_in(socket, context, splitting, tasks.clone(), stop_accepting.clone()));
        }

        // Memory.
        let overload = Arc::new(OverloadFigures::default());
        match Budget::find(config.limits.memory).filter(|_| resident().is_some()) {
            Some(Budget { bytes, from }) => {
                info!(bytes, %from, "memory budget");
                let (admission, figures) = (Arc::clone(&admission), Arc::clone(&overload));
                let warden = Warden::new(bytes, admission, Arc::clone(&roster), figures, clock);
                tokio::spawn(warden.run(resident, stop_accepting.clone()));
            }
            None => info!("this system does not tell how much memory is used: limits.memory has no effect"),
        }
        let reloads = Arc::new(ReloadFigures::default());

        // What is shown.
        let (draining, draining_seen) = watch::channel(false);
        let maker = Arc::new(SnapshotMaker {
            clock,
            dev_mode,
            draining: draining_seen,
            books: Arc::clone(&books),
            listeners: listener_views,
            sources: seen.sources,
            templates: seen.templates,
            blocks: seen.blocks,
            routes: route_views,
            router: status,
            max_connections: u64::from(config.limits.max_connections),
            alarms: Alarms::default(),
            admission,
            overload,
            reloads: Arc::clone(&reloads),
        });
        let control = Arc::new(RouteControl::new(config, router_tx.clone()));
        let stop_http = CancellationToken::new();
        tokio::spawn(watch_alarms(Arc::clone(&maker), stop_http.clone()));
        let http = http_socket.as_ref().and_then(|s| s.local_addr().ok());
        if let Some(socket) = http_socket {
            let provider = Arc::clone(&maker);
            let server = telemetry::Server::new(
                Arc::new(move || provider.snapshot()),
                latencies,
                telemetry::Limits::default(),
            )
            .map_err(|e| StartError::Http(e.to_string()))?;
            let changes = Arc::clone(&control);
            let server = server.with_changes(Arc::new(move |change| changes.patch(change)));
            let socket = socket.into_std().map_err(StartError::Thread)?;
            let stop = stop_http.clone();
            threads.push(thread("http", runtime()?, async move {
                match TcpListener::from_std(socket) {
                    Ok(socket) => server.serve(socket, stop.cancelled_owned()).await,
                    Err(error) => error!(%error, "HTTP cannot be served"),
                }
            })?);
            if let Some(address) = http {
                info!(%address, "metrics and status on http://{address}/metrics and /api/v1/status");
            }
        }
        Ok(Self {
            maker,
            addresses,
            http,
            tasks,
            stop_accepting,
            stop_http,
            router: router_tx,
            draining,
            threads,
            grace: config.limits.shutdown_grace,
            drain: Drain {
                delay: config.limits.drain_delay,
                accept: config.limits.drain_accept,
                spread: config.limits.drain_spread,
            },
            books,
            roster,
            reloads,
            control,
            certificates,
        })
    }

    /// What can be changed while it runs.
    #[must_use]
    pub fn control(&self) -> Arc<RouteControl> {
        Arc::clone(&self.control)
    }

    /// Where miners connect, in the order of the listeners' names.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where HTTP is served.
    #[must_use]
    pub fn http(&self) -> Option<SocketAddr> {
        self.http
    }

    /// The proxy at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.maker.snapshot()
    }

    /// Tells whether it is ready, also while it stops.
    #[cfg(test)]
    pub(crate) fn ready_probe(&self) -> impl Fn() -> bool + use<> {
        let maker = Arc::clone(&self.maker);
        move || maker.snapshot().readiness.ready
    }

    /// Who may connect, and who is connected.
    #[cfg(test)]
    pub(crate) fn inside(&self) -> (Arc<Admission>, Arc<Roster>) {
        (Arc::clone(&self.maker.admission), Arc::clone(&self.roster))
    }

    /// What the listeners prove themselves with.
    #[must_use]
    pub fn certificates(&self) -> Arc<Certificates> {
        Arc::clone(&self.certificates)
    }

    /// Where it is counted how often the configuration was read anew.
    #[must_use]
    pub fn reloads(&self) -> Arc<ReloadFigures> {
        Arc::clone(&self.reloads)
    }

    /// Stops. First load balancers are given their time to notice; then: no new miners, queued shares are sent, answers to open shares are waited for while they still
    /// come, miners are told and closed. Gives the books as they stand at the end.
    pub async fn stop(self) -> Totals {
        let _ = self.draining.send(true);
        let Drain { delay, accept, spread } = self.drain;
        if !accept {
            self.stop_accepting.cancel();
        }
        tokio::time::sleep(delay).await;
        self.stop_accepting.cancel();
        self.tasks.close();
        // Miners first: what they sent so far is counted and queued. One after the other, so that not all of them come
        // to their backup pool at once.
        let began = tokio::time::Instant::now();
        let (within, deadline) = match spread {
            // Ten milliseconds each, if that is possible.
            None => (self.grace.mul_f64(CLOSE_WITHIN), began + self.grace),
            Some(spread) => (spread, began + spread + self.grace),
        };
        let at_most = if spread.is_some() { Duration::MAX } else { CLOSE_EVERY };
        let _ = tokio::time::timeout_at(began + within, self.close_miners(at_most, within)).await;
        // Those who are left or came meanwhile, all at once.
        let mut left = Vec::new();
        self.roster.read(&mut left);
        for miner in left.iter().filter(|miner| !miner.closing) {
            self.roster.close(miner.miner, CloseReason::ShuttingDown);
        }
        let _ = self.router.send(RouterMessage::Drain("Adit is shutting down")).await;
        let mut seen = (u64::MAX, tokio::time::Instant::now());
        let miners = tokio::time::timeout_at(deadline, self.tasks.wait()).await;
        if miners.is_err() {
            info!(left = self.tasks.len(), "some miners did not leave in time");
        }
        // Then the answers of the sources, while they come.
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        loop {
            let pending = self.books.totals().pending;
            let now = tokio::time::Instant::now();
            if pending != seen.0 {
                seen = (pending, now);
            }
            if pending == 0 || now >= deadline || now - seen.1 >= DRAIN_WITHOUT_PROGRESS {
                break;
            }
            tick.tick().await;
        }
        self.stop_http.cancel();
        let _ = self.router.send(RouterMessage::End).await;
        let threads = self.threads;
        let ended = tokio::task::spawn_blocking(move || {
            threads.into_iter().for_each(|t| {
                let _ = t.join();
            });
        });
        let _ = tokio::time::timeout(Duration::from_millis(500), ended).await;
        self.books.totals()
    }

    /// Closes every miner, evenly over the time that there is but `at_most` so long after each other, those with the least
    /// hashrate first.
    async fn close_miners(&self, at_most: Duration, within: Duration) {
        let mut miners = Vec::new();
        self.roster.read(&mut miners);
        miners.sort_unstable_by(|a, b| a.hashrate.total_cmp(&b.hashrate));
        let count = u32::try_from(miners.len()).unwrap_or(u32::MAX).max(1);
        let every = at_most.min(within / count);
        let mut next = tokio::time::Instant::now();
        for miner in miners {
            // Timers are no finer than a millisecond: those whose time has come meanwhile go together.
            if next > tokio::time::Instant::now() {
                tokio::time::sleep_until(next).await;
            }
            next += every;
            self.roster.close(miner.miner, CloseReason::ShuttingDown);
        }
    }
}

/// Lets miners in as soon as it is known how their extranonce is split.
async fn let_in(
    socket: TcpListener,
    mut context: ListenerContext,
    splitting: Splitting,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let Some(split) = stop.run_until_cancelled(splitting.split()).await else { return };
    let policy = Arc::make_mut(&mut context.policy);
    (policy.extranonce1_size, policy.extranonce2_size) = (split.extranonce1, split.extranonce2);
    let _ = context.figures.split.set((split.extranonce1, split.extranonce2));
    run_listener(socket, Arc::new(context), tasks, stop).await;
}

/// Says when an alarm begins and ends to hold.
async fn watch_alarms(maker: Arc<SnapshotMaker>, stop: CancellationToken) {
    let mut held = Vec::new();
    let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + ALARMS_EVERY, ALARMS_EVERY);
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        let mut alarms = maker.snapshot().alarms;
        alarms.retain(|alarm| alarm.active);
        for alarm in alarms.iter().filter(|alarm| !held.contains(&key(alarm))) {
            warn!(alarm = %alarm.name, subject = alarm.subject, "{}", alarm.detail);
        }
        let holds: Vec<_> = alarms.iter().map(key).collect();
        for (name, subject) in held.iter().filter(|alarm| !holds.contains(alarm)) {
            info!(alarm = %name, subject, "no longer");
        }
        held = holds;
    }
}

fn key(alarm: &AlarmSnapshot) -> (String, String) {
    (alarm.name.to_string(), alarm.subject.clone())
}

fn bind(address: SocketAddr, share: bool, what: &str) -> Result<TcpListener, StartError> {
    crate::sockets::listen(address, share).map_err(|error| StartError::Bind {
        what: what.to_owned(),
        address,
        error,
    })
}

fn runtime() -> Result<Runtime, StartError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)
}

fn thread(
    name: &str,
    runtime: Runtime,
    work: impl Future<Output = ()> + Send + 'static,
) -> Result<std::thread::JoinHandle<()>, StartError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || runtime.block_on(work))
        .map_err(StartError::Thread)
}
