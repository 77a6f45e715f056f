//! Proof of work as the miner and the load generator do it: own code over `sha2`, apart from crate `work`,
//! so that the two check each other.

use sha2::digest::generic_array::GenericArray;
use sha2::{Digest, Sha256, compress256};

/// Initial state of SHA-256.
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// SHA-256 of the SHA-256 of some bytes.
pub fn sha256d(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(Sha256::digest(bytes)).into()
}

/// Folds a coinbase id through a merkle path, deepest step first. Everything in internal byte order.
pub fn merkle_root(coinbase_txid: [u8; 32], path: &[[u8; 32]]) -> [u8; 32] {
    let mut node = coinbase_txid;
    let mut pair = [0_u8; 64];
    for step in path {
        pair[..32].copy_from_slice(&node);
        pair[32..].copy_from_slice(step);
        node = sha256d(&pair);
    }
    node
}

/// What a block header is made of, apart from the nonce.
#[derive(Clone, Copy, Debug)]
pub struct HeaderFields {
    /// Header version.
    pub version: u32,
    /// Parent, internal byte order.
    pub prev_hash: [u8; 32],
    /// Merkle root, internal byte order.
    pub merkle_root: [u8; 32],
    /// Unix seconds.
    pub ntime: u32,
    /// Network target, compact.
    pub nbits: u32,
}

/// Hashes one header under many nonces: the first 64 bytes are compressed once.
#[derive(Clone, Debug)]
pub struct HeaderHasher {
    midstate: [u32; 8],
    /// Merkle root's end, time and bits; the nonce goes behind them.
    tail: [u8; 12],
}

impl HeaderHasher {
    /// Prepares a header.
    pub fn new(header: &HeaderFields) -> HeaderHasher {
        let mut head = [0_u8; 64];
        head[..4].copy_from_slice(&header.version.to_le_bytes());
        head[4..36].copy_from_slice(&header.prev_hash);
        head[36..].copy_from_slice(&header.merkle_root[..28]);
        let mut midstate = INITIAL;
        compress(&mut midstate, &head);
        let mut tail = [0_u8; 12];
        tail[..4].copy_from_slice(&header.merkle_root[28..]);
        tail[4..8].copy_from_slice(&header.ntime.to_le_bytes());
        tail[8..].copy_from_slice(&header.nbits.to_le_bytes());
        HeaderHasher { midstate, tail }
    }

    /// The header's hash under this nonce.
    pub fn hash(&self, nonce: u32) -> HeaderHash {
        let mut block = [0_u8; 64];
        block[..12].copy_from_slice(&self.tail);
        block[12..16].copy_from_slice(&nonce.to_le_bytes());
        block[16] = 0x80;
        block[62..].copy_from_slice(&640_u16.to_be_bytes());
        let mut inner = self.midstate;
        compress(&mut inner, &block);

        let mut block = [0_u8; 64];
        for (bytes, word) in block.chunks_exact_mut(4).zip(inner) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        block[32] = 0x80;
        block[62..].copy_from_slice(&256_u16.to_be_bytes());
        let mut outer = INITIAL;
        compress(&mut outer, &block);
        HeaderHash(outer)
    }
}

fn compress(state: &mut [u32; 8], block: &[u8; 64]) {
    compress256(state, std::slice::from_ref(GenericArray::from_slice(block)));
}

/// Hash of a header, as SHA-256 leaves it: eight big-endian words of the internal byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderHash([u32; 8]);

impl HeaderHash {
    /// The hash in internal byte order.
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0_u8; 32];
        for (bytes, word) in bytes.chunks_exact_mut(4).zip(self.0) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    /// Whether the hash, read as a little-endian number, is at or below the target.
    pub fn meets(self, target: &Target) -> bool {
        let word = |index: usize| self.0[index].swap_bytes();
        let high = u64::from(word(7)) << 32 | u64::from(word(6));
        if high != target.0[3] {
            // Decides nearly always.
            return high < target.0[3];
        }
        let limb = |index: usize| u64::from(word(2 * index + 1)) << 32 | u64::from(word(2 * index));
        [limb(2), limb(1), limb(0)] <= [target.0[2], target.0[1], target.0[0]]
    }
}

/// A share target: 256 bits in four limbs, the least significant first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target([u64; 4]);

impl Target {
    /// The target that every hash meets.
    pub const MAX: Target = Target([u64::MAX; 4]);

    /// The target of an SV1 difficulty: `0xffff x 2^208 / difficulty`, rounded down to 53 significant bits.
    ///
    /// Difficulties below about 2.3e-10 give [`Target::MAX`]; zero, negative numbers and NaN do as well, since a
    /// server that sends them asks for nothing.
    pub fn from_difficulty(difficulty: f64) -> Target {
        if difficulty.is_nan() || difficulty <= 0.0 {
            return Target::MAX;
        }
        let quotient = 65_535.0 / difficulty;
        if !quotient.is_normal() {
            return if quotient.is_infinite() { Target::MAX } else { Target([0; 4]) };
        }
        let bits = quotient.to_bits();
        let mantissa = (bits & ((1 << 52) - 1)) | 1 << 52;
        // quotient = mantissa x 2^exponent; the target is that x 2^208.
        let exponent = i64::try_from(bits >> 52 & 0x7ff).expect("eleven bits fit") - 1_075 + 208;
        if exponent + 53 > 256 {
            return Target::MAX;
        }
        let Ok(shift) = u32::try_from(exponent) else {
            let lost = u32::try_from(-exponent).unwrap_or(u32::MAX);
            return Target([mantissa.checked_shr(lost).unwrap_or(0), 0, 0, 0]);
        };
        let mut limbs = [0_u64; 4];
        let (limb, bit) = ((shift / 64) as usize, shift % 64);
        limbs[limb] = mantissa << bit;
        if bit > 0 && limb < 3 {
            limbs[limb + 1] = mantissa >> (64 - bit);
        }
        Target(limbs)
    }

    /// A target of 32 bytes, least significant first, as SV2 carries it.
    pub fn from_le_bytes(bytes: [u8; 32]) -> Target {
        let mut limbs = [0; 4];
        for (limb, bytes) in limbs.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *limb = u64::from_le_bytes(*bytes);
        }
        Target(limbs)
    }

    /// The target as 32 bytes, least significant first.
    pub fn to_le_bytes(self) -> [u8; 32] {
        let mut bytes = [0_u8; 32];
        for (bytes, limb) in bytes.chunks_exact_mut(8).zip(self.0) {
            bytes.copy_from_slice(&limb.to_le_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::block::{Header, Version};
    use bitcoin::hashes::Hash;
    use bitcoin::{BlockHash, CompactTarget, TxMerkleNode};

    use super::*;

    fn fields() -> HeaderFields {
        HeaderFields {
            version: 0x2000_e000,
            prev_hash: std::array::from_fn(|n| u8::try_from(n).unwrap()),
            merkle_root: std::array::from_fn(|n| u8::try_from(n * 5).unwrap()),
            ntime: 1_700_000_000,
            nbits: 0x1d00_ffff,
        }
    }

    #[test]
    fn the_header_hash_is_bitcoins() {
        let fields = fields();
        let hasher = HeaderHasher::new(&fields);
        for nonce in [0, 1, 0x1234_5678, u32::MAX] {
            let header = Header {
                version: Version::from_consensus(fields.version.cast_signed()),
                prev_blockhash: BlockHash::from_byte_array(fields.prev_hash),
                merkle_root: TxMerkleNode::from_byte_array(fields.merkle_root),
                time: fields.ntime,
                bits: CompactTarget::from_consensus(fields.nbits),
                nonce,
            };
            assert_eq!(hasher.hash(nonce).to_bytes(), header.block_hash().to_byte_array());
        }
    }

    #[test]
    fn difficulty_one_is_the_well_known_target() {
        let one = bitcoin::Target::from_compact(CompactTarget::from_consensus(0x1d00_ffff));
        assert_eq!(Target::from_difficulty(1.0).to_le_bytes(), one.to_le_bytes());
    }

    #[test]
    fn targets_agree_with_bitcoins_idea_of_difficulty() {
        for difficulty in [1e-9, 3.7e-5, 0.5, 1.0, 7.0, 65_536.0, 1e12, 1.23e25] {
            let target = bitcoin::Target::from_le_bytes(Target::from_difficulty(difficulty).to_le_bytes());
            let ratio = target.difficulty_float() / difficulty;
            assert!((ratio - 1.0).abs() < 1e-9, "{difficulty}: {ratio}");
        }
    }

    #[test]
    fn senseless_difficulties_do_not_panic() {
        for difficulty in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE, 1e300, 1e-300, 5e-324] {
            Target::from_difficulty(difficulty);
        }
        assert_eq!(Target::from_difficulty(1e-11), Target::MAX);
    }

    #[test]
    fn a_hash_meets_its_own_value_and_no_less() {
        let hash = HeaderHasher::new(&fields()).hash(7);
        let bytes = hash.to_bytes();
        let limb = |index: usize| u64::from_le_bytes(bytes[8 * index..8 * index + 8].try_into().unwrap());
        let own = [limb(0), limb(1), limb(2), limb(3)];
        assert!(hash.meets(&Target(own)));
        for index in 0..4 {
            let mut less = own;
            less[index] -= 1;
            assert!(!hash.meets(&Target(less)));
            let mut more = own;
            more[index] += 1;
            assert!(hash.meets(&Target(more)));
        }
    }
}
