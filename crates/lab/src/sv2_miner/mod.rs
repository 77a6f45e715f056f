//! A CPU miner for SV2: standard and extended channels over one connection, with books of the answers.
//!
//! [`Session`] is the protocol without IO; [`Sv2Miner`] puts it on a connection with threads that hash all channels in
//! turn; [`LastingMiner`] dials again whenever the connection is lost.

mod hashing;
mod lasting;
mod session;
mod work;

use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use noise::AuthorityPublicKey;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::sv2_client::{Sv2Client, Sv2ClientError};

use hashing::Hashing;

pub use lasting::{LastingBooks, LastingConfig, LastingMiner, Sv2MinerSnapshot};
pub use session::{Channel, Session, SessionError, SessionOptions, SessionStats, Share};
pub use work::{Extended, JobBody, Work};

/// How long the answers are awaited that are to come when a miner is to end.
const LAST_ANSWERS: Duration = Duration::from_secs(5);
/// Shares that wait to be sent; hashing pauses when there are more.
const FOUND_QUEUE: usize = 64;

/// Why a connection ended.
#[derive(Debug, Error)]
pub enum Sv2MinerError {
    /// The link.
    #[error("{0}")]
    Client(#[from] Sv2ClientError),
    /// The protocol.
    #[error("{0}")]
    Session(#[from] SessionError),
    /// There is nothing to mine on.
    #[error("no channel is left: {0}")]
    NoChannel(String),
    /// Nothing came for so many seconds.
    #[error("the server was silent for {0} s")]
    Silent(u64),
}

/// What becomes of a miner, for whoever looks on.
#[derive(Clone, Debug, Default)]
pub struct Sv2MinerView(Arc<Mutex<Shown>>);

#[derive(Debug, Default)]
struct Shown {
    stats: SessionStats,
    prefixes: Vec<Vec<u8>>,
    difficulty: f64,
}

impl Sv2MinerView {
    /// The books as they are now.
    pub fn stats(&self) -> SessionStats {
        self.lock().stats.clone()
    }

    /// The channels' extranonce prefixes, by channel id.
    pub fn prefixes(&self) -> Vec<Vec<u8>> {
        self.lock().prefixes.clone()
    }

    /// The difficulty of the first channel's job in work; 0 before the first.
    pub fn difficulty(&self) -> f64 {
        self.lock().difficulty
    }

    fn show(&self, session: &Session) {
        let prefixes = session.channels().values().map(|channel| channel.prefix.clone()).collect();
        let difficulty = session.work().first().map_or(0.0, |work| work.difficulty());
        *self.lock() = Shown { stats: session.stats().clone(), prefixes, difficulty };
    }

    fn lock(&self) -> MutexGuard<'_, Shown> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A CPU miner on one connection. See the [module's page](self).
#[derive(Debug)]
pub struct Sv2Miner {
    options: SessionOptions,
    threads: usize,
    hashes_per_second: f64,
    view: Sv2MinerView,
    hashes: Arc<AtomicU64>,
    /// It ends when nothing came for so long, or when there is nothing to mine on.
    silence_timeout: Option<Duration>,
}

impl Sv2Miner {
    /// A miner with one thread that hashes at most so fast, all channels together.
    pub fn new(options: SessionOptions, hashes_per_second: f64) -> Self {
        Self {
            options,
            threads: 1,
            hashes_per_second,
            view: Sv2MinerView::default(),
            hashes: Arc::default(),
            silence_timeout: None,
        }
    }

    /// Its books.
    pub fn view(&self) -> Sv2MinerView {
        self.view.clone()
    }

    /// Mines on one connection until `shutdown` completes, and a little longer for the answers that are to come. Without an
    /// authority's key anybody may be the server.
    ///
    /// # Errors
    /// Why the connection ended before.
    pub async fn run(
        self,
        address: SocketAddr,
        authority: impl Into<Option<AuthorityPublicKey>>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<SessionStats, Sv2MinerError> {
        let client = Sv2Client::connect(address, authority).await?;
        self.run_on(client, shutdown).await
    }

    async fn run_on(
        self,
        mut client: Sv2Client,
        shutdown: impl Future<Output = ()>,
    ) -> Result<SessionStats, Sv2MinerError> {
        let mut session = Session::new(self.options.clone());
        session.greet(&mut client.plain);
        client.flush().await?;
        let (sender, mut found) = mpsc::channel(FOUND_QUEUE);
        let hashing = Hashing::start(self.threads, self.hashes_per_second, &sender, &self.hashes);
        let end = self.talk(&mut client, &mut session, &hashing, &mut found, shutdown).await;
        drop(found);
        hashing.stop().await;
        self.view.show(&session);
        end.map(|()| session.stats().clone())
    }

    async fn talk(
        &self,
        client: &mut Sv2Client,
        session: &mut Session,
        hashing: &Hashing,
        found: &mut mpsc::Receiver<Share>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), Sv2MinerError> {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut generation = 0;
        let mut leaving: Option<Instant> = None;
        let mut heard = Instant::now();
        loop {
            let patience = self.silence_timeout.unwrap_or(Duration::from_secs(24 * 3_600));
            let over = leaving.unwrap_or(heard + patience);
            tokio::select! {
                frame = client.recv() => {
                    let (header, payload) = frame?;
                    heard = Instant::now();
                    session.on_frame(&header, &payload, &mut client.plain)?;
                }
                Some(share) = found.recv(), if leaving.is_none() => {
                    session.submit(&share, &mut client.plain);
                    while let Ok(share) = found.try_recv() {
                        session.submit(&share, &mut client.plain);
                    }
                }
                () = &mut shutdown, if leaving.is_none() => {
                    leaving = Some(Instant::now() + LAST_ANSWERS);
                    hashing.set(Vec::new());
                }
                () = tokio::time::sleep_until(over) => match (leaving, self.silence_timeout) {
                    (Some(_), _) => return Ok(()),
                    (None, Some(timeout)) => return Err(Sv2MinerError::Silent(timeout.as_secs())),
                    (None, None) => {}
                },
            }
            if !client.plain.is_empty() {
                client.flush().await?;
            }
            self.view.show(session);
            if leaving.is_some() {
                if session.stats().open() == 0 {
                    return Ok(());
                }
            } else if session.generation() != generation {
                generation = session.generation();
                hashing.set(session.work());
            }
            if let Some(why) = session.is_without_channels().filter(|_| self.silence_timeout.is_some()) {
                return Err(Sv2MinerError::NoChannel(why));
            }
        }
    }
}
