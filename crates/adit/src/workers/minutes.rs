//! What a worker has delivered, minute by minute.

use std::collections::VecDeque;

/// Whole minutes that are kept.
pub(super) const MINUTES: usize = 60;
/// A worker's hashrate, where there is no better estimate, is that of so many minutes.
const RECENT: usize = 10;

/// The last minutes of one worker.
#[derive(Clone, Debug, Default)]
pub(super) struct Minutes {
    /// Hashes per second, oldest first.
    rates: VecDeque<f64>,
    /// Work at the end of the last minute.
    work: f64,
}

impl Minutes {
    /// A worker that had this work when it was first looked at.
    pub(super) fn begin(work: f64) -> Self {
        Self { rates: VecDeque::new(), work }
    }

    /// A minute is over, and took so many seconds: the worker has this work now, as difficulty.
    pub(super) fn tick(&mut self, work: f64, seconds: f64) {
        // Less than before: it was forgotten in the meantime, and has come back.
        let grown = if work >= self.work { work - self.work } else { work };
        self.work = work;
        if self.rates.len() == MINUTES {
            self.rates.pop_front();
        }
        self.rates.push_back(grown * work::hashrate::HASHES_PER_DIFFICULTY / seconds);
    }

    /// Hashes per second over the last minutes.
    pub(super) fn recent(&self) -> f64 {
        let count = self.rates.len().min(RECENT);
        if count == 0 {
            return 0.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "a few minutes")]
        let minutes = count as f64;
        self.rates.iter().rev().take(RECENT).sum::<f64>() / minutes
    }

    /// What it delivered in all of them: who had most counts most.
    pub(super) fn sum(&self) -> f64 {
        self.rates.iter().sum()
    }

    /// What it delivered since the last minute's end, in the same measure: as if a minute were over.
    pub(super) fn since(&self, work: f64) -> f64 {
        (work - self.work).max(0.0) * work::hashrate::HASHES_PER_DIFFICULTY / 60.0
    }

    pub(super) fn list(&self) -> Vec<f64> {
        self.rates.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_kept_and_the_last_minutes_are_the_hashrate() {
        let mut minutes = Minutes::begin(5.0);
        assert_eq!((minutes.recent(), minutes.list()), (0.0, vec![]));
        for n in 1..=100 {
            minutes.tick(5.0 + f64::from(n) * 60.0, 60.0);
        }
        assert_eq!(minutes.list(), vec![4_294_967_296.0; MINUTES]);
        assert_eq!(minutes.recent(), 4_294_967_296.0);
        minutes.tick(30.0, 60.0);
        assert_eq!(minutes.list().last(), Some(&2_147_483_648.0), "forgotten, and back");
    }
}
