//! Shares, up from the miner.

use sv1::{ErrorCode, Id, JobId, Submit};
use work::Submission;

use super::{CloseReason, Io, MAX_WAITING, Sv1Miner, Waiting, Worker};
use crate::books::{RefuseCode, RejectReason, UnsentReason};
use crate::feed::Feed;
use crate::ids::SourceId;
use crate::miner::good_share::{Fate, Finder, GoodShare};
use crate::miner::{MAX_WORKER_NAME, cut};

/// A share counts as easier than the miner's difficulty below this part of it: the rest is rounding.
const EASIER: f64 = 0.999;

impl Sv1Miner {
    pub(super) fn submit(
        &mut self,
        id: Id<'_>,
        submit: &Submit<'_>,
        io: &mut Io<'_>,
    ) -> Result<(), CloseReason> {
        if !self.setup.subscribed {
            return self.reject(id, (None, None), RejectReason::NotSubscribed, io);
        }
        let Some(worker) = self.worker(&submit.worker) else {
            return self.reject(id, (None, None), RejectReason::Unauthorized, io);
        };
        let mask = self.mask();
        let Some(mining) = &mut self.mining else {
            return self.reject(id, (Some(worker), None), RejectReason::UnknownJob, io);
        };
        let source = mining.feed.as_ref().map(|f| f.source());
        let JobId::Number(job_id) = submit.job_id else {
            return self.reject(id, (Some(worker), source), RejectReason::UnknownJob, io);
        };
        let submission = Submission {
            job_id,
            extranonce2: submit.extranonce2.as_slice(),
            ntime: submit.ntime,
            nonce: submit.nonce,
            version_bits: submit.version_bits,
        };
        let verdict = mining.validator.judge(&submission, mask, io.now.seconds());
        let known = self.workers.get(worker).and_then(Worker::known);
        let found = match GoodShare::of(verdict, known) {
            Ok(found) => found,
            Err(why) => return self.reject(id, (Some(worker), source), why, io),
        };
        let feed = mining.feed_of(found.source, found.generation).cloned();
        let easy = found.credited < mining.told * EASIER;
        self.accept(id, worker, &found, feed.as_deref(), io);
        if easy && self.strikes.easy_share(self.policy.vardiff.shares_per_minute, io.now.mono) {
            return Err(CloseReason::TooFast);
        }
        Ok(())
    }

    /// The place of the worker that a submit names: one that was authorised here, or the first when it names none.
    fn worker(&self, name: &str) -> Option<usize> {
        match cut(name.trim(), MAX_WORKER_NAME) {
            "" => (!self.workers.is_empty()).then_some(0),
            name => self.workers.iter().position(|w| *w.given == *name),
        }
    }

    /// A good share. `feed` is what its job came with; `None` when its channel is long gone.
    fn accept(&mut self, id: Id<'_>, worker: usize, found: &GoodShare, feed: Option<&Feed>, io: &mut Io<'_>) {
        let key = self.key(Some(found.source));
        let Some(worker) = self.workers.get_mut(worker) else { return };
        let (tally, worker) = worker.finder(&self.books, key);
        let finder = Finder { tally, miner: self.me, worker, reply: self.policy.reply, now: io.now.mono };
        match found.send(feed.map(Feed::place), finder, &mut self.next_token, io.shares) {
            Fate::Taken => sv1::write_true(io.out, id),
            Fate::Waits(token) => self.wait(token, id, io),
            Fate::Unsent(why) => sv1::write_error(io.out, id, ErrorCode::Other, unsent_text(why)),
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
        self.shared = true;
        self.strikes.good_share(io.now.mono);
        let Some(mining) = &mut self.mining else { return };
        mining.meter_of(source).count_share(credited);
        let settings = &self.policy.vardiff;
        let wish = mining.vardiff.on_share(settings, credited, io.now.mono);
        if self.policy.vardiff_enabled && wish.is_some() {
            self.retarget(io);
        } else if io.now.reached(mining.meter_due(self.since)) {
            let guess = mining.guess(settings.shares_per_minute);
            mining.meter_hashrate(guess, io.now.mono);
        }
    }

    fn reject(
        &mut self,
        id: Id<'_>,
        (worker, source): (Option<usize>, Option<SourceId>),
        why: RejectReason,
        io: &mut Io<'_>,
    ) -> Result<(), CloseReason> {
        let (code, text) = rejected_as_sv1(why);
        sv1::write_error(io.out, id, code, text);
        self.count_rejected(worker, source, why);
        if self.strikes.bad_share(self.policy.vardiff.shares_per_minute, io.now.mono) {
            return Err(CloseReason::BadShares);
        }
        Ok(())
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
        RejectReason::UnknownChannel => (ErrorCode::Other, "Unknown channel"),
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
