//! Difficulty: SV1's way to write a target.

use core::cmp::Ordering;
use core::fmt;

use thiserror::Error;

use crate::target::Target;

/// How many times harder than target `0x00000000FFFF0000...` (difficulty 1) something is. Finite and above 0.
///
/// Its sum over shares is *work*; times 2^32 that is about the hashes it took.
#[derive(Clone, Copy, PartialEq)]
pub struct Difficulty(f64);

impl Difficulty {
    /// Difficulty 1.
    pub const ONE: Self = Self(1.0);

    /// A difficulty from its number.
    ///
    /// # Errors
    /// NaN, infinity, zero and negative numbers.
    pub fn new(number: f64) -> Result<Self, DifficultyError> {
        if number.is_finite() && number > 0.0 { Ok(Self(number)) } else { Err(DifficultyError { number }) }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }

    /// The difficulty of a target: `0x00000000FFFF0000... / target`, rounded to the nearest `f64` (ties to even).
    ///
    /// For every difficulty below 2^170 (far above the network's) this undoes [`Target::from_difficulty`]
    /// exactly. [`Target::ZERO`] has no difficulty; it is given that of [`Target::MIN`], the hardest one.
    #[must_use]
    pub fn from_target(target: Target) -> Self {
        let target = target.max(Target::MIN);
        let length = bit_length(target);
        // quotient = floor(0xFFFF * 2^(208 + shift) / target) with 60 or 61 bits: what remains below an f64's 53
        // bits and the remainder (folded into the lowest bit) make the conversion round as the exact number would.
        let shift = length - 164;
        let mut numerator = Wide::from_limbs([0xffff, 0, 0, 0]);
        let mut divisor = Wide::from_limbs(target.limbs());
        numerator.shift_left(208 + shift.max(0).unsigned_abs());
        divisor.shift_left(shift.min(0).unsigned_abs());
        divisor.shift_left(QUOTIENT_BITS);
        let mut quotient = 0u64;
        for _ in 0..=QUOTIENT_BITS {
            quotient <<= 1;
            if numerator >= divisor {
                numerator.subtract(&divisor);
                quotient |= 1;
            }
            divisor.shift_right_one();
        }
        if numerator != Wide::ZERO {
            quotient |= 1;
        }
        // A power of two between 2^-92 and 2^164: exact, and so is the product.
        let scale = f64::from_bits(u64::from((1023 - shift).unsigned_abs()) << 52);
        #[expect(clippy::cast_precision_loss, reason = "this is the one rounding step")]
        Self(quotient as f64 * scale)
    }

    /// Its target ([`Target::from_difficulty`]).
    #[must_use]
    pub fn target(self) -> Target {
        Target::from_difficulty(self)
    }

    /// The number as `mantissa * 2^exponent`, exactly, the mantissa odd.
    pub(crate) fn parts(self) -> (u64, i32) {
        let bits = self.0.to_bits();
        let fraction = bits & ((1 << 52) - 1);
        let biased = i32::try_from((bits >> 52) & 0x7ff).unwrap_or(0);
        let (mantissa, exponent) =
            if biased == 0 { (fraction, -1074) } else { (fraction | (1 << 52), biased - 1075) };
        let zeros = mantissa.trailing_zeros().min(52);
        (mantissa >> zeros, exponent + zeros.cast_signed())
    }
}

/// The quotient's highest bit in [`Difficulty::from_target`]; one more than it can need.
const QUOTIENT_BITS: u32 = 62;

fn bit_length(target: Target) -> i32 {
    let mut length = 256;
    for limb in target.limbs().iter().rev() {
        if *limb != 0 {
            return length - limb.leading_zeros().cast_signed();
        }
        length -= 64;
    }
    0
}

/// A 384-bit number, least significant limb first: wide enough for a target shifted by 62 bits (318) and for
/// the numerator (316).
#[derive(Clone, Copy, PartialEq, Eq)]
struct Wide([u64; 6]);

impl Wide {
    const ZERO: Self = Self([0; 6]);

    fn from_limbs([a, b, c, d]: [u64; 4]) -> Self {
        Self([a, b, c, d, 0, 0])
    }

    fn shift_left(&mut self, by: u32) {
        let (limbs, bits) = ((by / 64) as usize, by % 64);
        let mut shifted = [0; 6];
        for (i, slot) in shifted.iter_mut().enumerate().skip(limbs) {
            let below = |n: usize| i.checked_sub(n).and_then(|at| self.0.get(at)).copied().unwrap_or(0);
            *slot = below(limbs) << bits;
            if bits > 0 {
                *slot |= below(limbs + 1) >> (64 - bits);
            }
        }
        self.0 = shifted;
    }

    fn shift_right_one(&mut self) {
        let mut carry = 0;
        for limb in self.0.iter_mut().rev() {
            let next = *limb << 63;
            *limb = (*limb >> 1) | carry;
            carry = next;
        }
    }

    /// Subtracts; the caller has checked that `other` is not larger.
    fn subtract(&mut self, other: &Self) {
        let mut borrow = false;
        for (limb, minus) in self.0.iter_mut().zip(other.0) {
            let (part, under) = limb.overflowing_sub(minus);
            let (part, under_too) = part.overflowing_sub(u64::from(borrow));
            *limb = part;
            borrow = under || under_too;
        }
    }
}

impl PartialOrd for Wide {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.0.iter().rev().cmp(other.0.iter().rev()))
    }
}

impl Eq for Difficulty {}

impl Ord for Difficulty {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Difficulty {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl TryFrom<f64> for Difficulty {
    type Error = DifficultyError;

    fn try_from(number: f64) -> Result<Self, DifficultyError> {
        Self::new(number)
    }
}

impl From<Target> for Difficulty {
    fn from(target: Target) -> Self {
        Self::from_target(target)
    }
}

impl fmt::Display for Difficulty {
    /// The shortest decimal that reads back as the same number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Difficulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Difficulty({})", self.0)
    }
}

/// A number that is no difficulty.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[error("{number} is no difficulty: it must be a finite number above 0")]
pub struct DifficultyError {
    /// What came.
    pub number: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use wide::U1024;

    mod wide {
        #![expect(clippy::manual_div_ceil, reason = "in the macro of crate uint")]
        uint::construct_uint! {
            /// Wide enough for every product below.
            pub(super) struct U1024(16);
        }
    }

    fn number(target: Target) -> U1024 {
        U1024::from_little_endian(&target.to_le_bytes())
    }

    /// `0xFFFF * 2^208`.
    fn difficulty_1() -> U1024 {
        number(Target::DIFFICULTY_1)
    }

    /// The target by the definition, in plain long arithmetic.
    fn slow_target(difficulty: f64) -> Target {
        let (mantissa, exponent) = Difficulty::new(difficulty).unwrap().parts();
        // mantissa * 2^exponent = mantissa * 2^(exponent + 300) / 2^300
        let quotient = (difficulty_1() << 300) / (U1024::from(mantissa) << (exponent + 300).unsigned_abs());
        let mut bytes = [0; 128];
        quotient.write_as_little_endian(&mut bytes);
        if bytes[32..].iter().any(|byte| *byte != 0) {
            return Target::MAX;
        }
        Target::from_le_bytes(bytes[..32].try_into().unwrap()).max(Target::MIN)
    }

    /// How far `difficulty` is from that of `target`, times `target * 2^300`.
    fn distance(difficulty: f64, target: Target) -> U1024 {
        let (mantissa, exponent) = Difficulty::new(difficulty).unwrap().parts();
        let product = (U1024::from(mantissa) * number(target)) << (exponent + 300).unsigned_abs();
        product.abs_diff(difficulty_1() << 300)
    }

    #[test]
    fn only_finite_numbers_above_zero_are_difficulties() {
        for number in [0.0, -0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(Difficulty::new(number).is_err(), "{number}");
        }
        for number in [1.0, f64::MIN_POSITIVE, 5e-324, f64::MAX] {
            assert_eq!(Difficulty::new(number).unwrap().get(), number);
        }
    }

    #[test]
    fn the_ends_of_the_range_have_a_difficulty() {
        assert_eq!(Target::DIFFICULTY_1.difficulty(), Difficulty::ONE);
        assert_eq!(Target::MIN.difficulty().get(), 65_535.0 * 2f64.powi(208));
        assert_eq!(Target::ZERO.difficulty(), Target::MIN.difficulty());
        // 0xFFFF * 2^208 / (2^256 - 1)
        assert_eq!(Target::MAX.difficulty().get(), 65_535.0 * 2f64.powi(-48));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_target_is_that_of_exactly_the_number(exponent in -40f64..230.0) {
            let difficulty = exponent.exp2();
            prop_assert_eq!(Difficulty::new(difficulty).unwrap().target(), slow_target(difficulty));
        }

        #[test]
        fn a_round_difficulty_has_its_exact_target(tenths in 1u32..100_000_000, scale in -3i32..12) {
            let difficulty = f64::from(tenths) * 10f64.powi(scale);
            prop_assert_eq!(Difficulty::new(difficulty).unwrap().target(), slow_target(difficulty));
        }

        #[test]
        fn a_target_comes_back_to_the_same_difficulty(exponent in -32f64..170.0) {
            let difficulty = Difficulty::new(exponent.exp2()).unwrap();
            prop_assert_eq!(difficulty.target().difficulty(), difficulty);
        }

        #[test]
        fn the_difficulty_of_any_target_is_the_nearest_number(bytes: [u8; 32], zeros in 0usize..32) {
            let mut bytes = bytes;
            bytes[32 - zeros..].fill(0);
            let target = Target::from_le_bytes(bytes).max(Target::MIN);
            let found = target.difficulty().get();
            for neighbour in [found.next_down(), found.next_up()] {
                prop_assert!(distance(found, target) <= distance(neighbour, target));
            }
        }
    }
}
