//! How long this machine lets a thread wait that wants to run, measured while a test runs: what a promise in seconds
//! must be granted on a busy machine, and next to nothing on an idle one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// It wants to run again this often.
const EVERY: Duration = Duration::from_millis(5);
/// Threads that hand something on to each other, from what happens to where it is seen: each may wait as long.
const HANDOVERS: u32 = 8;

/// A thread that sleeps for moments, and notes how much longer it slept.
#[derive(Debug)]
pub struct Stalls {
    longest: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Stalls {
    /// Begins to watch.
    #[must_use]
    pub fn watch() -> Self {
        let (longest, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (noted, ended) = (Arc::clone(&longest), Arc::clone(&over));
        let thread = std::thread::spawn(move || {
            while !ended.load(SeqCst) {
                let began = Instant::now();
                std::thread::sleep(EVERY);
                let late = began.elapsed().saturating_sub(EVERY);
                noted.fetch_max(u64::try_from(late.as_micros()).unwrap_or(u64::MAX), SeqCst);
            }
        });
        Self { longest, over, thread: Some(thread) }
    }

    /// What a promise in seconds is granted besides, by the longest wait so far.
    #[must_use]
    pub fn grace(&self) -> Duration {
        Duration::from_micros(self.longest.load(SeqCst)) * HANDOVERS
    }

    /// What comes at this rate a second, and may come meanwhile.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of shares")]
    pub fn meanwhile(&self, a_second: f64) -> u64 {
        (self.grace().as_secs_f64() * a_second).ceil() as u64
    }
}

impl Drop for Stalls {
    fn drop(&mut self) {
        self.over.store(true, SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
