//! The proof-of-work domain: target, difficulty, header, coinbase, merkle path, job, extranonce split,
//! share validator, vardiff, hashrate.
//!
//! Everything here is arithmetic on arguments: no sockets, no clock, no randomness of its own. Times are
//! [`Seconds`] that the caller read, hash seeds and random starts are parameters, so that the same crate runs
//! in the product and in the simulator.
//!
//! # The walk of a job
//! An upstream's job becomes one [`Job`] (checked once: its coinbase must be one that a node would take), a
//! [`ChannelJob`] for each channel that it stands on (the extranonce prefix in force for this job folded into
//! a SHA-256 midstate), and one entry in the [`Validator`] of every miner that it is advertised to.
//!
//! # The walk of a share
//! [`Validator::judge`] looks the job up by the id that this miner was given, and judges the share by the job
//! and the target *as they were advertised*. The verdict is a type: [`Verdict::Valid`], or
//! [`Verdict::Rejected`] with a [`Reject`] reason, and, when the hash meets the network's target all the same,
//! with the solution, because a block leaves before any accounting.
//!
//! # Byte order
//! Hashes stand in *internal* order everywhere: as SHA-256 gave them and as they stand in a header, which
//! read as a number is little-endian. Only [`BlockHash`]'s `Display` turns them around, as explorers do.

mod block_hash;
mod channel_job;
pub mod coinbase;
mod constraints;
mod difficulty;
mod duplicates;
mod extranonce;
pub mod hashrate;
mod header;
mod job;
mod job_ring;
mod lease_tag;
pub mod merkle;
mod miner_ids;
mod seconds;
pub mod sha256d;
mod target;
mod template;
mod validator;
pub mod vardiff;
mod verdict;

pub use block_hash::BlockHash;
pub use channel_job::{
    ChannelJob, ChannelJobError, ChannelTerms, DEFAULT_NTIME_SLACK, MAX_NTIME_SLACK, SourceId,
};
pub use constraints::CoinbaseConstraints;
pub use difficulty::{Difficulty, DifficultyError};
pub use extranonce::{Extranonce, ExtranonceSplit, MAX_EXTRANONCE, MAX_SV1_EXTRANONCE2, SplitError};
pub use header::Header;
pub use job::{Job, JobError, JobParts, MAX_COINBASE_PART, MAX_MERKLE_PATH};
pub use lease_tag::{LeaseTag, LeaseTagError, MAX_LEASE_TAG};
pub use miner_ids::{Epoch, Exhausted, MAX_MINER_ID, MinerId, MinerIdError, MinerIds, MinerIdsLimits};
pub use seconds::Seconds;
pub use target::{CompactError, Target};
pub use template::{
    BlockError, MAX_BLOCK_WEIGHT, Template, TemplateError, TemplateParts, TemplateTransaction, whole_block,
};
pub use validator::{AdvertiseError, Advertised, Limits, Submission, Validator};
pub use verdict::{Reject, ValidShare, Verdict};
