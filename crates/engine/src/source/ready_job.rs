//! A job on its tip, with what is rendered once for all channels and miners.

use std::sync::Arc;

use work::{ChannelJob, ChannelJobError, ChannelTerms, ExtranonceSplit, Job, LeaseTag, Seconds, Target};

use crate::feed::{ChannelState, Feed};
use crate::now::Now;

/// A job, and the parts of `mining.notify` that are the same for all who mine it.
#[derive(Clone, Debug)]
pub(super) struct ReadyJob {
    pub(super) job: Arc<Job>,
    pub(super) notify: Arc<sv1::notify::NotifyParts>,
}

/// The channel that a job is put on, as it stands for this job.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) state: &'a Arc<ChannelState>,
    /// Names the channel's present tip.
    pub(super) generation: u32,
    pub(super) prefix: &'a [u8],
    pub(super) split: &'a ExtranonceSplit,
    /// Stands in the filler.
    pub(super) tag: LeaseTag,
    pub(super) target: Target,
    pub(super) ntime_slack: u32,
    /// When its tip became active: a miner's time goes on from `min_ntime` since then.
    pub(super) active_since: Seconds,
}

impl ReadyJob {
    pub(super) fn new(job: Job) -> Self {
        let notify = sv1::notify::render_job(
            &job.prev_hash,
            &job.coinbase_tx_prefix,
            &job.coinbase_tx_suffix,
            &job.merkle_path,
            job.version,
            job.nbits,
        );
        Self { job: Arc::new(job), notify: Arc::new(notify) }
    }

    /// The feed that carries the job to the channel's miners.
    pub(super) fn feed(&self, on: Place<'_>, now: Now) -> Result<Feed, ChannelJobError> {
        let filler = on.split.filler_of(on.tag);
        let terms = ChannelTerms {
            source: work::SourceId(on.state.key.source.0),
            generation: on.generation,
            extranonce_prefix: on.prefix,
            filler: filler.as_slice(),
            source_target: on.target,
            ntime_slack: on.ntime_slack,
            received_at: on.active_since,
        };
        Ok(Feed {
            sequence: 0,
            channel: Arc::clone(on.state),
            generation: on.generation,
            job: Arc::new(ChannelJob::new(Arc::clone(&self.job), terms)?),
            notify: Arc::clone(&self.notify),
            received: now.mono,
        })
    }
}
