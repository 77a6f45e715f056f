//! Threads that hash all channels' work in turn.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::session::Share;
use super::work::Work;

/// Hashes between two looks at the work.
const BATCH: u64 = 2_048;
/// Most threads.
const MAX_THREADS: usize = 1_024;

/// What the hashing threads and the connection share.
#[derive(Debug, Default)]
struct Board {
    work: Mutex<Vec<Arc<Work>>>,
    /// Where each channel's search has come to.
    places: Mutex<BTreeMap<u32, u64>>,
    generation: AtomicU64,
    stop: AtomicBool,
    hashes: Arc<AtomicU64>,
}

/// The threads of one connection. They end with it.
#[derive(Debug)]
pub(super) struct Hashing {
    board: Arc<Board>,
    threads: Vec<JoinHandle<()>>,
}

impl Hashing {
    /// Starts so many threads, which hash at most so fast together and count what they do.
    pub(super) fn start(
        threads: usize,
        hashes_per_second: f64,
        found: &mpsc::Sender<Share>,
        hashes: &Arc<AtomicU64>,
    ) -> Self {
        let threads = threads.clamp(1, MAX_THREADS);
        #[expect(clippy::cast_precision_loss, reason = "at most 1,024 threads")]
        let rate = hashes_per_second / threads as f64;
        let board = Arc::new(Board { hashes: Arc::clone(hashes), ..Board::default() });
        let start = |_| {
            let (board, found) = (Arc::clone(&board), found.clone());
            std::thread::spawn(move || hash(&board, rate, &found))
        };
        let threads = (0..threads).map(start).collect();
        Self { board, threads }
    }

    /// What is to be hashed from now on.
    pub(super) fn set(&self, work: Vec<Arc<Work>>) {
        *lock(&self.board.work) = work;
        self.board.generation.fetch_add(1, Ordering::Release);
    }

    /// Ends the threads; nobody must wait for what they have found any more.
    pub(super) async fn stop(mut self) {
        self.board.stop.store(true, Ordering::Release);
        let threads = std::mem::take(&mut self.threads);
        // They look up every few milliseconds.
        let _ = tokio::task::spawn_blocking(move || threads.into_iter().try_for_each(JoinHandle::join)).await;
    }
}

impl Drop for Hashing {
    fn drop(&mut self) {
        self.board.stop.store(true, Ordering::Release);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hashes all channels in turn until it is to stop.
fn hash(board: &Board, rate: f64, found: &mpsc::Sender<Share>) {
    let (mut started, mut hashed) = (Instant::now(), 0.0);
    while !board.stop.load(Ordering::Acquire) {
        let generation = board.generation.load(Ordering::Acquire);
        let works = lock(&board.work).clone();
        if works.is_empty() {
            std::thread::sleep(Duration::from_millis(2));
            (started, hashed) = (Instant::now(), 0.0);
            continue;
        }
        for work in &works {
            if board.generation.load(Ordering::Acquire) != generation {
                break;
            }
            let place = {
                let mut places = lock(&board.places);
                let next = places.entry(work.channel_id).or_default();
                std::mem::replace(next, *next + BATCH)
            };
            work.scan(place, BATCH, |share| {
                let _ = found.blocking_send(share);
            });
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
