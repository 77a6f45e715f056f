//! When shares are due: an open loop on a grid of one millisecond.

use std::time::{Duration, Instant};

/// Width of the grid.
pub(super) const TICK: Duration = Duration::from_millis(1);

/// Hands out due times at a fixed rate from a start on.
#[derive(Debug)]
pub(super) struct Pace {
    start: Instant,
    per_second: f64,
    /// Shares handed out.
    given: u64,
    /// Shares in the whole run.
    limit: u64,
}

impl Pace {
    pub(super) fn new(start: Instant, per_second: f64, duration: Duration) -> Pace {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "options bound both")]
        let limit = (per_second * duration.as_secs_f64()).round() as u64;
        Pace { start, per_second, given: 0, limit }
    }

    /// The due time of the next share, if that is not after `now`. Each call hands out one share.
    pub(super) fn take(&mut self, now: Instant) -> Option<Instant> {
        let due = self.next_due()?;
        (due <= now).then(|| {
            self.given += 1;
            due
        })
    }

    /// When the next share is due; `None` when the run's shares are all handed out.
    pub(super) fn next_due(&self) -> Option<Instant> {
        if self.given >= self.limit {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
        let exact = self.given as f64 / self.per_second;
        // Up to the next line of the grid: all shares of a tick are due together.
        let ticks = (exact / TICK.as_secs_f64()).ceil();
        Some(self.start + TICK.mul_f64(ticks))
    }

    /// Shares that were handed out.
    pub(super) fn given(&self) -> u64 {
        self.given
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_caller_gets_everything_that_was_due_with_its_due_times() {
        let start = Instant::now();
        let mut pace = Pace::new(start, 10_000.0, Duration::from_secs(1));
        let late = start + Duration::from_millis(500);
        let due: Vec<Instant> = std::iter::from_fn(|| pace.take(late)).collect();
        assert_eq!(due.len(), 5_001);
        assert!(due.is_sorted());
        assert!(due[5_000] <= late && due[1] <= start + TICK);
        assert_eq!(std::iter::from_fn(|| pace.take(start + Duration::from_secs(100))).count(), 4_999);
        assert_eq!((pace.given(), pace.next_due()), (10_000, None));
    }

    #[test]
    fn slow_rates_are_kept() {
        let start = Instant::now();
        let mut pace = Pace::new(start, 0.5, Duration::from_secs(10));
        assert_eq!(std::iter::from_fn(|| pace.take(start + Duration::from_millis(3_999))).count(), 2);
        assert_eq!(pace.next_due(), Some(start + Duration::from_secs(4)));
    }
}
