//! The round of declared jobs: Adit beside the reference job declarator client with the reference translator in front of
//! it. Both take templates of one node by IPC, declare them whole to one pool, and serve the same miners. The pool is
//! reached through [`CustomJobs`](integration_tests::custom_jobs), which sees on one clock when jobs are asked for and
//! acknowledged.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use integration_tests::custom_jobs::{CustomJob, DeclaredJob};
use integration_tests::jd_client::{JdClient, JdClientSettings};
use integration_tests::promise::say;
use integration_tests::proxy::{Adit, Settings};
use integration_tests::translator::Translator;
use integration_tests::wait;
use lab::load::{self, FanoutReport, Mode, Options, Report};
use lab::sv1_miner::ServerAddress;

use crate::figure::Table;
use crate::subject::{EASY, HASHES_A_SHARE, TRANSLATOR_SHARES};
use crate::world::{DeclaringWorld, NewBlock};

/// Miners that listen.
const MINERS: usize = 1_000;
/// Blocks that the node makes for each, one by one.
const BLOCKS: usize = 8;
/// Between two of them: not near a whole number of seconds, at which the node looks for higher fees and is busy with that.
/// There are none, since the mempool does not change.
const BETWEEN: Duration = Duration::from_millis(2_400);
/// All miners are connected after this.
const CONNECTED: Duration = Duration::from_secs(4);
/// Transactions of the second half: three quarters of a megabyte, as many as a block of the main chain has on many days.
const TRANSACTIONS: u32 = 2_500;
/// How long it may take until the first job is acknowledged.
const DECLARES: Duration = Duration::from_secs(60);

/// Who declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Declarer {
    /// Adit, one process.
    Adit,
    /// `jd_client_sv2` with `translator_sv2` in front of it.
    Reference,
}

impl Declarer {
    pub(crate) const ALL: [Self; 2] = [Self::Adit, Self::Reference];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Adit => "adit-declared",
            Self::Reference => "jd-client",
        }
    }
}

/// One of them, running; ended when it is dropped, first what miners see.
enum Running {
    Adit(Adit),
    Reference(Translator, #[expect(dead_code, reason = "it runs until it is dropped")] JdClient),
}

impl Running {
    fn start(declarer: Declarer, world: &DeclaringWorld) -> Self {
        let (folder, pool) = (world.folder.path(), &world.pool);
        match declarer {
            Declarer::Adit => {
                // As much in its log as the others have in theirs.
                let mut settings = Settings::default()
                    .listener(EASY)
                    .source("pool", &world.jobs.pool().url(), "miners_per_channel = \"all\"\n")
                    .templates_by_ipc("node", &world.node)
                    .declared("own", "pool", &world.jobs.jds().url(), &["node"], folder, "");
                settings.tables.push_str("[log]\nlevel = \"warn\"\n");
                let adit = Adit::start_ready(folder, &settings);
                wait::until_so("Adit's route is on declared jobs", DECLARES, || {
                    adit.active().as_deref() == Some("own")
                });
                Self::Adit(adit)
            }
            Declarer::Reference => {
                let settings = JdClientSettings {
                    pool: ("127.0.0.1".to_owned(), world.jobs.pool().port()),
                    jds: ("127.0.0.1".to_owned(), world.jobs.jds().port()),
                    shares_per_minute: TRANSLATOR_SHARES,
                    log: "warn",
                    ..JdClientSettings::declaring_to(pool)
                };
                let client = JdClient::start(folder, &world.node, &settings);
                let hashrate = HASHES_A_SHARE * TRANSLATOR_SHARES / 60.0;
                let translator = Translator::start_behind(folder, &client, hashrate, TRANSLATOR_SHARES);
                Self::Reference(translator, client)
            }
        }
    }

    fn port(&self) -> u16 {
        match self {
            Self::Adit(adit) => adit.port(),
            Self::Reference(translator, _) => translator.port(),
        }
    }
}

/// All of `declarers`, with empty templates and with full ones; each time a fresh process.
pub(crate) fn all(world: &DeclaringWorld, declarers: &[Declarer]) {
    let mut table = Table::new(declarers.iter().map(|declarer| declarer.name()).collect());
    for transactions in [0, TRANSACTIONS] {
        if transactions > 0 {
            world.fill(transactions);
        }
        for &declarer in declarers {
            measure(world, declarer, transactions, &mut table);
        }
    }
    say(&format!("\n{}", table.markdown()));
}

fn measure(world: &DeclaringWorld, declarer: Declarer, transactions: u32, table: &mut Table) {
    let _ = world.jobs.take();
    let running = Running::start(declarer, world);
    let server = ServerAddress { host: "127.0.0.1".to_owned(), port: running.port() };
    let mut options = Options::new(server, MINERS, 0.0);
    options.mode = Mode::Idle;
    options.duration = CONNECTED + BETWEEN * u32::try_from(BLOCKS + 1).unwrap_or(u32::MAX);
    let (report, blocks) = std::thread::scope(|scope| {
        let load = scope.spawn(|| load::run(options, Arc::new(AtomicBool::new(false))));
        // The clock starts when declared jobs are mined, by everybody.
        wait::until_so("a declared job is acknowledged", DECLARES, || world.jobs.acknowledged() > 0);
        std::thread::sleep(CONNECTED);
        let _ = world.jobs.take();
        let blocks: Vec<NewBlock> = (0..BLOCKS).map(|_| one_by_one(world)).collect();
        (load.join().unwrap_or_else(|_| panic!("the load generator panicked")), blocks)
    });
    let report = report.unwrap_or_else(|error| panic!("the load: {error}"));
    let jobs = world.jobs.take();
    if let Running::Adit(adit) = &running {
        assert_eq!(adit.active().as_deref(), Some("own"), "Adit has stayed on its declared jobs");
    }
    let what = match transactions {
        0 => "empty".to_owned(),
        count => format!("{count} transactions"),
    };
    put(&what, declarer.name(), (&report, &blocks, &jobs), table);
}

fn one_by_one(world: &DeclaringWorld) -> NewBlock {
    let block = world.new_block(BETWEEN / 2);
    std::thread::sleep(BETWEEN / 2);
    block
}

fn put(
    what: &str,
    who: &'static str,
    (report, blocks, (jobs, declared)): (&Report, &[NewBlock], &(Vec<CustomJob>, Vec<DeclaredJob>)),
    table: &mut Table,
) {
    let everybody = usize::try_from(report.connect.with_work).unwrap_or(usize::MAX);
    assert_eq!(everybody, MINERS, "all miners have work: {:?}", report.connect);
    let all_connected = report.began_unix + report.connect.seconds_to_all;
    assert!(
        blocks.iter().all(|block| block.given > all_connected),
        "all were connected before the first block"
    );
    let mut row = |name: &str, figures: Vec<f64>| {
        table.put(&format!("{what}: {name}, ms"), who, &middle_and_most(figures, blocks.len()));
    };
    let fanouts: Vec<_> = blocks
        .iter()
        .filter_map(|block| {
            let whole =
                |fanout: &&FanoutReport| fanout.prev_hash == block.hash && fanout.receivers >= everybody;
            report.fanouts.iter().find(whole).map(|fanout| (block.tip, fanout))
        })
        .collect();
    let acknowledged: Vec<Way> = blocks.iter().filter_map(|block| Way::of(block, jobs, declared)).collect();
    row("block given to the node's new tip", blocks.iter().map(|block| block.tip - block.given).collect());
    row("new tip to first notify", fanouts.iter().map(|(tip, fanout)| fanout.first_unix - tip).collect());
    row("new tip to last notify", fanouts.iter().map(|(tip, fanout)| fanout.last_unix - tip).collect());
    row("new tip to SetCustomMiningJob.Success", acknowledged.iter().map(Way::all).collect());
    row("of that until DeclareMiningJob", acknowledged.iter().map(|way| way.declared - way.tip).collect());
    row("of that the declarator server", acknowledged.iter().map(|way| way.taken - way.declared).collect());
    row("of that until SetCustomMiningJob", acknowledged.iter().map(|way| way.asked - way.taken).collect());
    row("of that the pool", acknowledged.iter().map(|way| way.acknowledged - way.asked).collect());
    row("without server and pool", acknowledged.iter().map(Way::own).collect());
    let refused = jobs.iter().filter_map(|job| job.refused.as_deref()).collect::<Vec<_>>();
    say(&format!("    {who}: {} jobs asked for, refused: {refused:?}", jobs.len()));
}

/// The way of a job from a new tip to its acknowledgement: when it was where, Unix time, seconds.
struct Way {
    tip: f64,
    declared: f64,
    taken: f64,
    asked: f64,
    acknowledged: f64,
}

impl Way {
    /// Of the first job on this block that was acknowledged, and its declaration.
    fn of(block: &NewBlock, jobs: &[CustomJob], declared: &[DeclaredJob]) -> Option<Self> {
        let of_block = jobs.iter().filter(|job| job.prev_hash == block.hash);
        let (asked, acknowledged) = of_block.filter_map(|job| Some((job.asked, job.acknowledged?))).next()?;
        let its_own =
            |job: &&DeclaredJob| job.declared >= block.tip && job.taken.is_some_and(|taken| taken <= asked);
        let declaration = declared.iter().rfind(its_own)?;
        let (declared, taken) = (declaration.declared, declaration.taken?);
        Some(Self { tip: block.tip, declared, taken, asked, acknowledged })
    }

    fn all(&self) -> f64 {
        self.acknowledged - self.tip
    }

    /// What is not spent waiting for the declarator server and for the pool.
    fn own(&self) -> f64 {
        self.all() - (self.taken - self.declared) - (self.acknowledged - self.asked)
    }
}

/// Seconds as milliseconds: the middle one, the most, and how many there are.
fn middle_and_most(mut of: Vec<f64>, wanted: usize) -> String {
    of.sort_by(f64::total_cmp);
    match (of.get(of.len() / 2), of.last()) {
        (Some(middle), Some(most)) => {
            format!("{:.1}, at most {:.1} ({} of {wanted} blocks)", middle * 1e3, most * 1e3, of.len())
        }
        _ => "none".to_owned(),
    }
}
