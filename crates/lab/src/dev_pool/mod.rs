//! An embedded SV2 pool for the demo, tests and benches: Noise, the mining protocol, its own dev chain.
//!
//! It serves what the reference pool serves (specification, chapters 3 to 5): SetupConnection, extension
//! negotiation with extension 0x0002, extended and standard channels in a group, future jobs with SetNewPrevHash,
//! template refreshes, SetTarget after UpdateChannel, batched acknowledgements, and errors with the reference's
//! codes. A share that is a block goes into the dev chain and makes a new tip.
//!
//! Shares are hashed and judged with the `bitcoin` crate alone, not with crate `work`: what the proxy accepts and
//! this pool refuses, or the other way round, is a mistake of one of them.
//!
//! With [`DevPoolOptions::jds`] it is also a Job Declarator Server and takes custom jobs ([`JdsOptions`]), and its chain
//! can be a farm's node at the same time ([`DevPool::template_provider`]). [`DevPool::bind_following`] makes a pool on
//! somebody else's chain.
//!
//! Deviations on purpose: batches are also acknowledged after a time ([`DevPoolOptions::acknowledge_after`]; the
//! reference waits for a full batch for ever), and the chain's difficulty is low.

mod blocks;
mod channel;
mod client;
mod farm_node;
mod follow;
mod jds;
mod keys;
mod link;
mod lone;
mod options;
mod share;
mod stats;
mod work;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bitcoin::{BlockHash, Transaction};
use noise::AuthorityPublicKey;
use template::dev_chain::{DevChain, DevTemplate, Tip, UnknownBlock};
use template::{ProviderHandle, ProviderOrders};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tracing::{debug, info, warn};

use jds::Jds;
use work::{PoolWork, WorkError};

pub use jds::{AskFor, JdsFaults, JdsMode, JdsOptions, JdsStats};
pub use keys::DevPoolKeys;
pub use lone::LoneDeclarator;
pub use options::{BadOption, DevPoolOptions};
pub use stats::{DevPoolStats, UserStats};

/// Pause after a failed `accept`, as when files run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why a pool did not come up.
#[derive(Debug, Error)]
pub enum DevPoolError {
    /// An option is out of its range.
    #[error("{0}")]
    Option(#[from] BadOption),
    /// The chain's options make no chain.
    #[error("{0}")]
    Chain(#[from] template::dev_chain::OptionsError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// What was asked for.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Tag and extranonce do not fit the coinbase.
    #[error("{0}")]
    Work(#[from] WorkError),
    /// The provider of the node to follow gives nothing.
    #[error("the template provider has ended before its first template")]
    NodeEnded,
}

/// A running pool. Dropping the handle ends it as [`DevPool::shutdown`] does, without waiting.
#[derive(Debug)]
pub struct DevPool {
    shared: Arc<Shared>,
    local_addr: SocketAddr,
    jds_addr: Option<SocketAddr>,
    tasks: Vec<JoinHandle<()>>,
}

/// What clients are told besides work.
#[derive(Clone, Copy, Debug, Default)]
struct Orders {
    /// Connections older than this number of calls to `disconnect_all` end.
    disconnects: u64,
    /// Connections to the declarator server older than this number of calls to `disconnect_jds` end.
    jds_disconnects: u64,
    /// Counts calls to `rotate_extranonce_prefixes`.
    rotations: u64,
    /// The pool ends.
    shutdown: bool,
}

/// What all connections use.
#[derive(Debug)]
struct Shared {
    options: DevPoolOptions,
    keys: DevPoolKeys,
    chain: Mutex<DevChain>,
    /// Takes the chain's place, if the pool follows a node.
    node: Option<ProviderOrders>,
    jds: Option<Arc<Jds>>,
    work: watch::Sender<Arc<PoolWork>>,
    /// The chain's tip.
    tip: watch::Sender<BlockHash>,
    orders: watch::Sender<Orders>,
    stats: stats::Counters,
    /// The channels' extranonce prefixes, counted.
    next_prefix: AtomicU32,
    /// Begins every extranonce prefix, so that two pools on one chain do not search the same space.
    instance: [u8; 32],
}

impl DevPool {
    /// Listens on an address (port 0: any free one) and serves from then on, on the current tokio runtime.
    ///
    /// # Errors
    /// When an option is out of range or the address cannot be had.
    pub async fn bind(
        address: SocketAddr,
        options: DevPoolOptions,
        keys: DevPoolKeys,
    ) -> Result<DevPool, DevPoolError> {
        DevPool::start(address, options, keys, None).await
    }

    /// As [`bind`](Self::bind), but the pool's chain is that of a node: jobs are made of the node's templates, custom jobs
    /// are judged against its tip, and blocks are handed to it. Of a declared block's value it believes what is
    /// declared: fees are the node's business. [`tip`](Self::tip) and what moves a dev chain
    /// ([`new_tip`](Self::new_tip) and so on) are about a chain here that nobody is on.
    ///
    /// Waits for the node's first template, however long; only then does it listen.
    ///
    /// # Errors
    /// As `bind`; the provider ends.
    pub async fn bind_following(
        address: SocketAddr,
        options: DevPoolOptions,
        keys: DevPoolKeys,
        node: ProviderHandle,
    ) -> Result<DevPool, DevPoolError> {
        DevPool::start(address, options, keys, Some(node)).await
    }

    async fn start(
        address: SocketAddr,
        options: DevPoolOptions,
        keys: DevPoolKeys,
        mut node: Option<ProviderHandle>,
    ) -> Result<DevPool, DevPoolError> {
        options.check()?;
        let mut chain = DevChain::new(options.chain.clone())?;
        // Before it listens: a client is not kept waiting for a node that is not there.
        let template = match &mut node {
            Some(node) => follow::first_template(node).await?,
            None => chain.template(unix_now()),
        };
        let (listener, local_addr) = listen(address).await?;
        let jds_listener = match &options.jds {
            Some(jds) => Some(listen(jds.listen).await?),
            None => None,
        };
        let orders = node.as_ref().map(|node| node.orders.clone());
        let shared = Arc::new(Shared::new(options, keys, chain, orders, template)?);
        info!(%local_addr, "dev pool listens");
        let mut tasks = vec![tokio::spawn(accept(listener, Arc::clone(&shared)))];
        match node {
            Some(node) => tasks.push(tokio::spawn(follow::follow(node.events, Arc::clone(&shared)))),
            None => {
                tasks.push(tokio::spawn(refresh_templates(Arc::clone(&shared))));
                tasks.push(tokio::spawn(find_blocks_elsewhere(Arc::clone(&shared))));
            }
        }
        let jds_addr = jds_listener.as_ref().map(|(_, address)| *address);
        if let (Some((listener, address)), Some(jds)) = (jds_listener, &shared.jds) {
            info!(local_addr = %address, "job declarator server listens");
            tasks.push(tokio::spawn(jds::accept(listener, Arc::clone(&shared), Arc::clone(jds))));
        }
        Ok(DevPool { shared, local_addr, jds_addr, tasks })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The key that clients verify the pool's certificate with.
    pub fn authority_public_key(&self) -> AuthorityPublicKey {
        self.shared.keys.authority.public()
    }

    /// `stratum2+tcp://address/key`, ready for a client's configuration.
    pub fn url(&self) -> String {
        format!("{}://{}/{}", noise::SCHEME, self.local_addr, self.authority_public_key())
    }

    /// Where its declarator server listens, if it has one.
    pub fn jds_addr(&self) -> Option<SocketAddr> {
        self.jds_addr
    }

    /// As [`url`](Self::url), of the declarator server. The key is the same.
    pub fn jds_url(&self) -> Option<String> {
        let address = self.jds_addr?;
        Some(format!("{}://{address}/{}", noise::SCHEME, self.authority_public_key()))
    }

    /// A template provider over the pool's dev chain: a farm's node in the same process, with transactions that the pool
    /// has not all seen. Templates on the same tip come every `refresh`. It lives as long as its handle, pool or not.
    ///
    /// Not for a pool that follows a node: its own chain stands still.
    pub fn template_provider(&self, refresh: Duration) -> ProviderHandle {
        template::dev_node::start(Arc::clone(&self.shared), refresh)
    }

    /// What was counted so far.
    pub fn stats(&self) -> DevPoolStats {
        let jds = self.shared.jds.as_ref().map(|jds| jds.counters.snapshot());
        DevPoolStats { jds: jds.unwrap_or_default(), ..self.shared.stats.snapshot() }
    }

    /// The chain's tip.
    pub fn tip(&self) -> Tip {
        self.shared.chain().tip()
    }

    /// Lets a block be found elsewhere: a new tip, a future job and SetNewPrevHash for every channel.
    pub fn new_tip(&self) -> Tip {
        self.shared.new_tip()
    }

    /// Replaces the last `depth` blocks by `depth + 1` others.
    ///
    /// # Errors
    /// When the chain is shorter than that.
    pub fn reorganise(&self, depth: u32) -> Result<Tip, UnknownBlock> {
        let mut chain = self.shared.chain();
        let tip = chain.reorganise(depth, unix_now())?;
        self.shared.publish(&mut chain);
        Ok(tip)
    }

    /// Makes a new template on the present tip: a new job for every channel.
    pub fn refresh_template(&self) {
        self.shared.publish(&mut self.shared.chain());
    }

    /// Gives every channel another extranonce prefix (SetExtranoncePrefix), then a new job.
    pub fn rotate_extranonce_prefixes(&self) {
        self.shared.orders.send_modify(|orders| orders.rotations += 1);
        self.refresh_template();
    }

    /// Ends all connections at once, as a crash would; the pool goes on listening.
    pub fn disconnect_all(&self) {
        self.shared.orders.send_modify(|orders| orders.disconnects += 1);
    }

    /// Ends all connections to the declarator server at once; it goes on listening.
    pub fn disconnect_jds(&self) {
        self.shared.orders.send_modify(|orders| orders.jds_disconnects += 1);
    }

    /// What the declarator server, and the pool with custom jobs, do wrong from now on. Nothing without a server.
    pub fn set_jds_faults(&self, faults: JdsFaults) {
        if let Some(jds) = &self.shared.jds {
            jds.set_faults(faults);
        }
    }

    /// Other outputs for coinbases under tokens to come: their scripts, the pool's payout first. Tokens that were given
    /// keep theirs. Without any script tokens come without a payout, which no client can do anything with.
    pub fn set_payout_outputs(&self, scripts: &[Vec<u8>]) {
        if let Some(jds) = &self.shared.jds {
            jds.set_outputs(scripts);
        }
    }

    /// Ends all connections and stops listening.
    pub async fn shutdown(mut self) {
        self.shared.orders.send_modify(|orders| orders.shutdown = true);
        for task in self.tasks.drain(..) {
            task.abort();
            // Cancelled, or it has ended by itself: both are the end.
            let _ = task.await;
        }
        // Each connection holds a receiver until its socket is closed.
        self.shared.orders.closed().await;
    }
}

impl Drop for DevPool {
    fn drop(&mut self) {
        self.shared.orders.send_modify(|orders| orders.shutdown = true);
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Shared {
    fn new(
        options: DevPoolOptions,
        keys: DevPoolKeys,
        chain: DevChain,
        node: Option<ProviderOrders>,
        template: Arc<DevTemplate>,
    ) -> Result<Shared, WorkError> {
        let jds = options.jds.clone().map(|options| Arc::new(Jds::new(options)));
        if let Some(jds) = &jds {
            jds.learn(template.transactions.iter());
        }
        let work = PoolWork::first(template, &options)?;
        Ok(Shared {
            keys,
            chain: Mutex::new(chain),
            node,
            jds,
            tip: watch::Sender::new(work.job.template.prev_hash),
            work: watch::Sender::new(Arc::new(work)),
            orders: watch::Sender::new(Orders::default()),
            stats: stats::Counters::default(),
            next_prefix: AtomicU32::new(0),
            instance: rand::random(),
            options,
        })
    }

    fn chain(&self) -> MutexGuard<'_, DevChain> {
        // A chain is consistent between any two of its calls.
        self.chain.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn new_tip(&self) -> Tip {
        let mut chain = self.chain();
        let tip = chain.new_tip(unix_now());
        self.publish(&mut chain);
        tip
    }

    /// Makes a template and gives it to all connections. Holding the chain keeps the order.
    fn publish(&self, chain: &mut DevChain) {
        if self.node.is_some() {
            debug!("the pool follows a node: its own chain makes no jobs");
            return;
        }
        self.publish_template(chain.template(unix_now()));
    }

    /// Gives a template to all connections. Whoever calls holds the chain.
    fn publish_template(&self, template: Arc<DevTemplate>) {
        let last = Arc::clone(&self.work.borrow());
        if let Some(jds) = &self.jds {
            jds.learn(template.transactions.iter());
        }
        let tip = template.prev_hash;
        match PoolWork::next(template, &self.options, &last) {
            Ok(work) => {
                self.work.send_replace(Arc::new(work));
            }
            // The height has outgrown tag and extranonce: the old job goes on.
            Err(error) => warn!(%error, "no job from the new template"),
        }
        self.tip.send_if_modified(|last| std::mem::replace(last, tip) != tip);
    }

    /// What the coinbase of a block with these other transactions may claim, satoshi. `None`: only the node knows.
    fn allowed_value(&self, transactions: &[Arc<Transaction>]) -> Option<u64> {
        let of = transactions.iter().map(|transaction| &**transaction);
        self.node.is_none().then(|| self.chain().allowed_value(of))
    }

    /// The extranonce prefix of the next channel; `None` when all are given out.
    fn next_prefix(&self) -> Option<Vec<u8>> {
        let number =
            self.next_prefix.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_add(1));
        let number = number.ok()?;
        let size = usize::from(self.options.extranonce_prefix_size);
        let counted = size.min(4);
        if counted < 4 && number >> (8 * counted) != 0 {
            return None;
        }
        let mut prefix = self.instance[..size - counted].to_vec();
        prefix.extend_from_slice(&number.to_be_bytes()[4 - counted..]);
        Some(prefix)
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), DevPoolError> {
    let bind = |source| DevPoolError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(bind)?;
    let local_addr = listener.local_addr().map_err(bind)?;
    Ok((listener, local_addr))
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let permits = Arc::new(Semaphore::new(shared.options.max_connections));
    while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    shared.stats.connection(true);
                    let end = link::serve(stream, &shared).await;
                    shared.stats.connection(false);
                    debug!(%peer, reason = %end, "connection ended");
                    drop(permit);
                });
            }
            Err(error) => {
                warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn refresh_templates(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(shared.options.template_interval).await;
        shared.publish(&mut shared.chain());
    }
}

async fn find_blocks_elsewhere(shared: Arc<Shared>) {
    let Some(mean) = shared.options.block_interval else {
        return;
    };
    loop {
        // As blocks come: at random, with this mean.
        let wait = -f64::ln(1.0 - rand::random::<f64>());
        tokio::time::sleep(mean.mul_f64(wait.min(20.0))).await;
        let tip = shared.new_tip();
        info!(height = tip.height, hash = %tip.hash, "a block was found elsewhere");
    }
}

/// Unix seconds.
fn unix_now() -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(now.as_secs()).unwrap_or(u32::MAX)
}
