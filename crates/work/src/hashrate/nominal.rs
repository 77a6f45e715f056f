//! When a pool is told about a farm's hashrate (`UpdateChannel.nominal_hash_rate`).

use std::time::Duration;

use super::Estimate;

/// After miners joined or left, the pool is told at most this often.
pub const JOIN_INTERVAL: Duration = Duration::from_secs(1);

/// Without joins and leaves, the pool is told at most this often.
pub const DRIFT_INTERVAL: Duration = Duration::from_secs(60);

/// How often the interval is looked at once [`DRIFT_INTERVAL`] has passed.
pub const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// Decides when an upstream channel's `UpdateChannel` is due, so that Adit's vardiff and the pool's do not fight.
///
/// At once when miners join or leave, but at most once a second; else only when the estimate's 95 % interval rules
/// out the last value sent, at most once a minute.
#[derive(Clone, Debug)]
pub struct NominalHashrate {
    value: f64,
    sent_at: Duration,
    look_at: Duration,
    /// Miners joined or left since the last value was sent.
    changed: bool,
}

impl NominalHashrate {
    /// The channel was opened with `value` hashes per second at `now`.
    #[must_use]
    pub fn new(value: f64, now: Duration) -> Self {
        let mut nominal = Self { value: 0.0, sent_at: now, look_at: now, changed: false };
        nominal.sent(value, now);
        nominal
    }

    /// A miner joined or left: [`poll`](Self::poll) tells the pool as soon as a second has passed since the last
    /// value.
    pub fn members_changed(&mut self) {
        self.changed = true;
    }

    /// The value to send now, if one is due, in hashes per second; it counts as sent. `estimate` is only asked
    /// for when it is needed, so it may be the sum over all miners.
    pub fn poll(&mut self, estimate: impl FnOnce() -> Estimate, now: Duration) -> Option<f64> {
        if now < self.deadline() {
            return None;
        }
        let estimate = estimate();
        let due = estimate.is_known() && (self.changed || estimate.excludes(self.value));
        let value = finite(estimate.value);
        self.changed = false;
        if !due || value == self.value {
            self.look_at = now.saturating_add(LOOK_INTERVAL);
            return None;
        }
        self.sent(value, now);
        Some(value)
    }

    /// A value was sent by another way, such as with a freshly opened channel.
    pub fn sent(&mut self, value: f64, now: Duration) {
        self.value = finite(value);
        self.sent_at = now;
        self.look_at = now.saturating_add(DRIFT_INTERVAL);
        self.changed = false;
    }

    /// The last value sent, hashes per second.
    #[must_use]
    pub fn last_sent(&self) -> f64 {
        self.value
    }

    /// When [`poll`](Self::poll) is to be called next: it may lie in the past, which means now.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        if self.changed { self.sent_at.saturating_add(JOIN_INTERVAL) } else { self.look_at }
    }
}

/// What can be written into a message: a pool refuses NaN, and rightly so.
fn finite(hashrate: f64) -> f64 {
    if hashrate.is_finite() { hashrate.max(0.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn around(value: f64) -> Estimate {
        Estimate { value, low95: value * 0.9, high95: value * 1.1 }
    }

    #[test]
    fn five_thousand_joins_in_ten_seconds_are_ten_updates() {
        let mut nominal = NominalHashrate::new(0.0, s(0));
        let mut sent = 0;
        for joined in 1..=5000_u32 {
            nominal.members_changed();
            let now = s(100) + Duration::from_millis(u64::from(joined) * 2);
            sent += u32::from(nominal.poll(|| around(f64::from(joined)), now).is_some());
        }
        assert!((10..=11).contains(&sent), "{sent}");
        // The last join is not forgotten: its second passes and the figure goes out.
        nominal.members_changed();
        let due = nominal.deadline();
        assert_eq!(nominal.poll(|| around(5001.0), due), Some(5001.0));
    }

    #[test]
    fn luck_is_never_told_and_a_real_change_is_told_once_a_minute() {
        let mut nominal = NominalHashrate::new(100.0, s(0));
        for second in 0..3600 {
            assert_eq!(nominal.poll(|| around(105.0), s(second)), None);
        }
        let sent = (3600..4200).filter(|&second| {
            let hashrate = f64::from(u32::try_from(second).unwrap());
            nominal.poll(|| around(hashrate * hashrate), s(second)).is_some()
        });
        assert!((1..=10).contains(&sent.count()));
    }

    #[test]
    fn its_deadline_never_makes_a_busy_loop() {
        let mut nominal = NominalHashrate::new(100.0, s(0));
        let (mut now, mut polls) = (s(0), 0);
        while now < s(3600) {
            now = nominal.deadline().max(now);
            let _ = nominal.poll(|| around(100.0), now);
            polls += 1;
        }
        assert!(polls <= 360, "{polls}");
    }

    #[test]
    fn nothing_that_is_not_a_number_goes_out() {
        let mut nominal = NominalHashrate::new(f64::NAN, s(0));
        assert_eq!(nominal.last_sent(), 0.0);
        let odd = Estimate { value: f64::INFINITY, low95: f64::INFINITY, high95: f64::INFINITY };
        assert_eq!(nominal.poll(|| odd, s(100)), None);
        assert_eq!(nominal.poll(|| Estimate::UNKNOWN, s(200)), None);
    }
}
