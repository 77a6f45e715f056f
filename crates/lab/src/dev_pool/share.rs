//! Judging shares, with the `bitcoin` crate's header hash and target.

use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Target};
use sv2::error_code;

use super::channel::Goal;
use super::work::{PoolJob, ShareFields};

/// Version bits that may be rolled (BIP 323).
pub(super) const VERSION_ROLLING_MASK: u32 = 0x1fff_ffe0;

/// How far a share's time may be ahead of its job's smallest, seconds.
pub(super) const MAX_NTIME_AHEAD: u32 = 7_200;

/// Why a share is refused; the reference's codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    InvalidChannelId,
    InvalidJobId,
    StaleShare,
    BadExtranonceSize,
    InvalidShare,
    VersionRollingNotAllowed,
    InvalidNonRollableVersionBit,
    DifficultyTooLow,
    DuplicateShare,
}

impl Refusal {
    /// In the order of their numbers.
    pub(super) const ALL: [Refusal; 9] = [
        Refusal::InvalidChannelId,
        Refusal::InvalidJobId,
        Refusal::StaleShare,
        Refusal::BadExtranonceSize,
        Refusal::InvalidShare,
        Refusal::VersionRollingNotAllowed,
        Refusal::InvalidNonRollableVersionBit,
        Refusal::DifficultyTooLow,
        Refusal::DuplicateShare,
    ];

    pub(super) fn code(self) -> &'static str {
        match self {
            Refusal::InvalidChannelId => error_code::INVALID_CHANNEL_ID,
            Refusal::InvalidJobId => error_code::INVALID_JOB_ID,
            Refusal::StaleShare => error_code::STALE_SHARE,
            Refusal::BadExtranonceSize => error_code::BAD_EXTRANONCE_SIZE,
            Refusal::InvalidShare => error_code::INVALID_SHARE,
            Refusal::VersionRollingNotAllowed => error_code::VERSION_ROLLING_NOT_ALLOWED,
            Refusal::InvalidNonRollableVersionBit => error_code::INVALID_NON_ROLLABLE_VERSION_BIT,
            Refusal::DifficultyTooLow => error_code::DIFFICULTY_TOO_LOW,
            Refusal::DuplicateShare => error_code::DUPLICATE_SHARE,
        }
    }
}

/// A share that meets its target (or the network's).
#[derive(Clone, Copy, Debug)]
pub(super) struct GoodShare {
    pub(super) hash: BlockHash,
    /// What it is credited with.
    pub(super) difficulty: f64,
    /// Whether it is a block.
    pub(super) is_block: bool,
}

/// What a channel adds to a job.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShareTerms<'a> {
    /// Bytes that a share must bring.
    pub(super) rollable_size: usize,
    /// The channel's extranonce prefix in force for the job.
    pub(super) prefix: &'a [u8],
    /// The channel's target in force for the job.
    pub(super) goal: Goal,
    /// Whether versions may be rolled.
    pub(super) version_rolling: bool,
}

/// Judges a share of a job that is not stale. Duplicates are the caller's.
pub(super) fn judge(
    job: &PoolJob,
    terms: &ShareTerms<'_>,
    share: &ShareFields<'_>,
) -> Result<GoodShare, Refusal> {
    if share.extranonce.len() != terms.rollable_size {
        return Err(Refusal::BadExtranonceSize);
    }
    if share.ntime < job.min_ntime || share.ntime > job.min_ntime.saturating_add(MAX_NTIME_AHEAD) {
        return Err(Refusal::InvalidShare);
    }
    let changed = share.version ^ job.template.version;
    if !terms.version_rolling && changed != 0 {
        return Err(Refusal::VersionRollingNotAllowed);
    }
    if changed & !VERSION_ROLLING_MASK != 0 {
        return Err(Refusal::InvalidNonRollableVersionBit);
    }
    let Goal { target, difficulty } = terms.goal;
    let hash = job.hash(terms.prefix, share);
    let value = Target::from_le_bytes(hash.to_byte_array());
    let is_block = value <= job.template.target;
    if is_block || value <= target {
        Ok(GoodShare { hash, difficulty, is_block })
    } else {
        Err(Refusal::DifficultyTooLow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_stand_at_their_numbers() {
        for (number, reason) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, number);
        }
    }
}
