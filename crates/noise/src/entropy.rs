//! One seed of 32 fresh bytes becomes as many independent 32-byte values as a handshake needs.

use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

/// Separates this use of SHA-256 from every other one.
const TAG: &[u8] = b"adit/noise/entropy";

/// SHA-256(SHA-256(tag) || SHA-256(tag) || seed || counter): the tagged-hash form of BIP 340. With a
/// uniformly random seed its outputs are independent, and none of them tells the seed.
#[derive(Clone)]
pub(crate) struct Expansion {
    seed: Zeroizing<[u8; 32]>,
    counter: u64,
}

impl Expansion {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self { seed: Zeroizing::new(seed), counter: 0 }
    }

    /// The next 32 bytes.
    pub(crate) fn draw(&mut self) -> Zeroizing<[u8; 32]> {
        let tag = Sha256::digest(TAG);
        let mut value: [u8; 32] = Sha256::new()
            .chain_update(tag)
            .chain_update(tag)
            .chain_update(*self.seed)
            .chain_update(self.counter.to_le_bytes())
            .finalize()
            .into();
        self.counter += 1;
        let drawn = Zeroizing::new(value);
        value.zeroize();
        drawn
    }
}

impl snow::types::Random for Expansion {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        for part in dest.chunks_mut(32) {
            part.copy_from_slice(&self.draw()[..part.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_values_and_every_value_differs() {
        let (mut a, mut b, mut other) =
            (Expansion::new([1; 32]), Expansion::new([1; 32]), Expansion::new([2; 32]));
        let mut seen = Vec::new();
        for _ in 0..50 {
            let value = *a.draw();
            assert_eq!(value, *b.draw());
            seen.push(value);
            seen.push(*other.draw());
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 100);
    }
}
