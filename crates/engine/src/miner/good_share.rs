//! A good share on its way: into the books, and to its source.

use std::sync::Arc;
use std::time::Duration;

use work::{BlockHash, Difficulty, Extranonce, Reject, Target, ValidShare, Verdict};

use super::ReplyMode;
use crate::books::{Final, RejectReason, Tally, UnsentReason, Worker};
use crate::evidence::{Evidence, Kept};
use crate::feed::ChannelState;
use crate::ids::{MinerRef, SourceId};
use crate::share::{OutgoingShare, ShareSink};

/// A share that is to be counted or sent, with all that is needed from its job.
#[derive(Debug)]
pub(super) struct GoodShare {
    pub(super) source: SourceId,
    /// The job's channel and tip.
    pub(super) generation: u32,
    pub(super) job_id: u32,
    pub(super) version: u32,
    pub(super) nonce: u32,
    pub(super) ntime: u32,
    extranonce: Extranonce,
    /// The difficulty that the miner is credited.
    pub(super) credited: f64,
    source_difficulty: f64,
    meets_source: bool,
    is_block: bool,
    /// It meets the worker's keep target. Few do.
    kept: Option<Box<Kept>>,
}

/// Who found it, and how it is to be counted.
#[derive(Clone, Copy)]
pub(super) struct Finder<'a> {
    pub(super) tally: &'a Arc<Tally>,
    pub(super) miner: MinerRef,
    /// The worker's name as it goes up.
    pub(super) worker: &'a Arc<str>,
    pub(super) reply: ReplyMode,
    pub(super) now: Duration,
}

/// What the miner is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was good.
    Taken,
    /// What the source makes of it, when it has answered: the number that its answer will have.
    Waits(u32),
    /// It could not be sent.
    Unsent(UnsentReason),
}

impl GoodShare {
    /// What is to be counted or sent of a verdict, or why it is rejected. Late or not, a block goes out, and is counted
    /// as what the source makes of it. `worker` is who is known to have found it, for evidence.
    pub(super) fn of(verdict: Verdict<'_>, worker: Option<&Worker>) -> Result<Self, RejectReason> {
        match verdict {
            Verdict::Valid(share) | Verdict::Rejected { solution: Some(share), .. } => {
                Ok(Self::from(&share, worker))
            }
            Verdict::Rejected { reason, solution: None } => Err(reject_reason(&reason)),
        }
    }

    /// Counts it, and sends it if its source wants it. `channel` is what its job came over, and that channel's tip; `None`
    /// when it is long gone. `next_token` numbers those that wait for the source's answer.
    pub(super) fn send(
        &self,
        channel: Option<(&ChannelState, u32)>,
        finder: Finder<'_>,
        next_token: &mut u32,
        shares: &mut dyn ShareSink,
    ) -> Fate {
        let Finder { tally, miner, .. } = finder;
        tally.verified(miner, self.credited, finder.now);
        if let Some(kept) = &self.kept {
            shares.keep(&Evidence {
                tally,
                job: &kept.job,
                extranonce: &self.extranonce,
                header: &kept.header,
                difficulty: self.credited,
                keep_difficulty: kept.keep_difficulty,
            });
        }
        if self.is_block {
            tally.found_block(miner);
        }
        if !self.meets_source {
            tally.settle_at_once(miner, Final::Local, self.credited, true);
            return Fate::Taken;
        }
        let Some((channel, generation)) = channel.filter(|(channel, _)| channel.takes(self.is_block)) else {
            let why = UnsentReason::NoSource;
            tally.settle_at_once(miner, Final::Unsent(why), self.source_difficulty, false);
            return Fate::Unsent(why);
        };
        let token = (finder.reply == ReplyMode::Source).then(|| {
            *next_token = next_token.wrapping_add(1);
            *next_token
        });
        let share = OutgoingShare {
            channel: channel.key,
            generation,
            job_id: self.job_id,
            nonce: self.nonce,
            ntime: self.ntime,
            version: self.version,
            extranonce: self.extranonce,
            difficulty: self.source_difficulty,
            is_block: self.is_block,
            tally: Arc::clone(tally),
            miner,
            worker: Arc::clone(finder.worker),
            told_true: token.is_none(),
            token,
        };
        // Pending from here on: the source may settle it before `forward` has returned.
        tally.open(miner);
        match shares.forward(share) {
            Ok(()) => token.map_or(Fate::Taken, Fate::Waits),
            Err(why) => {
                tally.settle(miner, Final::Unsent(why), self.source_difficulty, false);
                Fate::Unsent(why)
            }
        }
    }
}

impl GoodShare {
    fn from(share: &ValidShare<'_>, worker: Option<&Worker>) -> Self {
        let kept = worker.and_then(Worker::keep_exponent).filter(|exponent| is_kept(&share.hash, *exponent));
        Self {
            source: SourceId(share.job.source.0),
            generation: share.job.generation,
            job_id: share.job.job.id,
            version: share.header.version,
            nonce: share.header.nonce,
            ntime: share.header.ntime,
            extranonce: share.extranonce,
            credited: share.difficulty.get(),
            source_difficulty: share.job.source_difficulty.get(),
            meets_source: share.meets_source || share.is_block,
            is_block: share.is_block,
            kept: kept.map(|exponent| {
                Box::new(Kept {
                    job: Arc::clone(share.job),
                    header: share.header,
                    keep_difficulty: f64::from(exponent).exp2(),
                })
            }),
        }
    }
}

/// Whether a hash is of difficulty two to the power of this.
fn is_kept(hash: &BlockHash, exponent: i32) -> bool {
    // Nearly all are told apart by the zeros that they begin with: difficulty 1 has 32.
    let [.., a, b, c, d, e, f, g, h] = hash.to_bytes();
    let zeros = u64::from_le_bytes([a, b, c, d, e, f, g, h]).leading_zeros();
    let wanted = u32::try_from(exponent.saturating_add(32)).unwrap_or(0).min(64);
    zeros >= wanted
        && Difficulty::new(f64::from(exponent).exp2())
            .is_ok_and(|difficulty| hash.meets(&Target::from_difficulty(difficulty)))
}

/// The books' word for a validator's reason.
fn reject_reason(reason: &Reject) -> RejectReason {
    match *reason {
        Reject::UnknownJob { .. } => RejectReason::UnknownJob,
        Reject::Stale { .. } => RejectReason::Stale,
        Reject::Duplicate => RejectReason::Duplicate,
        Reject::AboveTarget { .. } => RejectReason::AboveTarget,
        Reject::NtimeOutOfRange { .. } => RejectReason::NtimeOutOfRange,
        Reject::VersionBitsOutsideMask { .. } => RejectReason::VersionBits,
        Reject::WrongExtranonce2Size { .. } => RejectReason::Extranonce2Size,
        Reject::DuplicateWindowFull { .. } => RejectReason::DuplicateWindowFull,
        // The list may grow with the crate; the books' list grows with it then.
        _ => RejectReason::Malformed,
    }
}
