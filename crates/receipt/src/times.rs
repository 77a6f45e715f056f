//! What a share's times may be.

use thiserror::Error;

use crate::header::Header;
use crate::job::{Job, Share};

/// How far a header's time may be from when its share came, in seconds either way. Nodes take headers up to two hours ahead
/// of their clocks; a job's time may lag by as much before a miner that rolls nothing ends it.
pub const NTIME_TOLERANCE: u64 = 7_200;

/// Why a share's times are wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TimeError {
    /// It came before or after the period.
    #[error("a share came at {at}, outside the period from {from} to {to}")]
    Outside {
        /// When it came.
        at: u64,
        /// The period's beginning.
        from: u64,
        /// Its end.
        to: u64,
    },
    /// Its header's time is too far from that.
    #[error("a share came at {at} with ntime {ntime}: more than {NTIME_TOLERANCE} s away")]
    Ntime {
        /// When it came.
        at: u64,
        /// The header's time.
        ntime: u32,
    },
    /// Its header's time is before its job's.
    #[error("a share has ntime {ntime}, below its job's min_ntime {min_ntime}")]
    BelowJob {
        /// The header's time.
        ntime: u32,
        /// The job's.
        min_ntime: u32,
    },
}

/// Checks when a share came, and its header's time.
pub(crate) fn check(share: &Share, job: &Job, header: &Header) -> Result<(), TimeError> {
    let Share { at, ntime, .. } = *share;
    let Header { from, to, .. } = *header;
    if at < from || at > to {
        return Err(TimeError::Outside { at, from, to });
    }
    if at.abs_diff(u64::from(ntime)) > NTIME_TOLERANCE {
        return Err(TimeError::Ntime { at, ntime });
    }
    if ntime < job.min_ntime {
        return Err(TimeError::BelowJob { ntime, min_ntime: job.min_ntime });
    }
    Ok(())
}
