//! A farm that declares: a pool with a job declarator server, a node on the same chain, Adit and its miners.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use integration_tests::fault_pipe::FaultPipe;
use integration_tests::folder::Folder;
use integration_tests::miners::CpuMiner;
use integration_tests::proxy::{Adit, Books, Settings};
use integration_tests::stalls::Stalls;
use integration_tests::sv1_client::Sv1Client;
use integration_tests::template_server::TemplateServer;
use integration_tests::{promise, wait};
use lab::dev_pool::{DevPool, DevPoolKeys, DevPoolOptions, JdsFaults, JdsOptions, JdsStats};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::PATIENCE;

/// The source that declares, and the same pool's own jobs.
pub(crate) const DECLARED: &str = "declared";
pub(crate) const POOL: &str = "pool";
/// The farm's own address.
pub(crate) const SOLO: &str = "solo";
/// What the sources announce.
const NOMINAL: &str = "nominal_hashrate = 100000\n";
/// Hashes a second of the CPU miner.
const HASHRATE: f64 = 100_000.0;
/// The node has a better template of the same tip this often, as a rule.
const REFRESH: Duration = Duration::from_secs(1);
/// A chain on which no share is a block: difficulty 1.
const NBITS: u32 = 0x1d00_ffff;

/// Bytes of the farm's signature in coinbases: as many as a configuration may ask for.
const SIGNATURE: usize = 58;
/// Shares at most that a change of tip makes stale on their way on an idle machine; so many a second are found.
const STALE_A_TIP: u64 = 3;
pub(crate) const SHARES_A_SECOND: f64 = 10.0;

/// In the order in which they end.
#[derive(Debug)]
pub(crate) struct Farm {
    pub(crate) client: Sv1Client,
    pub(crate) miner: CpuMiner,
    pub(crate) adit: Adit,
    /// The farm's node.
    pub(crate) node: TemplateServer,
    /// On the way to the job declarator server.
    pub(crate) pipe: FaultPipe,
    /// On the way to the pool, for its own jobs and for declared ones.
    pub(crate) pool_pipe: FaultPipe,
    pub(crate) pool: Arc<DevPool>,
    /// What this machine takes of promised times.
    pub(crate) stalls: Stalls,
    paid: Pauses,
    /// Of the pool's tip when the farm began.
    height: u32,
    /// Of the route, before the fault.
    switches_before: Cell<u64>,
    _runtime: Runtime,
    _folder: Folder,
}

/// How long nothing was acknowledged.
#[derive(Debug)]
struct Pauses {
    acknowledged: Cell<u64>,
    since: Cell<Instant>,
    longest: Cell<Duration>,
}

impl Pauses {
    fn see(&self, books: &Books) {
        self.longest.set(self.longest.get().max(self.since.get().elapsed()));
        if self.acknowledged.replace(books.acknowledged) != books.acknowledged {
            self.since.set(Instant::now());
        }
    }

    fn begin(&self) {
        self.since.set(Instant::now());
        self.longest.set(Duration::ZERO);
    }
}

impl Farm {
    /// A farm that mines acknowledged jobs of its own.
    pub(crate) fn start(change: impl FnOnce(&mut DevPoolOptions)) -> Self {
        let farm = Self::begin(change, true);
        farm.wait_declared();
        farm
    }

    /// The same, with solo mining as its last resort.
    pub(crate) fn start_with_solo() -> Self {
        let farm = Self::make(|_| (), true, true, REFRESH);
        farm.wait_declared();
        farm
    }

    /// A farm whose node is there from the start or not, mining on whatever there is.
    pub(crate) fn begin(change: impl FnOnce(&mut DevPoolOptions), with_node: bool) -> Self {
        Self::make(change, with_node, false, REFRESH)
    }

    /// A farm that mines acknowledged jobs of its own, whose node has a better template this often.
    pub(crate) fn start_refreshing(refresh: Duration, change: impl FnOnce(&mut DevPoolOptions)) -> Self {
        let farm = Self::make(change, true, false, refresh);
        farm.wait_declared();
        farm
    }

    fn make(
        change: impl FnOnce(&mut DevPoolOptions),
        with_node: bool,
        with_solo: bool,
        refresh: Duration,
    ) -> Self {
        let folder = Folder::new();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime can be had");
        let mut options = DevPoolOptions {
            shares_per_minute: 600.0,
            share_batch_size: 1,
            jds: Some(JdsOptions::default()),
            ..DevPoolOptions::default()
        };
        (options.chain.nbits, options.chain.witness_commitment, options.chain.fees) = (NBITS, true, true);
        change(&mut options);
        let bound = DevPool::bind(([127, 0, 0, 1], 0).into(), options, DevPoolKeys::random());
        let pool = Arc::new(runtime.block_on(bound).expect("the pool binds"));
        let (nodes, handle) = (Arc::clone(&pool), runtime.handle().clone());
        let mut node = TemplateServer::over(move || {
            let _runtime = handle.enter();
            nodes.template_provider(refresh)
        });
        if with_node {
            node.run();
        }
        let pipe = FaultPipe::start(pool.jds_addr().expect("it has a server").port(), 24);
        let jds_url = pipe.url(&pool.jds_url().expect("it has a server"));
        let pool_pipe = FaultPipe::start(pool.local_addr().port(), 25);
        let signature = format!("signature = \"{}\"\n", "x".repeat(SIGNATURE));
        let mut settings = Settings::for_cpus()
            .source(POOL, &pool_pipe.url(&pool.url()), NOMINAL)
            .templates_by_distribution("node", &node.url().to_string())
            .declared(DECLARED, POOL, &jds_url, &["node"], folder.path(), &signature)
            .route("return_after = \"1s\"\n");
        if with_solo {
            settings = settings.solo(SOLO, &["node"], folder.path(), "");
        }
        let adit = Adit::start_ready(folder.path(), &settings);
        let client = Sv1Client::connect(adit.port(), "farm.watcher");
        let miner = CpuMiner::start(adit.port(), "farm.hashes", HASHRATE);
        let paid = Pauses {
            acknowledged: Cell::new(0),
            since: Cell::new(Instant::now()),
            longest: Cell::new(Duration::ZERO),
        };
        Self {
            client,
            miner,
            adit,
            node,
            pipe,
            pool_pipe,
            height: pool.tip().height,
            pool,
            stalls: Stalls::watch(),
            paid,
            switches_before: Cell::new(0),
            _runtime: runtime,
            _folder: folder,
        }
    }

    /// Something goes wrong now: pauses are measured from here.
    pub(crate) fn faults(&self, faults: JdsFaults) -> Instant {
        self.switches_before.set(self.switches());
        self.pool.set_jds_faults(faults);
        self.paid.begin();
        Instant::now()
    }

    /// Nothing goes wrong any more.
    pub(crate) fn heal(&self) {
        self.pool.set_jds_faults(JdsFaults::default());
    }

    /// Waits for something, with an eye on what is acknowledged meanwhile. The books must balance at every look.
    pub(crate) fn until<T>(&self, what: &str, mut ask: impl FnMut(&Self) -> Option<T>) -> T {
        wait::until(what, PATIENCE, || {
            self.paid.see(&self.adit.books());
            ask(self)
        })
    }

    /// Waits until the route has left declaring for the pool's own jobs, however soon it tries again, and the reason
    /// that is shown has this in it; gives the reason.
    pub(crate) fn wait_left(&self, because: &str) -> String {
        self.until("the route has left declaring", |farm| {
            (farm.switches() > farm.switches_before.get()).then_some(())
        });
        // Routes and sources are shown by tasks of their own.
        let shown = format!("what is shown as the reason has {because:?} in it");
        self.until(&shown, |farm| Some(farm.last_down()).filter(|why| why.contains(because)))
    }

    /// Waits until a source has acknowledged five more shares.
    pub(crate) fn wait_acknowledged(&self, source: &str) {
        let before = self.adit.source_books(source).acknowledged;
        self.until(&format!("{source} acknowledges more shares"), |farm| {
            (farm.adit.source_books(source).acknowledged >= before + 5).then_some(())
        });
    }

    /// Waits until the route mines on acknowledged jobs of the farm's own, and shares of them are acknowledged.
    pub(crate) fn wait_declared(&self) {
        self.until("the route mines declared jobs", |farm| {
            let is_active = farm.adit.active().as_deref() == Some(DECLARED);
            (is_active && farm.declaration()["state"] == "acknowledged").then_some(())
        });
        self.wait_acknowledged(DECLARED);
    }

    /// What the status page says of declaring.
    pub(crate) fn declaration(&self) -> Value {
        self.adit.source(DECLARED)["declaration"].clone()
    }

    /// Why declaring was last given up.
    pub(crate) fn last_down(&self) -> String {
        self.adit.source(DECLARED)["last_down"].as_str().unwrap_or_default().to_owned()
    }

    /// What the job declarator server has counted.
    pub(crate) fn jds(&self) -> JdsStats {
        self.pool.stats().jds
    }

    /// How often the route has changed its source.
    pub(crate) fn switches(&self) -> u64 {
        self.adit.route()["switches_total"].as_u64().expect("the status page counts switches")
    }

    /// The longest time since the fault began in which no share was acknowledged.
    pub(crate) fn longest_pause(&self) -> Duration {
        self.paid.longest.get()
    }

    /// No miner noticed and every share has its final state. Ends the farm and says what was measured.
    pub(crate) fn finish(mut self, row: &str, what: &str) -> Books {
        assert_eq!(self.client.closed(), None, "{what}: the connection stands");
        assert_eq!(self.client.disturbances(), Vec::<Value>::new(), "{what}");
        let own = self.miner.stop();
        assert_eq!((own.connections, own.extranonce1_changes), (1, 0), "{what}: {own:?}");
        assert!(self.adit.lives(), "{what}");
        let answered = own.accepted + own.rejected.values().sum::<u64>();
        let open = "each share that was answered is in the books, in its final state";
        let books = self.adit.wait_books(open, PATIENCE, |books| {
            (books.pending, books.held) == (0, 0) && books.submitted >= answered
        });
        assert!(books.submitted <= own.submitted, "{what}: {own:?}, {books}");
        let pause = self.paid.longest.get();
        let status = self.adit.status()["books"]["unsent"].clone();
        let reasons = status.as_object().into_iter().flatten().filter(|(_, count)| **count != 0);
        let unsent = reasons.map(|(why, count)| format!("{count} {why}")).collect::<Vec<_>>().join(", ");
        // Those that were on their way when the tip changed, or waited for the milliseconds of an acknowledgement.
        let queued = status["stale_in_queue"].as_u64().expect("the status page has the reason");
        let stale = queued + books.refused_stale;
        let tips = u64::from(self.pool.tip().height - self.height);
        let most = (STALE_A_TIP + self.stalls.meanwhile(SHARES_A_SECOND)) * tips;
        assert!(stale <= most, "{what}: {stale} stale on their way, {most} at most in {tips} changes of tip");
        let figures = format!("no share acknowledged for {pause:.1?} at most; {books}; unsent: {unsent}");
        promise::figure(row, &format!("{what}: {figures}"));
        self.adit.stop();
        books
    }
}
