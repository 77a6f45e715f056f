//! What the shares of one miner, and their absence, say about how fast it finds them.
//!
//! Time is measured in *exposure*: seconds divided by the difficulty in force. At any one difficulty shares come as
//! a Poisson process in seconds; in exposure they come at one rate whatever the difficulty, so evidence from
//! different difficulties adds up and a change of difficulty distorts nothing. `shares / exposure` is difficulty
//! per second: times 2^32 it is the hashrate.
//!
//! Three things look at the same stream:
//! - **The estimate**: shares over exposure, all of it at first, the last [`MEMORY`] shares' worth (fading
//!   exponentially with exposure) later on.
//! - **Two CUSUM runs**, Page's test for a hashrate that has doubled or halved. Each sums the log-likelihood ratio
//!   of its hypothesis and begins anew whenever the sum falls to zero. A run that has come to [`SUSPICION`] makes
//!   the estimate forget faster and the difficulty follow closer; at [`ALARM`] what was before the run's
//!   beginning is forgotten altogether.
//! - **A hush**: [`HUSH`] shares' worth without any. A miner that slowed down a thousandfold is silent, and the
//!   silence itself must be evidence.

use crate::hashrate::{Estimate, HASHES_PER_DIFFICULTY};

/// Shares' worth of exposure after which evidence has faded to 1/e. 25 leave the estimate a standard error of 14 %.
const MEMORY: f64 = 25.0;

/// The same while a CUSUM run is suspicious.
const QUICK_MEMORY: f64 = 18.0;

/// The faded share count is kept below this many times [`MEMORY`]: evidence from a flood must not outweigh what
/// comes after it.
const FULL: f64 = 1.5;

/// Shares may come so many times faster than aimed at before the memory is stretched.
const CROWD: f64 = 2.0;

/// The memory is stretched to a quarter of a million shares at most.
const MOST_STRETCH: f32 = 1e4;

/// What no share at all counts as: the first doubt in a guess after two thirds of an expected share.
const NOTHING: f64 = 0.7;

/// Shares that a hint (suggested, remembered) is taken for.
const HINT: f32 = 3.0;

/// Shares by which a young estimate is lowered: a difficulty that is a little too low teaches faster than one that
/// is a little too high.
const CAUTION: f64 = 1.0;

/// Shares after which the tests for a change begin: there must be something to change from.
const GROUNDS: f32 = 4.0;

/// The changes that the CUSUM runs look for: twice the rate, half the rate.
const UP: f32 = 2.0;
const DOWN: f32 = 0.5;

/// Log-likelihood ratio from which a run is suspicious.
const SUSPICION: f32 = 2.0;

/// Log-likelihood ratio at which a run rings: about once in e^11 shares by mistake, at 20 a minute every two days.
const ALARM_UP: f32 = 11.0;
const ALARM_DOWN: f32 = 10.0;

/// While fewer shares than these were seen a guess is at stake, not knowledge: a flood rings sooner.
const YOUNG: f32 = 13.0;
const ALARM_UP_YOUNG: f32 = 5.0;

/// Expected shares that must have failed to come for the silence alone to ring: once in e^15 shares by mistake.
const HUSH: f32 = 15.0;

/// Shares that a silence which rang counts as: the next one is about to come.
const AFTER_HUSH: f32 = 1.0;

/// One alarm raises the estimate at most so many times: shares that come in one burst have no time between them.
const MAX_LEAP: f64 = 64.0;

/// How far the difficulty may be from the estimate, as the log of their ratio: as far as the estimate's own
/// uncertainty goes while it is young, 1.38 when it is not, 1.22 when a run is suspicious.
const YOUNG_BAND: f64 = 0.8;
const WIDEST_BAND: f64 = 0.69;
const BAND: f64 = 0.32;
const QUICK_BAND: f64 = 0.2;

/// Exposures stay in here whatever the clock and the difficulties do.
const MIN_EXPOSURE: f64 = 1e-30;
const MAX_EXPOSURE: f64 = 1e30;

/// `seen` counts no further: an `f32` would stop counting by itself soon after.
const MOST_SEEN: f32 = 1e7;

/// A CUSUM run: its log-likelihood ratio, and the shares and exposure since it began.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    score: f32,
    shares: f32,
    exposure: f32,
}

/// The evidence about one miner.
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    /// Faded count of shares, and the faded exposure in which they came.
    shares: f64,
    exposure: f64,
    /// Shares since the evidence began or began anew, not faded.
    seen: f32,
    /// How many times longer than usual the memory is; see [`share`](Self::share).
    stretch: f32,
    up: Run,
    down: Run,
}

impl Evidence {
    /// Nothing but the belief that `rate` (difficulty per second) may be right; `hinted` if there is a reason.
    pub(super) fn new(rate: f64, hinted: bool) -> Self {
        let seen = if hinted { HINT } else { 0.0 };
        let (up, down) = (Run::default(), Run::default());
        let mut evidence = Self { shares: f64::from(seen), exposure: 1.0, seen, stretch: 1.0, up, down };
        evidence.exposure = (evidence.cautious(evidence.shares) / rate).clamp(MIN_EXPOSURE, MAX_EXPOSURE);
        evidence
    }

    /// A share came, `exposure` after the last one. `crowd` is how many times faster than aimed at shares come:
    /// far more than 1 when something other than vardiff holds the difficulty down. Then the memory is as long in
    /// time, not in shares, and alarms stay as rare in time: more shares make the estimate surer, not restless.
    pub(super) fn share(&mut self, exposure: f64, crowd: f64) {
        let exposure = exposure.clamp(0.0, MAX_EXPOSURE);
        let expected = self.expected(exposure);
        let before = self.rate(0.0);
        (self.shares, self.exposure) = self.faded(exposure);
        self.shares += 1.0;
        self.seen = (self.seen + 1.0).min(MOST_SEEN);
        self.stretch = narrow(crowd / CROWD).clamp(1.0, MOST_STRETCH);
        let most = MEMORY * FULL * f64::from(self.stretch);
        if self.shares > most {
            self.exposure *= most / self.shares;
            self.shares = most;
        }
        self.exposure = self.exposure.clamp(MIN_EXPOSURE, MAX_EXPOSURE);
        if self.seen > GROUNDS {
            self.test(expected, narrow(exposure), before);
        }
    }

    /// Exposure without a share after which [`hush`](Self::hush) is to be called, or `None` while there is too
    /// little to tell a silence from a wrong guess.
    pub(super) fn exposure_to_hush(&self) -> Option<f64> {
        let left = ((ALARM_DOWN - self.down.score) / (1.0 - DOWN)).clamp(0.0, HUSH);
        (self.seen >= GROUNDS).then(|| f64::from(left) * self.exposure / self.shares)
    }

    /// No share came for `exposure`, and that is too long to be luck: what was before is forgotten.
    pub(super) fn hush(&mut self, exposure: f64) {
        let exposure = exposure.clamp(0.0, MAX_EXPOSURE);
        // In an all but complete silence the run's own beginning is no more to be trusted than what was before.
        let run = if self.expected(exposure) >= HUSH * 0.999 { Run::default() } else { self.down };
        self.begin_anew(run.shares + AFTER_HUSH, f64::from(run.exposure) + exposure);
        self.up.exposure = narrow(exposure);
    }

    /// The rate of work, difficulty per second, on the low side while there is little evidence, if `silence` has
    /// passed since the last share.
    pub(super) fn rate(&self, silence: f64) -> f64 {
        let (shares, exposure) = self.faded(silence.clamp(0.0, MAX_EXPOSURE));
        self.cautious(shares) / exposure.clamp(MIN_EXPOSURE, MAX_EXPOSURE)
    }

    /// Exposure without a share that brings [`rate`](Self::rate) down to `ratio` (below 1) of what it is.
    pub(super) fn exposure_to_fall(&self, ratio: f64) -> f64 {
        if !self.fades() {
            return self.exposure * (1.0 / ratio - 1.0);
        }
        // Solves faded() for its `keep`.
        let memory = self.memory();
        let full = ratio * memory / self.shares;
        -memory * (full / (1.0 - ratio + full)).ln() * self.exposure / self.shares
    }

    /// Exposure without a share after which [`band`](Self::band) below is the narrow one.
    pub(super) fn exposure_to_suspicion(&self) -> f64 {
        let left = ((SUSPICION - self.down.score) / (1.0 - DOWN)).max(0.0);
        if self.seen < GROUNDS { MAX_EXPOSURE } else { f64::from(left) * self.exposure / self.shares }
    }

    /// How far (log of the ratio) the difficulty may be off before it is worth a change up or down, if `silence`
    /// has passed since the last share.
    pub(super) fn band(&self, up: bool, silence: f64) -> f64 {
        let score = if up { self.up.score } else { self.down.score + (1.0 - DOWN) * self.expected(silence) };
        let least = if score >= SUSPICION * 0.999 { QUICK_BAND } else { BAND };
        (YOUNG_BAND / f64::from(self.seen.max(1.0)).sqrt()).clamp(least, WIDEST_BAND)
    }

    /// The hashrate with its interval, if `silence` has passed since the last share.
    pub(super) fn estimate(&self, silence: f64) -> Estimate {
        let (shares, exposure) = self.faded(silence.clamp(0.0, MAX_EXPOSURE));
        Estimate::from_shares(self.cautious(shares), exposure, HASHES_PER_DIFFICULTY)
    }

    /// Shares that `exposure` should have brought.
    fn expected(&self, exposure: f64) -> f32 {
        narrow(exposure * self.shares / self.exposure)
    }

    /// Lowered by caution, and never nothing.
    fn cautious(&self, shares: f64) -> f64 {
        let seen = f64::from(self.seen);
        (shares * seen / (seen + CAUTION)).max(NOTHING)
    }

    fn fades(&self) -> bool {
        f64::from(self.seen) >= MEMORY * f64::from(self.stretch)
    }

    fn memory(&self) -> f64 {
        let suspicious = self.up.score.max(self.down.score) >= SUSPICION;
        f64::from(self.stretch) * if suspicious { QUICK_MEMORY } else { MEMORY }
    }

    /// Share count and exposure after more `exposure` without a share.
    fn faded(&self, exposure: f64) -> (f64, f64) {
        if exposure == 0.0 || !self.fades() {
            return (self.shares, self.exposure + exposure);
        }
        let memory = self.memory();
        let per_share = self.exposure / self.shares;
        let keep = (-exposure / per_share / memory).exp();
        (self.shares * keep, self.exposure * keep + per_share * memory * (1.0 - keep))
    }

    /// Takes both CUSUM runs a share further.
    fn test(&mut self, expected: f32, exposure: f32, before: f64) {
        let extra = self.stretch.ln();
        for (run, change) in [(&mut self.up, UP), (&mut self.down, DOWN)] {
            run.score += change.ln() - (change - 1.0) * expected;
            run.shares += 1.0;
            run.exposure += exposure;
            if run.score <= 0.0 {
                *run = Run::default();
                if change > 1.0 {
                    // The gap before a burst belongs to it: shares that the network held back come all at once.
                    run.exposure = exposure;
                }
            }
        }
        let alarm_up = if self.seen < YOUNG { ALARM_UP_YOUNG } else { ALARM_UP + extra };
        let rung = if self.up.score >= alarm_up {
            self.up
        } else if self.down.score >= ALARM_DOWN + extra {
            self.down
        } else {
            return;
        };
        let least = f64::from(rung.shares) / (before * MAX_LEAP);
        self.begin_anew(rung.shares, f64::from(rung.exposure).max(least));
        if expected > 1.0 {
            self.up.exposure = exposure;
        }
    }

    fn begin_anew(&mut self, shares: f32, exposure: f64) {
        self.shares = f64::from(shares.max(1.0));
        self.exposure = exposure.clamp(MIN_EXPOSURE, MAX_EXPOSURE);
        self.seen = shares.max(1.0);
        self.up = Run::default();
        self.down = Run::default();
    }
}

/// Enough for the tests' sums, and half the memory; saturates instead of overflowing.
#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is the purpose, the range is bounded")]
fn narrow(number: f64) -> f32 {
    number.min(MAX_EXPOSURE) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Evidence that has settled at one share per unit of exposure.
    fn settled() -> Evidence {
        let mut evidence = Evidence::new(1.0, true);
        for _ in 0..1000 {
            evidence.share(1.0, 1.0);
        }
        evidence
    }

    #[test]
    fn settles_at_the_true_rate() {
        assert!((settled().rate(0.0) - 1.0).abs() < 0.03, "{}", settled().rate(0.0));
        let e = settled().estimate(0.0);
        assert!(!e.excludes(HASHES_PER_DIFFICULTY) && e.excludes(2.0 * HASHES_PER_DIFFICULTY), "{e:?}");
    }

    #[test]
    fn silence_lowers_the_rate_exactly_when_it_was_foretold() {
        for evidence in [Evidence::new(3.0, false), Evidence::new(3.0, true), settled()] {
            for ratio in [0.9, 0.72, 0.5] {
                let silence = evidence.exposure_to_fall(ratio);
                let fallen = evidence.rate(silence) / evidence.rate(0.0);
                assert!((fallen - ratio).abs() < 1e-9, "{fallen} {ratio} {evidence:?}");
            }
        }
    }

    #[test]
    fn a_thousandfold_faster_miner_is_known_after_fifty_shares() {
        let mut evidence = settled();
        for _ in 0..50 {
            evidence.share(1e-3, 1.0);
        }
        assert!((500.0..1500.0).contains(&evidence.rate(0.0)), "{}", evidence.rate(0.0));
    }

    #[test]
    fn shares_held_back_by_the_network_are_no_faster_miner() {
        let mut evidence = settled();
        // Twenty shares' worth of nothing, then all of them at once.
        evidence.share(20.0, 1.0);
        for _ in 0..19 {
            evidence.share(0.0, 1.0);
        }
        assert!((0.5..2.5).contains(&evidence.rate(0.0)), "{}", evidence.rate(0.0));
    }

    #[test]
    fn a_hush_forgets_what_was_before() {
        let mut evidence = settled();
        let silence = evidence.exposure_to_hush().unwrap();
        assert!((14.0..15.1).contains(&silence), "{silence}");
        evidence.hush(silence);
        assert!(evidence.rate(0.0) < 0.1, "{}", evidence.rate(0.0));
    }

    #[test]
    fn no_exposure_makes_it_anything_but_a_positive_number() {
        let odd = [0.0, 1e-300, 1e-9, 1.0, 1e9, 1e300, f64::INFINITY];
        for a in odd {
            for b in odd {
                let mut evidence = settled();
                for exposure in [a, b, a, a, b, b].into_iter().cycle().take(300) {
                    evidence.share(exposure, a);
                    let silence = evidence.exposure_to_fall(0.5);
                    for number in [
                        evidence.rate(0.0),
                        evidence.rate(b),
                        silence,
                        evidence.band(true, b),
                        evidence.band(false, b),
                    ] {
                        assert!(number.is_finite() && number > 0.0, "{a} {b} {number} {evidence:?}");
                    }
                }
                evidence.hush(b);
                assert!(evidence.rate(a) > 0.0 && evidence.rate(a).is_finite());
            }
        }
    }
}
