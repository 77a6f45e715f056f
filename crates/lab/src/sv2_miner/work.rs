//! What is to be hashed on a channel.

use std::sync::Arc;

use crate::pow::{HeaderFields, HeaderHasher, Target, merkle_root, sha256d};
use crate::sv2_miner::Share;

/// Bits of a version that are rolled (BIP 320).
const VERSION_BITS: u32 = 0x1fff_e000;
/// Nonces that are tried with one extranonce.
const NONCES: u64 = 1 << 20;

/// An extended job.
#[derive(Debug)]
pub struct Extended {
    /// Header version.
    pub version: u32,
    /// Whether it may be rolled.
    pub rolls_version: bool,
    /// The coinbase before the extranonce.
    pub coinbase_tx_prefix: Vec<u8>,
    /// The coinbase after it.
    pub coinbase_tx_suffix: Vec<u8>,
    /// From the coinbase to the root.
    pub merkle_path: Vec<[u8; 32]>,
}

/// A job as it came.
#[derive(Clone, Debug)]
pub enum JobBody {
    /// The root is given.
    Standard {
        /// Header version.
        version: u32,
        /// Merkle root.
        merkle_root: [u8; 32],
    },
    /// The root is to be made.
    Extended(Arc<Extended>),
}

/// A job on its tip, as a channel mines it.
#[derive(Clone, Debug)]
pub struct Work {
    /// The channel.
    pub channel_id: u32,
    /// The job.
    pub job_id: u32,
    /// What came.
    pub body: JobBody,
    /// The extranonce's fixed part.
    pub prefix: Vec<u8>,
    /// Bytes that are rolled.
    pub extranonce_size: usize,
    /// The block before.
    pub prev_hash: [u8; 32],
    /// Network target.
    pub nbits: u32,
    /// The smallest time.
    pub ntime: u32,
    /// What makes a hash a share.
    pub target: [u8; 32],
}

impl Work {
    /// Tries so many hashes, from place `from` of the channel's search space on, and calls `found` for each share. Places
    /// that were tried once are not to be tried again: jobs may differ in nothing.
    pub fn scan(&self, from: u64, hashes: u64, mut found: impl FnMut(Share)) {
        let target = Target::from_le_bytes(self.target);
        let mut at = from;
        let end = from.saturating_add(hashes);
        while at < end {
            let (row, first) = (at / NONCES, at % NONCES);
            let last = NONCES.min(first + (end - at));
            let (header, extranonce) = self.header(row);
            let hasher = HeaderHasher::new(&header);
            for offset in first..last {
                let nonce = self.nonce(row, offset);
                if hasher.hash(nonce).meets(&target) {
                    found(Share {
                        channel_id: self.channel_id,
                        job_id: self.job_id,
                        nonce,
                        ntime: header.ntime,
                        version: header.version,
                        extranonce: extranonce.clone(),
                    });
                }
            }
            at += last - first;
        }
    }

    /// A standard channel goes through all nonces before it rolls the version.
    fn nonce(&self, row: u64, offset: u64) -> u32 {
        let row = if self.extranonce_size == 0 { row } else { 0 };
        u32::try_from((row * NONCES + offset) & u64::from(u32::MAX)).unwrap_or(0)
    }

    /// Rows of the search space that have all nonces of a header: each row has its own part of them on a standard channel,
    /// and a header of its own on an extended one.
    pub fn rows_of_all_nonces(&self) -> u64 {
        if self.extranonce_size == 0 { 1 + u64::from(u32::MAX) / NONCES } else { 1 }
    }

    /// Hashes that a share takes on average.
    pub fn hashes_per_share(&self) -> f64 {
        hashes_of(self.target)
    }

    /// The difficulty of its shares.
    pub fn difficulty(&self) -> f64 {
        self.hashes_per_share() / 4_294_967_296.0
    }

    /// The header of a row of the search space, and the extranonce that it has.
    pub fn header(&self, row: u64) -> (HeaderFields, Vec<u8>) {
        let size = self.extranonce_size;
        let mut extranonce = vec![0; size];
        let bytes = row.to_be_bytes();
        let used = size.min(bytes.len());
        extranonce[size - used..].copy_from_slice(&bytes[bytes.len() - used..]);
        let (version, rolls, merkle_root) = match &self.body {
            JobBody::Standard { version, merkle_root } => (*version, true, *merkle_root),
            JobBody::Extended(job) => {
                let coinbase =
                    [&*job.coinbase_tx_prefix, &self.prefix, &extranonce, &*job.coinbase_tx_suffix].concat();
                (job.version, job.rolls_version, merkle_root(sha256d(&coinbase), &job.merkle_path))
            }
        };
        // Rolled always, as firmware does: by the row on extended channels, after all nonces on standard ones.
        let turn = row / self.rows_of_all_nonces();
        let bits = u32::try_from(turn & 0xffff).unwrap_or(0) << 13;
        let version = if rolls { (version & !VERSION_BITS) | bits } else { version };
        let header = HeaderFields {
            version,
            prev_hash: self.prev_hash,
            merkle_root,
            ntime: self.ntime,
            nbits: self.nbits,
        };
        (header, extranonce)
    }
}

/// Hashes that a share of this target takes on average.
fn hashes_of(target: [u8; 32]) -> f64 {
    let top = target.iter().rev().take(8).fold(0_u64, |top, byte| top << 8 | u64::from(*byte));
    #[expect(clippy::cast_precision_loss, reason = "an average")]
    let part = (top as f64 + 1.0) / 18_446_744_073_709_551_616.0;
    1.0 / part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_counted_by_the_target() {
        assert!((hashes_of([0xff; 32]) - 1.0).abs() < 1e-9);
        let difficulty_1 = Target::from_difficulty(1.0).to_le_bytes();
        assert!((hashes_of(difficulty_1) / 4_294_967_296.0 - 1.0).abs() < 1e-3);
    }
}
