//! The whole proxy: built from a configuration, run until it is told to stop.
//!
//! Three kinds of threads: miners' tasks run on the current runtime's threads, one per core; the router and
//! the sources on a thread of their own, so that jobs never wait behind what miners send; HTTP on another.

mod alarming;
mod control;
mod door;
mod error;
mod listeners;
mod live;
mod merged;
mod numbers;
mod plan;
mod pools;
mod ports;
mod serving;
mod settings;
mod splitting;
mod stopping;
mod threads;
mod upstream;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use engine::books::Books;
use engine::router::Router;
use telemetry::{Access, Events, Latencies, Mover, Snapshot};
use template::ProviderHandle;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;

use alarming::watch_alarms;
pub use control::RouteControl;
pub use error::StartError;
pub(crate) use listeners::FreshPorts;
use listeners::{Listeners, Shared};
pub use live::Live;
use numbers::Numbers;
pub(crate) use plan::{Plan, Planned};
use ports::open_ports;
pub(crate) use serving::FreshHttp;
pub use serving::Served;
use serving::Serving;
pub(crate) use settings::goals;
pub(crate) use settings::{lane_settings, source_settings, sv1_settings};
use settings::{route_settings, route_views};
pub(crate) use upstream::uses_state;
use upstream::{Common, Upstream};

use crate::alarms::Alarms;
use crate::chronicle::keep_chronicle;
use crate::clock::Clock;
use crate::config::Config;
use crate::details::{Inside, RunningConfig};
use crate::downstream::{
    Admission, Agents, AllRules, Certificates, FreshCertificates, JdcRoutes, MinerIdPool, Roster,
    WorkerMemory,
};
use crate::handover::OpenPorts;
use crate::ledger::{LedgerKeeper, LedgerSettings};
use crate::nats::{NatsControl, NatsKeeper, NatsSettings};
use crate::overload::{Budget, OverloadFigures, Warden, resident};
use crate::receipts::{Issuer, IssuerSettings, Shelf, TagKeeper};
use crate::service::{Ports, Watchdog};
use crate::snapshot::{Shown, SnapshotMaker, Views};
use crate::upstream::{Mailboxes, RouterMessage, RouterStatus};
use crate::workers::{self, Directory};

/// Messages that wait for the router: joins of a whole farm at once, and events of sources.
const ROUTER_QUEUE: usize = 32_768;
/// Commands that wait for a source.
const COMMAND_QUEUE: usize = 65_536;
/// What runs in this process beside the proxy, for development mode.
#[derive(Debug, Default)]
pub struct Embedded {
    /// The only pool is the embedded one: nothing is earned.
    pub dev_mode: bool,
    /// Template providers that are there already, by their names in the configuration; what that says of them besides is
    /// not looked at.
    pub templates: HashMap<String, ProviderHandle>,
    /// Ports that are open already.
    pub ports: Ports,
    /// Nobody is let in until [`Proxy::let_in`].
    pub closed: bool,
}

/// For whom Adit ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// For nobody: miners go elsewhere.
    Drain,
    /// Another Adit has taken the ports over and serves who comes.
    Served,
    /// Another Adit has taken the ports over and begins when this one has ended: who comes waits until then.
    Awaited,
}

/// A running proxy.
pub struct Proxy {
    maker: Arc<SnapshotMaker>,
    addresses: Vec<SocketAddr>,
    http: Option<SocketAddr>,
    served: Arc<Served>,
    events: Arc<Events>,
    running: Arc<RunningConfig>,
    tasks: TaskTracker,
    stop_accepting: CancellationToken,
    stop_http: CancellationToken,
    /// Cancelled when miners and HTTP's clients are let in.
    gate: CancellationToken,
    ports: Arc<OpenPorts>,
    router: mpsc::Sender<RouterMessage>,
    draining: watch::Sender<bool>,
    threads: Vec<std::thread::JoinHandle<()>>,
    live: Arc<Live>,
    books: Arc<Books>,
    roster: Arc<Roster>,
    #[cfg(test)]
    workers: Arc<Directory>,
    reloads: Arc<ReloadFigures>,
    control: Arc<RouteControl>,
    certificates: Arc<Certificates>,
    rules: Arc<AllRules>,
    ledger: Option<LedgerKeeper>,
    nats: Option<NatsKeeper>,
    /// Receipts are issued, and shares carry leases' tags, while this is there.
    _receipts: Option<(Issuer, TagKeeper)>,
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
        let Embedded { dev_mode, templates, ports, closed } = embedded;
        let clock = Clock::start();
        let books = Arc::new(Books::new(config.limits.workers_max as usize));
        // Before any share can come.
        let kept = LedgerSettings::of(config).zip(books.reader());
        NatsSettings::check(config).map_err(StartError::Nats)?;
        let latencies = Latencies::default();
        let mailboxes = Arc::new(Mailboxes::default());

        let certificates = Arc::new(Certificates::new(FreshCertificates::read(config)?));
        let rules = Arc::new(AllRules::of(config));
        // Every port first: nothing else is begun when one cannot be had.
        let (sockets, http_socket) = open_ports(config, ports)?;
        let open = Arc::new(OpenPorts::default());
        let for_successor = http_socket.as_ref().map(std::net::TcpListener::try_clone).transpose();
        open.set_http(for_successor.map_err(StartError::Thread)?);
        let gate = CancellationToken::new();
        if !closed {
            gate.cancel();
        }

        // Sources, and routes over them.
        let (router_tx, router_rx) = mpsc::channel(ROUTER_QUEUE);
        let common = Common {
            mailboxes: Arc::clone(&mailboxes),
            latencies: latencies.clone(),
            router: router_tx.clone(),
            clock,
            jobs: Arc::default(),
        };
        let embedded_templates: Vec<String> = templates.keys().cloned().collect();
        let upstream = Upstream::prepare(config, templates, &common)?;
        let mut numbers = Numbers::of(config);
        let routes = config.routes.iter().enumerate();
        let routes: Vec<_> =
            routes.map(|(at, (name, route))| route_settings(at, name, route, config, &mut numbers)).collect();
        let route_views = route_views(&routes, config);
        let router = Router::new(upstream.plans(), routes, rand::random(), clock.now());
        let route_names = route_views.iter().map(|route| route.name.clone()).collect();
        let (status_tx, status) = watch::channel(RouterStatus::default());
        let doors = Arc::new(upstream.doors());
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
        let views = Views { listeners: Vec::new(), sources: seen.sources, routes: route_views };
        let shown = Arc::new(Shown::new(views));
        let admission = Arc::new(Admission::new(config.limits.max_connections, config.limits.accept_rate));
        let roster = Arc::new(Roster::default());
        let tasks = TaskTracker::new();
        let stop_accepting = CancellationToken::new();
        let shared = Shared {
            books: Arc::clone(&books),
            admission: Arc::clone(&admission),
            roster: Arc::clone(&roster),
            ids: Arc::new(MinerIdPool::new(rand::random(), rand::random())),
            agents: Arc::new(Agents::default()),
            memory: Arc::new(WorkerMemory::default()),
            next_miner: Arc::new(AtomicU64::new(1)),
            router: router_tx.clone(),
            doors: Arc::clone(&doors),
            mailboxes,
            latencies: latencies.clone(),
            clock,
            certificates: Arc::clone(&certificates),
            rules: Arc::clone(&rules),
            jdc_routes,
            shown: Arc::clone(&shown),
            ports: Arc::clone(&open),
            tasks: tasks.clone(),
            stop_accepting: stop_accepting.clone(),
            gate: gate.clone(),
        };
        let addresses = sockets.iter().filter_map(|port| port.socket.local_addr().ok()).collect();
        let listeners = Listeners::new(shared);
        listeners.open_all(config, sockets);

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
        let (admitted, figures) = (Arc::clone(&admission), Arc::clone(&overload));
        let live = Arc::new(Live::new(listeners, admitted, figures, Arc::clone(&books), &config.limits));
        let reloads = Arc::new(ReloadFigures::default());

        // What is shown.
        let (draining, draining_seen) = watch::channel(false);
        let workers = Arc::new(Directory::new(
            Arc::clone(&books),
            Arc::clone(&roster),
            clock,
            Arc::clone(&shown),
            config.http.worker_series as usize,
            &config.http.worker_series_allow,
        ));
        let (mut ledger, mut nats) = (None, None);
        if let Some((settings, reader)) = kept {
            let directory = settings.directory.clone();
            let kept = settings.keep(reader, Arc::clone(&shown), latencies.clone());
            let kept = kept.map_err(StartError::Thread)?;
            if let Some(door) = kept.evidence() {
                doors.keep_evidence(door);
            }
            ledger = Some(kept);
            let published = NatsKeeper::start(directory, NatsSettings::of(config));
            nats = Some(published.map_err(StartError::Thread)?);
        }
        let receipts = IssuerSettings::of(config);
        let shelf = Shelf::new(receipts.as_ref().map(|settings| settings.directory().to_owned()));
        let receipts = receipts.map(|settings| {
            let tags = settings.tag(Arc::clone(&shown), router_tx.clone())?;
            Ok((settings.issue(Arc::clone(&shown))?, tags))
        });
        let receipts = receipts.transpose().map_err(StartError::Thread)?;
        let maker = Arc::new(SnapshotMaker {
            clock,
            dev_mode,
            draining: draining_seen,
            books: Arc::clone(&books),
            shown: Arc::clone(&shown),
            templates: seen.templates,
            halvings: settings::halvings(config, &embedded_templates),
            blocks: seen.blocks,
            router: status,
            alarms: Alarms::default(),
            admission,
            overload,
            reloads: Arc::clone(&reloads),
            ledger: ledger.as_ref().map(LedgerKeeper::figures),
            nats: nats.as_ref().map(NatsKeeper::figures),
        });
        let (jobs, shown_to) = (Arc::clone(&common.jobs), Arc::clone(&shown));
        let control = Arc::new(RouteControl::new(config, numbers, common, (doors, shown)));
        let running = Arc::new(RunningConfig::new(config.clone()));
        let inside = Inside {
            clock,
            shown: shown_to,
            jobs,
            router: maker.router.clone(),
            control: Arc::clone(&control),
            config: Arc::clone(&running),
        };
        let events = Arc::new(Events::default());
        let access = Arc::new(Access::new(config.http.tokens()).with_hosts(config.http.hosts.clone()));
        let (mover, moves) = Mover::new();
        let served = Arc::new(Served {
            access: Arc::clone(&access),
            workers: Arc::clone(&workers),
            mover,
            compatible: Arc::new(AtomicBool::new(config.http.compatible_metrics)),
            ports: Arc::clone(&open),
        });
        let stop_http = CancellationToken::new();
        tokio::spawn(watch_alarms(Arc::clone(&maker), stop_http.clone()));
        let (before, noted) = (maker.snapshot(), Arc::clone(&events));
        tokio::spawn(keep_chronicle(Arc::clone(&maker), noted, before, stop_http.clone()));
        tokio::spawn(workers::watch(Arc::clone(&workers), stop_http.clone()));
        let http = http_socket.as_ref().and_then(|s| s.local_addr().ok());
        if let Some(socket) = http_socket {
            let serving = Serving {
                maker: Arc::clone(&maker),
                workers: Arc::clone(&workers),
                latencies,
                access,
                events: Arc::clone(&events),
                inside,
                receipts: shelf,
                control: Arc::clone(&control),
                moves,
                compatible: Arc::clone(&served.compatible),
                gate: gate.clone(),
                stop: stop_http.clone(),
            };
            threads.extend(serving.start(socket, config, dev_mode)?);
        }
        Ok(Self {
            maker,
            addresses,
            http,
            served,
            events,
            running,
            tasks,
            stop_accepting,
            stop_http,
            gate,
            ports: open,
            router: router_tx,
            draining,
            threads,
            live,
            books,
            roster,
            #[cfg(test)]
            workers,
            reloads,
            control,
            certificates,
            rules,
            ledger,
            nats,
            _receipts: receipts,
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

    /// Who mines.
    #[cfg(test)]
    pub(crate) fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.workers)
    }

    /// What the listeners prove themselves with.
    #[must_use]
    pub fn certificates(&self) -> Arc<Certificates> {
        Arc::clone(&self.certificates)
    }

    /// Who may connect to the listeners.
    #[must_use]
    pub fn rules(&self) -> Arc<AllRules> {
        Arc::clone(&self.rules)
    }

    /// Lets miners and HTTP's clients in, if it was started closed.
    pub(crate) fn let_in(&self) {
        self.gate.cancel();
    }

    /// The ports that are open, for a successor.
    pub(crate) fn ports(&self) -> Arc<OpenPorts> {
        Arc::clone(&self.ports)
    }

    /// What takes the proxy's measure at any moment, also while it stops.
    pub(crate) fn look(&self) -> Arc<dyn Fn() -> Snapshot + Send + Sync> {
        let maker = Arc::clone(&self.maker);
        Arc::new(move || maker.snapshot())
    }

    /// What gives signs of life while all threads answer. To be called in the runtime that serves miners.
    pub(crate) fn watchdog(&self) -> Watchdog {
        Watchdog::new(tokio::runtime::Handle::current(), self.router.clone())
    }

    /// What of HTTP can be changed.
    #[must_use]
    pub fn served(&self) -> Arc<Served> {
        Arc::clone(&self.served)
    }

    /// What happened, and where more is noted.
    #[must_use]
    pub fn events(&self) -> Arc<Events> {
        Arc::clone(&self.events)
    }

    /// What is shown as the configuration in force.
    #[must_use]
    pub fn running(&self) -> Arc<RunningConfig> {
        Arc::clone(&self.running)
    }

    /// What can be changed of listeners and limits.
    #[must_use]
    pub fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live)
    }

    /// What can be changed of publishing the ledger; nothing where none is kept.
    pub(crate) fn nats(&self) -> Option<NatsControl> {
        self.nats.as_ref().map(NatsKeeper::control)
    }

    /// Where it is counted how often the configuration was read anew.
    #[must_use]
    pub fn reloads(&self) -> Arc<ReloadFigures> {
        Arc::clone(&self.reloads)
    }
}
