//! A CPU miner for SV1: it connects, hashes what it is told to, and keeps books of the answers.
//!
//! One [`Miner`] is one connection with as many hashing threads as asked for. It behaves like firmware does:
//! a difficulty holds from the next job on, so does a new extranonce; `clean_jobs` throws away what was found
//! for earlier jobs; a lost connection is dialled again with growing pauses, for ever. `extranonce2` never starts
//! over while a connection lives, so no header is hashed twice.

mod hashing;
mod session;
mod stats;
mod target_address;

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tracing::{debug, info, warn};

use crate::line_buffer::{LineBuffer, LineTooLong};
use crate::sv1_wire::WireError;
use hashing::HashBoard;
use session::{Effect, Session};

pub use stats::{MinerSnapshot, MinerStats};
pub use target_address::{BadAddress, ServerAddress};

/// Most hashing threads of one miner.
pub const MAX_THREADS: usize = 1_024;

/// Shares that wait to be sent; hashing pauses when there are more.
const FOUND_QUEUE: usize = 64;

/// How long a TCP connection may take to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How a miner is made. [`MinerConfig::new`] gives the defaults.
#[derive(Clone, Debug)]
pub struct MinerConfig {
    /// Where the server listens.
    pub server: ServerAddress,
    /// User name of `mining.authorize` and `mining.submit`.
    pub user: String,
    /// Password of `mining.authorize`.
    pub password: String,
    /// User agent of `mining.subscribe`.
    pub user_agent: String,
    /// Hashing threads, 1 to [`MAX_THREADS`].
    pub threads: usize,
    /// Most hashes per second of all threads together; `None`: as fast as the machine can.
    pub hashes_per_second: Option<f64>,
    /// Version bits to ask for with `mining.configure`; 0: do not send `mining.configure`.
    pub version_rolling_mask: u32,
    /// Sends `mining.suggest_difficulty`.
    pub suggest_difficulty: Option<f64>,
    /// Sends `mining.extranonce.subscribe`.
    pub extranonce_subscribe: bool,
    /// A connection on which nothing arrives for this long is given up.
    pub silence_timeout: Duration,
    /// Pause before the first attempt to reconnect; doubles up to `reconnect_max`, with jitter.
    pub reconnect_min: Duration,
    /// Longest pause between attempts.
    pub reconnect_max: Duration,
}

impl MinerConfig {
    /// A miner with one thread, version rolling (`0x1fffe000`) and no throttle.
    pub fn new(server: ServerAddress, user: impl Into<String>) -> MinerConfig {
        MinerConfig {
            server,
            user: user.into(),
            password: "x".to_owned(),
            user_agent: concat!("adit-miner/", env!("CARGO_PKG_VERSION")).to_owned(),
            threads: 1,
            hashes_per_second: None,
            version_rolling_mask: 0x1fff_e000,
            suggest_difficulty: None,
            extranonce_subscribe: false,
            silence_timeout: Duration::from_secs(300),
            reconnect_min: Duration::from_millis(500),
            reconnect_max: Duration::from_secs(30),
        }
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("no connection within {} s", CONNECT_TIMEOUT.as_secs())]
    ConnectTimeout,
    #[error("server closed the connection")]
    Closed,
    #[error("server was silent for {0} s")]
    Silent(u64),
    #[error("{0}")]
    LineTooLong(#[from] LineTooLong),
    #[error("server sent what is not SV1: {0}")]
    Wire(#[from] WireError),
    #[error("server refused {request}: {reason}")]
    Refused { request: &'static str, reason: String },
    #[error("server asked to reconnect")]
    Reconnect { port: Option<u16> },
}

/// A CPU miner. See the [module's page](self).
#[derive(Debug)]
pub struct Miner {
    config: MinerConfig,
    stats: Arc<MinerStats>,
}

impl Miner {
    /// Makes a miner; nothing happens before [`Miner::run`].
    pub fn new(mut config: MinerConfig) -> Miner {
        config.threads = config.threads.clamp(1, MAX_THREADS);
        Miner { config, stats: Arc::new(MinerStats::new()) }
    }

    /// The miner's books; they can be read at any time, also after the end.
    pub fn stats(&self) -> Arc<MinerStats> {
        Arc::clone(&self.stats)
    }

    /// Mines until `shutdown` completes and returns the books. Needs a tokio runtime with IO and time.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> MinerSnapshot {
        let Miner { config, stats } = self;
        let endless = async {
            let mut server = config.server.clone();
            let mut pause = config.reconnect_min;
            loop {
                let jobs_before = stats.jobs();
                let end = connection(&config, &server, &stats).await;
                stats.link_lost();
                // A server that gave work is worth another try soon.
                if stats.jobs() > jobs_before {
                    pause = config.reconnect_min;
                }
                match end {
                    LinkError::Reconnect { port } => {
                        info!(server = %server, "server asked to reconnect");
                        server.port = port.unwrap_or(server.port);
                    }
                    error => {
                        warn!(server = %server, user = %config.user, %error, "connection ended");
                        server = config.server.clone();
                    }
                }
                tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
                pause = (pause * 2).min(config.reconnect_max);
            }
        };
        tokio::select! {
            () = endless => {}
            () = shutdown => stats.link_lost(),
        }
        stats.snapshot()
    }
}

/// One connection from dialling to its end.
async fn connection(config: &MinerConfig, server: &ServerAddress, stats: &Arc<MinerStats>) -> LinkError {
    match talk(config, server, stats).await {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

async fn talk(
    config: &MinerConfig,
    server: &ServerAddress,
    stats: &Arc<MinerStats>,
) -> Result<std::convert::Infallible, LinkError> {
    let mut stream = timeout(CONNECT_TIMEOUT, TcpStream::connect((server.host.as_str(), server.port)))
        .await
        .map_err(|_| LinkError::ConnectTimeout)??;
    stream.set_nodelay(true)?;
    stats.link_up();
    debug!(server = %server, user = %config.user, "connected");

    let (found_sender, mut found) = mpsc::channel(FOUND_QUEUE);
    let board = HashBoard::start(config.threads, config.hashes_per_second, &found_sender, stats);
    let mut session = Session::new(config, Arc::clone(stats));
    let mut lines = LineBuffer::default();
    let mut out = Vec::new();
    session.greet(&mut out);
    let mut silent_since = Instant::now();
    loop {
        if !out.is_empty() {
            stream.write_all(&out).await?;
            out.clear();
        }
        tokio::select! {
            read = stream.read_buf(lines.space()) => {
                if read? == 0 {
                    return Err(LinkError::Closed);
                }
                silent_since = Instant::now();
                while let Some(line) = lines.next_line()? {
                    match session.on_line(&line, &mut out)? {
                        Some(Effect::Work(work)) => board.set_work(work),
                        Some(Effect::Reconnect { host, port }) => {
                            if host.is_empty() || host.eq_ignore_ascii_case(&server.host) {
                                return Err(LinkError::Reconnect { port: (port != 0).then_some(port) });
                            }
                            warn!(%host, "server asks to reconnect to another host: ignored");
                        }
                        None => {}
                    }
                }
            }
            Some(share) = found.recv() => {
                session.on_found(&share, Instant::now(), &mut out);
                // Whatever else is there already goes into the same write.
                while let Ok(share) = found.try_recv() {
                    session.on_found(&share, Instant::now(), &mut out);
                }
            }
            () = tokio::time::sleep_until(silent_since + config.silence_timeout) => {
                return Err(LinkError::Silent(config.silence_timeout.as_secs()));
            }
        }
    }
}
