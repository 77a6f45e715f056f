//! Shares: judged, answered, booked; blocks among them go to the chain.

use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use sv2::mining::{SetCustomMiningJob, SetCustomMiningJobError, SubmitSharesError, SubmitSharesStandard};
use sv2::{Str0255, error_code, write_frame};
use tracing::info;

use super::{Client, Hangup};
use crate::dev_pool::share::{Refusal, judge};
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
        let good = match judge(channel, job, options.version_rolling, share) {
            Ok(good) => good,
            Err(reason) => return refuse(Some(&user), reason),
        };
        if !channel.first_time(&good.hash) {
            return refuse(Some(&user), Refusal::DuplicateShare);
        }
        if channel.seen() > options.duplicate_budget {
            return Err(Hangup::ShareBudget(channel_id));
        }
        shared.stats.accepted(&user, good.difficulty);
        if let Some(success) =
            channel.accept(sequence_number, good.difficulty, options.share_batch_size, good.is_block, now)
        {
            shared.stats.acknowledged(success.new_submits_accepted_count);
            write_frame(&success, out);
        }
        if good.is_block {
            let prefix = channel.prefixes.at(job_id).map_or(&[][..], Vec::as_slice);
            let coinbase = job.coinbase(prefix, share.extranonce);
            let template_id = job.template.template_id;
            let result =
                shared.submit_solution(template_id, share.version, share.ntime, share.nonce, &coinbase);
            shared.stats.block(result.is_ok(), &good.hash);
            match result {
                Ok(block) => info!(height = block.height, hash = %block.hash, "block found"),
                Err(error) => info!(%error, "a block was refused"),
            }
        }
        Ok(())
    }
}

/// This pool takes no custom jobs.
pub(super) fn refuse_custom_job(job: &SetCustomMiningJob<'_>, out: &mut BytesMut) {
    write_frame(
        &SetCustomMiningJobError {
            channel_id: job.channel_id,
            request_id: job.request_id,
            error_code: Str0255::truncated(error_code::JD_NOT_SUPPORTED),
        },
        out,
    );
}
