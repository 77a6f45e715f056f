//! Shares to a pool, and its answers.

use sv2::extensions::UserIdentity;

use super::Sv2Pool;
use crate::books::{Final, RefuseCode, UnsentReason};
use crate::now::Now;
use crate::share::OutgoingShare;
use crate::source::event::{DownReason, Effects};
use crate::source::settle::{MAX_BATCH_SEEN, OpenShares};

/// This many shares refused in a row, with none acknowledged between, and the source counts as broken.
const REFUSED_IN_A_ROW: u32 = 100;
/// And so many of a job that the pool has acknowledged: there is nothing else that could be wrong with them.
const REFUSED_CUSTOM_IN_A_ROW: u32 = 10;

impl Sv2Pool {
    /// Sends a share, or settles it as unsent. The books have it as `pending` already.
    pub fn share(&mut self, share: &OutgoingShare, now: Now, fx: &mut Effects) {
        self.share_as(share, share.job_id, now, fx);
    }

    /// The same, for a job that the pool knows by another number.
    pub(in crate::source) fn share_as(
        &mut self,
        share: &OutgoingShare,
        job_id: u32,
        now: Now,
        fx: &mut Effects,
    ) {
        let unsent = |fx: &mut Effects, why| share.end(Final::Unsent(why), &mut fx.answers);
        let channel = (share.channel.connection == self.connection)
            .then(|| self.channels.get_mut(&share.channel.channel_id))
            .flatten();
        let Some(channel) = channel else {
            return unsent(fx, UnsentReason::NoSource);
        };
        if share.generation != channel.generation && !share.is_block {
            return unsent(fx, UnsentReason::StaleInQueue);
        }
        let sequence_number = channel.open.push(share, now.mono);
        if self.open_shares == 0 {
            self.last_answer = now.mono;
        }
        self.open_shares += 1;
        self.count_rate(now);
        let message = sv2::mining::SubmitSharesExtended {
            channel_id: share.channel.channel_id,
            sequence_number,
            job_id,
            nonce: share.nonce,
            ntime: share.ntime,
            version: share.version,
            extranonce: sv2::B032::try_from(share.extranonce.as_slice()).expect("at most 32 bytes"),
        };
        if self.worker_names {
            let name = share.worker.as_bytes();
            let name = &name[..name.len().min(UserIdentity::MAX)];
            let name = UserIdentity::new(name).expect("cut to the most that fits");
            sv2::write_share_with_worker(&message, name, self.settings.tlv_byte_order, &mut fx.frames);
        } else {
            sv2::write_frame(&message, &mut fx.frames);
        }
    }

    pub(super) fn count_rate(&mut self, now: Now) {
        let second = now.mono.as_secs();
        if second != self.rate.0 {
            let last = if second == self.rate.0 + 1 { self.rate.1 } else { 0 };
            self.rate = (second, 0, last);
        }
        self.rate.1 += 1;
    }

    pub(super) fn on_accepted(
        &mut self,
        message: &sv2::mining::SubmitSharesSuccess,
        now: Now,
        fx: &mut Effects,
    ) {
        let Some(channel) = self.channels.get_mut(&message.channel_id) else {
            self.stray_answers += 1;
            return;
        };
        self.batch_seen = self.batch_seen.max(message.new_submits_accepted_count.min(MAX_BATCH_SEEN));
        let before = channel.open.len();
        let excess =
            channel.open.accept(message.last_sequence_number, message.new_submits_accepted_count, |share| {
                share.end(Final::Acknowledged, &mut fx.answers);
                fx.ack_latencies.push(now.since(share.sent));
            });
        self.stray_answers += u64::from(excess);
        self.open_shares -= before - channel.open.len();
        if let Some(draining) = &mut channel.draining {
            draining.progress = now.mono;
        }
        if before != channel.open.len() {
            self.refused_in_a_row = 0;
            self.last_answer = now.mono;
            // Work that is taken is what makes a source healthy; a link alone does not.
            self.backoff.reset();
        }
    }

    pub(super) fn on_refused(
        &mut self,
        message: &sv2::mining::SubmitSharesError<'_>,
        now: Now,
        fx: &mut Effects,
    ) -> Result<(), DownReason> {
        let Some(share) =
            self.channels.get_mut(&message.channel_id).and_then(|c| c.open.take(message.sequence_number))
        else {
            self.stray_answers += 1;
            return Ok(());
        };
        self.open_shares -= 1;
        self.last_answer = now.mono;
        let code = RefuseCode::from_wire(message.error_code.as_bytes());
        share.end(Final::Refused(code), &mut fx.answers);
        // Races with a new tip are nobody's fault.
        if code != RefuseCode::StaleShare {
            self.refused_in_a_row += 1;
        }
        if self.settings.work_selection {
            if self.refused_in_a_row >= REFUSED_CUSTOM_IN_A_ROW {
                // Whoever declares leaves the pool; the link stays, and with it the answers to what is on its way.
                self.refused_in_a_row = 0;
                fx.refuses_shares = Some(code.as_str());
            }
            return Ok(());
        }
        if self.refused_in_a_row >= REFUSED_IN_A_ROW {
            return Err(DownReason::RefusesShares(code.as_str()));
        }
        Ok(())
    }
}

pub(super) fn end_open_shares(open: &mut OpenShares, fx: &mut Effects) {
    for share in open.take_all() {
        share.end(Final::Unknown, &mut fx.answers);
    }
}
