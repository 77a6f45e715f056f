//! Patience with a connection: bad lines and bad shares.

use std::time::Duration;

/// Lines that are no request, before the connection is closed. A good one takes nothing back: firmware that
/// is understood does not send any.
pub(super) const MAX_BAD_LINES: u8 = 5;
/// Bad shares that are always forgiven in a burst: a new tip makes stale what a fast miner has on its way.
const BURST: f64 = 100.0;
/// So much of a bad share each good one makes up for, whenever it came.
const FORGIVEN: f64 = 0.5;
/// Seconds after which a good share is forgotten.
const GOOD_FOR: f64 = 10.0;

/// Requests other than shares that are always taken in a burst, and how many more a second after that: firmware
/// makes half a dozen when it begins, and few afterwards.
const REQUESTS_BURST: f64 = 200.0;
const REQUESTS_PER_SECOND: f64 = 10.0;
/// So many more are taken in a burst for each channel that a connection has had at a time.
const REQUESTS_PER_CHANNEL: f64 = 4.0;
/// Seconds in a row, each with too many easy shares, before the connection is closed.
const EASY_SECONDS: u8 = 10;

/// Counts what a connection did wrong. It sticks to the connection, never to a worker's name, which anyone
/// can use.
#[derive(Clone, Debug, Default)]
pub(super) struct Strikes {
    bad_lines: u8,
    level: f64,
    at: Duration,
    /// Good shares of the last [`GOOD_FOR`] or so.
    good: f64,
    good_at: Duration,
    requests: f64,
    requests_at: Duration,
    /// The second in which the last easy share came, how many came in it, and how many seconds in a row before it
    /// had too many.
    easy_second: u64,
    easy: u32,
    easy_seconds: u8,
}

impl Strikes {
    /// A line that could not be read. True: enough.
    pub(super) fn bad_line(&mut self) -> bool {
        self.bad_lines = self.bad_lines.saturating_add(1);
        self.bad_lines >= MAX_BAD_LINES
    }

    /// A good share: so many bad ones are forgiven for a while. A pool whose difficulty is low for a fast miner has
    /// hundreds of its shares on their way when a new tip makes them all stale, and the next tip may follow soon.
    pub(super) fn good_share(&mut self, now: Duration) {
        self.level = (self.level - FORGIVEN).max(0.0);
        self.good = self.recently_good(now) + 1.0;
        self.good_at = now;
    }

    fn recently_good(&self, now: Duration) -> f64 {
        self.good * (1.0 - now.saturating_sub(self.good_at).as_secs_f64() / GOOD_FOR).max(0.0)
    }

    /// A rejected share. True: they have come above ten times `shares_per_minute` for ten seconds, and are more than
    /// the good ones.
    pub(super) fn bad_share(&mut self, shares_per_minute: f64, now: Duration) -> bool {
        let allowed = shares_per_minute * 10.0 / 60.0;
        let elapsed = now.saturating_sub(self.at).as_secs_f64();
        self.at = now;
        self.level = (self.level - elapsed * allowed).max(0.0) + 1.0;
        self.level > BURST + allowed * 10.0 + self.recently_good(now)
    }

    /// A request that is no share. True: there are far more than firmware makes.
    pub(super) fn request(&mut self, now: Duration) -> bool {
        self.request_of(0, now)
    }

    /// The same on a connection that has had `channels` channels at a time: each is opened, updated and closed.
    pub(super) fn request_of(&mut self, channels: usize, now: Duration) -> bool {
        let channels = channels as f64;
        let elapsed = now.saturating_sub(self.requests_at).as_secs_f64();
        self.requests_at = now;
        let forgotten = elapsed * (REQUESTS_PER_SECOND + channels);
        self.requests = (self.requests - forgotten).max(0.0) + 1.0;
        self.requests > REQUESTS_BURST + channels * REQUESTS_PER_CHANNEL
    }

    /// A good share of an earlier job, easier than the difficulty that the miner was told since. True: they have
    /// come above ten times `shares_per_minute` in each of ten seconds on end, so that the miner does not mean to
    /// follow.
    pub(super) fn easy_share(&mut self, shares_per_minute: f64, now: Duration) -> bool {
        let second = now.as_secs();
        if second == self.easy_second {
            self.easy = self.easy.saturating_add(1);
            return false;
        }
        let too_many = f64::from(self.easy) > shares_per_minute * 10.0 / 60.0;
        let goes_on = second == self.easy_second + 1 && too_many;
        self.easy_seconds = if goes_on { self.easy_seconds + 1 } else { 0 };
        (self.easy_second, self.easy) = (second, 1);
        self.easy_seconds >= EASY_SECONDS
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
    fn a_fast_miner_may_have_as_many_bad_shares_as_it_had_good_ones_of_late() {
        let after = |good: u64, pause: u64| {
            let mut strikes = Strikes::default();
            (0..good).for_each(|n| strikes.good_share(Duration::from_millis(n)));
            let now = Duration::from_millis(good) + Duration::from_secs(pause);
            (0..10_000_u32).find(|_| strikes.bad_share(20.0, now)).expect("a flood ends")
        };
        assert_eq!(after(0, 0), 133);
        assert!((600..=633).contains(&after(500, 0)), "{}", after(500, 0));
        assert!((360..=400).contains(&after(500, 5)), "{}", after(500, 5));
        assert_eq!(after(500, 10), 133, "what was long ago forgives nothing");
        // A third of its shares may be bad for ever, half of them may not.
        let end = |bad: u64| {
            let mut strikes = Strikes::default();
            (0..100_000).map(Duration::from_millis).find(|now| {
                if now.as_millis().is_multiple_of(u128::from(bad)) {
                    return strikes.bad_share(20.0, *now);
                }
                strikes.good_share(*now);
                false
            })
        };
        assert_eq!(end(3), None);
        assert!(end(2).is_some());
    }

    #[test]
    fn easy_shares_are_forgiven_unless_ten_seconds_on_end_bring_too_many() {
        let end = |every: u64, but: u64| {
            let mut strikes = Strikes::default();
            let at = |n: u64| Duration::from_millis(100_500 + n * every);
            (0..30_000 / every)
                .map(at)
                .filter(|t| t.as_secs() != but)
                .find(|t| strikes.easy_share(20.0, *t))
                .map(|t| t.as_secs())
        };
        // Ten times 20 a minute is 3.3 a second.
        assert_eq!(end(100, 0), Some(110), "ten seconds with too many, the first of them not whole");
        assert_eq!(end(350, 0), None, "less than ten times as many");
        assert_eq!(end(100, 109), Some(120), "a second without any begins anew");
    }

    #[test]
    fn requests_of_firmware_are_few_and_a_flood_of_them_ends() {
        let mut strikes = Strikes::default();
        assert!((0..100_000).all(|n| !strikes.request(Duration::from_millis(n * 101))));
        let mut strikes = Strikes::default();
        assert_eq!((0..10_000).position(|_| strikes.request(Duration::from_secs(1))), Some(200));
        // A proxy opens a thousand channels at once and closes them at once.
        let mut strikes = Strikes::default();
        assert!((0..1_000).all(|n| !strikes.request_of(n, Duration::from_secs(1))));
        assert!((0..1_000).all(|_| !strikes.request_of(1_000, Duration::from_secs(1))));
        assert!((0..10_000).any(|_| strikes.request_of(1_000, Duration::from_secs(1))));
    }

    #[test]
    fn a_few_bad_lines_are_enough() {
        let mut strikes = Strikes::default();
        assert_eq!((0..10).position(|_| strikes.bad_line()), Some(usize::from(MAX_BAD_LINES) - 1));
    }
}
