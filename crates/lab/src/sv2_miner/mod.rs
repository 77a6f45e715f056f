//! A CPU miner for SV2: standard and extended channels over one connection, with books of the answers.
//!
//! [`Session`] is the protocol without IO; [`Sv2Miner`] puts it on a connection with a thread that hashes all channels in
//! turn.

mod session;
mod work;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use noise::AuthorityPublicKey;
use thiserror::Error;
use tokio::sync::mpsc;

use crate::sv2_client::{Sv2Client, Sv2ClientError};

pub use session::{Channel, Session, SessionError, SessionOptions, SessionStats, Share};
pub use work::{Extended, JobBody, Work};

/// Hashes between two looks at the work.
const BATCH: u64 = 2_048;
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
}

/// What the hashing thread and the connection share.
#[derive(Debug, Default)]
struct Board {
    work: Mutex<Vec<Arc<Work>>>,
    generation: AtomicU64,
    stop: AtomicBool,
    hashes: AtomicU64,
}

impl Board {
    fn work(&self) -> MutexGuard<'_, Vec<Arc<Work>>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What becomes of a miner, for whoever looks on.
#[derive(Clone, Debug, Default)]
pub struct Sv2MinerView(Arc<Mutex<(SessionStats, Vec<Vec<u8>>)>>);

impl Sv2MinerView {
    /// The books as they are now.
    pub fn stats(&self) -> SessionStats {
        self.lock().0.clone()
    }

    /// The channels' extranonce prefixes, by channel id.
    pub fn prefixes(&self) -> Vec<Vec<u8>> {
        self.lock().1.clone()
    }

    fn show(&self, session: &Session) {
        let prefixes = session.channels().values().map(|channel| channel.prefix.clone()).collect();
        *self.lock() = (session.stats().clone(), prefixes);
    }

    fn lock(&self) -> MutexGuard<'_, (SessionStats, Vec<Vec<u8>>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A CPU miner. See the [module's page](self).
#[derive(Debug)]
pub struct Sv2Miner {
    options: SessionOptions,
    hashes_per_second: f64,
    view: Sv2MinerView,
}

impl Sv2Miner {
    /// A miner that hashes at most so fast, all channels together.
    pub fn new(options: SessionOptions, hashes_per_second: f64) -> Self {
        Self { options, hashes_per_second, view: Sv2MinerView::default() }
    }

    /// Its books.
    pub fn view(&self) -> Sv2MinerView {
        self.view.clone()
    }

    /// Mines on one connection until `shutdown` completes, and a little longer for the answers that are to come.
    ///
    /// # Errors
    /// Why the connection ended before.
    pub async fn run(
        self,
        address: SocketAddr,
        authority: AuthorityPublicKey,
        shutdown: impl Future<Output = ()>,
    ) -> Result<SessionStats, Sv2MinerError> {
        let mut client = Sv2Client::connect(address, authority).await?;
        let mut session = Session::new(self.options.clone());
        session.greet(&mut client.plain);
        client.flush().await?;
        let board = Arc::new(Board::default());
        let (sender, mut found) = mpsc::channel(FOUND_QUEUE);
        let hashing = {
            let (board, rate) = (Arc::clone(&board), self.hashes_per_second);
            std::thread::spawn(move || hash(&board, rate, &sender))
        };
        let end = self.talk(&mut client, &mut session, &board, &mut found, shutdown).await;
        board.stop.store(true, Ordering::Release);
        drop(found);
        // It looks up every few milliseconds.
        let _ = tokio::task::spawn_blocking(move || hashing.join()).await;
        self.view.show(&session);
        end.map(|()| session.stats().clone())
    }

    async fn talk(
        &self,
        client: &mut Sv2Client,
        session: &mut Session,
        board: &Board,
        found: &mut mpsc::Receiver<Share>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), Sv2MinerError> {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut generation = 0;
        let mut leaving: Option<tokio::time::Instant> = None;
        loop {
            let over = leaving.unwrap_or_else(|| tokio::time::Instant::now() + Duration::from_secs(3_600));
            tokio::select! {
                frame = client.recv() => {
                    let (header, payload) = frame?;
                    session.on_frame(&header, &payload, &mut client.plain)?;
                }
                Some(share) = found.recv(), if leaving.is_none() => {
                    session.submit(&share, &mut client.plain);
                    while let Ok(share) = found.try_recv() {
                        session.submit(&share, &mut client.plain);
                    }
                }
                () = &mut shutdown, if leaving.is_none() => {
                    leaving = Some(tokio::time::Instant::now() + Duration::from_secs(5));
                    board.work().clear();
                    board.generation.fetch_add(1, Ordering::Release);
                }
                () = tokio::time::sleep_until(over), if leaving.is_some() => return Ok(()),
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
                *board.work() = session.work();
                board.generation.store(generation, Ordering::Release);
            }
        }
    }
}

/// Hashes all channels in turn until it is to stop.
fn hash(board: &Board, rate: f64, found: &mpsc::Sender<Share>) {
    // Where each channel's search has come to.
    let mut places: BTreeMap<u32, u64> = BTreeMap::new();
    let (mut started, mut hashed) = (Instant::now(), 0.0);
    while !board.stop.load(Ordering::Acquire) {
        let generation = board.generation.load(Ordering::Acquire);
        let works = board.work().clone();
        if works.is_empty() {
            std::thread::sleep(Duration::from_millis(2));
            (started, hashed) = (Instant::now(), 0.0);
            continue;
        }
        for work in &works {
            if board.generation.load(Ordering::Acquire) != generation {
                break;
            }
            let place = places.entry(work.channel_id).or_default();
            work.scan(*place, BATCH, |share| {
                let _ = found.blocking_send(share);
            });
            *place += BATCH;
            board.hashes.fetch_add(BATCH, Ordering::Relaxed);
            #[expect(clippy::cast_precision_loss, reason = "a pace")]
            let batch = BATCH as f64;
            hashed += batch;
            let ahead = hashed / rate - started.elapsed().as_secs_f64();
            if ahead > 0.0 {
                std::thread::sleep(Duration::from_secs_f64(ahead.min(0.1)));
            }
        }
    }
}
