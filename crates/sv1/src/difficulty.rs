//! Difficulty as a number on the wire.

/// Least difficulty that is written: about a twentieth of a hash per share. A harder limit is the caller's.
pub const MIN_DIFFICULTY: f64 = 1e-11;

/// Greatest difficulty that is written, 2^53: every integer up to it is exact in a double, and the JSON
/// parsers in firmware refuse integers above 2^63.
pub const MAX_DIFFICULTY: f64 = 9_007_199_254_740_992.0;

/// From this difficulty on only whole numbers are written: firmware that reads the number as an integer
/// then reads what was meant, at a cost of less than 1.6 % more shares.
pub const INTEGER_DIFFICULTY_FROM: f64 = 64.0;

/// Significant decimal digits of difficulties below [`INTEGER_DIFFICULTY_FROM`]. Few enough that parsers
/// which collect digits in a float and scale afterwards come to the same double as `strtod`.
const SIGNIFICANT_DIGITS: i32 = 6;

/// The difficulty that a miner will be told for `difficulty`: rounded *down* to a whole number, or to six
/// significant digits below [`INTEGER_DIFFICULTY_FROM`]; shares have to be judged by this number.
///
/// Never above `difficulty` but for the limits: below [`MIN_DIFFICULTY`] (or not a number) it is
/// `MIN_DIFFICULTY`, above [`MAX_DIFFICULTY`] it is `MAX_DIFFICULTY`. Applying it twice changes nothing.
#[must_use]
pub fn written_difficulty(difficulty: f64) -> f64 {
    let difficulty =
        if difficulty.is_nan() { MIN_DIFFICULTY } else { difficulty.clamp(MIN_DIFFICULTY, MAX_DIFFICULTY) };
    if difficulty >= INTEGER_DIFFICULTY_FROM {
        return difficulty.floor();
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the logarithm of a number in [1e-11, 64) is in [-11, 2)"
    )]
    let magnitude = difficulty.log10().floor() as i32;
    // At most 10^16: exact in a double, as the quotient of two such integers is correctly rounded.
    let scale = 10_f64.powi(SIGNIFICANT_DIGITS - 1 - magnitude);
    // The product may have been rounded to either side of an integer: the quotient decides.
    let digits = (difficulty * scale).round();
    let nearest = digits / scale;
    if nearest <= difficulty { nearest } else { (digits - 1.0) / scale }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn difficulties_are_rounded_down_to_what_firmware_reads() {
        for (difficulty, written) in [
            (0.0, MIN_DIFFICULTY),
            (-5.0, MIN_DIFFICULTY),
            (f64::NAN, MIN_DIFFICULTY),
            (f64::INFINITY, MAX_DIFFICULTY),
            (1e300, MAX_DIFFICULTY),
            (1.0, 1.0),
            (0.00015, 0.00015),
            (0.3, 0.3),
            (0.1 + 0.2, 0.3),
            (63.999_999_9, 63.9999),
            (64.9, 64.0),
            (1_000_000.7, 1_000_000.0),
            (4.656_542_373_906_925e-10, 4.65654e-10),
        ] {
            assert!((written_difficulty(difficulty) - written).abs() <= 0.0, "{difficulty}");
        }
    }

    proptest! {
        #[test]
        fn rounding_goes_down_a_little_and_only_once(exponent in -11.0..15.9_f64) {
            let difficulty = 10_f64.powf(exponent).max(MIN_DIFFICULTY);
            let written = written_difficulty(difficulty);
            prop_assert!(written <= difficulty);
            prop_assert!(written >= difficulty * (1.0 - 1.0 / INTEGER_DIFFICULTY_FROM));
            prop_assert!((written_difficulty(written) - written).abs() <= 0.0);
            let text = written.to_string();
            prop_assert!(!text.contains(['e', 'E']));
            prop_assert!((text.parse::<f64>().unwrap() - written).abs() <= 0.0);
            if difficulty >= INTEGER_DIFFICULTY_FROM {
                prop_assert!(!text.contains('.'));
            }
        }
    }
}
