//! Exact intervals for counts.
//!
//! How many shares there are is a Poisson number: each hash is one with the same small probability. Its mean is the true work,
//! counted in receipt difficulties, and the interval is for that mean.

use crate::gamma::quantile;

/// What each side leaves out: 95 % for both together.
const SIDE: f64 = 0.025;

/// Two limits, in shares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The lower one.
    pub low: f64,
    /// The upper one.
    pub high: f64,
}

impl Interval {
    /// Garwood's interval for the mean of a Poisson number that came out as `shares`.
    ///
    /// Where the count was fixed before and the last share ended the period, the work has a gamma distribution, whose interval
    /// lies within this one, about half a share shorter at its upper end: so this one holds whatever ended the period.
    #[must_use]
    pub fn of(shares: u64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "no receipt has 2^53 shares")]
        let n = shares as f64;
        let low = if shares == 0 { 0.0 } else { quantile(n, SIDE) };
        Self { low, high: quantile(n + 1.0, 1.0 - SIDE) }
    }
}

/// The interval for a sum of counts that stand for different amounts: `(what each share stands for, how many)`. It is Fay's
/// and Feuer's (1997), which is Garwood's where all amounts are the same, and covers more otherwise.
#[must_use]
pub fn weighted(parts: &[(f64, u64)]) -> Interval {
    #[expect(clippy::cast_precision_loss, reason = "no receipt has 2^53 shares")]
    let sum =
        |of: fn(f64) -> f64| parts.iter().map(|(weight, count)| of(*weight) * *count as f64).sum::<f64>();
    let largest = parts.iter().map(|(weight, _)| *weight).fold(0.0, f64::max);
    let (mean, variance) = (sum(|weight| weight), sum(|weight| weight * weight));
    if largest <= 0.0 {
        return Interval { low: 0.0, high: 0.0 };
    }
    let low = if mean > 0.0 { variance / mean * quantile(mean * mean / variance, SIDE) } else { 0.0 };
    let (mean, variance) = (mean + largest, variance + largest * largest);
    Interval { low, high: variance / mean * quantile(mean * mean / variance, 1.0 - SIDE) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-3 * b.max(1e-3)
    }

    #[test]
    fn they_are_those_of_the_tables() {
        // Garwood 1936, in every table of exact Poisson limits.
        for (count, low, high) in [
            (0, 0.0, 3.6889),
            (1, 0.025_318, 5.5716),
            (5, 1.6235, 11.668),
            (10, 4.7954, 18.390),
            (100, 81.364, 121.63),
        ] {
            let found = Interval::of(count);
            assert!(near(found.low, low) && near(found.high, high), "{count}: {found:?}");
        }
    }

    #[test]
    fn a_sum_of_equals_is_the_plain_interval() {
        for (a, b) in [(0, 0), (3, 4), (0, 1), (500, 2_000)] {
            let sum = weighted(&[(8.0, a), (8.0, b)]);
            let plain = Interval::of(a + b);
            assert!((sum.low - 8.0 * plain.low).abs() < 1e-6 && (sum.high - 8.0 * plain.high).abs() < 1e-6);
        }
        assert_eq!(weighted(&[]), Interval { low: 0.0, high: 0.0 });
    }
}
