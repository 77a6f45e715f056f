//! A job, as its upstream gave it: what all channels that it is sent to have in common.

use thiserror::Error;

use crate::coinbase::{self, CoinbaseError};
use crate::extranonce::MAX_EXTRANONCE;
use crate::target::{CompactError, Target};

/// The longest `merkle_path`. A block cannot hold 2^32 transactions; real paths have about 12 nodes.
pub const MAX_MERKLE_PATH: usize = 32;

/// The longest `coinbase_tx_prefix` and `coinbase_tx_suffix` (SV2's `B0_64K`).
pub const MAX_COINBASE_PART: usize = 65_535;

/// What a [`Job`] is built from, named as SV2 names it (5.3.15 `NewExtendedMiningJob`, 5.3.17 `SetNewPrevHash`).
#[derive(Clone, Debug)]
pub struct JobParts {
    /// Upstream's `job_id`.
    pub id: u32,
    /// The header's version, before rolling.
    pub version: u32,
    /// Whether upstream takes shares with rolled version bits.
    pub version_rolling_allowed: bool,
    /// The tip that it builds on, internal order.
    pub prev_hash: [u8; 32],
    /// The network's target in compact form.
    pub nbits: u32,
    /// The smallest `ntime`, Unix seconds.
    pub min_ntime: u32,
    /// The coinbase's merkle path, deepest first, internal order.
    pub merkle_path: Box<[[u8; 32]]>,
    /// The coinbase up to the extranonce, without BIP 141's fields.
    pub coinbase_tx_prefix: Box<[u8]>,
    /// The coinbase after the extranonce, without BIP 141's fields.
    pub coinbase_tx_suffix: Box<[u8]>,
}

/// A job that can be mined: every part was checked when it was built, so none of what follows can fail.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Job {
    /// Upstream's `job_id`.
    pub id: u32,
    /// The header's version, before rolling.
    pub version: u32,
    /// Whether upstream takes shares with rolled version bits.
    pub version_rolling_allowed: bool,
    /// The tip that it builds on, internal order.
    pub prev_hash: [u8; 32],
    /// The network's target in compact form.
    pub nbits: u32,
    /// The network's target: a hash that meets it is a block.
    pub network_target: Target,
    /// The smallest `ntime`, Unix seconds.
    pub min_ntime: u32,
    /// The coinbase's merkle path, deepest first, internal order.
    pub merkle_path: Box<[[u8; 32]]>,
    /// The coinbase up to the extranonce, without BIP 141's fields.
    pub coinbase_tx_prefix: Box<[u8]>,
    /// The coinbase after the extranonce, without BIP 141's fields.
    pub coinbase_tx_suffix: Box<[u8]>,
    /// Bytes of extranonce between them: upstream's prefix and what is rolled.
    pub extranonce_len: u8,
    /// Jobs of another era are worth nothing any more, though the tip may be the same: SV1's `clean_jobs`.
    pub era: u32,
}

impl Job {
    /// Checks and builds a job. `extranonce_len` is the whole extranonce: `extranonce_prefix` and
    /// `extranonce_size` together, the same on every channel that a job is sent to.
    ///
    /// # Errors
    /// A part that is too long, `nbits` that is no target, a coinbase that no node would take.
    pub fn new(parts: JobParts, extranonce_len: usize) -> Result<Self, JobError> {
        let Some(short) = u8::try_from(extranonce_len).ok().filter(|len| usize::from(*len) <= MAX_EXTRANONCE)
        else {
            return Err(JobError::ExtranonceTooLong { got: extranonce_len });
        };
        if parts.merkle_path.len() > MAX_MERKLE_PATH {
            return Err(JobError::MerklePathTooLong { got: parts.merkle_path.len() });
        }
        for (name, part) in [
            ("coinbase_tx_prefix", &parts.coinbase_tx_prefix),
            ("coinbase_tx_suffix", &parts.coinbase_tx_suffix),
        ] {
            if part.len() > MAX_COINBASE_PART {
                return Err(JobError::CoinbaseTooLong { part: name, got: part.len() });
            }
        }
        let network_target = Target::from_compact(parts.nbits)?;
        coinbase::check(&parts.coinbase_tx_prefix, extranonce_len, &parts.coinbase_tx_suffix)?;
        Ok(Self {
            id: parts.id,
            version: parts.version,
            version_rolling_allowed: parts.version_rolling_allowed,
            prev_hash: parts.prev_hash,
            nbits: parts.nbits,
            network_target,
            min_ntime: parts.min_ntime,
            merkle_path: parts.merkle_path,
            coinbase_tx_prefix: parts.coinbase_tx_prefix,
            coinbase_tx_suffix: parts.coinbase_tx_suffix,
            extranonce_len: short,
            era: 0,
        })
    }
}

impl Job {
    /// The same job in an era of its own, for upstreams that may call all earlier jobs off at any time.
    #[must_use]
    pub fn of_era(self, era: u32) -> Self {
        Self { era, ..self }
    }
}

/// Why something is no job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum JobError {
    /// The extranonce is too long.
    #[error("an extranonce of {got} bytes: at most {MAX_EXTRANONCE} fit SV2's B0_32")]
    ExtranonceTooLong {
        /// Prefix and rollable space.
        got: usize,
    },
    /// The merkle path is too long.
    #[error("a merkle path of {got} nodes: no block needs more than {MAX_MERKLE_PATH}")]
    MerklePathTooLong {
        /// Its length.
        got: usize,
    },
    /// A half of the coinbase is too long.
    #[error("{part} has {got} bytes: at most {MAX_COINBASE_PART} fit SV2's B0_64K")]
    CoinbaseTooLong {
        /// Which half.
        part: &'static str,
        /// Its length.
        got: usize,
    },
    /// `nbits` is no target.
    #[error(transparent)]
    Nbits(#[from] CompactError),
    /// The coinbase is none that a node would take.
    #[error(transparent)]
    Coinbase(#[from] CoinbaseError),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A coinbase with 20 bytes of script, the last 8 of them cut out.
    fn parts() -> JobParts {
        let prefix =
            hex::decode(format!("0200000001{}ffffffff14{}", "00".repeat(32), "03".repeat(12))).unwrap();
        let suffix = hex::decode("ffffffff0100f2052a01000000015100000000").unwrap();
        JobParts {
            id: 1,
            version: 0x2000_0000,
            version_rolling_allowed: true,
            prev_hash: [1; 32],
            nbits: 0x1d00_ffff,
            min_ntime: 1_700_000_000,
            merkle_path: Box::default(),
            coinbase_tx_prefix: prefix.into(),
            coinbase_tx_suffix: suffix.into(),
        }
    }

    #[test]
    fn a_job_knows_its_network_target() {
        let job = Job::new(parts(), 8).unwrap();
        assert_eq!((job.network_target, job.extranonce_len), (Target::DIFFICULTY_1, 8));
    }

    #[test]
    fn parts_that_cannot_be_mined_are_refused_with_the_reason() {
        assert_eq!(Job::new(parts(), 33), Err(JobError::ExtranonceTooLong { got: 33 }));
        assert_eq!(Job::new(parts(), 264), Err(JobError::ExtranonceTooLong { got: 264 }));
        let short = JobParts { coinbase_tx_suffix: Box::default(), ..parts() };
        assert_eq!(Job::new(short, 8), Err(JobError::Coinbase(CoinbaseError::Truncated)));
        assert!(matches!(Job::new(parts(), 7), Err(JobError::Coinbase(_))), "another extranonce's length");
        let long = JobParts { merkle_path: vec![[0; 32]; 33].into(), ..parts() };
        assert_eq!(Job::new(long, 8), Err(JobError::MerklePathTooLong { got: 33 }));
        let zero = JobParts { nbits: 0, ..parts() };
        assert_eq!(Job::new(zero, 8), Err(JobError::Nbits(CompactError::Zero { nbits: 0 })));
        let long = JobParts { coinbase_tx_suffix: vec![0; 65_536].into(), ..parts() };
        assert_eq!(
            Job::new(long, 8),
            Err(JobError::CoinbaseTooLong { part: "coinbase_tx_suffix", got: 65_536 })
        );
    }
}
