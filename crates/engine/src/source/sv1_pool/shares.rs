//! `mining.submit`, and the pool's answers.

use sv1::client::Response;

use super::lane::LaneState;
use super::refusal::refuse_code;
use super::{ANSWER_DEADLINE, Sv1Effects, Sv1Pool};
use crate::books::{Final, RefuseCode, UnsentReason};
use crate::now::Now;
use crate::share::OutgoingShare;
use crate::source::event::{DownReason, Effects};
use crate::source::settle::OpenShares;

/// The id of a connection's first submit; those of the set-up are below it.
pub(super) const FIRST_SUBMIT: u64 = 16;
/// This many shares refused in a row, with none acknowledged between, and the source counts as broken.
const REFUSED_IN_A_ROW: u32 = 100;

impl Sv1Pool {
    /// Sends a share, or settles it as unsent. The books have it as `pending` already.
    pub fn share(&mut self, share: &OutgoingShare, now: Now, fx: &mut Sv1Effects) {
        let number = share.channel.connection;
        let lane = self.lanes.get_mut(&number).filter(|lane| lane.state == LaneState::Ready);
        let sent = match lane {
            Some(lane) => {
                let mask = lane.jobs.iter().rev().find(|job| job.id == share.job_id).map(|job| job.mask);
                let present = lane.current.as_ref().map(|current| current.generation);
                match mask {
                    Some(mask) if share.is_block || Some(share.generation) == present => Ok((lane, mask)),
                    _ => Err(UnsentReason::StaleInQueue),
                }
            }
            None => Err(UnsentReason::NoSource),
        };
        let (lane, mask) = match sent {
            Ok(sent) => sent,
            Err(why) => return share.end(Final::Unsent(why), &mut fx.common.answers),
        };
        if lane.open.is_empty() {
            lane.last_answer = now.mono;
        }
        let sequence = lane.open.push(share, now.mono);
        let job = lane.jobs.iter().rev().find(|job| job.id == share.job_id).map_or("", |job| &*job.name);
        sv1::client::write_submit(
            fx.to(number),
            FIRST_SUBMIT + u64::from(sequence),
            &lane.identity,
            job,
            share.extranonce.as_slice(),
            share.ntime,
            share.nonce,
            // BIP 310: the bits as they stand in the header, none outside of the mask.
            (mask != 0).then_some(share.version & mask),
        );
        self.open_shares += 1;
        self.count_rate(now);
    }

    fn count_rate(&mut self, now: Now) {
        let second = now.mono.as_secs();
        if second != self.rate.0 {
            let last = if second == self.rate.0 + 1 { self.rate.1 } else { 0 };
            self.rate = (second, 0, last);
        }
        self.rate.1 += 1;
    }

    /// The answer to a submit, by the number of its share.
    pub(super) fn on_answer(
        &mut self,
        number: u32,
        share: u64,
        response: &Response<'_>,
        now: Now,
        fx: &mut Sv1Effects,
    ) -> Result<(), DownReason> {
        let lane = self.lanes.get_mut(&number).expect("checked by the caller");
        let Some(share) = u32::try_from(share).ok().and_then(|sequence| lane.open.take(sequence)) else {
            self.stray_answers += 1;
            return Ok(());
        };
        self.open_shares -= 1;
        lane.last_answer = now.mono;
        if response.is_granted() {
            fx.common.ack_latencies.push(now.since(share.sent));
            share.end(Final::Acknowledged, &mut fx.common.answers);
            self.refused_in_a_row = 0;
            // Work that is taken is what makes a source healthy; a link alone does not.
            self.backoff.reset();
            return Ok(());
        }
        let code = refuse_code(response.error.as_ref());
        share.end(Final::Refused(code), &mut fx.common.answers);
        // Races with a new tip are nobody's fault.
        if code != RefuseCode::StaleShare {
            self.refused_in_a_row += 1;
        }
        if self.refused_in_a_row >= REFUSED_IN_A_ROW {
            return Err(DownReason::RefusesShares(code.as_str()));
        }
        Ok(())
    }

    /// Shares that were not answered for too long may have been credited or not; a pool that answers nothing at all is
    /// broken.
    pub(super) fn unanswered(&mut self, number: u32, now: Now, fx: &mut Sv1Effects) {
        let Some(lane) = self.lanes.get_mut(&number) else { return };
        let Some(oldest) = lane.open.oldest() else { return };
        if !now.reached(oldest + ANSWER_DEADLINE) {
            return;
        }
        if now.reached(lane.last_answer + ANSWER_DEADLINE) {
            self.lane_failed(number, DownReason::IgnoresShares, now, fx);
            return;
        }
        while let Some(share) = lane.open.take_sent_before(now.mono.saturating_sub(ANSWER_DEADLINE)) {
            self.open_shares -= 1;
            share.end(Final::Unknown, &mut fx.common.answers);
        }
    }
}

pub(super) fn end_open_shares(open: &mut OpenShares, fx: &mut Effects) {
    for share in open.take_all() {
        share.end(Final::Unknown, &mut fx.answers);
    }
}
