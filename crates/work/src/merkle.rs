//! The merkle tree, seen from its first leaf, the coinbase.
//!
//! All hashes are in internal order. `merkle_path` is the specification's (SV2 5.3.15, `NewExtendedMiningJob`):
//! the nodes that the coinbase's hash is joined with from the right, deepest first.

use crate::sha256d::hash_pair;

/// The tree's root, from the coinbase's txid and the path. An empty path: the coinbase is alone.
#[must_use]
pub fn root(coinbase_txid: [u8; 32], path: &[[u8; 32]]) -> [u8; 32] {
    path.iter()
        .fold(coinbase_txid, |node, sibling| hash_pair(&node, sibling))
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
        level = level[1..]
            .chunks(2)
            .map(|pair| hash_pair(&pair[0], pair.last().unwrap_or(&pair[0])))
            .collect();
    }
    path
}
