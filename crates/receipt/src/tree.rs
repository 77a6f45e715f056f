//! The merkle tree over the shares, as it grows.
//!
//! It has the shape of RFC 6962: left of each node stands the largest power of two of leaves that leaves some for the right.
//! Leaves, nodes and the root are hashed under tags of their own, and the root says how many leaves there are, so that
//! neither passes for another.

use crate::tagged;

/// A tree of which only the roots of its whole subtrees are kept: 32 bytes for each bit of the number of leaves.
#[derive(Clone, Debug, Default)]
pub struct RunningRoot {
    /// Height and hash of each whole subtree, the largest first.
    peaks: Vec<(u32, [u8; 32])>,
    leaves: u64,
}

impl RunningRoot {
    /// Adds a leaf ([`crate::Share::leaf`]).
    pub fn push(&mut self, leaf: [u8; 32]) {
        self.leaves = self.leaves.saturating_add(1);
        let mut top = (0, leaf);
        while let Some((height, left)) = self.peaks.pop_if(|(height, _)| *height == top.0) {
            top = (height + 1, tagged::hash(tagged::NODE, &[&left, &top.1]));
        }
        self.peaks.push(top);
    }

    /// How many leaves there are.
    #[must_use]
    pub fn leaves(&self) -> u64 {
        self.leaves
    }

    /// The root so far. Of no leaves, it is that of 32 zero bytes.
    #[must_use]
    pub fn root(&self) -> [u8; 32] {
        let mut peaks = self.peaks.iter().rev().map(|(_, hash)| *hash);
        let first = peaks.next().unwrap_or_default();
        let top = peaks.fold(first, |right, left| tagged::hash(tagged::NODE, &[&left, &right]));
        tagged::hash(tagged::ROOT, &[&self.leaves.to_le_bytes(), &top])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6962, 2.1, word for word.
    fn slow(leaves: &[[u8; 32]]) -> [u8; 32] {
        match leaves {
            [] => [0; 32],
            [leaf] => *leaf,
            _ => {
                let k = 1 << (leaves.len() - 1).ilog2();
                tagged::hash(tagged::NODE, &[&slow(&leaves[..k]), &slow(&leaves[k..])])
            }
        }
    }

    #[test]
    fn it_is_rfc_6962s_tree() {
        let mut tree = RunningRoot::default();
        let mut leaves = Vec::new();
        for n in 0..70_u8 {
            let count = leaves.len() as u64;
            assert_eq!(tree.leaves(), count);
            assert_eq!(tree.root(), tagged::hash(tagged::ROOT, &[&count.to_le_bytes(), &slow(&leaves)]));
            tree.push([n; 32]);
            leaves.push([n; 32]);
        }
    }
}
