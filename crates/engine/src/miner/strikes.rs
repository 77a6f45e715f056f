//! Patience with a connection: bad lines and bad shares.

use std::time::Duration;

/// Lines that are no request, before the connection is closed. A good one takes nothing back: firmware that
/// is understood does not send any.
pub(super) const MAX_BAD_LINES: u8 = 5;
/// Bad shares that are always forgiven in a burst: a new tip makes stale what a fast miner has on its way.
const BURST: f64 = 100.0;

/// Counts what a connection did wrong. It sticks to the connection, never to a worker's name, which anyone
/// can use.
#[derive(Clone, Debug, Default)]
pub(super) struct Strikes {
    bad_lines: u8,
    level: f64,
    at: Duration,
}

impl Strikes {
    /// A line that could not be read. True: enough.
    pub(super) fn bad_line(&mut self) -> bool {
        self.bad_lines = self.bad_lines.saturating_add(1);
        self.bad_lines >= MAX_BAD_LINES
    }

    /// A rejected share. True: they have come above ten times `shares_per_minute` for ten seconds.
    pub(super) fn bad_share(&mut self, shares_per_minute: f64, now: Duration) -> bool {
        let allowed = shares_per_minute * 10.0 / 60.0;
        let elapsed = now.saturating_sub(self.at).as_secs_f64();
        self.at = now;
        self.level = (self.level - elapsed * allowed).max(0.0) + 1.0;
        self.level > BURST + allowed * 10.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_forgiven_and_a_flood_is_not() {
        let mut strikes = Strikes::default();
        for n in 0..100 {
            assert!(!strikes.bad_share(20.0, Duration::from_millis(n)));
        }
        // Ten times 20 a minute is 3.3 a second: below that nothing ever happens.
        let mut strikes = Strikes::default();
        for n in 0..10_000 {
            assert!(!strikes.bad_share(20.0, Duration::from_millis(n * 310)));
        }
        let mut strikes = Strikes::default();
        let end = (0..10_000).find(|n| strikes.bad_share(20.0, Duration::from_millis(n * 10)));
        assert!(end.is_some_and(|n| n < 200), "{end:?}");
    }

    #[test]
    fn a_few_bad_lines_are_enough() {
        let mut strikes = Strikes::default();
        assert_eq!((0..10).position(|_| strikes.bad_line()), Some(usize::from(MAX_BAD_LINES) - 1));
    }
}
