//! What became of a share.

use std::sync::Arc;

use thiserror::Error;

use crate::block_hash::BlockHash;
use crate::channel_job::ChannelJob;
use crate::difficulty::Difficulty;
use crate::extranonce::Extranonce;
use crate::header::Header;
use crate::target::Target;

/// The judgement of one share.
#[derive(Clone, Debug)]
pub enum Verdict<'a> {
    /// It counts.
    Valid(ValidShare<'a>),
    /// It does not.
    Rejected {
        /// Why.
        reason: Reject,
        /// The share all the same, when its hash meets the *network's* target: a block is sent on whatever is wrong
        /// with it as a share (late, `ntime` out of range...). Given once for each hash.
        solution: Option<ValidShare<'a>>,
    },
}

impl<'a> Verdict<'a> {
    /// The share to send as a block, before anything else is done: valid or not.
    #[must_use]
    pub fn solution(&self) -> Option<&ValidShare<'a>> {
        match self {
            Self::Valid(share) => share.is_block.then_some(share),
            Self::Rejected { solution, .. } => solution.as_ref(),
        }
    }
}

/// A share whose hash was computed, with all that it takes to send it on.
#[derive(Clone, Debug)]
pub struct ValidShare<'a> {
    /// The job, as it stood on its channel.
    pub job: &'a Arc<ChannelJob>,
    /// The whole rollable extranonce, for `SubmitSharesExtended`: filler, miner id, extranonce2.
    pub extranonce: Extranonce,
    /// The header that was hashed.
    pub header: Header,
    /// Its hash.
    pub hash: BlockHash,
    /// The target that the miner was told with this job: what it is credited.
    pub credited: Target,
    /// The difficulty of `credited`.
    pub difficulty: Difficulty,
    /// The hash meets the source's target for this job: send it on.
    pub meets_source: bool,
    /// The hash meets the network's target: a block. Send it on every path, before accounting.
    pub is_block: bool,
    /// The job is on the tip of the last job that this miner was sent.
    pub on_live_tip: bool,
}

/// Why a share does not count. The text says what came and what would have been right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Reject {
    /// This miner was never sent the job, or so long ago that it is forgotten.
    #[error("no job {job_id:x} is known to this miner")]
    UnknownJob {
        /// The id that came.
        job_id: u32,
    },
    /// The job was replaced by one with `clean_jobs`.
    #[error("job {job_id:x} is stale: a job with clean_jobs came after it")]
    Stale {
        /// The job.
        job_id: u32,
    },
    /// The same header was sent before.
    #[error("the same share was sent before")]
    Duplicate,
    /// The hash is above the target that the miner was told with this job.
    #[error("hash {hash} is above this job's target {target}")]
    AboveTarget {
        /// The hash.
        hash: BlockHash,
        /// The target as it was advertised.
        target: Target,
    },
    /// `ntime` is before the job's or too far ahead.
    #[error("ntime {got} is out of range: {min} to {max} at this moment")]
    NtimeOutOfRange {
        /// What came, Unix seconds.
        got: u32,
        /// The job's `min_ntime`.
        min: u32,
        /// The largest one now.
        max: u32,
    },
    /// Version bits that may not be rolled.
    #[error("version bits {got:08x} are outside the mask {mask:08x}")]
    VersionBitsOutsideMask {
        /// The bits that came.
        got: u32,
        /// The bits that may be rolled; 0 where the job forbids it.
        mask: u32,
    },
    /// An extranonce2 of another size than the miner was told.
    #[error("extranonce2 has {got} bytes instead of {expected}")]
    WrongExtranonce2Size {
        /// The size that came, in bytes.
        got: usize,
        /// The size that was told.
        expected: u8,
    },
    /// So many shares on this tip that no more can be told from duplicates.
    #[error("{limit} shares on one tip: no more can be checked for duplicates until the next block")]
    DuplicateWindowFull {
        /// The limit.
        limit: u32,
    },
}

impl Reject {
    /// Every reason's [`as_str`](Self::as_str), in a stable order: the labels of a metric.
    pub const REASONS: [&'static str; 8] = [
        "unknown_job",
        "stale",
        "duplicate",
        "above_target",
        "ntime_out_of_range",
        "version_bits_outside_mask",
        "wrong_extranonce2_size",
        "duplicate_window_full",
    ];

    /// The reason's stable name, for metrics and books.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        Self::REASONS[self.index()]
    }

    /// The reason's place in [`REASONS`](Self::REASONS).
    #[must_use]
    pub const fn index(&self) -> usize {
        match self {
            Self::UnknownJob { .. } => 0,
            Self::Stale { .. } => 1,
            Self::Duplicate => 2,
            Self::AboveTarget { .. } => 3,
            Self::NtimeOutOfRange { .. } => 4,
            Self::VersionBitsOutsideMask { .. } => 5,
            Self::WrongExtranonce2Size { .. } => 6,
            Self::DuplicateWindowFull { .. } => 7,
        }
    }

    /// SV1's error code: 21 job not found, 22 duplicate, 23 low difficulty, 20 for all else.
    #[must_use]
    pub const fn sv1_code(&self) -> u16 {
        match self {
            Self::UnknownJob { .. } | Self::Stale { .. } => 21,
            Self::Duplicate => 22,
            Self::AboveTarget { .. } => 23,
            Self::NtimeOutOfRange { .. }
            | Self::VersionBitsOutsideMask { .. }
            | Self::WrongExtranonce2Size { .. }
            | Self::DuplicateWindowFull { .. } => 20,
        }
    }
}
