//! Shares, up from the channels, and their answers (specification, sections 5.3.11 to 5.3.14).

use bytes::BytesMut;
use sv2::extensions::UserIdentity;
use sv2::mining::{SubmitSharesError, SubmitSharesExtended, SubmitSharesStandard};
use sv2::{Message, Str0255, error_code, write_frame};
use work::Submission;

use super::channel::{Channel, Kind};
use super::open::fixed;
use super::{CloseReason, Sv2Io, Sv2Miner};
use crate::books::{AccountKey, Final, RefuseCode, RejectReason, UnsentReason};
use crate::ids::SourceId;
use crate::miner::good_share::{Fate, Finder, GoodShare};
use crate::miner::sv1::MAX_WAITING;
use crate::miner::worker::NamedWorkers;
use crate::share::Answer;

/// A share counts as easier than the channel's difficulty below this part of it: the rest is rounding.
const EASIER: f64 = 0.999;

/// A share that waits for the source's answer.
#[derive(Debug)]
pub(super) struct Waiting {
    token: u32,
    pub(super) channel_id: u32,
    sequence_number: u32,
    credited: f64,
}

/// A share as it came.
struct Submitted<'a> {
    channel_id: u32,
    sequence_number: u32,
    kind: Kind,
    version: u32,
    submission: Submission<'a>,
    worker: Option<UserIdentity<'a>>,
}

impl Sv2Miner {
    pub(super) fn submit_extended(&mut self, payload: &[u8], io: &mut Sv2Io<'_>) -> Result<(), CloseReason> {
        let decoded = SubmitSharesExtended::decode_with_tlvs(payload, self.setup.extensions());
        let Ok((share, tlvs)) = decoded else { return self.malformed() };
        let submitted = Submitted {
            channel_id: share.channel_id,
            sequence_number: share.sequence_number,
            kind: Kind::Extended,
            version: share.version,
            submission: Submission {
                job_id: share.job_id,
                extranonce2: share.extranonce.as_slice(),
                ntime: share.ntime,
                nonce: share.nonce,
                version_bits: None,
            },
            worker: tlvs.user_identity(),
        };
        self.submit(&submitted, io)
    }

    pub(super) fn submit_standard(&mut self, payload: &[u8], io: &mut Sv2Io<'_>) -> Result<(), CloseReason> {
        let decoded = SubmitSharesStandard::decode_with_tlvs(payload, self.setup.extensions());
        let Ok((share, tlvs)) = decoded else { return self.malformed() };
        let submitted = Submitted {
            channel_id: share.channel_id,
            sequence_number: share.sequence_number,
            kind: Kind::Standard,
            version: share.version,
            submission: Submission {
                job_id: share.job_id,
                extranonce2: fixed(self.policy.extranonce2_size),
                ntime: share.ntime,
                nonce: share.nonce,
                version_bits: None,
            },
            worker: tlvs.user_identity(),
        };
        self.submit(&submitted, io)
    }

    /// A share that cannot be read: who sends one is no miner.
    fn malformed(&mut self) -> Result<(), CloseReason> {
        self.count_rejected(None, None, RejectReason::Malformed);
        Err(CloseReason::Garbage)
    }

    fn submit(&mut self, share: &Submitted<'_>, io: &mut Sv2Io<'_>) -> Result<(), CloseReason> {
        let at = self.find(share.channel_id).filter(|at| self.channels[*at].kind == share.kind);
        let Some(at) = at else {
            return self.reject(share, None, RejectReason::UnknownChannel, io);
        };
        let mask = self.policy.sv2_version_mask;
        let named = share.worker.filter(|name| !name.as_bytes().is_empty());
        let Channel { route, mining, worker, .. } = &mut self.channels[at];
        let worker = match &named {
            Some(name) => {
                let seed = self.policy.hash_seed;
                let names = self.names.get_or_insert_with(|| Box::new(NamedWorkers::new(seed)));
                names.worker(name, &self.policy.identity)
            }
            None => worker,
        };
        let source = mining.feed.as_ref().map(|feed| feed.source());
        let verdict =
            mining.validator.judge_full_version(&share.submission, share.version, mask, io.now.seconds());
        let good = match GoodShare::of(verdict, worker.known()) {
            Ok(good) => good,
            Err(why) => return self.reject(share, Some((at, source)), why, io),
        };
        let easy = good.credited < mining.told * EASIER;
        let key = AccountKey { listener: self.policy.id.0, route: route.0, source: Some(good.source.0) };
        let (tally, worker) = worker.finder(&self.books, key);
        let finder = Finder { tally, miner: self.me, worker, reply: self.policy.reply, now: io.now.mono };
        let feed = mining.feed_of(good.source, good.generation);
        match good.send(feed.map(|feed| feed.place()), finder, &mut self.next_token, io.shares) {
            Fate::Taken => self.accept(at, share.sequence_number, good.credited),
            Fate::Waits(token) => self.wait(Waiting {
                token,
                channel_id: share.channel_id,
                sequence_number: share.sequence_number,
                credited: good.credited,
            }),
            Fate::Unsent(why) => {
                write_error(share.channel_id, share.sequence_number, unsent_code(why), io.out);
            }
        }
        self.learn(at, good.source, good.credited, io);
        if easy && self.strikes.easy_share(self.policy.vardiff.shares_per_minute, io.now.mono) {
            return Err(CloseReason::TooFast);
        }
        Ok(())
    }

    /// The miner is to be told of an accepted share, together with those that follow at once.
    fn accept(&mut self, at: usize, sequence_number: u32, credited: f64) {
        let channel = &mut self.channels[at];
        if channel.accepted.is_empty() {
            self.unflushed.push(channel.id);
        }
        channel.accepted.add(sequence_number, credited);
    }

    /// Writes the `SubmitShares.Success` messages of all shares that were accepted since the last call: one a channel.
    pub fn flush(&mut self, out: &mut BytesMut) {
        while let Some(id) = self.unflushed.pop() {
            let Some(at) = self.find(id) else { continue };
            if let Some(success) = self.channels[at].accepted.tell(id) {
                write_frame(&success, out);
            }
        }
    }

    fn wait(&mut self, waiting: Waiting) {
        if self.waiting.len() == MAX_WAITING
            && let Some(oldest) = self.waiting.pop_front()
            && let Some(at) = self.find(oldest.channel_id)
        {
            self.accept(at, oldest.sequence_number, oldest.credited);
        }
        self.waiting.push_back(waiting);
    }

    /// The source's answer to a share that waited for it. [`Sv2Miner::flush`] is to follow.
    pub fn answer(&mut self, answer: Answer, out: &mut BytesMut) {
        let at = self.waiting.iter().position(|waiting| waiting.token == answer.token);
        let Some(waiting) = at.and_then(|at| self.waiting.remove(at)) else { return };
        match answered_code(answer.end) {
            None => {
                if let Some(at) = self.find(waiting.channel_id) {
                    self.accept(at, waiting.sequence_number, waiting.credited);
                }
            }
            Some(code) => write_error(waiting.channel_id, waiting.sequence_number, code, out),
        }
    }

    /// A good share, whatever becomes of it, tells how fast the miner is.
    fn learn(&mut self, at: usize, source: SourceId, credited: f64, io: &mut Sv2Io<'_>) {
        let now = io.now.mono;
        self.last_share = now;
        self.strikes.good_share(now);
        let policy = &*self.policy;
        let channel = &mut self.channels[at];
        // By a hair later, so that it counts as one that brings shares.
        channel.last_share = now.max(channel.zero_since + std::time::Duration::from_nanos(1));
        channel.mining.meter_of(source).count_share(credited);
        let wish = channel.mining.vardiff.on_share(&policy.vardiff, credited, now);
        if policy.vardiff_enabled && wish.is_some() {
            self.retarget(at, io);
        } else if io.now.reached(channel.mining.meter_due(channel.since)) {
            let guess = channel.guess(policy);
            channel.mining.meter_hashrate(guess, now);
        }
        self.rearm(at);
    }

    fn reject(
        &mut self,
        share: &Submitted<'_>,
        place: Option<(usize, Option<SourceId>)>,
        why: RejectReason,
        io: &mut Sv2Io<'_>,
    ) -> Result<(), CloseReason> {
        write_error(share.channel_id, share.sequence_number, rejected_code(why), io.out);
        self.count_rejected(place, share.worker.as_ref(), why);
        if self.strikes.bad_share(self.policy.vardiff.shares_per_minute, io.now.mono) {
            return Err(CloseReason::BadShares);
        }
        Ok(())
    }
}

pub(in crate::miner) fn write_error(channel_id: u32, sequence_number: u32, code: &str, out: &mut BytesMut) {
    let error_code = Str0255::truncated(code);
    write_frame(&SubmitSharesError { channel_id, sequence_number, error_code }, out);
}

/// What a miner is told of a share that waited for its source's answer; nothing where it was good.
pub(in crate::miner) fn answered_code(end: Final) -> Option<&'static str> {
    match end {
        Final::Acknowledged | Final::Local => None,
        Final::Refused(RefuseCode::Other) | Final::Rejected(_) => Some(error_code::INVALID_SHARE),
        Final::Refused(code) => Some(code.as_str()),
        Final::Unsent(why) => Some(unsent_code(why)),
        Final::Unknown => Some("answer-lost"),
    }
}

/// What a miner is told of a share that Adit rejects.
pub(in crate::miner) fn rejected_code(why: RejectReason) -> &'static str {
    match why {
        RejectReason::UnknownJob => error_code::INVALID_JOB_ID,
        RejectReason::Stale => error_code::STALE_SHARE,
        RejectReason::Duplicate => error_code::DUPLICATE_SHARE,
        RejectReason::AboveTarget => error_code::DIFFICULTY_TOO_LOW,
        RejectReason::NtimeOutOfRange => error_code::INVALID_TIMESTAMP,
        RejectReason::VersionBits => error_code::INVALID_NON_ROLLABLE_VERSION_BIT,
        RejectReason::Extranonce2Size => error_code::BAD_EXTRANONCE_SIZE,
        RejectReason::UnknownChannel => error_code::INVALID_CHANNEL_ID,
        RejectReason::DuplicateWindowFull
        | RejectReason::Malformed
        | RejectReason::Unauthorized
        | RejectReason::NotSubscribed => error_code::INVALID_SHARE,
    }
}

/// What a miner is told of a good share that was not sent: the books' words, as codes.
pub(in crate::miner) fn unsent_code(why: UnsentReason) -> &'static str {
    match why {
        UnsentReason::StaleInQueue => error_code::STALE_SHARE,
        UnsentReason::NoSource => "no-source",
        UnsentReason::QueueFull => "queue-full",
        UnsentReason::JobRefused => "job-refused",
        UnsentReason::PrefixChanged => "prefix-changed",
    }
}
