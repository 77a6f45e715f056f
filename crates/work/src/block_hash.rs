//! The hash of a block header.

use core::fmt;

use crate::target::Target;

/// A header's double SHA-256, in internal byte order: as SHA-256 gave it and as `prev_hash` stands in the next
/// header. Read as a number it is little-endian.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlockHash([u8; 32]);

impl BlockHash {
    /// A hash from its bytes in internal order.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes in internal order.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    /// Whether the hash, read as a number, is at or below `target`: the consensus rule for blocks and the
    /// specification's for shares (SV2 5.3.14, `SubmitSharesStandard`).
    #[must_use]
    pub fn meets(&self, target: &Target) -> bool {
        Target::from_le_bytes(self.0) <= *target
    }

    /// The hash as the hardest target that it meets: its own number.
    #[must_use]
    pub fn as_target(&self) -> Target {
        Target::from_le_bytes(self.0)
    }

    /// The low 64 bits of the number. Proof of work makes the *high* bits zero, so these stay evenly
    /// spread however hard the share was.
    #[must_use]
    pub(crate) fn low_u64(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

impl fmt::Display for BlockHash {
    /// Hex with the bytes turned around, as explorers and `bitcoin-cli` print it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().rev().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockHash({self})")
    }
}
