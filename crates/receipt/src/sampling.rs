//! Which shares stand in a receipt: those of its *receipt difficulty*, a power of two that follows from the terms, so that
//! nobody can choose it by what the shares turn out to be.

use work::{Difficulty, Target};

use crate::terms::Terms;

/// Shares that are expected at least, if the terms' hashrate is delivered for the terms' `every`; less than twice as many are.
pub const LEAST_EXPECTED: u128 = 1_414;
/// The lowest receipt difficulty is two to the power of this: one hash a share.
pub const MIN_EXPONENT: i8 = -32;
/// The highest.
pub const MAX_EXPONENT: i8 = 78;

/// The power of two that the receipt difficulty is by the terms alone: the largest at which [`LEAST_EXPECTED`] shares are
/// expected.
#[must_use]
pub fn exponent(terms: &Terms) -> i8 {
    // At most 2^90 x 2^32.
    let hashes = terms.hashrate.saturating_mul(u128::from(terms.every));
    let a_share = (hashes / LEAST_EXPECTED).max(1);
    let exponent = i8::try_from(a_share.ilog2()).unwrap_or(i8::MAX).saturating_add(MIN_EXPONENT);
    exponent.min(MAX_EXPONENT)
}

/// The power of two that the receipt difficulty is: by the terms, and never below the highest difficulty that held for an
/// included miner (`highest`, as [`exponent_above`] gives it). Shares below that were not asked for, and would be missing.
#[must_use]
pub fn exponent_with(terms: &Terms, highest: i8) -> i8 {
    exponent(terms).max(highest.clamp(MIN_EXPONENT, MAX_EXPONENT))
}

/// The smallest power of two that is not below this difficulty.
#[must_use]
pub fn exponent_above(difficulty: Difficulty) -> i8 {
    (MIN_EXPONENT..MAX_EXPONENT)
        .find(|exponent| f64::from(*exponent).exp2() >= difficulty.get())
        .unwrap_or(MAX_EXPONENT)
}

/// The target of a receipt difficulty: that of difficulty `2^exponent` as shares everywhere have it, `0xFFFF * 2^208 /
/// 2^exponent`, rounded down.
#[must_use]
pub fn target(exponent: i8) -> Target {
    Difficulty::new(f64::from(exponent).exp2()).map_or(Target::MIN, Difficulty::target)
}

/// Hashes that a share of this difficulty stands for. (`2^(32 + exponent)`, as everywhere where difficulty is counted. A share
/// takes 1/65,535 more than that on average, since difficulty 1 is `0xFFFF * 2^208` and not `2^224`.)
#[must_use]
pub fn hashes(exponent: i8) -> u128 {
    1_u128 << u32::try_from(i32::from(exponent.clamp(MIN_EXPONENT, MAX_EXPONENT)) + 32).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn about_2000_shares_are_expected() {
        for hashrate in
            [1_u128, 1_000_000, 100_000_000_000_000, 1_000_000_000_000_000, 999_999_999_999_999_999]
        {
            let mut terms = fixture::terms();
            (terms.hashrate, terms.to, terms.every) = (hashrate, terms.from + 86_400, 86_400);
            let expected = hashrate * 86_400 / hashes(exponent(&terms));
            assert!((LEAST_EXPECTED..2 * LEAST_EXPECTED).contains(&expected), "{hashrate}: {expected}");
        }
    }

    #[test]
    fn never_below_what_held_for_a_miner() {
        let terms = fixture::terms();
        let own = exponent(&terms);
        assert_eq!(exponent_with(&terms, own - 3), own);
        assert_eq!(exponent_with(&terms, own + 1), own + 1);
        let above = |difficulty| exponent_above(Difficulty::new(difficulty).unwrap());
        assert_eq!([above(1.0), above(1.1), above(0.5), above(1e-300), above(1e300)], [0, 1, -1, -32, 78]);
    }

    #[test]
    fn the_least_hashrate_has_a_difficulty() {
        let mut terms = fixture::terms();
        (terms.hashrate, terms.every) = (1, 1);
        assert_eq!(exponent(&terms), MIN_EXPONENT);
        assert_eq!(hashes(MIN_EXPONENT), 1);
        terms.hashrate = (1 << 90) - 1;
        terms.every = u64::from(u32::MAX);
        assert_eq!(exponent(&terms), MAX_EXPONENT);
        assert_eq!(target(0), Target::DIFFICULTY_1);
    }
}
