//! A JDC's shares: verified, counted, sent on, and answered with the pool's own answer.

use std::sync::Arc;

use bytes::BytesMut;
use sv2::mining::SubmitSharesExtended;
use sv2::{Message, write_frame};
use work::Submission;

use super::jobs::wall_clock;
use super::mining::JdcMining;
use crate::books::{Final, RejectReason, UnsentReason};
use crate::miner::ReplyMode;
use crate::miner::good_share::{Fate, Finder, GoodShare};
use crate::miner::policy::CloseReason;
use crate::miner::sv2::shares::{answered_code, rejected_code, unsent_code, write_error};
use crate::miner::worker::NamedWorkers;
use crate::now::Now;
use crate::share::{Answer, OutgoingShare, ShareSink};
use crate::source::{Effects, Sv2Pool};

/// A share that waits for the pool's answer.
#[derive(Debug)]
pub(super) struct Waiting {
    token: u32,
    channel_id: u32,
    sequence_number: u32,
    credited: f64,
}

/// The pool's machine, which takes shares without a queue between.
struct PoolDoor<'a> {
    pool: &'a mut Sv2Pool,
    up: &'a mut Effects,
    now: Now,
}

impl ShareSink for PoolDoor<'_> {
    fn forward(&mut self, share: OutgoingShare) -> Result<(), UnsentReason> {
        if self.pool.room() == 0 && !share.is_block {
            return Err(UnsentReason::QueueFull);
        }
        self.pool.share(&share, self.now, self.up);
        Ok(())
    }
}

impl JdcMining {
    pub(super) fn submit(&mut self, payload: &[u8], now: Now, out: &mut BytesMut) -> Result<(), CloseReason> {
        let decoded = SubmitSharesExtended::decode_with_tlvs(payload, self.extensions());
        let Ok((share, tlvs)) = decoded else {
            self.count_rejected(RejectReason::Malformed);
            return Err(CloseReason::Garbage);
        };
        let (channel_id, sequence_number) = (share.channel_id, share.sequence_number);
        let Some(at) = self.find(channel_id) else {
            return self.reject(channel_id, sequence_number, RejectReason::UnknownChannel, now, out);
        };
        let mask = self.policy.sv2_version_mask;
        let channel = &mut self.channels[at];
        let submission = Submission {
            job_id: share.job_id,
            extranonce2: share.extranonce.as_slice(),
            ntime: share.ntime,
            nonce: share.nonce,
            version_bits: None,
        };
        let worker = match tlvs.user_identity() {
            Some(name) if !name.as_bytes().is_empty() => {
                let seed = self.policy.hash_seed;
                let names = self.names.get_or_insert_with(|| Box::new(NamedWorkers::new(seed)));
                names.worker(&name, &self.policy.identity)
            }
            _ => &mut channel.worker,
        };
        let verdict = channel.validator.judge_full_version(&submission, share.version, mask, wall_clock(now));
        let good = match GoodShare::of(verdict, worker.known()) {
            Ok(good) => good,
            Err(why) => return self.reject(channel_id, sequence_number, why, now, out),
        };
        let (tally, worker) = worker.finder(&self.books, self.account);
        let finder = Finder {
            tally,
            miner: self.me,
            worker,
            // What the pool makes of it is what the JDC is told.
            reply: ReplyMode::Source,
            now: now.mono,
        };
        let place = Some((&*channel.state, channel.generation));
        let mut door = PoolDoor { pool: &mut self.pool, up: &mut self.up, now };
        let credited = good.credited;
        match good.send(place, finder, &mut self.next_token, &mut door) {
            Fate::Taken => channel.accepted.add(sequence_number, credited),
            Fate::Waits(token) => {
                self.waiting.push_back(Waiting { token, channel_id, sequence_number, credited });
            }
            Fate::Unsent(why) => write_error(channel_id, sequence_number, unsent_code(why), out),
        }
        self.strikes.good_share(now.mono);
        self.last_share = now.mono;
        Ok(())
    }

    /// The pool's answer, or the end of one that will not come.
    pub(super) fn answered(&mut self, answer: Answer, out: &mut BytesMut) {
        let at = self.waiting.iter().position(|waiting| waiting.token == answer.token);
        let Some(waiting) = at.and_then(|at| self.waiting.remove(at)) else { return };
        // A channel that is closed hears of nothing.
        let Some(at) = self.find(waiting.channel_id) else { return };
        match answered_code(answer.end) {
            None => self.channels[at].accepted.add(waiting.sequence_number, waiting.credited),
            Some(code) => write_error(waiting.channel_id, waiting.sequence_number, code, out),
        }
    }

    /// One `SubmitShares.Success` a channel for all that the pool has acknowledged together.
    pub(super) fn flush(&mut self, out: &mut BytesMut) {
        for channel in &mut self.channels {
            if let Some(success) = channel.accepted.tell(channel.id) {
                write_frame(&success, out);
            }
        }
    }

    fn reject(
        &mut self,
        channel_id: u32,
        sequence_number: u32,
        why: RejectReason,
        now: Now,
        out: &mut BytesMut,
    ) -> Result<(), CloseReason> {
        write_error(channel_id, sequence_number, rejected_code(why), out);
        self.count_rejected(why);
        if self.strikes.bad_share(self.policy.vardiff.shares_per_minute, now.mono) {
            return Err(CloseReason::BadShares);
        }
        Ok(())
    }

    /// Counted for the first channel's worker: there is but one, usually.
    fn count_rejected(&mut self, why: RejectReason) {
        let end = Final::Rejected(why);
        match self.channels.first_mut() {
            Some(channel) => {
                channel.worker.tally(&self.books, self.account).settle_at_once(self.me, end, 0.0, false);
            }
            None => {
                let nobody = self.books.tally(&Arc::from(""), self.account);
                nobody.settle_at_once(self.me, end, 0.0, false);
            }
        }
    }
}
