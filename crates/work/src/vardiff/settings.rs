//! What the miners of a listener have in common, and what is known about one when it begins.

use crate::hashrate::HASHES_PER_DIFFICULTY;

/// Shares a minute that Adit aims at unless told otherwise: enough to know a miner to 10 % in five minutes.
pub const DEFAULT_SHARES_PER_MINUTE: f64 = 20.0;

/// The lowest difficulty unless told otherwise: 1,400 hashes per second at the default share rate.
pub const DEFAULT_MIN: f64 = 1e-6;

/// The highest difficulty unless told otherwise: some five times the network's in 2026.
pub const DEFAULT_MAX: f64 = 1e15;

/// What the vardiffs of a listener have in common; one copy serves all of its miners.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Shares a minute that a miner's difficulty aims at. What is not a positive number counts as
    /// [`DEFAULT_SHARES_PER_MINUTE`].
    pub shares_per_minute: f64,
    /// No difficulty below this is ever wished for. What is not a positive number counts as [`DEFAULT_MIN`].
    pub min: f64,
    /// No difficulty above this is ever wished for. What is not a positive number counts as [`DEFAULT_MAX`].
    pub max: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { shares_per_minute: DEFAULT_SHARES_PER_MINUTE, min: DEFAULT_MIN, max: DEFAULT_MAX }
    }
}

impl Settings {
    /// The difficulty at which a miner of `hashrate` hashes per second brings the share rate aimed at, within
    /// [`min`](Self::min) and [`max`](Self::max).
    #[must_use]
    pub fn difficulty_of(&self, hashrate: f64) -> f64 {
        self.bound(hashrate / HASHES_PER_DIFFICULTY * self.interval(), 0.0)
    }

    /// Seconds between two shares at the rate aimed at.
    pub(super) fn interval(&self) -> f64 {
        60.0 / positive(self.shares_per_minute).unwrap_or(DEFAULT_SHARES_PER_MINUTE).clamp(1e-3, 1e6)
    }

    /// `difficulty` brought within the bounds, and not below the miner's own `floor` unless that is above `max`.
    pub(super) fn bound(&self, difficulty: f64, floor: f64) -> f64 {
        let min = positive(self.min).unwrap_or(DEFAULT_MIN);
        let max = positive(self.max).unwrap_or(DEFAULT_MAX).max(min);
        if difficulty.is_nan() { floor.clamp(min, max) } else { difficulty.max(floor).clamp(min, max) }
    }
}

/// What is known about a miner when it begins; all of it difficulties (1 is 2^32 hashes). What is not a positive
/// number counts as not given: these figures come from miners.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Start {
    /// `mining.suggest_difficulty` (or `suggest_target` turned into one), or `d=` in the password.
    pub suggested: Option<f64>,
    /// `minimum-difficulty` of `mining.configure`, or `md=` in the password: the miner's difficulty never falls
    /// below it, except where the listener's maximum is lower still.
    pub minimum: Option<f64>,
    /// `fd=` in the password, or a listener whose vardiff is off: the difficulty never moves. The listener's
    /// bounds hold for it too.
    pub fixed: Option<f64>,
    /// What the same worker had last time.
    pub remembered: Option<f64>,
    /// What to begin with when nothing is known; [`Settings::difficulty_of`] makes it from a hashrate.
    pub default_guess: f64,
}

impl Start {
    /// A start of which nothing is known but the configured guess, a difficulty.
    #[must_use]
    pub fn guess(default_guess: f64) -> Self {
        Self { suggested: None, minimum: None, fixed: None, remembered: None, default_guess }
    }
}

/// The least difficulty that means anything: every hash is a share.
const LOWEST: f64 = 1.0 / HASHES_PER_DIFFICULTY;

/// More than all the hashing of the world will find a share of.
const HIGHEST: f64 = 1e20;

/// `number` if it is one that a difficulty can be, brought between [`LOWEST`] and [`HIGHEST`].
pub(super) fn positive(number: f64) -> Option<f64> {
    (number.is_finite() && number > 0.0).then(|| number.clamp(LOWEST, HIGHEST))
}
