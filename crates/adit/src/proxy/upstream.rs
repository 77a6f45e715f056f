//! Everything upstream, made from the configuration: sources, template providers, the block desk.

use std::collections::HashMap;
use std::sync::Arc;

use engine::router::{Router, SourcePlan};
use engine::source::{Declared, Solo};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use link::Resolver;
use telemetry::{Latencies, SourceKind};
use template::ProviderHandle;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::{mpsc, watch};
use work::CoinbaseConstraints;

use super::StartError;
use super::numbers::Numbers;
use super::settings::{
    declared_plan, declared_settings, pins, solo_plan, solo_settings, template_settings, templates_in_use,
};
use super::threads::{runtime, thread};
use crate::blocks::{BlockDesk, BlockFigures};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::leases::Leases;
use crate::ledger::LedgerSettings;
use crate::snapshot::SourceView;
use crate::state::StateDirectory;
use crate::templates::{ProviderNews, Providers, TemplateHub, TemplateOrigin, TemplateSettings};
use crate::upstream::{
    DeclaredTask, JobBoard, LineSettings, MadeSource, Mailboxes, Pins, RouterMessage, RouterStatus, SoloTask,
    SourceDoors, Sources, run_declared, run_router, run_solo,
};

/// The longest frame of a job declarator server, bytes: the positions of 65,535 transactions.
pub(super) const DECLARATOR_FRAME: usize = 256 * 1024;

/// Upstream, prepared: nothing but template providers has begun.
pub(super) struct Upstream {
    runtime: Parked,
    sources: Vec<MadeSource>,
    seen: Seen,
    latencies: Latencies,
    clock: Clock,
    leases: Option<Leases>,
    pins: Pins,
    jobs: Arc<JobBoard>,
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
#[derive(Clone)]
pub(super) struct Common {
    pub(super) mailboxes: Arc<Mailboxes>,
    pub(super) latencies: Latencies,
    pub(super) router: mpsc::Sender<RouterMessage>,
    pub(super) clock: Clock,
    pub(super) jobs: Arc<JobBoard>,
}

/// Whether something is kept that only one process may have: the state directory, a ledger.
pub(crate) fn uses_state(config: &Config) -> bool {
    counts_work(config) || mines_templates(config) || LedgerSettings::of(config).is_some()
}

fn counts_work(config: &Config) -> bool {
    config.goals.values().any(|goal| goal.work_max.is_some())
}

fn mines_templates(config: &Config) -> bool {
    !config.solos.is_empty() || !config.declared.is_empty()
}

impl Upstream {
    /// Makes all sources in the order of their numbers.
    pub(super) fn prepare(
        config: &Config,
        embedded: HashMap<String, ProviderHandle>,
        common: &Common,
    ) -> Result<Self, StartError> {
        let blocks = Arc::new(BlockFigures::default());
        let mut upstream = Self {
            runtime: Parked(Some(runtime()?)),
            sources: Vec::new(),
            seen: Seen { sources: Vec::new(), templates: None, blocks },
            latencies: common.latencies.clone(),
            clock: common.clock,
            leases: None,
            pins: pins(&Numbers::of(config), config),
            jobs: Arc::clone(&common.jobs),
        };
        for (name, source) in &config.sources {
            let (made, view) = common.pool(upstream.sources.len(), name, source, config)?;
            upstream.sources.push(made);
            upstream.seen.sources.push(view);
        }
        let (counts, of_templates) = (counts_work(config), mines_templates(config));
        if counts || of_templates {
            let directory = config::state_directory(&config.state, config::environment());
            let state = Arc::new(StateDirectory::open(&directory)?);
            if of_templates {
                upstream.of_templates(common, config, embedded, Arc::clone(&state))?;
            }
            if counts {
                upstream.leases = Some(Leases::open(config, state)?);
            }
        }
        Ok(upstream)
    }

    /// Template providers, the block desk, and every source that uses them.
    fn of_templates(
        &mut self,
        common: &Common,
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
        common: &Common,
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
        let to = ends.other_side();
        let task = DeclaredTask {
            outlet: ends.outlet,
            machine: Declared::new(settings, rand::random()),
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
        self.sources.push(to.made(declared_plan(at, pool), own.keep_state(run_declared(task))));
    }

    /// Mining for the farm itself.
    fn solo(
        &mut self,
        common: &Common,
        own: &Own<'_>,
        name: &config::Name,
        solo: &config::Solo,
        config: &Config,
    ) {
        let at = self.sources.len();
        let ends = common.ends(at, name, "solo mining");
        self.seen.sources.push(ends.view(SourceKind::Solo));
        let settings = solo_settings(ends.id, solo, config, &own.state.instance()).expect("checked");
        let to = ends.other_side();
        let task = SoloTask {
            outlet: ends.outlet,
            templates: own.hub(&solo.templates, settings.constraints()),
            machine: Solo::new(settings, rand::random()),
            desk: own.desk.clone(),
            commands: ends.commands,
            shares: ends.shares,
            solutions: ends.solutions,
            report: ends.report,
            figures: ends.figures,
            clock: common.clock,
        };
        self.sources.push(to.made(solo_plan(at, name), own.keep_state(run_solo(task))));
    }

    /// What the router has to know of each source.
    pub(super) fn plans(&self) -> Vec<SourcePlan> {
        self.sources.iter().map(|source| source.plan.clone()).collect()
    }

    /// The way to each source for miners' tasks, with room for more.
    pub(super) fn doors(&self) -> SourceDoors {
        let doors = SourceDoors::for_sources(self.sources.len());
        for (made, view) in self.sources.iter().zip(&self.seen.sources) {
            doors.add(made.plan.id, made.door.clone(), Arc::clone(&view.figures));
        }
        doors
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
        let Self { mut runtime, sources: made, seen, latencies, clock, leases, pins, jobs } = self;
        let upstream = async move {
            let mut sources = Sources::default();
            made.into_iter().for_each(|made| sources.add(made));
            run_router(
                router,
                routes,
                messages,
                &mut sources,
                status,
                (latencies, clock, jobs),
                (leases, pins),
            )
            .await;
            sources.end().await;
        };
        if let Some(runtime) = runtime.0.take() {
            threads.push(thread("upstream", runtime, upstream)?);
        }
        Ok(seen)
    }
}
