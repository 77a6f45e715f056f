//! The extranonce: upstream's prefix, then a rollable space that Adit splits among its miners.
//!
//! ```text
//! coinbase_tx_prefix | extranonce_prefix | filler | miner id | extranonce2 | coinbase_tx_suffix
//!                      upstream's          `-------- extranonce_size ------'
//!                    `--- in SV1's coinb1 ---------' `-en1---' `-en2-------'
//! ```
//!
//! A miner is given its miner id once, as SV1's `extranonce1`, and keeps it: whatever upstream's prefix becomes,
//! it stands in a job's `coinb1`. The filler takes up what upstream gives beyond the split: it begins with the lease's tag,
//! if there is one and it fits, and the rest is zeros.

use core::fmt;

use thiserror::Error;

use crate::lease_tag::LeaseTag;
use crate::miner_ids::MAX_MINER_ID;

/// The longest extranonce: prefix and rollable space together (SV2's `B0_32`).
pub const MAX_EXTRANONCE: usize = 32;

/// The longest extranonce2 that SV1 firmware takes (cgminer and Whatsminer stop there, without saying so until
/// the first submit).
pub const MAX_SV1_EXTRANONCE2: u8 = 8;

/// How a channel's rollable space is split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExtranonceSplit {
    /// Bytes before the miner id.
    pub filler: u8,
    /// Bytes that tell miners apart (SV1's `extranonce1`).
    pub miner_id: u8,
    /// Bytes that the miner rolls.
    pub extranonce2: u8,
}

impl ExtranonceSplit {
    /// Bytes of a miner id unless a listener says otherwise.
    pub const DEFAULT_MINER_ID: u8 = 4;
    /// Bytes of extranonce2 unless a listener says otherwise.
    pub const DEFAULT_EXTRANONCE2: u8 = 4;

    /// Splits the `extranonce_size` of a channel (`OpenExtendedMiningChannel.Success`) for miners that need
    /// `miner_id` and `extranonce2` bytes.
    ///
    /// # Errors
    /// A space that is too small or above [`MAX_EXTRANONCE`], a miner id of more than [`MAX_MINER_ID`] bytes, no
    /// extranonce2 at all. Without a miner id a channel is for one miner.
    pub fn for_space(extranonce_size: u16, miner_id: u8, extranonce2: u8) -> Result<Self, SplitError> {
        if miner_id > MAX_MINER_ID {
            return Err(SplitError::MinerId { got: miner_id });
        }
        if extranonce2 == 0 {
            return Err(SplitError::NoExtranonce2);
        }
        let Some(got) = u8::try_from(extranonce_size).ok().filter(|got| usize::from(*got) <= MAX_EXTRANONCE)
        else {
            return Err(SplitError::SpaceTooLarge { got: extranonce_size });
        };
        let need = u16::from(miner_id) + u16::from(extranonce2);
        match u8::try_from(need).ok().and_then(|need| got.checked_sub(need)) {
            Some(filler) => Ok(Self { filler, miner_id, extranonce2 }),
            None => Err(SplitError::SpaceTooSmall { need, got: extranonce_size }),
        }
    }

    /// What to ask for as `min_extranonce_size` when a channel is opened: miner id and extranonce2.
    #[must_use]
    pub fn min_extranonce_size(&self) -> u16 {
        u16::from(self.miner_id) + u16::from(self.extranonce2)
    }

    /// The whole rollable space: the channel's `extranonce_size`.
    #[must_use]
    pub fn extranonce_size(&self) -> u16 {
        u16::from(self.filler) + self.min_extranonce_size()
    }

    /// Whether the filler has room for this tag.
    #[must_use]
    pub fn has_room_for(&self, tag: LeaseTag) -> bool {
        tag.len() <= self.filler
    }

    /// The filler of a lease's shares: its tag, then zeros. Where the tag has no room it is all zeros: half of one would
    /// be nobody's.
    #[must_use]
    pub fn filler_of(&self, tag: LeaseTag) -> Extranonce {
        const ZEROS: [u8; MAX_EXTRANONCE] = [0; MAX_EXTRANONCE];
        let written = if self.has_room_for(tag) { tag.as_slice() } else { &[] };
        let rest = usize::from(self.filler).min(MAX_EXTRANONCE).saturating_sub(written.len());
        Extranonce::concat(&[written, &ZEROS[..rest]]).unwrap_or_default()
    }
}

/// Why a channel's space cannot be split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SplitError {
    /// The channel rolls fewer bytes than the listener's split.
    #[error(
        "the channel leaves {got} bytes of extranonce to roll, but the listener's split needs {need}: use a source \
         that gives more, or a listener with a smaller extranonce1_size or extranonce2_size"
    )]
    SpaceTooSmall {
        /// Miner id and extranonce2.
        need: u16,
        /// The channel's `extranonce_size`.
        got: u16,
    },
    /// The channel claims more than an extranonce can have.
    #[error("the channel claims {got} bytes of extranonce: at most {MAX_EXTRANONCE} fit SV2's B0_32")]
    SpaceTooLarge {
        /// The channel's `extranonce_size`.
        got: u16,
    },
    /// The miner id's size is out of range.
    #[error("a miner id of {got} bytes: it has at most {MAX_MINER_ID}")]
    MinerId {
        /// What was asked for.
        got: u8,
    },
    /// Nothing to roll.
    #[error("an extranonce2 of 0 bytes: a miner needs at least 1 to roll")]
    NoExtranonce2,
}

/// Up to 32 bytes of extranonce, in place.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Extranonce {
    bytes: [u8; MAX_EXTRANONCE],
    len: u8,
}

impl Extranonce {
    /// The parts one after the other; `None` if they are more than [`MAX_EXTRANONCE`] bytes.
    #[must_use]
    pub fn concat(parts: &[&[u8]]) -> Option<Self> {
        let mut whole = Self::default();
        for part in parts {
            whole.push(part)?;
        }
        Some(whole)
    }

    fn push(&mut self, part: &[u8]) -> Option<()> {
        let begin = usize::from(self.len);
        let end = begin.checked_add(part.len())?;
        self.bytes.get_mut(begin..end)?.copy_from_slice(part);
        self.len = u8::try_from(end).ok()?;
        Some(())
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len).min(MAX_EXTRANONCE)]
    }
}

impl AsRef<[u8]> for Extranonce {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl fmt::Debug for Extranonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Extranonce(")?;
        self.as_slice().iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_channel_gives_beyond_the_split_becomes_filler() {
        let split = ExtranonceSplit::for_space(8, 4, 4).unwrap();
        assert_eq!(split, ExtranonceSplit { filler: 0, miner_id: 4, extranonce2: 4 });
        let split = ExtranonceSplit::for_space(15, 4, 4).unwrap();
        assert_eq!((split.filler, split.extranonce_size(), split.min_extranonce_size()), (7, 15, 8));
        assert_eq!(split.filler_of(LeaseTag::NONE).as_slice(), [0; 7]);
        assert_eq!(ExtranonceSplit::for_space(32, 1, 1).unwrap().filler, 30);
        assert_eq!(ExtranonceSplit::for_space(32, 4, 28).unwrap().filler, 0);
    }

    #[test]
    fn a_tag_stands_at_the_beginning_of_the_filler_whole_or_not_at_all() {
        let tag = LeaseTag::new(&[9, 8, 7, 6]).unwrap();
        for filler in 0..=24 {
            let split = ExtranonceSplit { filler, miner_id: 4, extranonce2: 4 };
            let mut expected = vec![0; filler.into()];
            assert_eq!(split.has_room_for(tag), filler >= 4);
            if split.has_room_for(tag) {
                expected[..4].copy_from_slice(tag.as_slice());
            }
            assert_eq!(split.filler_of(tag).as_slice(), expected);
        }
    }

    #[test]
    fn sizes_at_their_limits_are_refused_with_the_reason() {
        for got in [0, 1, 7] {
            assert_eq!(
                ExtranonceSplit::for_space(got, 4, 4),
                Err(SplitError::SpaceTooSmall { need: 8, got })
            );
        }
        for got in [33, 255, 256, 264, u16::MAX] {
            assert_eq!(ExtranonceSplit::for_space(got, 4, 4), Err(SplitError::SpaceTooLarge { got }));
        }
        for got in [5, 32, 255] {
            assert_eq!(ExtranonceSplit::for_space(8, got, 4), Err(SplitError::MinerId { got }));
        }
        assert_eq!(
            ExtranonceSplit::for_space(2, 0, 2),
            Ok(ExtranonceSplit { filler: 0, miner_id: 0, extranonce2: 2 })
        );
        assert_eq!(ExtranonceSplit::for_space(8, 4, 0), Err(SplitError::NoExtranonce2));
        assert_eq!(
            ExtranonceSplit::for_space(32, 4, 255),
            Err(SplitError::SpaceTooSmall { need: 259, got: 32 })
        );
    }

    #[test]
    fn at_most_32_bytes_are_one_extranonce() {
        assert_eq!(Extranonce::concat(&[&[1, 2], &[], &[3]]).unwrap().as_slice(), [1, 2, 3]);
        assert_eq!(Extranonce::concat(&[&[1; 20], &[2; 12]]).unwrap().as_slice().len(), 32);
        assert_eq!(Extranonce::concat(&[&[1; 20], &[2; 13]]), None);
        assert_eq!(Extranonce::concat(&[&[1; 300]]), None);
    }

    proptest! {
        #[test]
        fn a_split_always_adds_up_to_the_space(space: u16, miner_id: u8, extranonce2: u8) {
            if let Ok(split) = ExtranonceSplit::for_space(space, miner_id, extranonce2) {
                prop_assert_eq!(split.extranonce_size(), space);
                prop_assert!(usize::from(space) <= MAX_EXTRANONCE);
            }
        }
    }
}
