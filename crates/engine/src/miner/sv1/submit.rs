//! Shares, up from the miner.

use std::sync::Arc;

use sv1::{ErrorCode, Id, JobId, Submit};
use work::{Extranonce, Reject, Submission, Verdict};

use super::{CloseReason, Io, MAX_WAITING, ReplyMode, Sv1Miner, Waiting};
use crate::books::{Final, RefuseCode, RejectReason, UnsentReason};
use crate::feed::Feed;
use crate::ids::SourceId;
use crate::miner::{MAX_WORKER_NAME, cut};
use crate::share::OutgoingShare;

/// A share counts as easier than the miner's difficulty below this part of it: the rest is rounding.
const EASIER: f64 = 0.999;

/// A share that is to be counted or sent, with all that is needed from its job.
struct Found {
    source: SourceId,
    job_id: u32,
    version: u32,
    extranonce: Extranonce,
    credited: f64,
    source_difficulty: f64,
    meets_source: bool,
    is_block: bool,
}

impl Sv1Miner {
    pub(super) fn submit(
        &mut self,
        id: Id<'_>,
        submit: &Submit<'_>,
        io: &mut Io<'_>,
    ) -> Result<(), CloseReason> {
        if !self.setup.subscribed {
            return self.reject(id, None, RejectReason::NotSubscribed, io);
        }
        let Some(worker) = self.worker(&submit.worker) else {
            return self.reject(id, None, RejectReason::Unauthorized, io);
        };
        let mask = self.mask();
        let Some(mining) = &mut self.mining else {
            return self.reject(id, None, RejectReason::UnknownJob, io);
        };
        let source = mining.feed.as_ref().map(|f| f.source());
        let JobId::Number(job_id) = submit.job_id else {
            return self.reject(id, source, RejectReason::UnknownJob, io);
        };
        let submission = Submission {
            job_id,
            extranonce2: submit.extranonce2.as_slice(),
            ntime: submit.ntime,
            nonce: submit.nonce,
            version_bits: submit.version_bits,
        };
        let (found, generation) = match mining.validator.judge(&submission, mask, io.now.seconds()) {
            Verdict::Valid(share) | Verdict::Rejected { solution: Some(share), .. } => {
                let found = Found {
                    source: SourceId(share.job.source.0),
                    job_id: share.job.job.id,
                    version: share.header.version,
                    extranonce: share.extranonce,
                    credited: share.difficulty.get(),
                    source_difficulty: share.job.source_difficulty.get(),
                    // Late or not, a block goes out, and is counted as what the source makes of it.
                    meets_source: share.meets_source || share.is_block,
                    is_block: share.is_block,
                };
                (found, share.job.generation)
            }
            Verdict::Rejected { reason, solution: None } => {
                return self.reject(id, source, reject_reason(&reason), io);
            }
        };
        let feed = mining.feed_of(found.source, generation).cloned();
        let easy = found.credited < mining.told * EASIER;
        self.accept(id, submit, worker, &found, feed.as_deref(), io);
        if easy && self.strikes.easy_share(self.policy.vardiff.shares_per_minute, io.now.mono) {
            return Err(CloseReason::TooFast);
        }
        Ok(())
    }

    /// The worker that a submit names, as it goes up: one that was authorised here, or the first when it names
    /// none.
    fn worker(&self, name: &str) -> Option<Arc<str>> {
        let name = cut(name.trim(), MAX_WORKER_NAME);
        let worker = match name {
            "" => self.workers.first(),
            name => self.workers.iter().find(|w| *w.given == *name),
        };
        worker.map(|w| Arc::clone(&w.wire))
    }

    /// A good share. `feed` is what its job came with; `None` when its channel is long gone.
    fn accept(
        &mut self,
        id: Id<'_>,
        submit: &Submit<'_>,
        worker: Arc<str>,
        found: &Found,
        feed: Option<&Feed>,
        io: &mut Io<'_>,
    ) {
        let account = self.account(Some(found.source));
        let stripe = self.me.stripe();
        let books = &*self.books;
        if found.is_block {
            books.get(account).found_block(stripe);
        }
        let unsent = |why, io: &mut Io<'_>| {
            let end = Final::Unsent(why);
            books.get(account).settle_at_once(stripe, end, found.source_difficulty, false);
            sv1::write_error(io.out, id, ErrorCode::Other, unsent_text(why));
        };
        match feed {
            _ if !found.meets_source => {
                books.get(account).settle_at_once(stripe, Final::Local, found.credited, true);
                sv1::write_true(io.out, id);
            }
            Some(feed) if feed.channel.takes(found.is_block) => {
                let token = (self.policy.reply == ReplyMode::Source).then(|| {
                    self.next_token = self.next_token.wrapping_add(1);
                    self.next_token
                });
                let share = OutgoingShare {
                    channel: feed.channel.key,
                    generation: feed.generation,
                    job_id: found.job_id,
                    nonce: submit.nonce,
                    ntime: submit.ntime,
                    version: found.version,
                    extranonce: found.extranonce,
                    difficulty: found.source_difficulty,
                    is_block: found.is_block,
                    account,
                    miner: self.me,
                    worker,
                    told_true: token.is_none(),
                    token,
                };
                // Pending from here on: the source may settle it before `forward` has returned.
                books.get(account).open(stripe);
                match io.shares.forward(share) {
                    Ok(()) => match token {
                        None => sv1::write_true(io.out, id),
                        Some(token) => self.wait(token, id, io),
                    },
                    Err(why) => {
                        let end = Final::Unsent(why);
                        books.get(account).settle(stripe, end, found.source_difficulty, false);
                        sv1::write_error(io.out, id, ErrorCode::Other, unsent_text(why));
                    }
                }
            }
            Some(_) | None => unsent(UnsentReason::NoSource, io),
        }
        self.learn(found.source, found.credited, io);
    }

    fn wait(&mut self, token: u32, id: Id<'_>, io: &mut Io<'_>) {
        if self.waiting.len() == MAX_WAITING
            && let Some(oldest) = self.waiting.pop_front()
        {
            sv1::write_true(io.out, oldest.id.as_id());
        }
        self.waiting.push_back(Waiting { token, id: id.to_owned() });
    }

    /// A good share, whatever becomes of it, tells how fast the miner is.
    fn learn(&mut self, source: SourceId, credited: f64, io: &mut Io<'_>) {
        self.last_share = io.now.mono;
        self.strikes.good_share(io.now.mono);
        let Some(mining) = &mut self.mining else { return };
        mining.meter_of(source).count_share(credited);
        let settings = &self.policy.vardiff;
        let wish = mining.vardiff.on_share(settings, credited, io.now.mono);
        if self.policy.vardiff_enabled && wish.is_some() {
            self.retarget(io);
        } else if io.now.reached(mining.meter_due(self.since)) {
            mining.meter_hashrate(settings.shares_per_minute, io.now.mono);
        }
    }

    fn reject(
        &mut self,
        id: Id<'_>,
        source: Option<SourceId>,
        why: RejectReason,
        io: &mut Io<'_>,
    ) -> Result<(), CloseReason> {
        let (code, text) = rejected_as_sv1(why);
        sv1::write_error(io.out, id, code, text);
        self.count_at_once(source, Final::Rejected(why), 0.0, false);
        if self.strikes.bad_share(self.policy.vardiff.shares_per_minute, io.now.mono) {
            return Err(CloseReason::BadShares);
        }
        Ok(())
    }
}

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

fn rejected_as_sv1(why: RejectReason) -> (ErrorCode, &'static str) {
    match why {
        RejectReason::UnknownJob => (ErrorCode::JobNotFound, "Job not found"),
        RejectReason::Stale => (ErrorCode::JobNotFound, "Stale share"),
        RejectReason::Duplicate => (ErrorCode::DuplicateShare, "Duplicate share"),
        RejectReason::AboveTarget => (ErrorCode::LowDifficulty, "Low difficulty share"),
        RejectReason::NtimeOutOfRange => (ErrorCode::Other, "ntime out of range"),
        RejectReason::VersionBits => (ErrorCode::Other, "Version bits outside the granted mask"),
        RejectReason::Extranonce2Size => (ErrorCode::Other, "Wrong extranonce2 size"),
        RejectReason::DuplicateWindowFull => {
            (ErrorCode::Other, "Too many shares on one block: raise the difficulty")
        }
        RejectReason::Malformed => (ErrorCode::Other, "Malformed share"),
        RejectReason::Unauthorized => (ErrorCode::Unauthorized, "Unauthorized worker"),
        RejectReason::NotSubscribed => (ErrorCode::NotSubscribed, "Not subscribed"),
    }
}

/// What the miner is told of a share that was not sent.
pub(super) fn unsent_text(why: UnsentReason) -> &'static str {
    match why {
        UnsentReason::NoSource => "No pool: the share cannot be credited",
        UnsentReason::QueueFull => "Overloaded: the share was not sent",
        UnsentReason::StaleInQueue => "Stale share",
        UnsentReason::JobRefused => "The pool refused the job",
        UnsentReason::PrefixChanged => "The pool changed the job",
    }
}

/// What the miner is told of a share that the source refused.
pub(super) fn refused_as_sv1(code: RefuseCode) -> (ErrorCode, &'static str) {
    match code {
        RefuseCode::StaleShare => (ErrorCode::JobNotFound, "Stale share (pool)"),
        RefuseCode::InvalidJobId => (ErrorCode::JobNotFound, "Job not found (pool)"),
        RefuseCode::DuplicateShare => (ErrorCode::DuplicateShare, "Duplicate share (pool)"),
        RefuseCode::DifficultyTooLow => (ErrorCode::LowDifficulty, "Low difficulty share (pool)"),
        _ => (ErrorCode::Other, "Refused by the pool"),
    }
}
