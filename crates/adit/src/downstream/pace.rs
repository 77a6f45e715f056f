//! At most so many of something a second.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// So much of what was not used may be made up for: a storm begins with a tenth of a second's worth at once.
const SLACK: Duration = Duration::from_millis(100);

/// Gives turns, evenly.
#[derive(Debug)]
pub(super) struct Pace {
    /// Nanoseconds between two.
    every: AtomicU64,
    /// When the next turn is, if nobody had waited before.
    next: Mutex<Instant>,
    waits: AtomicU64,
}

impl Pace {
    /// So many turns a second.
    pub(super) fn new(per_second: u32) -> Self {
        let every = AtomicU64::new(every(per_second));
        Self { every, next: Mutex::new(Instant::now()), waits: AtomicU64::new(0) }
    }

    /// From now on so many turns a second.
    pub(super) fn set(&self, per_second: u32) {
        self.every.store(every(per_second), Relaxed);
    }

    /// Waits for a turn, and takes it.
    pub(super) async fn turn(&self) {
        while let Err(at) = self.take(Instant::now()) {
            self.waits.fetch_add(1, Relaxed);
            tokio::time::sleep_until(at).await;
        }
    }

    /// Turns that had to be waited for, ever.
    pub(super) fn waits(&self) -> u64 {
        self.waits.load(Relaxed)
    }

    /// Takes a turn, or says when there is one.
    fn take(&self, now: Instant) -> Result<(), Instant> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if *next > now + SLACK {
            return Err(*next - SLACK);
        }
        // A turn that nobody took a while ago is gone.
        *next = (*next).max(now) + Duration::from_nanos(self.every.load(Relaxed));
        Ok(())
    }
}

/// Nanoseconds.
fn every(per_second: u32) -> u64 {
    1_000_000_000 / u64::from(per_second.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_come_at_their_rate_after_a_short_burst() {
        for rate in [1, 50, 5_000] {
            let pace = Pace::new(rate);
            let mut now = Instant::now();
            let seconds_for = |turns: u32, now: &mut Instant| {
                let began = *now;
                for _ in 0..turns {
                    while let Err(at) = pace.take(*now) {
                        assert!(at > *now, "the wait has an end");
                        *now = at;
                    }
                }
                (*now - began).as_secs_f64()
            };
            let took = seconds_for(3 * rate, &mut now);
            assert!((1.8..=3.01).contains(&took), "{rate} a second: {took} s for three seconds' worth");
            // A long silence is not made up for.
            now += Duration::from_secs(60);
            let took = seconds_for(2 * rate, &mut now);
            assert!((0.8..=2.01).contains(&took), "{rate} a second: {took} s for two seconds' worth");
        }
    }
}
