//! A miner that lasts: a lost connection is dialled again with growing pauses, for ever.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use noise::AuthorityPublicKey;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::warn;

use super::{SessionOptions, SessionStats, Sv2Miner, Sv2MinerError, Sv2MinerView};
use crate::pow::{HeaderFields, HeaderHasher};
use crate::sv1_miner::ServerAddress;
use crate::sv1_wire::push_hex;
use crate::sv2_client::{Sv2Client, Sv2ClientError};

/// How long a connection may take to come up, its handshake included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection on which nothing arrives for this long is given up.
const SILENCE: Duration = Duration::from_secs(300);
/// Hashes by which the machine's speed is found out.
const TRIAL: u32 = 100_000;

/// How a miner is made. [`LastingConfig::new`] gives the defaults.
#[derive(Clone, Debug)]
pub struct LastingConfig {
    /// Where the server listens.
    pub server: ServerAddress,
    /// Whom it must prove to be; `None`: anybody will do.
    pub authority: Option<AuthorityPublicKey>,
    /// `user_identity` of its channel.
    pub user: String,
    /// A standard channel and standard jobs; else an extended channel.
    pub standard: bool,
    /// Hashing threads, 1 to 1,024.
    pub threads: usize,
    /// Most hashes per second of all threads together; `None`: as fast as the machine can.
    pub hashes_per_second: Option<f64>,
    /// Pause before the first attempt to reconnect; doubles up to `reconnect_max`, with jitter.
    pub reconnect_min: Duration,
    /// Longest pause between attempts.
    pub reconnect_max: Duration,
}

impl LastingConfig {
    /// A miner with one thread, an extended channel and no throttle.
    pub fn new(
        server: ServerAddress,
        authority: Option<AuthorityPublicKey>,
        user: impl Into<String>,
    ) -> LastingConfig {
        LastingConfig {
            server,
            authority,
            user: user.into(),
            standard: false,
            threads: 1,
            hashes_per_second: None,
            reconnect_min: Duration::from_millis(500),
            reconnect_max: Duration::from_secs(30),
        }
    }

    /// What it asks a server for. The hashrate is what it may hash, or what this machine shows in a short trial.
    fn session(&self) -> SessionOptions {
        #[expect(clippy::cast_precision_loss, reason = "at most 1,024 threads")]
        let rate = self.hashes_per_second.unwrap_or_else(|| trial() * self.threads as f64);
        #[expect(clippy::cast_possible_truncation, reason = "the protocol has no more digits")]
        let nominal_hash_rate = rate as f32;
        SessionOptions {
            standard: u32::from(self.standard),
            extended: u32::from(!self.standard),
            standard_jobs: self.standard,
            nominal_hash_rate,
            ..SessionOptions::new(self.user.clone())
        }
    }
}

/// A miner's books at one moment, all connections together. `submitted = accepted + rejected + unanswered + open`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Sv2MinerSnapshot {
    /// Whether there is a connection.
    pub connected: bool,
    /// Connections made so far.
    pub connections: u64,
    /// The channel's extranonce prefix, hexadecimal; empty without a channel.
    pub extranonce_prefix: String,
    /// How often a prefix changed on an open channel.
    pub prefix_changes: u64,
    /// Jobs received.
    pub jobs: u64,
    /// Tips received.
    pub tips: u64,
    /// Difficulty of the job in work; 0 before the first.
    pub difficulty: f64,
    /// Shares sent.
    pub submitted: u64,
    /// Shares that were accepted.
    pub accepted: u64,
    /// Sum of their difficulties as the server says it, in whole numbers: 0 where shares are easy.
    pub accepted_work: u64,
    /// Shares that were refused, by code.
    pub rejected: BTreeMap<String, u64>,
    /// Shares sent on connections that ended before an answer.
    pub unanswered: u64,
    /// Shares sent and not answered yet.
    pub open: u64,
    /// Headers hashed.
    pub hashes: u64,
    /// Seconds since the miner was made.
    pub seconds: f64,
}

impl Sv2MinerSnapshot {
    /// Sum of all rejections.
    pub fn rejected_total(&self) -> u64 {
        self.rejected.values().sum()
    }

    /// Mean hash rate since the miner was made, hashes per second.
    pub fn hash_rate(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let hashes = self.hashes as f64;
        hashes / self.seconds.max(f64::EPSILON)
    }

    fn add(&mut self, stats: &SessionStats) {
        self.prefix_changes += stats.prefix_changes;
        self.jobs += stats.jobs;
        self.tips += stats.tips;
        self.submitted += stats.submitted;
        self.accepted += stats.accepted;
        self.accepted_work = self.accepted_work.saturating_add(stats.accepted_work);
        for (code, count) in &stats.rejected {
            *self.rejected.entry(code.clone()).or_default() += count;
        }
    }
}

/// The books of a [`LastingMiner`]; they can be read at any time, also after the end.
#[derive(Clone, Debug)]
pub struct LastingBooks {
    began: Instant,
    hashes: Arc<AtomicU64>,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Of connections that have ended.
    past: Sv2MinerSnapshot,
    now: Option<Sv2MinerView>,
}

impl LastingBooks {
    /// The books as they are now.
    pub fn snapshot(&self) -> Sv2MinerSnapshot {
        let inner = self.lock();
        let mut sum = inner.past.clone();
        if let Some(view) = &inner.now {
            let stats = view.stats();
            sum.add(&stats);
            sum.open = stats.open();
            sum.connected = true;
            sum.difficulty = view.difficulty();
            let mut prefix = Vec::new();
            view.prefixes().first().into_iter().for_each(|bytes| push_hex(&mut prefix, bytes));
            sum.extranonce_prefix = String::from_utf8_lossy(&prefix).into_owned();
        }
        sum.hashes = self.hashes.load(Ordering::Relaxed);
        sum.seconds = self.began.elapsed().as_secs_f64();
        sum
    }

    fn connected(&self, view: Sv2MinerView) {
        let mut inner = self.lock();
        inner.past.connections += 1;
        inner.now = Some(view);
    }

    fn disconnected(&self) {
        let mut inner = self.lock();
        let Some(view) = inner.now.take() else { return };
        let stats = view.stats();
        inner.past.add(&stats);
        inner.past.unanswered += stats.open();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A CPU miner with one channel that lasts. See the [module's page](super).
#[derive(Debug)]
pub struct LastingMiner {
    config: LastingConfig,
    books: LastingBooks,
}

impl LastingMiner {
    /// Makes a miner; nothing happens before [`LastingMiner::run`].
    pub fn new(config: LastingConfig) -> LastingMiner {
        let books = LastingBooks { began: Instant::now(), hashes: Arc::default(), inner: Arc::default() };
        LastingMiner { config, books }
    }

    /// Its books.
    pub fn books(&self) -> LastingBooks {
        self.books.clone()
    }

    /// Mines until `shutdown` completes, and a little longer for the answers that are to come. Gives the books.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Sv2MinerSnapshot {
        let (end, ended) = watch::channel(false);
        {
            let mut endless = std::pin::pin!(self.endless(ended));
            tokio::select! {
                () = &mut endless => {}
                () = shutdown => {
                    // It looks at it.
                    let _ = end.send(true);
                    endless.await;
                }
            }
        }
        self.books.snapshot()
    }

    async fn endless(&self, mut ended: watch::Receiver<bool>) {
        let session = self.config.session();
        let mut pause = self.config.reconnect_min;
        loop {
            let before = self.books.snapshot().jobs;
            let end = self.connection(&session, ended.clone()).await;
            self.books.disconnected();
            let Err(error) = end else { return };
            warn!(server = %self.config.server, user = %self.config.user, %error, "connection ended");
            // A server that gave work is worth another try soon.
            if self.books.snapshot().jobs > before {
                pause = self.config.reconnect_min;
            }
            let wait = pause.mul_f64(rand::random_range(0.5..1.0));
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = ended.wait_for(|ended| *ended) => return,
            }
            pause = (pause * 2).min(self.config.reconnect_max);
        }
    }

    /// One connection from dialling to its end. `Ok`: it is to be the last.
    async fn connection(
        &self,
        session: &SessionOptions,
        mut ended: watch::Receiver<bool>,
    ) -> Result<(), Sv2MinerError> {
        let client = tokio::select! {
            client = self.connect() => client?,
            _ = ended.wait_for(|ended| *ended) => return Ok(()),
        };
        let miner = Sv2Miner {
            options: session.clone(),
            threads: self.config.threads,
            hashes_per_second: self.config.hashes_per_second.unwrap_or(f64::INFINITY),
            view: Sv2MinerView::default(),
            hashes: Arc::clone(&self.books.hashes),
            silence_timeout: Some(SILENCE),
        };
        self.books.connected(miner.view());
        let end = async {
            let _ = ended.wait_for(|ended| *ended).await;
        };
        miner.run_on(client, end).await.map(|_| ())
    }

    async fn connect(&self) -> Result<Sv2Client, Sv2ClientError> {
        let server = &self.config.server;
        let dial = async {
            let addresses = tokio::net::lookup_host((server.host.as_str(), server.port)).await?;
            let mut last = Sv2ClientError::Io(std::io::Error::other("the name means no address"));
            for address in addresses {
                match Sv2Client::connect(address, self.config.authority).await {
                    Ok(client) => return Ok(client),
                    Err(error) => last = error,
                }
            }
            Err(last)
        };
        let late = || Err(Sv2ClientError::Io(std::io::ErrorKind::TimedOut.into()));
        timeout(CONNECT_TIMEOUT, dial).await.unwrap_or_else(|_| late())
    }
}

/// Hashes per second of one thread of this machine, by a trial of some milliseconds.
fn trial() -> f64 {
    let header =
        HeaderFields { version: 0, prev_hash: [0; 32], merkle_root: [0; 32], ntime: 0, nbits: 0x1d00_ffff };
    let hasher = HeaderHasher::new(&header);
    let began = Instant::now();
    for nonce in 0..TRIAL {
        std::hint::black_box(hasher.hash(nonce));
    }
    f64::from(TRIAL) / began.elapsed().as_secs_f64().max(1e-6)
}
