//! A target: the number that a hash must not exceed.

use core::cmp::Ordering;
use core::fmt;

use thiserror::Error;

use crate::difficulty::Difficulty;

/// A 256-bit number that a share's or a block's hash must not exceed. The smaller, the harder.
///
/// On SV2's wire it is a `U256`, little-endian ([`from_le_bytes`](Self::from_le_bytes)); in a header it is
/// `nbits` ([`from_compact`](Self::from_compact)); SV1 speaks of difficulty
/// ([`from_difficulty`](Self::from_difficulty)).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Target {
    /// Least significant limb first.
    limbs: [u64; 4],
}

impl Target {
    /// Every hash meets it.
    pub const MAX: Self = Self { limbs: [u64::MAX; 4] };

    /// No hash is ever expected to meet it. A peer that sends it means nothing that could be mined: refuse
    /// it where it comes in ([`is_zero`](Self::is_zero)); jobs with it cannot be built.
    pub const ZERO: Self = Self { limbs: [0; 4] };

    /// The hardest target that is not zero.
    pub const MIN: Self = Self { limbs: [1, 0, 0, 0] };

    /// Difficulty 1: `0x00000000FFFF0000...`.
    pub const DIFFICULTY_1: Self = Self { limbs: [0, 0, 0, 0xffff_0000] };

    /// A target from 32 bytes, least significant first (SV2's `U256`).
    #[must_use]
    pub fn from_le_bytes(bytes: [u8; 32]) -> Self {
        let mut limbs = [0; 4];
        let (chunks, _) = bytes.as_chunks::<8>();
        for (limb, chunk) in limbs.iter_mut().zip(chunks) {
            *limb = u64::from_le_bytes(*chunk);
        }
        Self { limbs }
    }

    /// The 32 bytes, least significant first (SV2's `U256`).
    #[must_use]
    pub fn to_le_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let (chunks, _) = bytes.as_chunks_mut::<8>();
        for (chunk, limb) in chunks.iter_mut().zip(self.limbs) {
            *chunk = limb.to_le_bytes();
        }
        bytes
    }

    /// A target from 32 bytes, most significant first (as people write it).
    #[must_use]
    pub fn from_be_bytes(mut bytes: [u8; 32]) -> Self {
        bytes.reverse();
        Self::from_le_bytes(bytes)
    }

    /// The 32 bytes, most significant first (as people write it).
    #[must_use]
    pub fn to_be_bytes(self) -> [u8; 32] {
        let mut bytes = self.to_le_bytes();
        bytes.reverse();
        bytes
    }

    /// The network's target from a header's `nbits`, by Bitcoin's rules.
    ///
    /// # Errors
    /// What consensus refuses: a negative number, one over 256 bits, zero.
    pub fn from_compact(nbits: u32) -> Result<Self, CompactError> {
        let size = nbits >> 24;
        let mantissa = nbits & 0x007f_ffff;
        if mantissa != 0 && nbits & 0x0080_0000 != 0 {
            return Err(CompactError::Negative { nbits });
        }
        if mantissa != 0 && (size > 34 || (mantissa > 0xff && size > 33) || (mantissa > 0xffff && size > 32))
        {
            return Err(CompactError::Overflow { nbits });
        }
        let mut bytes = [0; 32];
        // Byte i of the mantissa (0 the lowest) stands at byte size - 3 + i of the number; what falls below
        // byte 0 is cut off, what would fall above byte 31 is zero by the check above.
        for (i, byte) in (0u32..).zip(mantissa.to_le_bytes()) {
            if let Some(slot) = (size + i).checked_sub(3).and_then(|at| bytes.get_mut(at as usize)) {
                *slot = byte;
            }
        }
        let target = Self::from_le_bytes(bytes);
        if target.is_zero() { Err(CompactError::Zero { nbits }) } else { Ok(target) }
    }

    /// The target of a difficulty: `0x00000000FFFF0000... / difficulty`, rounded down, of exactly the number
    /// that the `f64` is. At least 1, at most [`MAX`](Self::MAX).
    ///
    /// A difficulty that is printed so that it reads back as the same `f64` (as Rust's `Display` and
    /// `serde_json` do) has therefore the target of the number as written.
    #[must_use]
    pub fn from_difficulty(difficulty: Difficulty) -> Self {
        let (mantissa, exponent) = difficulty.parts();
        // floor(0xFFFF * 2^shift / mantissa)
        let shift = 208 - exponent;
        // The mantissa is below 2^53, so from here on the quotient is over 2^256.
        if shift >= 256 + 53 - 15 {
            return Self::MAX;
        }
        let mut limbs = [0u64; 5];
        match u32::try_from(shift) {
            Ok(shift) => {
                let (at, bit) = ((shift / 64) as usize, shift % 64);
                let wide = 0xffff_u128 << bit;
                #[expect(clippy::cast_possible_truncation, reason = "the low and the high half, on purpose")]
                for (slot, half) in limbs.iter_mut().skip(at).zip([wide as u64, (wide >> 64) as u64]) {
                    *slot = half;
                }
            }
            // Dividing by 2^-shift first and rounding down changes nothing: the whole is rounded down.
            Err(_) => limbs[0] = 0xffff_u64.checked_shr(shift.unsigned_abs()).unwrap_or(0),
        }
        let mut remainder = 0u128;
        for limb in limbs.iter_mut().rev() {
            let part = (remainder << 64) | u128::from(*limb);
            #[expect(clippy::cast_possible_truncation, reason = "remainder < mantissa, so the quotient fits")]
            {
                *limb = (part / u128::from(mantissa)) as u64;
            }
            remainder = part % u128::from(mantissa);
        }
        let [a, b, c, d, over] = limbs;
        if over != 0 { Self::MAX } else { Self { limbs: [a, b, c, d] }.max(Self::MIN) }
    }

    /// The difficulty of this target, the nearest `f64` ([`Difficulty::from_target`]).
    #[must_use]
    pub fn difficulty(self) -> Difficulty {
        Difficulty::from_target(self)
    }

    /// Whether it is zero, which nothing can be mined for.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }

    /// The harder (smaller) of two targets.
    #[must_use]
    pub fn harder(self, other: Self) -> Self {
        self.min(other)
    }

    /// The easier (larger) of two targets.
    #[must_use]
    pub fn easier(self, other: Self) -> Self {
        self.max(other)
    }

    pub(crate) const fn limbs(self) -> [u64; 4] {
        self.limbs
    }
}

impl Ord for Target {
    /// As numbers: a smaller target is a harder one.
    fn cmp(&self, other: &Self) -> Ordering {
        self.limbs.iter().rev().cmp(other.limbs.iter().rev())
    }
}

impl PartialOrd for Target {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<Difficulty> for Target {
    fn from(difficulty: Difficulty) -> Self {
        Self::from_difficulty(difficulty)
    }
}

impl fmt::Display for Target {
    /// Hex, most significant digit first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.limbs.iter().rev().try_for_each(|limb| write!(f, "{limb:016x}"))
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}

/// Why a header's `nbits` is no target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CompactError {
    /// The sign bit is set.
    #[error("nbits {nbits:#010x} is negative: a target is a positive number")]
    Negative {
        /// What came.
        nbits: u32,
    },
    /// The number is over 256 bits.
    #[error("nbits {nbits:#010x} is over 256 bits: a target fits 32 bytes")]
    Overflow {
        /// What came.
        nbits: u32,
    },
    /// The number is zero.
    #[error("nbits {nbits:#010x} is zero: no hash can meet it")]
    Zero {
        /// What came.
        nbits: u32,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn difficulty(number: f64) -> Difficulty {
        Difficulty::new(number).unwrap()
    }

    fn limbs(target: Target) -> [u64; 4] {
        target.limbs()
    }

    #[test]
    fn difficulty_1_is_the_known_target() {
        let known = format!("00000000ffff{}", "0".repeat(52));
        assert_eq!(Target::from_difficulty(Difficulty::ONE).to_string(), known);
        assert_eq!(Target::from_difficulty(Difficulty::ONE), Target::DIFFICULTY_1);
        assert_eq!(Target::from_compact(0x1d00_ffff), Ok(Target::DIFFICULTY_1));
    }

    #[test]
    fn known_difficulties_have_their_known_targets() {
        // 0xFFFF0000 / d, written out by hand.
        assert_eq!(limbs(Target::from_difficulty(difficulty(2.0))), [0, 0, 0, 0x7fff_8000]);
        assert_eq!(limbs(Target::from_difficulty(difficulty(0.5))), [0, 0, 0, 0x1_fffe_0000]);
        assert_eq!(limbs(Target::from_difficulty(difficulty(65_536.0))), [0, 0, 0, 0xffff]);
        assert_eq!(limbs(Target::from_difficulty(difficulty(65_535.0))), [0, 0, 0, 0x1_0000]);
        assert_eq!(limbs(Target::from_difficulty(difficulty(1e15)))[3], 0);
    }

    #[test]
    fn difficulties_beyond_a_targets_range_are_cut_to_it() {
        assert_eq!(Target::from_difficulty(difficulty(f64::MIN_POSITIVE)), Target::MAX);
        assert_eq!(Target::from_difficulty(difficulty(5e-324)), Target::MAX);
        assert_eq!(Target::from_difficulty(difficulty(1e-10)), Target::MAX);
        assert_eq!(Target::from_difficulty(difficulty(f64::MAX)), Target::MIN);
        // 0xFFFF * 2^208, where the quotient is exactly 1, and the next number above it.
        let last = f64::from(0xffff_u16) * 2f64.powi(208);
        assert_eq!(Target::from_difficulty(difficulty(last)), Target::MIN);
        assert_eq!(Target::from_difficulty(difficulty(last.next_up())), Target::MIN);
        assert_eq!(limbs(Target::from_difficulty(difficulty(last / 3.0))), [3, 0, 0, 0]);
    }

    #[test]
    fn what_consensus_refuses_as_nbits_is_refused() {
        assert_eq!(Target::from_compact(0), Err(CompactError::Zero { nbits: 0 }));
        assert_eq!(Target::from_compact(0x0300_0000), Err(CompactError::Zero { nbits: 0x0300_0000 }));
        assert_eq!(Target::from_compact(0x0100_00ff), Err(CompactError::Zero { nbits: 0x0100_00ff }));
        assert_eq!(Target::from_compact(0x0180_0000), Err(CompactError::Zero { nbits: 0x0180_0000 }));
        assert_eq!(Target::from_compact(0x1d80_ffff), Err(CompactError::Negative { nbits: 0x1d80_ffff }));
        assert_eq!(Target::from_compact(0x2101_0000), Err(CompactError::Overflow { nbits: 0x2101_0000 }));
        assert_eq!(Target::from_compact(0xff12_3456), Err(CompactError::Overflow { nbits: 0xff12_3456 }));
        for (fits, over) in
            [(0x207f_ffff, 0x2100_0000 + 0x7f_ffff), (0x2100_ffff, 0x2200_ffff), (0x2200_00ff, 0x2300_00ff)]
        {
            assert!(Target::from_compact(fits).is_ok());
            assert_eq!(Target::from_compact(over), Err(CompactError::Overflow { nbits: over }));
        }
        assert_eq!(Target::from_compact(0x2300_0001), Err(CompactError::Overflow { nbits: 0x2300_0001 }));
    }

    #[test]
    fn a_smaller_number_is_less_whichever_limb_differs() {
        for at in 0..32 {
            let mut bytes = [7; 32];
            bytes[at] = 6;
            assert!(Target::from_le_bytes(bytes) < Target::from_le_bytes([7; 32]));
            assert_eq!(Target::from_le_bytes(bytes).harder(Target::MAX), Target::from_le_bytes(bytes));
        }
    }

    proptest! {
        #[test]
        fn bytes_come_back_as_they_went_in(bytes: [u8; 32]) {
            prop_assert_eq!(Target::from_le_bytes(bytes).to_le_bytes(), bytes);
            prop_assert_eq!(Target::from_be_bytes(bytes).to_be_bytes(), bytes);
        }

        #[test]
        fn targets_are_ordered_as_the_bitcoin_crate_orders_them(a: [u8; 32], b: [u8; 32]) {
            let theirs = bitcoin::Target::from_le_bytes(a).cmp(&bitcoin::Target::from_le_bytes(b));
            prop_assert_eq!(Target::from_le_bytes(a).cmp(&Target::from_le_bytes(b)), theirs);
        }

        #[test]
        fn nbits_that_are_taken_are_read_as_the_bitcoin_crate_reads_them(nbits: u32, size in 0u32..=35) {
            for nbits in [nbits, (nbits & 0x00ff_ffff) | (size << 24)] {
                if let Ok(ours) = Target::from_compact(nbits) {
                    let theirs = bitcoin::Target::from_compact(bitcoin::CompactTarget::from_consensus(nbits));
                    prop_assert_eq!(ours.to_le_bytes(), theirs.to_le_bytes());
                }
            }
        }

        #[test]
        fn a_harder_difficulty_never_has_an_easier_target(a in 1e-12f64..1e30, b in 1e-12f64..1e30) {
            let (a, b) = (difficulty(a), difficulty(b));
            prop_assert_eq!(a.max(b).target(), a.target().min(b.target()));
        }

        #[test]
        fn a_difficulty_as_printed_has_the_target_of_the_number(exponent in -20f64..60.0) {
            let written = difficulty(exponent.exp2()).to_string();
            let read = difficulty(written.parse().unwrap());
            prop_assert_eq!(read.target(), difficulty(exponent.exp2()).target());
        }
    }
}
