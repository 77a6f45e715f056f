//! Which shares of a tip were seen.

use foldhash::fast::FixedState;
use hashbrown::HashSet;

use crate::block_hash::BlockHash;

/// Whether a share was seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It was not, and is remembered now.
    First,
    /// It was.
    Again,
    /// It was not remembered: as many as may be are.
    Full,
}

/// The shares of one miner on one tip, by header hash.
///
/// 64 bits of each hash are kept, the low ones, which proof of work leaves evenly spread. Two different shares
/// agree in them once in 2^64 pairs: among 65,536 shares with a chance of 1 in 10^10, and what is lost then is
/// one share. Nothing is allocated before the first share.
#[derive(Clone, Debug, Default)]
pub(crate) struct SeenShares(Option<Box<HashSet<u64, FixedState>>>);

impl SeenShares {
    pub(crate) fn insert(&mut self, hash: &BlockHash, limit: u32, seed: u64) -> Seen {
        let seen = self.0.get_or_insert_with(|| Box::new(HashSet::with_hasher(FixedState::with_seed(seed))));
        let key = hash.low_u64();
        if seen.len() < limit as usize {
            return if seen.insert(key) { Seen::First } else { Seen::Again };
        }
        if seen.contains(&key) { Seen::Again } else { Seen::Full }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |seen| seen.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u64) -> BlockHash {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        BlockHash::from_bytes(bytes)
    }

    #[test]
    fn nothing_is_allocated_before_the_first_share() {
        assert_eq!(size_of::<SeenShares>(), size_of::<usize>());
        assert_eq!(SeenShares::default().len(), 0);
    }

    #[test]
    fn a_full_window_still_knows_what_it_has_seen() {
        let mut seen = SeenShares::default();
        for number in 0..10 {
            assert_eq!(seen.insert(&hash(number), 10, 5), Seen::First);
        }
        for number in 0..10 {
            assert_eq!(seen.insert(&hash(number), 10, 5), Seen::Again);
        }
        assert_eq!(seen.insert(&hash(10), 10, 5), Seen::Full);
        assert_eq!(seen.len(), 10);
    }
}
