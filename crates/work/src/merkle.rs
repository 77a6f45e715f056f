//! The merkle tree, seen from its first leaf, the coinbase.
//!
//! All hashes are in internal order. `merkle_path` is the specification's (SV2 5.3.15, `NewExtendedMiningJob`):
//! the nodes that the coinbase's hash is joined with from the right, deepest first.

use crate::sha256d::hash_pair;

/// The tree's root, from the coinbase's txid and the path. An empty path: the coinbase is alone.
#[must_use]
pub fn root(coinbase_txid: [u8; 32], path: &[[u8; 32]]) -> [u8; 32] {
    path.iter().fold(coinbase_txid, |node, sibling| hash_pair(&node, sibling))
}

/// The coinbase's path, from the txids of the block's other transactions in their order.
#[must_use]
pub fn path(other_txids: &[[u8; 32]]) -> Vec<[u8; 32]> {
    // A level holds all its nodes but the first one, which depends on the coinbase.
    let mut level = other_txids.to_vec();
    let mut path = Vec::new();
    while let Some(sibling) = level.first() {
        path.push(*sibling);
        // A level of odd length ends with its last node twice; the level has one node more than the vector.
        level =
            level[1..].chunks(2).map(|pair| hash_pair(&pair[0], pair.last().unwrap_or(&pair[0]))).collect();
    }
    path
}

#[cfg(test)]
mod tests {
    use bitcoin::hashes::{Hash as _, sha256d};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_coinbase_alone_is_the_root() {
        assert_eq!(path(&[]), Vec::<[u8; 32]>::new());
        assert_eq!(root([7; 32], &[]), [7; 32]);
    }

    proptest! {
        #[test]
        fn the_path_leads_to_the_bitcoin_crates_root(
            coinbase: [u8; 32],
            others in proptest::collection::vec(any::<[u8; 32]>(), 0..70),
        ) {
            let leaves = std::iter::once(&coinbase).chain(&others).map(|leaf| sha256d::Hash::from_byte_array(*leaf));
            let slow = bitcoin::merkle_tree::calculate_root(leaves).unwrap();
            let path = path(&others);
            prop_assert_eq!(root(coinbase, &path), slow.to_byte_array());
            prop_assert_eq!(path.len(), (others.len() + 1).next_power_of_two().trailing_zeros() as usize);
        }
    }
}
