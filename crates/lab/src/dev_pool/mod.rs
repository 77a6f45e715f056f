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
//! Deviations on purpose: batches are also acknowledged after a time ([`DevPoolOptions::acknowledge_after`]; the
//! reference waits for a full batch for ever), and the chain's difficulty is low.

mod channel;
mod client;
mod keys;
mod link;
mod options;
mod share;
mod stats;
mod work;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use noise::AuthorityPublicKey;
use template::dev_chain::{BlockAccepted, BlockRejected, DevChain, Tip, UnknownBlock};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tracing::{debug, info, warn};

use work::{PoolWork, WorkError};

pub use keys::DevPoolKeys;
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
}

/// A running pool. Dropping the handle ends it as [`DevPool::shutdown`] does, without waiting.
#[derive(Debug)]
pub struct DevPool {
    shared: Arc<Shared>,
    local_addr: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

/// What clients are told besides work.
#[derive(Clone, Copy, Debug, Default)]
struct Orders {
    /// Connections older than this number of calls to `disconnect_all` end.
    disconnects: u64,
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
    work: watch::Sender<Arc<PoolWork>>,
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
        options.check()?;
        let mut chain = DevChain::new(options.chain.clone())?;
        let work = PoolWork::first(&mut chain, &options, unix_now())?;
        let bind = |source| DevPoolError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(bind)?;
        let local_addr = listener.local_addr().map_err(bind)?;
        let shared = Arc::new(Shared {
            keys,
            chain: Mutex::new(chain),
            work: watch::Sender::new(Arc::new(work)),
            orders: watch::Sender::new(Orders::default()),
            stats: stats::Counters::default(),
            next_prefix: AtomicU32::new(0),
            instance: rand::random(),
            options,
        });
        info!(%local_addr, "dev pool listens");
        let tasks = vec![
            tokio::spawn(accept(listener, Arc::clone(&shared))),
            tokio::spawn(refresh_templates(Arc::clone(&shared))),
            tokio::spawn(find_blocks_elsewhere(Arc::clone(&shared))),
        ];
        Ok(DevPool { shared, local_addr, tasks })
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

    /// What was counted so far.
    pub fn stats(&self) -> DevPoolStats {
        self.shared.stats.snapshot()
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
        let last = Arc::clone(&self.work.borrow());
        match PoolWork::next(chain, &self.options, unix_now(), &last) {
            Ok(work) => {
                self.work.send_replace(Arc::new(work));
            }
            // The height has outgrown tag and extranonce: the old job goes on.
            Err(error) => warn!(%error, "no job from the new template"),
        }
    }

    /// A share that is a block.
    fn submit_solution(
        &self,
        template_id: u64,
        version: u32,
        ntime: u32,
        nonce: u32,
        coinbase: &[u8],
    ) -> Result<BlockAccepted, BlockRejected> {
        let mut chain = self.chain();
        let accepted = chain.submit_solution(template_id, version, ntime, nonce, coinbase, unix_now())?;
        if accepted.new_tip {
            self.publish(&mut chain);
        }
        Ok(accepted)
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
