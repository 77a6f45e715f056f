//! A hashrate read off a stream of shares of any difficulties, in a few numbers of memory.

use std::time::Duration;

use super::{Estimate, HASHES_PER_DIFFICULTY};

/// The shortest window that makes sense; shorter ones are taken as this.
pub const MIN_WINDOW: Duration = Duration::from_secs(1);

/// Hashrate of a miner, a route or a farm from the work it brought, older work fading exponentially.
///
/// The time constant is half the window, which leaves the same uncertainty as a plain average over the window
/// would. It is right from the first share on (it divides by the time it has really watched), shares of different
/// difficulties mix freely, and it costs 56 bytes and one `exp` a share.
#[derive(Clone, Debug)]
pub struct HashrateMeter {
    /// Time constant, seconds.
    fade: f64,
    /// When the sums were last brought up to date, seconds.
    at: f64,
    /// Sum of difficulty, faded.
    work: f64,
    /// Sum of squared difficulty, faded alike: `squares / work` is the size of the typical share.
    squares: f64,
    /// Seconds watched, faded: what `work` is divided by.
    watched: f64,
    /// Seconds watched, faded twice as fast: `watched / sharpness` is how many times more the fading sum knows
    /// than its faded share count says (1 at first, 2 in the long run).
    sharpness: f64,
    /// Difficulty of the last share: the typical share once everything else has faded to nothing.
    last: f64,
}

impl HashrateMeter {
    /// A meter that begins to watch at `now` (since any epoch that never goes backwards).
    #[must_use]
    pub fn new(window: Duration, now: Duration) -> Self {
        Self {
            fade: window.max(MIN_WINDOW).as_secs_f64() / 2.0,
            at: now.as_secs_f64(),
            work: 0.0,
            squares: 0.0,
            watched: 0.0,
            sharpness: 0.0,
            last: 0.0,
        }
    }

    /// Adds a share of `difficulty`; 1 is 2^32 hashes. What is not a positive number is not work and is left out.
    /// A `now` before the last one counts as the last one.
    pub fn add(&mut self, difficulty: f64, now: Duration) {
        if !(difficulty.is_finite() && difficulty > 0.0) {
            return;
        }
        self.fade_to(now);
        // Difficulties end where a share would take the whole hash space: squares stay far from overflow.
        let difficulty = difficulty.min(MAX_DIFFICULTY);
        self.work += difficulty;
        self.squares += difficulty * difficulty;
        self.last = difficulty;
    }

    /// The hashrate now, with its 95 % interval. Silence counts: value and interval sink with it.
    #[must_use]
    pub fn estimate(&self, now: Duration) -> Estimate {
        let mut faded = self.clone();
        faded.fade_to(now);
        if faded.last == 0.0 || faded.watched <= 0.0 {
            return Estimate::UNKNOWN;
        }
        let typical =
            if faded.squares > 0.0 && faded.work > 0.0 { faded.squares / faded.work } else { faded.last };
        let sharper = faded.watched / faded.sharpness;
        Estimate::from_shares(
            faded.work / typical * sharper,
            faded.watched * sharper,
            typical * HASHES_PER_DIFFICULTY,
        )
    }

    fn fade_to(&mut self, now: Duration) {
        let elapsed = now.as_secs_f64() - self.at;
        if elapsed > 0.0 {
            let keep = (-elapsed / self.fade).exp();
            self.work *= keep;
            self.squares *= keep;
            self.watched = self.watched * keep + self.fade * (1.0 - keep);
            self.sharpness = self.sharpness * keep * keep + self.fade / 2.0 * (1.0 - keep * keep);
            self.at += elapsed;
        }
    }
}

/// 2^224: the difficulty of the target 1 is just below.
const MAX_DIFFICULTY: f64 = 2.695_994_666_715_064e67;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn right_from_the_first_minute_and_after_hours() {
        let mut meter = HashrateMeter::new(Duration::from_secs(600), Duration::ZERO);
        for second in 1..=7200 {
            meter.add(2.0, at(f64::from(second)));
            if second == 60 || second == 7200 {
                let e = meter.estimate(at(f64::from(second)));
                assert!((e.value / (2.0 * HASHES_PER_DIFFICULTY) - 1.0).abs() < 0.01, "{second} {e:?}");
            }
        }
        // 600 shares in the window: about 1.96 / sqrt(600) = 8 % to either side.
        let e = meter.estimate(at(7200.0));
        assert!((e.value - e.low95) / e.value > 0.06 && (e.high95 - e.value) / e.value < 0.10, "{e:?}");
    }

    #[test]
    fn shares_of_mixed_difficulty_add_up_as_work() {
        let mut meter = HashrateMeter::new(Duration::from_secs(600), Duration::ZERO);
        for second in 1..=3600 {
            let difficulty = if second % 10 == 0 { 91.0 } else { 1.0 };
            meter.add(difficulty, at(f64::from(second)));
        }
        let e = meter.estimate(at(3600.0));
        assert!((e.value / (10.0 * HASHES_PER_DIFFICULTY) - 1.0).abs() < 0.02, "{e:?}");
        // Nearly all work comes in the one hard share in ten: it is known like 60 shares, not like 600.
        assert!((e.high95 - e.value) / e.value > 0.2, "{e:?}");
    }

    #[test]
    fn silence_sinks_the_value_but_never_rules_out_one_slow_share() {
        let mut meter = HashrateMeter::new(Duration::from_secs(60), Duration::ZERO);
        for second in 1..=600 {
            meter.add(1.0, at(f64::from(second)));
        }
        for hour in 1..=1000 {
            let e = meter.estimate(at(3600.0 * f64::from(hour)));
            assert!(e.value < 1e-20 * HASHES_PER_DIFFICULTY, "{e:?}");
            assert!(e.high95 > 0.02 * HASHES_PER_DIFFICULTY, "{e:?}");
        }
    }

    #[test]
    fn a_clock_that_steps_back_and_figures_that_are_none_do_no_harm() {
        let mut meter = HashrateMeter::new(Duration::ZERO, at(100.0));
        assert_eq!(meter.estimate(at(5.0)), Estimate::UNKNOWN);
        for difficulty in [f64::NAN, f64::INFINITY, 0.0, -1.0] {
            meter.add(difficulty, at(200.0));
        }
        assert_eq!(meter.estimate(at(200.0)), Estimate::UNKNOWN);
        meter.add(f64::MAX, at(50.0));
        meter.add(1.0, at(201.0));
        let e = meter.estimate(at(0.0));
        assert!(e.value.is_finite() && e.value > 0.0 && e.low95 <= e.value && e.value <= e.high95, "{e:?}");
    }
}
