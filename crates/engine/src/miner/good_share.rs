//! A good share on its way: into the books, and to its source.

use std::sync::Arc;

use work::{Extranonce, Reject, ValidShare, Verdict};

use super::ReplyMode;
use crate::books::{AccountId, Books, Final, RejectReason, UnsentReason};
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
}

/// Who found it, and how it is to be counted.
pub(super) struct Finder<'a> {
    pub(super) books: &'a Books,
    pub(super) account: AccountId,
    pub(super) miner: MinerRef,
    /// The worker's name as it goes up.
    pub(super) worker: Arc<str>,
    pub(super) reply: ReplyMode,
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
    /// as what the source makes of it.
    pub(super) fn of(verdict: Verdict<'_>) -> Result<Self, RejectReason> {
        match verdict {
            Verdict::Valid(share) | Verdict::Rejected { solution: Some(share), .. } => Ok(Self::from(share)),
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
        let account = finder.books.get(finder.account);
        let stripe = finder.miner.stripe();
        if self.is_block {
            account.found_block(stripe);
        }
        if !self.meets_source {
            account.settle_at_once(stripe, Final::Local, self.credited, true);
            return Fate::Taken;
        }
        let Some((channel, generation)) = channel.filter(|(channel, _)| channel.takes(self.is_block)) else {
            let why = UnsentReason::NoSource;
            account.settle_at_once(stripe, Final::Unsent(why), self.source_difficulty, false);
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
            account: finder.account,
            miner: finder.miner,
            worker: finder.worker,
            told_true: token.is_none(),
            token,
        };
        // Pending from here on: the source may settle it before `forward` has returned.
        account.open(stripe);
        match shares.forward(share) {
            Ok(()) => token.map_or(Fate::Taken, Fate::Waits),
            Err(why) => {
                account.settle(stripe, Final::Unsent(why), self.source_difficulty, false);
                Fate::Unsent(why)
            }
        }
    }
}

impl From<ValidShare<'_>> for GoodShare {
    fn from(share: ValidShare<'_>) -> Self {
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
        }
    }
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
