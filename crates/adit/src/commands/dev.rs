//! The embedded pool and the configuration of a proxy in front of it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use lab::dev_pool::{DevPool, DevPoolError, DevPoolKeys, DevPoolOptions, JdsOptions};

use crate::config::{Config, ConfigErrors};
use crate::proxy::Embedded;

/// The name of the template provider in this process, of the pool, and of declaring to it.
const TEMPLATE: &str = "dev-node";
pub(super) const POOL: &str = "dev";
pub(super) const DECLARED: &str = "dev-declared";
/// Fees grow this often on the embedded node.
const REFRESH: Duration = Duration::from_secs(5);

/// The first difficulty of each miner where there are few of them, and the least that a slow one gets.
const DIFFICULTY: f64 = 0.001;
const DIFFICULTY_LEAST: f64 = 1e-7;
/// Eight times the difficulty of the chain that a few miners have: a block in half a minute.
const NBITS_OF_MANY: u32 = 0x1d1f_ffe0;
/// Seconds after which a pool that is back is mined for again.
const RETURN_AFTER: u32 = 5;

/// Where the proxy listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ports {
    /// On the ports that a configuration has when it names none.
    Usual,
    /// Wherever there is room, for a run that ends by itself.
    Any,
}

/// Why development mode cannot start.
#[derive(Debug, thiserror::Error)]
pub(super) enum DevError {
    #[error("the embedded pool cannot start: {0}")]
    Pool(#[from] DevPoolError),
    #[error("{0}")]
    Config(#[from] ConfigErrors),
}

/// How much there is to see.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// Pools, in the order in which they are mined for.
    pub(super) pools: u16,
    /// Miners that are to come, all of them on this machine's CPU.
    pub(super) miners: u16,
}

impl Size {
    /// One pool, and miners as a machine has cores.
    pub(super) const SMALL: Self = Self { pools: 1, miners: 2 };

    /// How many times more miners than in the small one share the CPU: what each does is so much less.
    fn times(self) -> f64 {
        (f64::from(self.miners) / f64::from(Self::SMALL.miners)).max(1.0)
    }
}

/// What there is of development mode.
pub(super) struct Dev {
    pub(super) pool: EmbeddedPool,
    /// Further pools, which stand by.
    pub(super) spares: Vec<EmbeddedPool>,
    pub(super) config: Config,
    pub(super) embedded: Embedded,
}

/// A pool in this process that can go away and come back as the same.
pub(super) struct EmbeddedPool {
    address: SocketAddr,
    options: DevPoolOptions,
    keys: DevPoolKeys,
    up: Option<DevPool>,
    url: String,
    jds_url: Option<String>,
    /// Shares accepted and blocks found before it went away last.
    before: (u64, u64),
}

impl EmbeddedPool {
    async fn bind(address: SocketAddr, options: DevPoolOptions) -> Result<Self, DevPoolError> {
        let keys = DevPoolKeys::random();
        let pool = DevPool::bind(address, options.clone(), keys.clone()).await?;
        let (url, jds_url) = (pool.url(), pool.jds_url());
        Ok(Self { address: pool.local_addr(), options, keys, up: Some(pool), url, jds_url, before: (0, 0) })
    }

    /// Where it is mined for.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Where its declarator server is.
    pub(super) fn jds_url(&self) -> Option<&str> {
        self.jds_url.as_deref()
    }

    /// It is there.
    pub(super) fn is_up(&self) -> bool {
        self.up.is_some()
    }

    /// Shares accepted and blocks found, all in all.
    pub(super) fn accepted(&self) -> (u64, u64) {
        let now = self.up.as_ref().map(DevPool::stats);
        let (shares, blocks) = now.map_or((0, 0), |stats| (stats.accepted, stats.blocks_found));
        (self.before.0 + shares, self.before.1 + blocks)
    }

    /// It goes away, as a pool does whose machine is switched off in order.
    pub(super) async fn leave(&mut self) {
        self.before = self.accepted();
        if let Some(pool) = self.up.take() {
            pool.shutdown().await;
        }
    }

    /// It is back, at the same address and with the same keys.
    pub(super) async fn come_back(&mut self) -> Result<(), DevPoolError> {
        if self.up.is_none() {
            let pool = DevPool::bind(self.address, self.options.clone(), self.keys.clone()).await?;
            self.up = Some(pool);
        }
        Ok(())
    }
}

/// Starts pools on loopback and gives the configuration of a proxy in front of them.
pub(super) async fn start(ports: Ports, size: Size) -> Result<Dev, DevError> {
    begin(ports, size, DevPoolOptions::default(), |_| String::new()).await
}

/// The same, with templates of the farm's own that are declared to the pool. `state` is a folder for the farm's blocks.
pub(super) async fn start_declaring(ports: Ports, size: Size, state: &PathBuf) -> Result<Dev, DevError> {
    let mut options = DevPoolOptions { jds: Some(JdsOptions::default()), ..DevPoolOptions::default() };
    options.chain.witness_commitment = true;
    let mut dev = begin(ports, size, options, |pool| {
        let jds_url = pool.jds_url().unwrap_or_default();
        format!(
            "[state]\ndirectory = {state:?}\n\
             [template.{TEMPLATE}]\nkind = \"bitcoin-ipc\"\nsocket = \"in this process\"\nnetwork = \"regtest\"\n\
             [declared.{DECLARED}]\npool = \"{POOL}\"\njds_url = \"{jds_url}\"\ntemplates = [\"{TEMPLATE}\"]\n"
        )
    })
    .await?;
    if let Some(pool) = &dev.pool.up {
        dev.embedded.templates.insert(TEMPLATE.to_owned(), pool.template_provider(REFRESH));
    }
    Ok(dev)
}

async fn begin(
    ports: Ports,
    size: Size,
    mut options: DevPoolOptions,
    further: impl FnOnce(&EmbeddedPool) -> String,
) -> Result<Dev, DevError> {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let declares = options.jds.is_some();
    // As many shares of each miner as with few, whoever they are for.
    options.shares_per_minute *= size.times();
    if size.times() > 1.0 {
        // And blocks as something to look at, not as what happens all the time.
        options.chain.nbits = NBITS_OF_MANY;
    }
    let pool = EmbeddedPool::bind(loopback, options.clone()).await?;
    let mut spares = Vec::new();
    for n in 2..=size.pools {
        let mut options = DevPoolOptions { jds: None, ..options.clone() };
        options.chain.seed = u64::from(n);
        spares.push(EmbeddedPool::bind(loopback, options).await?);
    }
    let mut sources: Vec<String> = if declares { vec![DECLARED.into()] } else { Vec::new() };
    let mut tables = String::new();
    for (n, pool) in std::iter::once(&pool).chain(&spares).enumerate() {
        let name = if n == 0 { POOL.to_owned() } else { format!("{POOL}-{}", n + 1) };
        tables += &format!("[source.{name}]\nurl = \"{}\"\nuser_identity = \"dev\"\n", pool.url());
        sources.push(name);
    }
    let text = format!(
        "version = 1\n\
         [listener.main]\ndifficulty_start = {:e}\ndifficulty_min = {DIFFICULTY_LEAST:e}\n\
         {tables}\
         [route.main]\nlisteners = [\"main\"]\nsources = {sources:?}\nreturn_after = \"{RETURN_AFTER}s\"\n{}",
        DIFFICULTY / size.times(),
        further(&pool)
    );
    let mut config = Config::from_str_named("development mode", &text)?.config;
    if ports == Ports::Any {
        config.listeners.values_mut().for_each(|listener| listener.listen = loopback);
        config.http.listen = loopback;
    }
    let embedded = Embedded { dev_mode: true, ..Embedded::default() };
    Ok(Dev { pool, spares, config, embedded })
}
