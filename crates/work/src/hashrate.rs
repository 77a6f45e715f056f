//! How fast a miner, a route or a farm hashes, told from the work in its shares, with the interval that the luck
//! in it leaves open.
//!
//! Shares of one difficulty come as a Poisson process, so a hashrate told from `n` of them is known to about
//! `1/sqrt(n)`. [`Estimate`] carries that uncertainty along instead of hiding it: the page can show it, and
//! [`NominalHashrate`] uses it to tell a pool about a change only when there is one.

mod meter;
mod nominal;

pub use meter::{HashrateMeter, MIN_WINDOW};
pub use nominal::{DRIFT_INTERVAL, JOIN_INTERVAL, LOOK_INTERVAL, NominalHashrate};

use std::{iter::Sum, ops::Add};

/// Hashes in one unit of difficulty: difficulty 1 is 2^32 hashes on average.
pub const HASHES_PER_DIFFICULTY: f64 = 4_294_967_296.0;

/// The 97.5 % point of the normal distribution: two-sided 95 %.
const Z95: f64 = 1.959_963_985;

/// A hashrate in hashes per second with its 95 % interval. Never NaN or infinite; `low95 <= value <= high95`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Hashes per second.
    pub value: f64,
    /// The true figure is below this in 2.5 % of cases.
    pub low95: f64,
    /// The true figure is above this in 2.5 % of cases; `f64::MAX` while nothing is known.
    pub high95: f64,
}

impl Estimate {
    /// Nothing is known: no work was ever seen.
    pub const UNKNOWN: Self = Self { value: 0.0, low95: 0.0, high95: f64::MAX };

    /// Nobody is there: the hashrate of no miners.
    pub const ZERO: Self = Self { value: 0.0, low95: 0.0, high95: 0.0 };

    /// What `shares` (an effective count, so it may be a fraction) in `exposure` say, as shares per exposure
    /// scaled by `unit` to hashes per second.
    pub(crate) fn from_shares(shares: f64, exposure: f64, unit: f64) -> Self {
        let scale = unit / exposure;
        if !(shares >= 0.0 && scale.is_finite() && scale > 0.0) {
            return Self::UNKNOWN;
        }
        let bound = |hashrate: f64| {
            if hashrate.is_finite() { hashrate.max(0.0) } else { f64::MAX }
        };
        let value = bound(shares * scale);
        Self {
            value,
            low95: bound(gamma_quantile(shares, -Z95) * scale).min(value),
            high95: bound(gamma_quantile(shares + 1.0, Z95) * scale).max(value),
        }
    }

    /// Whether anything was learnt at all.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.high95 < f64::MAX
    }

    /// Whether the 95 % interval rules `hashrate` out.
    #[must_use]
    pub fn excludes(&self, hashrate: f64) -> bool {
        hashrate < self.low95 || hashrate > self.high95
    }
}

impl Default for Estimate {
    fn default() -> Self {
        Self::UNKNOWN
    }
}

/// The sum of two independent hashrates: luck partly cancels, so the interval grows as the root of the squares.
impl Add for Estimate {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let bound = |hashrate: f64| if hashrate.is_finite() { hashrate } else { f64::MAX };
        let value = bound(self.value + other.value);
        if !(self.is_known() && other.is_known()) {
            return Self { value, low95: bound(self.low95 + other.low95), high95: f64::MAX };
        }
        let below = (self.value - self.low95).hypot(other.value - other.low95);
        let above = (self.high95 - self.value).hypot(other.high95 - other.value);
        Self { value, low95: (value - below).max(0.0), high95: bound(value + above) }
    }
}

/// The hashrate of many; [`Estimate::ZERO`] of none.
impl Sum for Estimate {
    fn sum<I: Iterator<Item = Self>>(estimates: I) -> Self {
        estimates.fold(Self::ZERO, Add::add)
    }
}

/// The point `z` standard deviations out in a Gamma distribution of shape `k` and scale 1, by Wilson and
/// Hilferty's cube root: within 1 % from `k = 4` on, and never below zero.
fn gamma_quantile(k: f64, z: f64) -> f64 {
    if k <= 0.0 {
        return 0.0;
    }
    let root = 1.0 - 1.0 / (9.0 * k) + z / (3.0 * k.sqrt());
    k * root.max(0.0).powi(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interval_is_garwoods_exact_one_within_two_percent() {
        // n, lower, upper: exact 95 % intervals of a Poisson mean (chi-square tables).
        for (n, low, high) in
            [(5.0, 1.623, 11.668), (10.0, 4.795, 18.390), (50.0, 37.11, 65.92), (100.0, 81.36, 121.63)]
        {
            let e = Estimate::from_shares(n, 1.0, 1.0);
            assert_eq!(e.value, n);
            assert!((e.low95 / low - 1.0).abs() < 0.02, "{n}: {} {low}", e.low95);
            assert!((e.high95 / high - 1.0).abs() < 0.02, "{n}: {} {high}", e.high95);
        }
        let none = Estimate::from_shares(0.0, 1.0, 1.0);
        assert_eq!((none.value, none.low95), (0.0, 0.0));
        assert!((none.high95 / 3.689 - 1.0).abs() < 0.02);
    }

    #[test]
    fn nothing_strange_comes_out_of_strange_figures() {
        for shares in [0.0, 1e-300, 1.0, 1e300, f64::NAN, f64::INFINITY, -1.0] {
            for exposure in [0.0, 1e-300, 1.0, 1e300, f64::NAN, f64::INFINITY, -1.0] {
                let e = Estimate::from_shares(shares, exposure, HASHES_PER_DIFFICULTY);
                assert!(
                    e.value.is_finite() && e.low95.is_finite() && e.high95.is_finite(),
                    "{shares} {exposure} {e:?}"
                );
                assert!(
                    0.0 <= e.low95 && e.low95 <= e.value && e.value <= e.high95,
                    "{shares} {exposure} {e:?}"
                );
                let sum = e + e;
                assert!(sum.low95 <= sum.value && sum.value <= sum.high95 && sum.high95.is_finite());
            }
        }
    }

    #[test]
    fn a_sum_is_known_better_than_its_parts() {
        let one = Estimate::from_shares(25.0, 1.0, 1.0);
        let many: Estimate = std::iter::repeat_n(one, 100).sum();
        assert_eq!(many.value, 2500.0);
        assert!((many.value - many.low95) / many.value < 0.05);
        assert!(!(one + Estimate::UNKNOWN).is_known());
    }
}
