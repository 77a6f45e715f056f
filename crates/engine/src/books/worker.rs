//! What is kept of a worker apart from its tallies.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering::Relaxed};

/// Shares a day that evidence is kept of, about.
const KEPT_PER_DAY: f64 = 3_000.0;
/// Hashes that a share of difficulty 1 stands for.
const HASHES: f64 = work::hashrate::HASHES_PER_DIFFICULTY;
/// Nothing is kept.
const NONE: i32 = i32::MIN;
/// The keep target moves when what would be right is so far from it, as a power of two: more than the half step by which
/// rounding is off, or it would go to and fro.
const MOVES_AT: f64 = 0.8;
/// Powers of two that a difficulty can be.
const EXPONENTS: std::ops::RangeInclusive<i32> = -32..=200;

/// A worker: a name that shares are counted for. Whatever a worker does, nothing is held against its name: anybody can use
/// it.
#[derive(Debug)]
pub struct Worker {
    name: Arc<str>,
    /// Evidence is kept of shares of difficulty two to the power of this.
    keep: AtomicI32,
    /// The highest difficulty that was told since it was last taken, as bits: those of positive numbers are in their order.
    told: AtomicU64,
}

impl Worker {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self { name, keep: AtomicI32::new(NONE), told: AtomicU64::new(0) }
    }

    /// As it was authorised, and as the listener's rules rewrite that, at most
    /// [`MAX_WORKER_NAME`](crate::miner::MAX_WORKER_NAME) bytes; empty for shares that named nobody.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The difficulty from which on evidence of its shares is kept, a power of two; nothing before its hashrate is known.
    #[must_use]
    pub fn keep_difficulty(&self) -> Option<f64> {
        self.keep_exponent().map(|exponent| f64::from(exponent).exp2())
    }

    /// A miner that mines for it was told this difficulty, or brought a share at it.
    pub(crate) fn told(&self, difficulty: f64) {
        let bits = difficulty.max(0.0).to_bits();
        // Nearly always there already: then nothing is written.
        if self.told.load(Relaxed) < bits {
            self.told.fetch_max(bits, Relaxed);
        }
    }

    /// The highest difficulty that its miners were told, or brought shares at, since this was last asked; nothing if neither
    /// happened. There is one who asks.
    #[must_use]
    pub fn take_told(&self) -> Option<f64> {
        Some(f64::from_bits(self.told.swap(0, Relaxed))).filter(|difficulty| *difficulty > 0.0)
    }

    /// The power of two that it is.
    #[must_use]
    pub(crate) fn keep_exponent(&self) -> Option<i32> {
        Some(self.keep.load(Relaxed)).filter(|exponent| *exponent != NONE)
    }

    /// Sets the keep difficulty by the worker's hashrate, for shares that are still to be found. Called from time to time;
    /// it moves only when it is clearly off.
    pub fn aim(&self, hashrate: f64) {
        let right = (hashrate * 86_400.0 / KEPT_PER_DAY / HASHES).log2();
        if !right.is_finite() {
            return;
        }
        #[expect(clippy::cast_possible_truncation, reason = "a logarithm of a finite number is small")]
        let rounded = (right.round() as i32).clamp(*EXPONENTS.start(), *EXPONENTS.end());
        let stays = self
            .keep_exponent()
            .is_some_and(|now| (right - f64::from(now)).abs() < MOVES_AT || now == rounded);
        if !stays {
            self.keep.store(rounded, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_difficulty_that_was_told_is_taken_once() {
        let worker = Worker::new("w".into());
        assert_eq!(worker.take_told(), None);
        for difficulty in [0.001, 512.5, f64::NAN, -1.0, 3.0] {
            worker.told(difficulty);
        }
        assert_eq!((worker.take_told(), worker.take_told()), (Some(512.5), None));
        worker.told(3.0);
        assert_eq!(worker.take_told(), Some(3.0));
    }

    #[test]
    fn the_keep_target_gives_about_the_shares_wanted_and_moves_slowly() {
        let worker = Worker::new("w".into());
        assert_eq!(worker.keep_difficulty(), None);
        worker.aim(0.0);
        worker.aim(f64::NAN);
        assert_eq!(worker.keep_difficulty(), None, "a hashrate that is not known");
        for hashrate in [1e3, 1e6, 1e9, 1e12, 1e14, 3.3e14, 1e15, 1e18] {
            worker.aim(hashrate);
            let keep = worker.keep_difficulty().expect("one");
            assert_eq!(keep.log2().fract(), 0.0, "{keep}");
            let a_day = hashrate * 86_400.0 / (keep * HASHES);
            assert!((1_500.0..6_000.0).contains(&a_day), "{a_day} a day at {hashrate:e}");
            for factor in [0.8, 1.25, 1.0] {
                worker.aim(hashrate * factor);
            }
            let after = worker.keep_difficulty().expect("one");
            worker.aim(hashrate * 1.1);
            assert_eq!(worker.keep_difficulty(), Some(after), "to and fro at {hashrate:e}");
        }
    }
}
