//! How long to wait before the next attempt: doubling, with jitter, never for good.

use std::time::Duration;

/// Doubling waits with jitter. No source is ever given up.
#[derive(Clone, Debug)]
pub struct Backoff {
    seed: u64,
    attempt: u32,
}

impl Backoff {
    /// The wait after the first failure, before jitter.
    pub const FIRST: Duration = Duration::from_millis(500);
    /// No wait is longer, before jitter.
    pub const LONGEST: Duration = Duration::from_secs(30);
    /// No wait is longer, before jitter, after a connection that had been set up and was lost: the pool is there, and whoever
    /// breaks its connections must not keep the farm away from it for longer than he takes part.
    pub const LONGEST_AFTER_READY: Duration = Duration::from_secs(2);

    /// `seed` decides the jitter; two sources should not have the same.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, attempt: 0 }
    }

    /// The wait after one more failure: between half of the doubled time and all of it.
    pub fn next_wait(&mut self) -> Duration {
        self.next_wait_below(Self::LONGEST)
    }

    /// The same after the loss of a connection that had been set up.
    pub fn next_wait_after_ready(&mut self) -> Duration {
        self.next_wait_below(Self::LONGEST_AFTER_READY)
    }

    fn next_wait_below(&mut self, longest: Duration) -> Duration {
        let full = Self::FIRST.saturating_mul(1 << self.attempt.min(10)).min(longest);
        self.attempt = self.attempt.saturating_add(1);
        full.mul_f64(0.5 + 0.5 * self.unit())
    }

    /// It works again: the next failure begins with a short wait.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }

    /// A number in 0..1, by SplitMix64.
    fn unit(&mut self) -> f64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_stay_bounded_and_begin_anew() {
        let mut backoff = Backoff::new(7);
        let first = backoff.next_wait();
        assert!(first >= Backoff::FIRST / 2 && first <= Backoff::FIRST);
        for _ in 0..100 {
            assert!(backoff.next_wait() <= Backoff::LONGEST);
        }
        assert!(backoff.next_wait() >= Backoff::LONGEST / 2);
        assert!(backoff.next_wait_after_ready() <= Backoff::LONGEST_AFTER_READY);
        backoff.reset();
        assert!(backoff.next_wait() <= Backoff::FIRST);
    }
}
