//! Everything upstream, made from the configuration: sources, template providers, the block desk.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use engine::SourceId;
use engine::books::Books;
use engine::router::{Router, SourcePlan};
use engine::source::{Declared, Solo, SourceCommand, SourceStatus, Sv1Pool, Sv1Settings, Sv2Pool};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use link::{Resolver, Sv1Url};
use telemetry::{Latencies, SourceKind};
use template::ProviderHandle;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::{mpsc, watch};
use tracing::error;
use work::CoinbaseConstraints;

use super::settings::{
    declared_plan, declared_settings, lane_settings, pins, position, solo_plan, solo_settings, source_plan,
    source_settings, sv1_settings, template_settings, templates_in_use,
};
use super::{COMMAND_QUEUE, StartError, runtime, thread};
use crate::blocks::{BlockDesk, BlockFigures};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::leases::Leases;
use crate::snapshot::SourceView;
use crate::state::StateDirectory;
use crate::templates::{ProviderNews, Providers, TemplateHub, TemplateOrigin, TemplateSettings};
use crate::upstream::{
    DeclaredTask, LaneSettings, LineSettings, Mailboxes, Outlet, Pins, Repeated, RouterMessage, RouterStatus,
    SHARE_QUEUE, SOLUTION_QUEUE, SoloTask, SourceDoor, SourceFigures, SourceReport, SourceTask, Sv1Task,
    run_declared, run_router, run_solo, run_source, run_sv1,
};

/// The longest frame of a job declarator server, bytes: the positions of 65,535 transactions.
pub(super) const DECLARATOR_FRAME: usize = 256 * 1024;

/// Upstream, prepared: nothing but template providers has begun.
pub(super) struct Upstream {
    runtime: Parked,
    sources: Vec<Made>,
    seen: Seen,
    latencies: Latencies,
    clock: Clock,
    leases: Option<Leases>,
    pins: Pins,
}

/// A runtime that nothing runs on yet. One that is never used must not be waited for where it is dropped: other tasks run
/// there.
struct Parked(Option<Runtime>);

impl Drop for Parked {
    fn drop(&mut self) {
        if let Some(unused) = self.0.take() {
            unused.shutdown_background();
        }
    }
}

/// A source that was made.
struct Made {
    plan: SourcePlan,
    commands: mpsc::Sender<SourceCommand>,
    door: SourceDoor,
    task: BoxFuture<'static, ()>,
}

/// What a snapshot is made of.
pub(super) struct Seen {
    pub(super) sources: Vec<SourceView>,
    /// Absent without templates.
    pub(super) templates: Option<watch::Receiver<Vec<ProviderNews>>>,
    pub(super) blocks: Arc<BlockFigures>,
}

/// What sources with templates of the farm's own share.
struct Own<'a> {
    /// Of the templates, by their numbers.
    names: Vec<&'a config::Name>,
    providers: Providers,
    desk: BlockDesk,
    state: Arc<StateDirectory>,
}

impl Own<'_> {
    fn hub(&self, templates: &[config::Name], needed: CoinbaseConstraints) -> TemplateHub {
        let number = |of: &config::Name| self.names.iter().position(|name| *name == of);
        let order: Vec<usize> = templates.iter().filter_map(number).collect();
        self.providers.hub(&order, needed)
    }

    /// The state directory stays taken as long as anyone mines.
    fn keep_state(&self, task: impl Future<Output = ()> + Send + 'static) -> BoxFuture<'static, ()> {
        let state = Arc::clone(&self.state);
        let task = async move {
            task.await;
            drop(state);
        };
        task.boxed()
    }
}

/// What a source shares with all others.
struct Common<'a> {
    books: &'a Arc<Books>,
    mailboxes: &'a Arc<Mailboxes>,
    latencies: &'a Latencies,
    router: &'a mpsc::Sender<RouterMessage>,
    clock: Clock,
}

/// The ends of a source's queues and cells.
struct Ends {
    id: SourceId,
    outlet: Outlet,
    to: (mpsc::Sender<SourceCommand>, SourceDoor),
    report_seen: watch::Receiver<SourceReport>,
    commands: mpsc::Receiver<SourceCommand>,
    shares: mpsc::Receiver<engine::OutgoingShare>,
    solutions: mpsc::Receiver<engine::OutgoingShare>,
    report: watch::Sender<SourceReport>,
    figures: Arc<SourceFigures>,
}

impl Upstream {
    /// Makes all sources in the order of their numbers.
    pub(super) fn prepare(
        config: &Config,
        embedded: HashMap<String, ProviderHandle>,
        books: &Arc<Books>,
        mailboxes: &Arc<Mailboxes>,
        latencies: &Latencies,
        router: &mpsc::Sender<RouterMessage>,
        clock: Clock,
    ) -> Result<Self, StartError> {
        let blocks = Arc::new(BlockFigures::default());
        let mut upstream = Self {
            runtime: Parked(Some(runtime()?)),
            sources: Vec::new(),
            seen: Seen { sources: Vec::new(), templates: None, blocks },
            latencies: latencies.clone(),
            clock,
            leases: None,
            pins: pins(config),
        };
        let common = Common { books, mailboxes, latencies, router, clock };
        for (name, source) in &config.sources {
            upstream.pool(&common, name, source, config)?;
        }
        let counts = config.goals.values().any(|goal| goal.work_max.is_some());
        let of_templates = !config.solos.is_empty() || !config.declared.is_empty();
        if counts || of_templates {
            let directory = config::state_directory(&config.state, config::environment());
            let state = Arc::new(StateDirectory::open(&directory)?);
            if of_templates {
                upstream.of_templates(&common, config, embedded, Arc::clone(&state))?;
            }
            if counts {
                upstream.leases = Some(Leases::open(config, state)?);
            }
        }
        Ok(upstream)
    }

    /// A pool.
    fn pool(
        &mut self,
        common: &Common<'_>,
        name: &config::Name,
        source: &config::Source,
        config: &Config,
    ) -> Result<(), StartError> {
        let at = self.sources.len();
        let ends = common.ends(at, name, "pool");
        let resolver = Resolver::system(config.limits.lookup);
        let url = match &source.url {
            config::SourceUrl::Sv2(url) => url,
            config::SourceUrl::Sv1(url) => {
                let settings = sv1_settings(ends.id, url, name, source, config);
                let lanes = lane_settings(url, name, source, config, resolver)?;
                self.sv1_pool(common, ends, (url, source, config), settings, lanes);
                return Ok(());
            }
        };
        self.seen.sources.push(SourceView {
            address: Some(url.host_and_port()),
            insecure: source.insecure,
            resolver: Some(Arc::clone(&resolver)),
            ..ends.view(SourceKind::Pool)
        });
        let machine =
            Sv2Pool::new(source_settings(ends.id, url, source), Arc::clone(common.books), rand::random());
        let task = SourceTask {
            outlet: ends.outlet,
            machine,
            url: url.clone(),
            resolver,
            connect_timeout: source.connect_timeout,
            handshake_timeout: config.limits.handshake,
            certificate_leeway: source.certificate_leeway,
            max_frame: config.limits.frame,
            commands: ends.commands,
            shares: ends.shares,
            solutions: ends.solutions,
            report: ends.report,
            figures: ends.figures,
            clock: common.clock,
        };
        let (commands, door) = ends.to;
        let task = run_source(task).boxed();
        self.sources.push(Made { plan: source_plan(at, source), commands, door, task });
        Ok(())
    }

    /// A pool that speaks Stratum V1.
    fn sv1_pool(
        &mut self,
        common: &Common<'_>,
        ends: Ends,
        (url, source, config): (&Sv1Url, &config::Source, &Config),
        settings: Sv1Settings,
        lanes: LaneSettings,
    ) {
        let at = self.sources.len();
        self.seen.sources.push(SourceView {
            address: Some(url.host_and_port()),
            resolver: Some(Arc::clone(&lanes.resolver)),
            ..ends.view(SourceKind::Pool)
        });
        let task = Sv1Task {
            outlet: ends.outlet,
            machine: Sv1Pool::new(settings, Arc::clone(common.books), rand::random()),
            url: url.clone(),
            lanes,
            max_line: config.limits.frame,
            commands: ends.commands,
            shares: ends.shares,
            solutions: ends.solutions,
            report: ends.report,
            figures: ends.figures,
            clock: common.clock,
        };
        let (commands, door) = ends.to;
        let task = run_sv1(task).boxed();
        self.sources.push(Made { plan: source_plan(at, source), commands, door, task });
    }

    /// Template providers, the block desk, and every source that uses them.
    fn of_templates(
        &mut self,
        common: &Common<'_>,
        config: &Config,
        mut embedded: HashMap<String, ProviderHandle>,
        state: Arc<StateDirectory>,
    ) -> Result<(), StartError> {
        let names = templates_in_use(config);
        let mut templates = Vec::new();
        for name in &names {
            let settings = match embedded.remove(name.as_str()) {
                Some(handle) => Some(TemplateSettings {
                    name: name.to_string(),
                    origin: TemplateOrigin::Embedded(handle),
                }),
                None => config
                    .templates
                    .get(*name)
                    .and_then(|template| template_settings(name, template, &config.limits)),
            };
            templates.push(settings.expect("checked"));
        }
        // They and the desk live on the upstream thread.
        let runtime = self.runtime.0.as_ref().map(|runtime| runtime.handle().clone());
        let _inside = runtime.as_ref().map(Handle::enter);
        let providers = Providers::start(templates, common.clock).map_err(StartError::Thread)?;
        self.seen.templates = Some(providers.board());
        let figures = Arc::clone(&self.seen.blocks);
        let desk = BlockDesk::open(providers.orders(), state.blocks_directory(), providers.board(), figures);
        let own = Own { names, providers, desk, state };
        for (name, declared) in &config.declared {
            self.declared(common, &own, name, declared, config);
        }
        for (name, solo) in &config.solos {
            self.solo(common, &own, name, solo, config);
        }
        Ok(())
    }

    /// A pool that the farm's templates are declared to.
    fn declared(
        &mut self,
        common: &Common<'_>,
        own: &Own<'_>,
        name: &config::Name,
        declared: &config::Declared,
        config: &Config,
    ) {
        let at = self.sources.len();
        let ends = common.ends(at, name, "declaring");
        let pool = config.sources.get(&declared.pool).expect("checked");
        let settings = declared_settings(ends.id, declared, pool, config).expect("checked");
        let line = |what: &str, url: &noise::PoolUrl, max_frame| LineSettings {
            name: format!("{name}, {what}"),
            url: url.clone(),
            resolver: Resolver::system(config.limits.lookup),
            connect_timeout: pool.connect_timeout,
            handshake_timeout: config.limits.handshake,
            certificate_leeway: pool.certificate_leeway,
            max_frame,
        };
        let url = pool.url.sv2().expect("checked");
        let to_pool = line("pool", url, config.limits.frame);
        // Tokens, short answers, and lists of missing transactions' positions.
        let to_jds = line("job declarator server", &declared.jds_url, DECLARATOR_FRAME);
        self.seen.sources.push(SourceView {
            address: Some(url.host_and_port()),
            jds_address: Some(declared.jds_url.host_and_port()),
            insecure: pool.insecure,
            resolver: Some(Arc::clone(&to_pool.resolver)),
            ..ends.view(SourceKind::Declared)
        });
        let task = DeclaredTask {
            outlet: ends.outlet,
            machine: Declared::new(settings, Arc::clone(common.books), rand::random()),
            pool: to_pool,
            jds: to_jds,
            // What the pool wants is told when the machine knows it.
            templates: own.hub(&declared.templates, CoinbaseConstraints::default()),
            desk: own.desk.clone(),
            commands: ends.commands,
            shares: ends.shares,
            solutions: ends.solutions,
            report: ends.report,
            figures: ends.figures,
            clock: common.clock,
        };
        let (commands, door) = ends.to;
        let task = own.keep_state(run_declared(task));
        self.sources.push(Made { plan: declared_plan(at, pool), commands, door, task });
    }

    /// Mining for the farm itself.
    fn solo(
        &mut self,
        common: &Common<'_>,
        own: &Own<'_>,
        name: &config::Name,
        solo: &config::Solo,
        config: &Config,
    ) {
        let at = self.sources.len();
        let ends = common.ends(at, name, "solo mining");
        self.seen.sources.push(ends.view(SourceKind::Solo));
        let settings = solo_settings(ends.id, solo, config, &own.state.instance()).expect("checked");
        let task = SoloTask {
            outlet: ends.outlet,
            templates: own.hub(&solo.templates, settings.constraints()),
            machine: Solo::new(settings, Arc::clone(common.books), rand::random()),
            desk: own.desk.clone(),
            commands: ends.commands,
            shares: ends.shares,
            solutions: ends.solutions,
            report: ends.report,
            figures: ends.figures,
            clock: common.clock,
        };
        let (commands, door) = ends.to;
        let task = own.keep_state(run_solo(task));
        self.sources.push(Made { plan: solo_plan(at, name), commands, door, task });
    }

    /// What the router has to know of each source.
    pub(super) fn plans(&self) -> Vec<SourcePlan> {
        self.sources.iter().map(|source| source.plan.clone()).collect()
    }

    /// The way to each source for miners' tasks.
    pub(super) fn doors(&self) -> Vec<SourceDoor> {
        self.sources.iter().map(|source| source.door.clone()).collect()
    }

    /// Each source's figures.
    pub(super) fn figures(&self) -> Vec<Arc<SourceFigures>> {
        self.seen.sources.iter().map(|source| Arc::clone(&source.figures)).collect()
    }

    /// Starts it all on a thread of its own, until the router ends.
    pub(super) fn run(
        self,
        router: Router,
        routes: Vec<String>,
        messages: mpsc::Receiver<RouterMessage>,
        status: watch::Sender<RouterStatus>,
        threads: &mut Vec<std::thread::JoinHandle<()>>,
    ) -> Result<Seen, StartError> {
        let Self { mut runtime, sources, seen, latencies, clock, leases, pins } = self;
        let names = (routes, seen.sources.iter().map(|source| source.name.clone()).collect());
        let (commands, tasks): (Vec<_>, Vec<_>) =
            sources.into_iter().map(|source| (source.commands, source.task)).unzip();
        let upstream = async move {
            let tasks: Vec<_> = tasks.into_iter().map(tokio::spawn).collect();
            run_router(router, names, messages, commands, status, (latencies, clock), (leases, pins)).await;
            // The router has ended, and with it every sender of commands.
            for task in tasks {
                if let Err(failed) = task.await {
                    error!(%failed, "a source's task ended by a mistake of Adit: please report it");
                }
            }
        };
        if let Some(runtime) = runtime.0.take() {
            threads.push(thread("upstream", runtime, upstream)?);
        }
        Ok(seen)
    }
}

impl Common<'_> {
    fn ends(&self, at: usize, name: &config::Name, what: &'static str) -> Ends {
        let id = SourceId(position(at));
        let (command_tx, commands) = mpsc::channel(COMMAND_QUEUE);
        let (shares_tx, shares) = mpsc::channel(SHARE_QUEUE);
        let (solutions_tx, solutions) = mpsc::channel(SOLUTION_QUEUE);
        let (report, report_seen) =
            watch::channel(SourceReport { status: SourceStatus::off(), at: Duration::ZERO });
        let outlet = Outlet {
            id,
            name: name.to_string(),
            what,
            router: self.router.clone(),
            mailboxes: Arc::clone(self.mailboxes),
            latencies: self.latencies.clone(),
            not_opened: Repeated::default(),
        };
        Ends {
            id,
            outlet,
            to: (command_tx, SourceDoor { shares: shares_tx, solutions: solutions_tx }),
            report_seen,
            commands,
            shares,
            solutions,
            report,
            figures: Arc::default(),
        }
    }
}

impl Ends {
    fn view(&self, kind: SourceKind) -> SourceView {
        SourceView {
            name: self.outlet.name.clone(),
            kind,
            address: None,
            jds_address: None,
            report: self.report_seen.clone(),
            figures: Arc::clone(&self.figures),
            door: self.to.1.clone(),
            insecure: false,
            resolver: None,
        }
    }
}
