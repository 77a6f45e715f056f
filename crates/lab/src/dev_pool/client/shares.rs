//! Shares: judged, answered, booked; blocks among them go to the chain.

use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use sv2::mining::{SubmitSharesError, SubmitSharesStandard};
use sv2::{Str0255, write_frame};

use super::{Client, Hangup};
use crate::dev_pool::blocks::{Found, Route};
use crate::dev_pool::share::{GoodShare, Refusal, ShareTerms, judge};
use crate::dev_pool::stats::UserCounters;
use crate::dev_pool::work::ShareFields;

impl Client {
    pub(super) fn on_standard_share(
        &mut self,
        share: &SubmitSharesStandard,
        now: Instant,
        out: &mut BytesMut,
    ) -> Result<(), Hangup> {
        let fields =
            ShareFields { version: share.version, ntime: share.ntime, nonce: share.nonce, extranonce: &[] };
        self.on_share((share.channel_id, share.sequence_number, share.job_id), &fields, None, now, out)
    }

    pub(super) fn on_share(
        &mut self,
        (channel_id, sequence_number, job_id): (u32, u32, u32),
        share: &ShareFields<'_>,
        worker: Option<&[u8]>,
        now: Instant,
        out: &mut BytesMut,
    ) -> Result<(), Hangup> {
        if self.custom.is_some() {
            return self.on_custom_share((channel_id, sequence_number, job_id), share, worker, now, out);
        }
        let shared = Arc::clone(&self.shared);
        let options = &shared.options;
        let mut refuse = |user: Option<&_>, reason: Refusal| {
            shared.stats.rejected(user, reason);
            let error_code = Str0255::truncated(reason.code());
            write_frame(&SubmitSharesError { channel_id, sequence_number, error_code }, out);
            Ok(())
        };
        let job = self.jobs.iter().rev().find(|job| job.id == job_id);
        let Some(channel) = self.channels.get_mut(&channel_id) else {
            return refuse(None, Refusal::InvalidChannelId);
        };
        let user = channel.user_of(worker, |name| shared.stats.user(name));
        let Some(job) = job else {
            let was_valid = (self.first_job..self.first_job_on_tip).contains(&job_id);
            let reason = if was_valid { Refusal::StaleShare } else { Refusal::InvalidJobId };
            return refuse(Some(&user), reason);
        };
        // A job that the channel never had: it was opened later.
        let (Some(prefix), Some(goal)) = (channel.prefixes.at(job_id), channel.goals.at(job_id)) else {
            return refuse(Some(&user), Refusal::InvalidJobId);
        };
        let terms = ShareTerms {
            rollable_size: channel.rollable_size,
            prefix,
            goal: *goal,
            version_rolling: options.version_rolling,
        };
        let good = match judge(job, &terms, share) {
            Ok(good) => good,
            Err(reason) => return refuse(Some(&user), reason),
        };
        if !channel.first_time(&good.hash) {
            return refuse(Some(&user), Refusal::DuplicateShare);
        }
        if good.is_block {
            let prefix = channel.prefixes.at(job_id).map_or(&[][..], Vec::as_slice);
            let found = Found::Solution {
                template: Arc::clone(&job.template),
                version: share.version,
                ntime: share.ntime,
                nonce: share.nonce,
                coinbase: job.coinbase(prefix, share.extranonce),
            };
            self.book(channel_id, sequence_number, &user, &good, now, out)?;
            shared.found(Route::OwnJob, good.hash, found);
            return Ok(());
        }
        self.book(channel_id, sequence_number, &user, &good, now, out)
    }

    /// Credits a good share, which was not there before.
    pub(super) fn book(
        &mut self,
        channel_id: u32,
        sequence_number: u32,
        user: &UserCounters,
        good: &GoodShare,
        now: Instant,
        out: &mut BytesMut,
    ) -> Result<(), Hangup> {
        let (options, stats) = (&self.shared.options, &self.shared.stats);
        let Some(channel) = self.channels.get_mut(&channel_id) else { return Ok(()) };
        if channel.seen() > options.duplicate_budget {
            return Err(Hangup::ShareBudget(channel_id));
        }
        stats.accepted(user, good.difficulty);
        if let Some(success) =
            channel.accept(sequence_number, good.difficulty, options.share_batch_size, good.is_block, now)
        {
            stats.acknowledged(success.new_submits_accepted_count);
            write_frame(&success, out);
        }
        Ok(())
    }
}
