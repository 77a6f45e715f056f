//! The hashing threads of a miner.
//!
//! The search space of a connection is cut into numbered chunks. A chunk is one `extranonce2`, one choice of
//! version bits and [`CHUNK_NONCES`] nonces; each thread takes every n-th chunk, and numbers are never used
//! twice while the connection lives. So whatever jobs come, no header is hashed twice.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::stats::MinerStats;
use crate::pow::{HeaderHasher, Target};
use crate::sv1_wire::NotifiedJob;

/// Nonces in a chunk, a power of two.
const CHUNK_NONCES: u32 = 1 << 18;

/// Nonces between two looks at the outside world, without a throttle: about half a millisecond.
const BATCH: u32 = 4_096;

/// Pauses of a throttled thread, as far as its rate allows.
const THROTTLE_STEP: Duration = Duration::from_millis(20);

/// Pause before a found share is offered again to a full queue.
const QUEUE_PAUSE: Duration = Duration::from_millis(1);

/// A job with everything that hashing needs.
#[derive(Debug)]
pub(super) struct Work {
    /// Counts up with each job of a connection.
    pub(super) generation: u64,
    pub(super) job: NotifiedJob,
    pub(super) extranonce1: Vec<u8>,
    pub(super) extranonce2_size: usize,
    pub(super) difficulty: f64,
    pub(super) target: Target,
    /// Version bits that may be rolled; 0: none.
    pub(super) version_mask: u32,
}

/// A share.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) work: Arc<Work>,
    pub(super) extranonce2: Vec<u8>,
    pub(super) nonce: u32,
    /// The rolled bits, within the mask.
    pub(super) version_bits: u32,
}

/// Hashing threads; they end when it is dropped.
#[derive(Debug)]
pub(super) struct HashBoard {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    /// Generation of `work`: looked at between batches, without the lock.
    generation: AtomicU64,
    work: Mutex<Option<Arc<Work>>>,
    changed: Condvar,
}

impl HashBoard {
    pub(super) fn start(
        threads: usize,
        hashes_per_second: Option<f64>,
        found: &mpsc::Sender<Found>,
        stats: &Arc<MinerStats>,
    ) -> HashBoard {
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            generation: AtomicU64::new(0),
            work: Mutex::new(None),
            changed: Condvar::new(),
        });
        #[expect(clippy::cast_precision_loss, reason = "a count of threads")]
        let rate = hashes_per_second.map(|rate| rate / threads as f64);
        let threads = (0..threads as u64)
            .map(|index| {
                let thread = HashThread {
                    shared: Arc::clone(&shared),
                    found: found.clone(),
                    stats: Arc::clone(stats),
                    pace: Pace::new(rate),
                    chunk: index,
                    stride: threads as u64,
                };
                std::thread::spawn(move || thread.run())
            })
            .collect();
        HashBoard { shared, threads }
    }

    pub(super) fn set_work(&self, work: Arc<Work>) {
        let mut slot = self.shared.work();
        self.shared.generation.store(work.generation, Ordering::Release);
        *slot = Some(work);
        self.shared.changed.notify_all();
    }
}

impl Drop for HashBoard {
    fn drop(&mut self) {
        {
            let _slot = self.shared.work();
            self.shared.stop.store(true, Ordering::Release);
            self.shared.changed.notify_all();
        }
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn work(&self) -> MutexGuard<'_, Option<Arc<Work>>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for work of another generation. `None`: stop.
    fn next_work(&self, done: u64) -> Option<Arc<Work>> {
        let mut slot = self.work();
        loop {
            if self.stop.load(Ordering::Acquire) {
                return None;
            }
            if let Some(work) = slot.as_ref().filter(|work| work.generation != done) {
                return Some(Arc::clone(work));
            }
            slot = self.changed.wait(slot).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether this work is no longer what is to be hashed.
    fn is_over(&self, work: &Work) -> bool {
        self.stop.load(Ordering::Acquire) || self.generation.load(Ordering::Acquire) != work.generation
    }

    /// Sleeps, but not beyond the end of this work.
    fn sleep(&self, work: &Work, pause: Duration) {
        let until = Instant::now() + pause;
        let mut slot = self.work();
        while !self.is_over(work) {
            let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
            else {
                return;
            };
            slot = self.changed.wait_timeout(slot, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

struct HashThread {
    shared: Arc<Shared>,
    found: mpsc::Sender<Found>,
    stats: Arc<MinerStats>,
    pace: Pace,
    chunk: u64,
    stride: u64,
}

impl HashThread {
    fn run(mut self) {
        let mut done = 0;
        while let Some(work) = self.shared.next_work(done) {
            self.pace.restart();
            while !self.shared.is_over(&work) {
                let chunk = Chunk::new(self.chunk, &work);
                self.chunk = self.chunk.wrapping_add(self.stride);
                self.scan(&work, &chunk);
            }
            done = work.generation;
        }
    }

    fn scan(&mut self, work: &Arc<Work>, chunk: &Chunk) {
        let mut header = work.job.header(&work.extranonce1, &chunk.extranonce2);
        header.version = (header.version & !work.version_mask) | chunk.version_bits;
        let hasher = HeaderHasher::new(&header);
        let mut next = 0;
        while next < CHUNK_NONCES && !self.shared.is_over(work) {
            let end = next.saturating_add(self.pace.batch()).min(CHUNK_NONCES);
            for offset in next..end {
                let nonce = chunk.first_nonce.wrapping_add(offset);
                if hasher.hash(nonce).meets(&work.target) && !self.offer(work, chunk, nonce) {
                    return;
                }
            }
            self.stats.add_hashes(u64::from(end - next));
            if let Some(pause) = self.pace.after(end - next) {
                self.shared.sleep(work, pause);
            }
            next = end;
        }
    }

    /// Hands a share on; waits while the queue is full. `false`: the work is over.
    fn offer(&self, work: &Arc<Work>, chunk: &Chunk, nonce: u32) -> bool {
        let mut share = Found {
            work: Arc::clone(work),
            extranonce2: chunk.extranonce2.clone(),
            nonce,
            version_bits: chunk.version_bits,
        };
        loop {
            match self.found.try_send(share) {
                Ok(()) => return true,
                Err(TrySendError::Closed(_)) => return false,
                Err(TrySendError::Full(back)) => share = back,
            }
            self.shared.sleep(work, QUEUE_PAUSE);
            if self.shared.is_over(work) {
                return false;
            }
        }
    }
}

/// A piece of the search space.
#[derive(Debug, PartialEq, Eq)]
struct Chunk {
    extranonce2: Vec<u8>,
    version_bits: u32,
    first_nonce: u32,
}

impl Chunk {
    /// The chunk with this number. Numbers that differ give chunks that do not overlap, until the space that
    /// `extranonce2`, nonces and version bits make together is used up.
    fn new(number: u64, work: &Work) -> Chunk {
        let nonce_chunks = u64::from(u32::MAX / CHUNK_NONCES) + 1;
        let size = work.extranonce2_size;
        let (extranonce2_part, rest) =
            match u32::try_from(8 * size).ok().and_then(|bits| 1_u64.checked_shl(bits)) {
                Some(count) => (number % count, number / count),
                None => (number, 0),
            };
        let mut extranonce2 = vec![0; size];
        let bytes = extranonce2_part.to_be_bytes();
        let used = size.min(bytes.len());
        extranonce2[size - used..].copy_from_slice(&bytes[bytes.len() - used..]);
        // Version bits change with every chunk, also while extranonce2 alone would do, as firmware rolls them.
        let version = extranonce2_part.wrapping_add(rest / nonce_chunks);
        Chunk {
            extranonce2,
            version_bits: spread(version, work.version_mask),
            first_nonce: u32::try_from(rest % nonce_chunks).expect("less than 2^32") * CHUNK_NONCES,
        }
    }
}

/// Puts the low bits of `value` where `mask` has ones.
fn spread(mut value: u64, mask: u32) -> u32 {
    let mut bits = 0;
    for bit in (0..32).map(|shift| 1_u32 << shift).filter(|bit| mask & bit != 0) {
        if value & 1 == 1 {
            bits |= bit;
        }
        value >>= 1;
    }
    bits
}

/// Keeps a thread to its hash rate.
#[derive(Debug)]
struct Pace {
    rate: Option<f64>,
    started: Instant,
    hashed: f64,
}

impl Pace {
    fn new(rate: Option<f64>) -> Pace {
        let rate = rate.filter(|rate| rate.is_finite()).map(|rate| rate.max(0.01));
        Pace { rate, started: Instant::now(), hashed: 0.0 }
    }

    /// Forgets time in which there was nothing to do.
    fn restart(&mut self) {
        let Some(rate) = self.rate else { return };
        if self.started.elapsed().as_secs_f64() > self.hashed / rate {
            self.started = Instant::now();
            self.hashed = 0.0;
        }
    }

    /// Hashes until the next pause.
    fn batch(&self) -> u32 {
        let Some(rate) = self.rate else { return BATCH };
        let step = (rate * THROTTLE_STEP.as_secs_f64()).clamp(1.0, f64::from(BATCH));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped just above")]
        let step = step as u32;
        step
    }

    /// How long to pause after so many hashes.
    fn after(&mut self, hashes: u32) -> Option<Duration> {
        let rate = self.rate?;
        self.hashed += f64::from(hashes);
        let ahead = self.hashed / rate - self.started.elapsed().as_secs_f64();
        (ahead > 0.0).then(|| Duration::from_secs_f64(ahead.min(3_600.0)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn work(extranonce2_size: usize, version_mask: u32) -> Work {
        Work {
            generation: 1,
            job: NotifiedJob {
                job_id: "a".to_owned(),
                prev_hash: [0; 32],
                coinb1: vec![1],
                coinb2: vec![2],
                merkle_path: Vec::new(),
                version: 0x2000_0000,
                nbits: 0x207f_ffff,
                ntime: 1,
                clean_jobs: true,
            },
            extranonce1: vec![3],
            extranonce2_size,
            difficulty: 1.0,
            target: Target::MAX,
            version_mask,
        }
    }

    #[test]
    fn no_two_chunks_overlap() {
        for (size, mask) in [(0, 0x1fff_e000), (1, 0), (1, 0x6000), (2, 0x1fff_e000), (8, 0), (16, 0x6000)] {
            let work = work(size, mask);
            let mut seen = HashSet::new();
            // 2^14 nonce chunks are there even without extranonce2 and version bits.
            for number in 0..16_384 {
                let chunk = Chunk::new(number, &work);
                assert_eq!(chunk.extranonce2.len(), size);
                assert_eq!(chunk.version_bits & !mask, 0);
                assert!(seen.insert((chunk.extranonce2, chunk.version_bits, chunk.first_nonce)));
            }
        }
    }

    #[test]
    fn every_share_found_meets_the_target_and_threads_find_different_ones() {
        let mut easy = work(4, 0x1fff_e000);
        easy.target = Target::from_difficulty(1e-8);
        let easy = Arc::new(easy);
        let (sender, mut receiver) = mpsc::channel(16);
        let board = HashBoard::start(3, None, &sender, &Arc::new(MinerStats::new()));
        board.set_work(Arc::clone(&easy));
        let mut seen = HashSet::new();
        for _ in 0..500 {
            let share = receiver.blocking_recv().unwrap();
            let mut header = easy.job.header(&easy.extranonce1, &share.extranonce2);
            header.version |= share.version_bits;
            let hash = HeaderHasher::new(&header).hash(share.nonce);
            assert!(hash.meets(&easy.target));
            assert!(seen.insert(hash.to_bytes()));
        }
        // The queue is full by now: threads must end all the same.
        drop(board);
    }

    #[test]
    fn a_throttled_thread_owes_the_time_of_its_hashes() {
        let mut pace = Pace::new(Some(10.0));
        let pause = pace.after(100).unwrap();
        assert!((9.0..=10.0).contains(&pause.as_secs_f64()), "{pause:?}");
        assert_eq!(pace.batch(), 1);
        assert_eq!(Pace::new(Some(1e12)).batch(), BATCH);
        assert_eq!(Pace::new(None).after(1_000_000), None);
    }
}
