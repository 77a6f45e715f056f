//! Custom jobs (5.3.18): taken or refused, and their shares.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use bitcoin::BlockHash;
use bytes::BytesMut;
use sv2::mining::{
    SetCustomMiningJob, SetCustomMiningJobError, SetCustomMiningJobSuccess, SubmitSharesError,
};
use sv2::{Str0255, error_code, write_frame};
use tracing::info;

use super::{Client, Hangup};
use crate::dev_pool::blocks::{Found, Route};
use crate::dev_pool::channel::Goal;
use crate::dev_pool::jds::{CustomTerms, DeclaredJob, Jds, JdsFaults, Solved, TokenUse, judge_custom_job};
use crate::dev_pool::share::{Refusal, ShareTerms, judge};
use crate::dev_pool::unix_now;
use crate::dev_pool::work::{PoolJob, ShareFields};

/// Custom jobs on one tip whose shares are taken.
const MAX_JOBS: usize = 16;

/// A job that the client put together.
struct CustomJob {
    job: Arc<PoolJob>,
    /// Extranonce prefix and target in force for it, by channel: what was so when it was acknowledged stays so.
    channels: HashMap<u32, (Vec<u8>, Goal)>,
    /// What was declared; `None`: nobody but the client knows the block.
    declared: Option<Arc<DeclaredJob>>,
}

/// A client's custom jobs.
#[derive(Default)]
pub(super) struct CustomJobs {
    /// The last one's number; they count up from 1.
    last_id: u32,
    /// The last one's number when the tip changed.
    last_id_before_tip: u32,
    /// On the present tip, the newest last.
    jobs: VecDeque<CustomJob>,
    /// On the tip before.
    on_last_tip: VecDeque<CustomJob>,
}

impl CustomJobs {
    pub(super) fn new_tip(&mut self) {
        self.on_last_tip = std::mem::take(&mut self.jobs);
        self.last_id_before_tip = self.last_id;
    }

    fn put(
        &mut self,
        job: impl FnOnce(u32) -> PoolJob,
        channels: HashMap<u32, (Vec<u8>, Goal)>,
        declared: Option<Arc<DeclaredJob>>,
    ) -> u32 {
        self.last_id = self.last_id.saturating_add(1);
        if self.jobs.len() == MAX_JOBS {
            self.jobs.pop_front();
        }
        self.jobs.push_back(CustomJob { job: Arc::new(job(self.last_id)), channels, declared });
        self.last_id
    }

    /// The job of a share.
    fn find(&self, job_id: u32) -> Result<&CustomJob, Refusal> {
        if let Some(known) = self.jobs.iter().rev().find(|known| known.job.id == job_id) {
            return Ok(known);
        }
        let was_valid = (1..=self.last_id_before_tip).contains(&job_id);
        Err(if was_valid { Refusal::StaleShare } else { Refusal::InvalidJobId })
    }

    /// The job of a share that is the very block which made the tip: it may come after the block itself, by another
    /// way, and is not stale.
    fn find_maker(
        &self,
        tip: &BlockHash,
        channel_id: u32,
        job_id: u32,
        share: &ShareFields<'_>,
    ) -> Option<&CustomJob> {
        let known = self.on_last_tip.iter().find(|known| known.job.id == job_id)?;
        let (prefix, _) = known.channels.get(&channel_id)?;
        (known.job.hash(prefix, share) == *tip).then_some(known)
    }
}

impl Client {
    pub(super) fn on_custom_job(&mut self, job: &SetCustomMiningJob<'_>, now: Instant, out: &mut BytesMut) {
        let (channel_id, request_id) = (job.channel_id, job.request_id);
        let jds = self.shared.jds.clone();
        let faults = jds.as_ref().map(|jds| jds.faults()).unwrap_or_default();
        if faults.silent_custom_job {
            return;
        }
        match self.take_custom_job(job, jds.as_deref(), &faults, now, out) {
            Ok(job_id) => {
                info!(channel_id, job_id, "custom job taken");
                for _ in 0..1 + usize::from(faults.answer_twice) {
                    write_frame(&SetCustomMiningJobSuccess { channel_id, request_id, job_id }, out);
                }
            }
            Err(code) => {
                let code = faults.refuse_custom_jobs.as_deref().unwrap_or(code);
                info!(channel_id, code, "custom job refused");
                if let Some(jds) = &jds {
                    jds.counters
                        .count(|stats| *stats.custom_jobs_refused.entry(code.to_owned()).or_default() += 1);
                }
                let error_code = Str0255::truncated(code);
                write_frame(&SetCustomMiningJobError { channel_id, request_id, error_code }, out);
            }
        }
    }

    /// The job's number, or the code of why there is none.
    fn take_custom_job(
        &mut self,
        job: &SetCustomMiningJob<'_>,
        jds: Option<&Jds>,
        faults: &JdsFaults,
        now: Instant,
        out: &mut BytesMut,
    ) -> Result<u32, &'static str> {
        let (Some(jds), true) = (jds, self.custom.is_some()) else {
            return Err(error_code::JD_NOT_SUPPORTED);
        };
        // On a connection for custom work all channels are extended.
        let channel_ids: Vec<u32> = if Some(job.channel_id) == self.group_id {
            self.channels.keys().copied().collect()
        } else {
            self.channels.keys().copied().filter(|id| *id == job.channel_id).collect()
        };
        if channel_ids.is_empty() {
            return Err(error_code::INVALID_CHANNEL_ID);
        }
        let options = &self.shared.options;
        let extranonce_size =
            usize::from(options.extranonce_prefix_size) + usize::from(options.extranonce_size);
        let token = jds.tokens().take(job.mining_job_token.as_slice(), &jds.options, now);
        // The chain's word, not what this connection has heard of it.
        let work = Arc::clone(&self.shared.work.borrow());
        let terms = CustomTerms { work: &work, options: &jds.options, extranonce_size, now: unix_now() };
        let (template, halves) = judge_custom_job(job, &token, &terms)?;
        if faults.refuse_custom_jobs.is_some() {
            // The caller puts the code that was ordered in this one's place.
            return Err(error_code::INVALID_MINING_JOB_TOKEN);
        }
        if work.tip_number != self.work.tip_number {
            self.on_work(work, out);
        }
        if faults.change_prefix {
            self.change_prefixes(&channel_ids, out);
        }
        let channels = channel_ids.iter().filter_map(|id| {
            let channel = self.channels.get(id)?;
            Some((*id, (channel.prefixes.latest().clone(), *channel.goals.latest())))
        });
        let channels = channels.collect();
        let declared = match token {
            TokenUse::Declared(declared) => Some(declared),
            _ => None,
        };
        let custom = self.custom.as_mut().ok_or(error_code::JD_NOT_SUPPORTED)?;
        let job_id =
            custom.put(|id| PoolJob::with_coinbase(id, Arc::new(template), halves), channels, declared);
        jds.counters.count(|stats| stats.custom_jobs += 1);
        Ok(job_id)
    }

    /// A share on a connection for custom work.
    pub(super) fn on_custom_share(
        &mut self,
        (channel_id, sequence_number, job_id): (u32, u32, u32),
        share: &ShareFields<'_>,
        worker: Option<&[u8]>,
        now: Instant,
        out: &mut BytesMut,
    ) -> Result<(), Hangup> {
        let shared = Arc::clone(&self.shared);
        let (Some(custom), Some(jds)) = (&self.custom, &shared.jds) else { return Ok(()) };
        let mut refuse = |user: Option<&_>, reason: Refusal, code: &str| {
            shared.stats.rejected(user, reason);
            let error_code = Str0255::truncated(code);
            write_frame(&SubmitSharesError { channel_id, sequence_number, error_code }, out);
            Ok(())
        };
        let Some(channel) = self.channels.get_mut(&channel_id) else {
            return refuse(None, Refusal::InvalidChannelId, Refusal::InvalidChannelId.code());
        };
        let user = channel.user_of(worker, |name| shared.stats.user(name));
        let tip = self.work.job.template.prev_hash;
        let (known, made_tip) = match custom.find(job_id) {
            Ok(known) => (known, false),
            Err(reason) => match custom.find_maker(&tip, channel_id, job_id, share) {
                Some(known) => (known, true),
                None => return refuse(Some(&user), reason, reason.code()),
            },
        };
        if let Some(code) = &jds.faults().refuse_shares {
            let reason = Refusal::ALL.into_iter().find(|reason| reason.code() == code);
            return refuse(Some(&user), reason.unwrap_or(Refusal::InvalidShare), code);
        }
        let Some((prefix, goal)) = known.channels.get(&channel_id) else {
            return refuse(Some(&user), Refusal::InvalidJobId, Refusal::InvalidJobId.code());
        };
        let version_rolling = shared.options.version_rolling;
        let terms = ShareTerms { rollable_size: channel.rollable_size, prefix, goal: *goal, version_rolling };
        let good = match judge(&known.job, &terms, share) {
            Ok(good) => good,
            Err(reason) => return refuse(Some(&user), reason, reason.code()),
        };
        if !channel.first_time(&good.hash) {
            return refuse(Some(&user), Refusal::DuplicateShare, Refusal::DuplicateShare.code());
        }
        let extranonce = [prefix, share.extranonce].concat();
        let declared = known.declared.clone();
        jds.counters.count(|stats| stats.custom_shares += 1);
        self.book(channel_id, sequence_number, &user, &good, now, out)?;
        if good.is_block && !made_tip {
            let solved = Solved {
                version: share.version,
                ntime: share.ntime,
                nonce: share.nonce,
                extranonce: &extranonce,
            };
            match declared.and_then(|declared| declared.block(&solved)) {
                Some(block) => shared.found(Route::DeclaredJob, good.hash, Found::Block(block)),
                None => shared.found_elsewhere(&good.hash),
            }
        }
        Ok(())
    }
}
