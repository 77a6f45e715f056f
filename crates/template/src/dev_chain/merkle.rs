//! Merkle paths of the coinbase: what a miner folds its coinbase id through to get the merkle root.

use bitcoin::TxMerkleNode;
use bitcoin::hashes::{Hash, HashEngine};

/// The merkle path of the transaction at position 0, from the deepest step up, given the ids of all
/// *other* transactions in block order (internal byte order).
///
/// It has `ceil(log2(n + 1))` steps for `n` other transactions, none for none.
pub fn merkle_path_of_coinbase(others: &[[u8; 32]]) -> Vec<[u8; 32]> {
    let mut path = Vec::new();
    // Position 0 stays unknown on every level; `level` is everything to its right.
    let mut level: Vec<[u8; 32]> = others.to_vec();
    while let Some(&sibling) = level.first() {
        path.push(sibling);
        let mut above = Vec::with_capacity(level.len() / 2 + 1);
        let mut rest = level[1..].chunks_exact(2);
        for pair in &mut rest {
            above.push(hash_pair(&pair[0], &pair[1]));
        }
        // An odd level ends with its last node paired with itself.
        if let [last] = rest.remainder() {
            above.push(hash_pair(last, last));
        }
        level = above;
    }
    path
}

/// Folds a coinbase id through a merkle path; the result is the merkle root (internal byte order).
pub fn fold_merkle_path(coinbase_txid: [u8; 32], path: &[[u8; 32]]) -> [u8; 32] {
    path.iter().fold(coinbase_txid, |node, step| hash_pair(&node, step))
}

fn hash_pair(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut engine = TxMerkleNode::engine();
    engine.input(left);
    engine.input(right);
    TxMerkleNode::from_engine(engine).to_byte_array()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_the_path_gives_the_root_of_the_whole_tree() {
        for others in 0..70_u8 {
            let leaves: Vec<TxMerkleNode> =
                (0..=others).map(|n| TxMerkleNode::from_byte_array([n; 32])).collect();
            let rest: Vec<[u8; 32]> = leaves[1..].iter().map(|leaf| leaf.to_byte_array()).collect();
            let path = merkle_path_of_coinbase(&rest);
            let root = bitcoin::merkle_tree::calculate_root(leaves.iter().copied()).unwrap();
            assert_eq!(fold_merkle_path([0; 32], &path), root.to_byte_array(), "{others} others");
            assert_eq!(path.len(), (usize::from(others) + 1).next_power_of_two().trailing_zeros() as usize);
        }
    }
}
