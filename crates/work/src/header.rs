//! The 80 bytes that are hashed.

use crate::block_hash::BlockHash;
use crate::sha256d;

/// A block header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// `nVersion`, as the unsigned number that SV2 carries.
    pub version: u32,
    /// The hash of the block before, internal order.
    pub prev_hash: [u8; 32],
    /// The root of the transactions' merkle tree, internal order.
    pub merkle_root: [u8; 32],
    /// `nTime`, Unix seconds.
    pub ntime: u32,
    /// The network's target in compact form.
    pub nbits: u32,
    /// The nonce.
    pub nonce: u32,
}

impl Header {
    /// A header from its 80 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 80]) -> Self {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let mut prev_hash = [0; 32];
        prev_hash.copy_from_slice(&bytes[4..36]);
        let mut merkle_root = [0; 32];
        merkle_root.copy_from_slice(&bytes[36..68]);
        Self { version: word(0), prev_hash, merkle_root, ntime: word(68), nbits: word(72), nonce: word(76) }
    }

    /// The 80 bytes, as they are hashed and sent.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 80] {
        let mut bytes = [0; 80];
        bytes[..4].copy_from_slice(&self.version.to_le_bytes());
        bytes[4..36].copy_from_slice(&self.prev_hash);
        bytes[36..68].copy_from_slice(&self.merkle_root);
        bytes[68..72].copy_from_slice(&self.ntime.to_le_bytes());
        bytes[72..76].copy_from_slice(&self.nbits.to_le_bytes());
        bytes[76..].copy_from_slice(&self.nonce.to_le_bytes());
        bytes
    }

    /// Its double SHA-256.
    #[must_use]
    pub fn hash(&self) -> BlockHash {
        BlockHash::from_bytes(sha256d::hash_header(&self.to_bytes()))
    }
}
