//! Which rung memory has come to.

use std::time::Duration;

/// From which part of the budget on each rung holds.
pub const RUNGS: [f64; 3] = [0.80, 0.90, 0.95];
/// A rung is left when memory has been this part of the budget below it ...
const SLACK: f64 = 0.05;
/// ... for this long.
const CALM: Duration = Duration::from_secs(2);

/// Goes up at once, as far as it must; comes down a rung at a time, when it has been calm for a while.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ladder {
    rung: usize,
    calm_since: Option<Duration>,
}

impl Ladder {
    /// Memory is at this part of the budget now. Gives the rung, 0 to 3.
    pub fn observe(&mut self, used: f64, now: Duration) -> usize {
        let reached = RUNGS.iter().filter(|from| used >= **from).count();
        let is_calm = self.rung > 0 && used < RUNGS[self.rung - 1] - SLACK;
        if reached > self.rung {
            (self.rung, self.calm_since) = (reached, None);
        } else if !is_calm {
            self.calm_since = None;
        } else if now.saturating_sub(*self.calm_since.get_or_insert(now)) >= CALM {
            self.rung -= 1;
            self.calm_since = None;
        }
        self.rung
    }

    /// The rung, 0 to 3.
    #[must_use]
    pub fn rung(&self) -> usize {
        self.rung
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_up_at_once_and_down_one_by_one_after_a_calm() {
        let mut ladder = Ladder::default();
        let mut at = |used: f64, ms: u64| ladder.observe(used, Duration::from_millis(ms));
        assert_eq!([at(0.799, 0), at(0.80, 1), at(0.899, 2), at(0.90, 3), at(0.99, 4)], [0, 1, 1, 2, 3]);
        // Just below a rung is not below it.
        assert_eq!([at(0.91, 10), at(0.91, 60_000)], [3, 3]);
        assert_eq!([at(0.5, 60_001), at(0.5, 62_000), at(0.5, 62_001)], [3, 3, 2]);
        // Each rung needs a calm of its own, and a relapse begins it anew.
        assert_eq!([at(0.5, 62_002), at(0.86, 64_001), at(0.5, 64_002), at(0.5, 66_001)], [2, 2, 2, 2]);
        assert_eq!([at(0.5, 66_002), at(0.5, 66_003), at(0.5, 68_003)], [1, 1, 0]);
        assert_eq!(at(0.1, 100_000), 0);
        // From anywhere to the top.
        assert_eq!(at(1.5, 100_001), 3);
    }
}
