//! Variable difficulty: every miner at the difficulty at which it brings the share rate aimed at, within seconds of
//! its first share and without restlessness afterwards.
//!
//! [`Vardiff`] acts on every share and on silence. After each share it may return a new difficulty; for silence it
//! has a [`deadline`](Vardiff::deadline): the moment at which having heard nothing becomes a reason to act. There is
//! no polling. It holds no clock: `now` is a [`Duration`] since any epoch of the caller's that does not go backwards
//! (should it do so all the same, the time that was lost counts as none).
//!
//! What it returns is a *wish*. The caller bounds it by the source's difficulty (a miner never works above that),
//! rounds it down to what the firmware accepts, and tells [`set_in_force`](Vardiff::set_in_force) what went out.
//! Shares are weighed by the difficulty that they are credited at, so neither the bound nor shares of an earlier
//! difficulty that are still under way distort the estimate.
//!
//! How it decides stands in `evidence`; how well, in `docs/vardiff.md`.

mod evidence;
mod settings;

use std::time::Duration;

use crate::hashrate::Estimate;
use evidence::Evidence;
use settings::positive;
pub use settings::{DEFAULT_MAX, DEFAULT_MIN, DEFAULT_SHARES_PER_MINUTE, Settings, Start};

/// A share justifies a difficulty at most so many times its own: a flood is climbed in a few steps, each of them
/// confirmed by a share of the step before.
const MAX_RAISE: f64 = 64.0;

/// A change by more than this factor is worth sending the current job again; see [`is_urgent`].
const URGENT: f64 = 1.5;

/// Added to a deadline so that the arithmetic behind it has come true when it is reached.
const MARGIN: f64 = 1e-3;

/// A deadline further ahead than this, in seconds, is none.
const FARTHEST: f64 = 1e9;

/// Whether a change of difficulty is so large that it should hold at once: `mining.set_difficulty` followed by the
/// current job under a new job id. Firmware reads a smaller one with the next job, soon enough.
#[must_use]
pub fn is_urgent(in_force: f64, wish: f64) -> bool {
    let ratio = wish / in_force;
    !(1.0 / URGENT..=URGENT).contains(&ratio)
}

/// The vardiff of one miner, in 104 bytes. It costs tens of nanoseconds a share, and allocates nothing.
#[derive(Clone, Debug)]
pub struct Vardiff {
    /// The difficulty that the miner should have.
    wish: f64,
    /// The difficulty that it was told.
    in_force: f64,
    /// The miner's own lower bound.
    floor: f64,
    /// When the last share came, seconds.
    last_share: f64,
    /// When `in_force` was last told or the last share came, whichever was later, seconds.
    since: f64,
    /// Exposure between `last_share` and `since`.
    exposed: f64,
    evidence: Evidence,
    fixed: bool,
    /// The miner has work: silence means something.
    working: bool,
}

impl Vardiff {
    /// A miner begins at `now`. Its first difficulty is the first known of: fixed, suggested, remembered, guess;
    /// within the listener's and the miner's bounds.
    #[must_use]
    pub fn new(settings: &Settings, start: &Start, now: Duration) -> Self {
        let fixed = start.fixed.and_then(positive);
        let floor = start.minimum.and_then(positive).unwrap_or(0.0);
        let hint = start.suggested.and_then(positive).or(start.remembered.and_then(positive));
        let wish = match fixed {
            Some(fixed) => settings.bound(fixed, 0.0),
            None => settings.bound(hint.unwrap_or(start.default_guess), floor),
        };
        let now = now.as_secs_f64();
        Self {
            wish,
            in_force: wish,
            floor,
            last_share: now,
            since: now,
            exposed: 0.0,
            evidence: Evidence::new(wish / settings.interval(), fixed.is_none() && hint.is_some()),
            fixed: fixed.is_some(),
            working: false,
        }
    }

    /// The same with a difficulty that stays as it is, whatever comes; the hashrate is estimated all the same.
    #[must_use]
    pub fn held(mut self) -> Self {
        self.fixed = true;
        self
    }

    /// The difficulty that the miner should have: finite, above zero, within its bounds.
    #[must_use]
    pub fn difficulty(&self) -> f64 {
        self.wish
    }

    /// The miner was sent work at `difficulty`, which is the wish after the caller's bounds and rounding. To be
    /// called when the *job* goes out under it, since that is what firmware goes by; before the first call silence
    /// means nothing. What is not a positive number is ignored.
    pub fn set_in_force(&mut self, difficulty: f64, now: Duration) {
        let Some(difficulty) = positive(difficulty) else {
            return;
        };
        let now = now.as_secs_f64();
        if self.working {
            self.exposed = self.silence(now);
        } else {
            self.working = true;
            self.last_share = now;
            self.exposed = 0.0;
        }
        self.since = now;
        self.in_force = difficulty;
    }

    /// The miner was left without work: silence means nothing until the next [`set_in_force`](Self::set_in_force).
    pub fn pause(&mut self) {
        self.working = false;
    }

    /// A valid share came that is credited at `credited_difficulty`, whatever it is worth. Returns the new wish if
    /// there is one. A credit that is not a positive number counts as the difficulty in force.
    pub fn on_share(&mut self, settings: &Settings, credited_difficulty: f64, now: Duration) -> Option<f64> {
        let now = now.as_secs_f64();
        let credited = positive(credited_difficulty).unwrap_or(self.in_force);
        // A share of another difficulty than the one in force shows that the change had not reached the miner.
        let exposure = if (credited / self.in_force - 1.0).abs() < 1e-6 {
            self.silence(now)
        } else {
            (now - self.last_share).max(0.0) / credited
        };
        (self.last_share, self.since, self.exposed) = (now, now, 0.0);
        let crowd = self.evidence.rate(0.0) * settings.interval() / self.in_force;
        self.evidence.share(exposure, crowd);
        self.retarget(settings, 0.0, credited * MAX_RAISE)
    }

    /// When to call [`on_deadline`](Self::on_deadline) if no share comes before. It moves with every call to any of
    /// the others. `None`: silence would change nothing.
    #[must_use]
    pub fn deadline(&self, settings: &Settings) -> Option<Duration> {
        if self.fixed || !self.working || self.wish <= settings.bound(0.0, self.floor) {
            return None;
        }
        let evidence = &self.evidence;
        let off = self.wish / (evidence.rate(0.0) * settings.interval());
        let fall = |band: f64| {
            let ratio = off * (-band).exp();
            if ratio < 1.0 { evidence.exposure_to_fall(ratio) } else { 0.0 }
        };
        let suspicion = evidence.exposure_to_suspicion();
        let act = fall(evidence.band(false, 0.0))
            .min(suspicion.max(fall(evidence.band(false, suspicion))))
            .min(evidence.exposure_to_hush().unwrap_or(f64::MAX));
        let left = ((act - self.exposed) * self.in_force).max(0.0);
        let due = Duration::try_from_secs_f64(self.since + left + MARGIN);
        due.ok().filter(|_| left <= FARTHEST)
    }

    /// No share came until the deadline. Returns the new wish if there is one; calling it early does no harm.
    pub fn on_deadline(&mut self, settings: &Settings, now: Duration) -> Option<f64> {
        if !self.working {
            return None;
        }
        let now = now.as_secs_f64();
        let silence = self.silence(now);
        if self.evidence.exposure_to_hush().is_some_and(|hush| silence >= hush) {
            self.evidence.hush(silence);
            (self.last_share, self.since, self.exposed) = (now, now, 0.0);
            return self.retarget(settings, 0.0, f64::MAX);
        }
        // From here on: should nothing come of it, the next deadline is not this one again.
        (self.since, self.exposed) = (now, silence);
        self.retarget(settings, silence, f64::MAX)
    }

    /// The miner's hashrate with its 95 % interval: the start's figure until shares or silence say more.
    #[must_use]
    pub fn hashrate(&self, now: Duration) -> Estimate {
        let silence = if self.working { self.silence(now.as_secs_f64()) } else { 0.0 };
        self.evidence.estimate(silence)
    }

    /// Exposure since the last share.
    fn silence(&self, now: f64) -> f64 {
        self.exposed + (now - self.since).max(0.0) / self.in_force
    }

    /// Moves the wish if the evidence is far enough from it.
    fn retarget(&mut self, settings: &Settings, silence: f64, ceiling: f64) -> Option<f64> {
        if self.fixed {
            return None;
        }
        let ideal = self.evidence.rate(silence) * settings.interval();
        let off = (ideal / self.wish).ln();
        // The hair's breadth is for a deadline's own rounding.
        if off.abs() < self.evidence.band(off > 0.0, silence) * 0.9999 {
            return None;
        }
        let raised = ideal.min(ceiling.max(self.wish));
        let wish = settings.bound(raised, self.floor);
        if wish == self.wish {
            return None;
        }
        self.wish = wish;
        Some(wish)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn begin(settings: &Settings, start: &Start) -> Vardiff {
        let mut vardiff = Vardiff::new(settings, start, at(0.0));
        vardiff.set_in_force(vardiff.difficulty(), at(0.0));
        vardiff
    }

    #[test]
    fn begins_with_what_is_known_best() {
        let settings = Settings::default();
        let mut start = Start::guess(100.0);
        let first = |start: &Start| Vardiff::new(&settings, start, at(0.0)).difficulty();
        assert_eq!(first(&start), 100.0);
        start.remembered = Some(200.0);
        assert_eq!(first(&start), 200.0);
        start.suggested = Some(50.0);
        assert_eq!(first(&start), 50.0);
        start.minimum = Some(500_000.0);
        assert_eq!(first(&start), 500_000.0);
        start.fixed = Some(7.0);
        assert_eq!(first(&start), 7.0);
    }

    #[test]
    fn nothing_a_miner_says_makes_a_difficulty_that_is_none() {
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, -5.0, 1e-320, 1e308, f64::MAX];
        for a in odd {
            for b in odd {
                let settings = Settings { shares_per_minute: a, min: b, max: a };
                for settings in [settings, Settings::default()] {
                    let start = Start {
                        suggested: Some(a),
                        minimum: Some(b),
                        fixed: None,
                        remembered: Some(b),
                        default_guess: b,
                    };
                    for start in [start, Start { fixed: Some(a), ..start }, Start::guess(a)] {
                        let mut vardiff = Vardiff::new(&settings, &start, at(5.0));
                        vardiff.set_in_force(a, at(4.0));
                        vardiff.set_in_force(vardiff.difficulty(), at(6.0));
                        for n in 0..100 {
                            let now = at(f64::from(n * n % 17));
                            let _ = vardiff.on_share(&settings, if n % 2 == 0 { a } else { b }, now);
                            let _ = vardiff.deadline(&settings);
                            let _ = vardiff.on_deadline(&settings, now);
                            let d = vardiff.difficulty();
                            assert!(d.is_finite() && d > 0.0, "{a} {b} {d}");
                            assert!(vardiff.hashrate(now).value.is_finite());
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn stays_within_the_listeners_and_the_miners_bounds() {
        let settings = Settings { min: 1.0, max: 1000.0, ..Settings::default() };
        let mut vardiff = begin(&settings, &Start { minimum: Some(8.0), ..Start::guess(100.0) });
        while let Some(deadline) = vardiff.deadline(&settings) {
            let _ = vardiff.on_deadline(&settings, deadline);
            vardiff.set_in_force(vardiff.difficulty(), deadline);
        }
        assert_eq!(vardiff.difficulty(), 8.0);
        for n in 0..10_000 {
            let d = vardiff.difficulty();
            let _ = vardiff.on_share(&settings, d, at(1000.0 + f64::from(n) * 1e-3));
            vardiff.set_in_force(vardiff.difficulty(), at(1000.0 + f64::from(n) * 1e-3));
        }
        assert_eq!(vardiff.difficulty(), 1000.0);
    }

    #[test]
    fn a_fixed_difficulty_never_moves_and_is_measured_all_the_same() {
        let settings = Settings::default();
        let mut vardiff = begin(&settings, &Start { fixed: Some(0.5), ..Start::guess(1e9) });
        assert_eq!(vardiff.deadline(&settings), None);
        // The load test: 30,000 shares a second for half a minute.
        for n in 1..1_000_000 {
            assert_eq!(vardiff.on_share(&settings, 0.5, at(f64::from(n) / 30_000.0)), None);
        }
        let now = at(1_000_000.0 / 30_000.0);
        let hashrate =
            vardiff.hashrate(now).value / (0.5 * 30_000.0 * crate::hashrate::HASHES_PER_DIFFICULTY);
        assert!((0.95..1.05).contains(&hashrate), "{hashrate}");
        assert_eq!(vardiff.on_deadline(&settings, now + at(9.0)), None);
        assert_eq!(vardiff.difficulty(), 0.5);
    }

    #[test]
    fn a_waking_giant_is_raised_after_a_few_shares() {
        let settings = Settings::default();
        let mut vardiff = begin(&settings, &Start::guess(1.0));
        let mut shares = 0;
        while vardiff.difficulty() < 100_000.0 {
            shares += 1;
            // A million times too fast; every share is of the difficulty just told.
            let now = at(f64::from(shares) * 3e-6);
            if let Some(wish) = vardiff.on_share(&settings, vardiff.difficulty(), now) {
                vardiff.set_in_force(wish, now);
            }
            assert!(shares < 40, "{}", vardiff.difficulty());
        }
    }

    #[test]
    fn silence_alone_takes_a_wrong_guess_down_nine_orders_in_a_minute() {
        let settings = Settings::default();
        // 1 PH/s remembered, 500 kH/s come back.
        let mut vardiff = begin(&settings, &Start::guess(settings.difficulty_of(1e15)));
        let (mut now, mut steps) = (at(0.0), 0);
        while vardiff.difficulty() > settings.difficulty_of(5e5) {
            let due = vardiff.deadline(&settings).unwrap();
            assert!(due > now, "{due:?} {now:?}");
            now = due;
            if let Some(wish) = vardiff.on_deadline(&settings, now) {
                vardiff.set_in_force(wish, now);
            }
            steps += 1;
            assert!(steps < 40, "{}", vardiff.difficulty());
        }
        assert!(now < at(90.0), "{now:?}");
    }

    #[test]
    fn a_deadline_that_is_reached_moves_on_even_if_the_caller_changes_nothing() {
        let settings = Settings::default();
        let mut vardiff = begin(&settings, &Start { remembered: Some(1000.0), ..Start::guess(1.0) });
        for n in 1..100 {
            let _ = vardiff.on_share(&settings, 1000.0, at(f64::from(n) * 3.0));
        }
        // The caller holds it at 1000 for some reason of its own.
        let (mut deadlines, mut now) = (0, at(0.0));
        while let Some(due) = vardiff.deadline(&settings) {
            assert!(due > now, "{due:?} {now:?}");
            now = due;
            let _ = vardiff.on_deadline(&settings, now);
            deadlines += 1;
            assert!(deadlines < 200);
        }
        assert!(vardiff.difficulty() < 1.0 && now > at(1e8), "{now:?} {vardiff:?}");
    }

    #[test]
    fn held_down_by_the_source_it_still_learns_and_does_not_chatter() {
        let settings = Settings::default();
        let mut vardiff = begin(&settings, &Start::guess(10.0));
        // Ideal would be 300: the source holds it at 10, thirty times the share rate.
        let mut wishes = 0;
        for n in 1..36_000 {
            wishes += u32::from(vardiff.on_share(&settings, 10.0, at(f64::from(n) * 0.1)).is_some());
        }
        assert!((250.0..350.0).contains(&vardiff.difficulty()), "{}", vardiff.difficulty());
        assert!(wishes < 10, "{wishes}");
    }

    #[test]
    fn shares_of_the_old_difficulty_do_not_distort_a_change() {
        let settings = Settings::default();
        let mut vardiff = begin(&settings, &Start { remembered: Some(1.0), ..Start::guess(1.0) });
        // Fifty times too fast, and the firmware takes the new difficulty with its next job, 30 s later.
        for n in 1..=500 {
            let now = at(f64::from(n) * 0.06);
            if let Some(wish) = vardiff.on_share(&settings, 1.0, now) {
                vardiff.set_in_force(wish, now);
            }
        }
        assert!((40.0..60.0).contains(&vardiff.difficulty()), "{}", vardiff.difficulty());
    }

    #[test]
    fn a_miner_without_work_is_not_lowered() {
        let settings = Settings::default();
        let mut vardiff = Vardiff::new(&settings, &Start::guess(1000.0), at(0.0));
        assert_eq!(vardiff.deadline(&settings), None);
        vardiff.set_in_force(1000.0, at(600.0));
        assert!(vardiff.deadline(&settings).unwrap() > at(600.0));
        vardiff.pause();
        assert_eq!(vardiff.deadline(&settings), None);
        assert_eq!(vardiff.on_deadline(&settings, at(5000.0)), None);
        vardiff.set_in_force(1000.0, at(6000.0));
        assert!(vardiff.deadline(&settings).unwrap() > at(6000.0));
        assert_eq!(vardiff.on_deadline(&settings, at(6000.1)), None);
    }

    #[test]
    fn a_clock_that_steps_back_costs_nothing_but_the_time() {
        let settings = Settings::default();
        let mut vardiff = begin(&settings, &Start { remembered: Some(10.0), ..Start::guess(1.0) });
        for n in 1..200 {
            let now = if n < 100 { 1000.0 + f64::from(n) * 3.0 } else { f64::from(n) * 3.0 };
            let _ = vardiff.on_share(&settings, 10.0, at(now));
            assert!(vardiff.deadline(&settings).is_some_and(|d| d > at(now)));
        }
        assert!((7.0..14.0).contains(&vardiff.difficulty()), "{}", vardiff.difficulty());
    }

    #[test]
    fn is_small() {
        assert!(size_of::<Vardiff>() <= 104, "{}", size_of::<Vardiff>());
    }
}
