//! Shares at a simulated pool, and its answers.

use bytes::BytesMut;
use sv2::{Tlvs, mining};

use super::job::{JobTag, Share};
use super::{LATE, Pool, PoolAct, PoolIo, PoolTimer, say, text};
use crate::sim::tally::Message;
use crate::sim::time::unix;

/// A batch while batches are large.
const LARGE_BATCH: u32 = 50;

impl Pool {
    pub(super) fn on_share(
        &mut self,
        at: usize,
        share: &mining::SubmitSharesExtended<'_>,
        tlvs: &Tlvs<'_>,
        io: &mut PoolIo<'_>,
    ) {
        io.tally.message(Message::SubmitSharesExtended);
        let connection = &self.connections[at];
        match tlvs.user_identity() {
            Some(name) => {
                io.tally.message(Message::SubmitWithWorker);
                if !connection.names || !name.as_bytes().starts_with(b"farm.") {
                    io.acts
                        .push(PoolAct::Complain("a worker's name that was not agreed on or is none".into()));
                }
            }
            None if connection.names => {
                io.acts.push(PoolAct::Complain("a share without its worker's name".into()));
            }
            None => {}
        }
        self.truth.received += 1;
        if !connection.channels.contains_key(&share.channel_id) {
            if connection.left.contains(&share.channel_id) || !connection.was_opened(share.channel_id) {
                io.acts.push(PoolAct::Complain(format!("a share for channel {}", share.channel_id)));
            }
            // It crossed our CloseChannel, after which nothing is said about the channel.
            self.truth.orphans += 1;
            return;
        }
        let fault = self.judge(at, share, io);
        match fault {
            Some(code) => self.refuse(at, share, code, io),
            None => self.take(at, share, io),
        }
    }

    /// The error code that the share deserves.
    fn judge(
        &mut self,
        at: usize,
        share: &mining::SubmitSharesExtended<'_>,
        io: &mut PoolIo<'_>,
    ) -> Option<&'static str> {
        let (index, connection) = (self.index, &mut self.connections[at]);
        let number = connection.number;
        let Some(channel) = connection.channels.get_mut(&share.channel_id) else {
            return Some("invalid-channel-id");
        };
        let pool = u8::try_from(index).unwrap_or(u8::MAX);
        let tag = JobTag { pool, connection: number, job_id: share.job_id };
        let Some(job) = channel.jobs.get(&share.job_id) else {
            if connection.work_selection && (share.job_id == 0 || share.job_id > connection.next_job) {
                let text = format!("a share of job {}, which was never acknowledged", share.job_id);
                io.acts.push(PoolAct::Complain(text));
            }
            // Forgotten by now, several tips back. That a block of it came all the same is all that can be asked.
            io.acts.push(PoolAct::BlockSeen { tag, nonce: share.nonce });
            return Some("invalid-job-id");
        };
        let came = Share {
            nonce: share.nonce,
            ntime: share.ntime,
            version: share.version,
            extranonce: share.extranonce.as_slice(),
        };
        let judgement = job.judge(&came, usize::from(channel.extranonce_size), unix(io.now));
        let is_new = channel.seen.insert(judgement.hash);
        if judgement.is_block {
            io.acts.push(PoolAct::BlockSeen { tag, nonce: share.nonce });
            match judgement.fault {
                None if is_new => {
                    self.truth.blocks += 1;
                    if !connection.work_selection {
                        // Else the farm's own node spreads it.
                        io.acts.push(PoolAct::Block);
                    }
                }
                Some("stale-share") => self.truth.late_blocks += 1,
                _ => {}
            }
        }
        let fault = judgement.fault.or((!is_new).then_some("duplicate-share"));
        if let Some(code) = fault
            && code != "stale-share"
        {
            // Adit verified it: only a race with a new tip may ever make a share bad.
            io.acts.push(PoolAct::Complain(format!(
                "share of channel {} job {} of connection {number} is {code}",
                share.channel_id, share.job_id
            )));
        }
        let by_mood = self.mood.refuse_all.filter(|_| fault.is_none());
        self.truth.refused_by_mood += u64::from(by_mood.is_some());
        let fault = fault.or(by_mood);
        io.acts.push(PoolAct::Judged { hash: judgement.hash, taken: fault.is_none() });
        fault
    }

    fn take(&mut self, at: usize, share: &mining::SubmitSharesExtended<'_>, io: &mut PoolIo<'_>) {
        let batch = if self.plan.sv1 {
            1
        } else if self.mood.large_batches {
            LARGE_BATCH
        } else {
            self.plan.batch
        };
        let connection = &mut self.connections[at];
        let number = connection.number;
        let Some(channel) = connection.channels.get_mut(&share.channel_id) else {
            return;
        };
        let difficulty = channel.jobs.get(&share.job_id).map_or(0.0, |job| job.difficulty);
        self.truth.accepted += 1;
        self.truth.accepted_work += difficulty;
        channel.unanswered += 1;
        channel.unanswered_work += difficulty;
        channel.last_accepted = share.sequence_number;
        if self.mood.never_ack {
            return;
        }
        if channel.unanswered >= batch {
            self.flush(number, share.channel_id, io);
        } else if let Some(after) = self.plan.ack_timer
            && !channel.flush_is_due
        {
            channel.flush_is_due = true;
            let timer = PoolTimer::Flush { connection: number, channel: share.channel_id };
            io.acts.push(PoolAct::Later(io.now + after, timer));
        }
    }

    /// Answers what was accepted and not answered.
    pub(super) fn flush(&mut self, number: u32, channel_id: u32, io: &mut PoolIo<'_>) {
        if self.mood.never_ack {
            return;
        }
        let Some(connection) = self.connections.iter_mut().find(|c| c.number == number) else {
            return;
        };
        let Some(channel) = connection.channels.get_mut(&channel_id) else {
            return;
        };
        channel.flush_is_due = false;
        if channel.unanswered == 0 {
            return;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "far below 2^64, never negative"
        )]
        let message = mining::SubmitSharesSuccess {
            channel_id,
            last_sequence_number: channel.last_accepted,
            new_submits_accepted_count: channel.unanswered,
            new_shares_sum: channel.unanswered_work as u64,
        };
        channel.unanswered = 0;
        channel.unanswered_work = 0.0;
        let mut bytes = BytesMut::new();
        say(&mut bytes, &message, Message::SubmitSuccess, io.tally);
        self.answer(number, &bytes, false, io);
    }

    fn refuse(
        &mut self,
        at: usize,
        share: &mining::SubmitSharesExtended<'_>,
        code: &'static str,
        io: &mut PoolIo<'_>,
    ) {
        *self.truth.refused.entry(code).or_default() += 1;
        if self.mood.never_ack {
            return;
        }
        let message = mining::SubmitSharesError {
            channel_id: share.channel_id,
            sequence_number: share.sequence_number,
            error_code: text(code),
        };
        let mut bytes = BytesMut::new();
        say(&mut bytes, &message, Message::SubmitError, io.tally);
        let number = self.connections[at].number;
        let late = self.mood.late_errors;
        self.truth.late_errors += u64::from(late);
        self.answer(number, &bytes, late, io);
    }

    /// Sends an answer after the pool's delay, in the order of the answers unless it is `late`.
    fn answer(&mut self, number: u32, bytes: &BytesMut, late: bool, io: &mut PoolIo<'_>) {
        let mut at = io.now + self.plan.ack_delay;
        if self.mood.late_acks {
            at += io.rng.range(0, LATE);
        }
        let Some(connection) = self.connections.iter_mut().find(|c| c.number == number) else {
            return;
        };
        if late {
            at += LATE;
        } else {
            at = at.max(connection.answered_at);
            connection.answered_at = at;
        }
        if at <= io.now {
            connection.out.extend_from_slice(bytes);
        } else {
            let timer = PoolTimer::Say { connection: number, bytes: bytes.to_vec() };
            io.acts.push(PoolAct::Later(at, timer));
        }
    }

    /// Answers for shares that nobody sent.
    pub(in crate::sim) fn stray_answers(&mut self, io: &mut PoolIo<'_>) {
        for connection in &mut self.connections {
            let Some(id) = connection.channels.keys().next().copied() else {
                continue;
            };
            let error = mining::SubmitSharesError {
                channel_id: id,
                sequence_number: 3_000_000_000,
                error_code: text("stale-share"),
            };
            say(&mut connection.out, &error, Message::SubmitError, io.tally);
            let success = mining::SubmitSharesSuccess {
                channel_id: id + 77,
                last_sequence_number: 5,
                new_submits_accepted_count: 3,
                new_shares_sum: 3,
            };
            say(&mut connection.out, &success, Message::SubmitSuccess, io.tally);
            self.truth.strays += 2;
        }
    }
}
