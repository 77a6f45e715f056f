//! Custom jobs (specification, sections 5.3.18 to 5.3.20): checked here, so that their shares can be judged, and passed on.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use sv2::mining::{SetCustomMiningJob, SetCustomMiningJobError, SetCustomMiningJobSuccess};
use sv2::{Str0255, error_code, write_frame};
use work::{ChannelJob, ChannelTerms, Job, JobError, JobParts, Seconds};

use super::mining::JdcMining;
use crate::now::Now;
use crate::source::CustomJobAnswer;

/// Custom jobs of one connection that the pool has not answered for.
const MAX_PENDING: usize = 16;
/// The pool answers within this, or the JDC is told that it does not.
const DEADLINE: Duration = Duration::from_secs(30);

/// A job that waits for the pool's answer.
#[derive(Debug)]
pub(super) struct PendingJob {
    /// The channel, towards the pool.
    pub(super) above: u32,
    /// The channel, towards the JDC.
    channel_id: u32,
    /// Towards the pool.
    request_above: u32,
    /// The JDC's.
    request_id: u32,
    job: Job,
    deadline: Duration,
}

impl PendingJob {
    pub(super) fn deadline(&self) -> Duration {
        self.deadline
    }
}

/// Wall-clock seconds as the validator's clock: a custom job's `min_ntime` may be as old as its tip, and its miners' time goes
/// on from now.
pub(super) fn wall_clock(now: Now) -> Seconds {
    Seconds(u64::from(now.unix))
}

/// The job that a message describes; its number is the pool's to give.
fn read(message: &SetCustomMiningJob<'_>, extranonce_len: usize) -> Result<Job, JobError> {
    let head = message.coinbase_prefix.as_slice();
    let script_len = head.len().saturating_add(extranonce_len);
    let mut prefix = Vec::with_capacity(64);
    prefix.extend_from_slice(&message.coinbase_tx_version.to_le_bytes());
    prefix.push(1);
    prefix.extend_from_slice(&[0; 32]);
    prefix.extend_from_slice(&[0xff; 4]);
    // No coinbase has a script of more than 100 bytes: a longer one is found out below, as the length is wrong then.
    prefix.push(u8::try_from(script_len).unwrap_or(u8::MAX).min(0xfc));
    prefix.extend_from_slice(head);
    let outputs = message.coinbase_tx_outputs.as_slice();
    let mut suffix = Vec::with_capacity(outputs.len() + 8);
    suffix.extend_from_slice(&message.coinbase_tx_input_n_sequence.to_le_bytes());
    suffix.extend_from_slice(outputs);
    suffix.extend_from_slice(&message.coinbase_tx_locktime.to_le_bytes());
    let parts = JobParts {
        id: 0,
        version: message.version,
        version_rolling_allowed: true,
        prev_hash: message.prev_hash,
        nbits: message.nbits,
        min_ntime: message.min_ntime,
        merkle_path: message.merkle_path.iter().collect(),
        coinbase_tx_prefix: prefix.into(),
        coinbase_tx_suffix: suffix.into(),
    };
    Job::new(parts, extranonce_len)
}

/// What a JDC is told of a job that is none.
fn code_of(error: &JobError) -> &'static str {
    match error {
        JobError::MerklePathTooLong { .. } => error_code::INVALID_MERKLE_PATH,
        JobError::Nbits(_) => error_code::INVALID_NBITS,
        _ => error_code::INVALID_COINBASE_TX,
    }
}

fn refuse(channel_id: u32, request_id: u32, code: &str, out: &mut BytesMut) {
    let error_code = Str0255::truncated(code);
    write_frame(&SetCustomMiningJobError { channel_id, request_id, error_code }, out);
}

impl JdcMining {
    pub(super) fn set_custom_job(&mut self, message: &SetCustomMiningJob<'_>, now: Now, out: &mut BytesMut) {
        let (channel_id, request_id) = (message.channel_id, message.request_id);
        let Some(at) = self.find(channel_id) else {
            return refuse(channel_id, request_id, error_code::INVALID_CHANNEL_ID, out);
        };
        if self.jobs.len() >= MAX_PENDING {
            return refuse(channel_id, request_id, "too-many-open-requests", out);
        }
        let channel = &self.channels[at];
        let job = match read(message, channel.extranonce_len()) {
            Ok(job) => job,
            Err(error) => return refuse(channel_id, request_id, code_of(&error), out),
        };
        let (above, request_above) = (channel.above, self.pool.request_id());
        let passed_on = SetCustomMiningJob { channel_id: above, request_id: request_above, ..*message };
        write_frame(&passed_on, &mut self.up.frames);
        let deadline = now.mono + DEADLINE;
        self.jobs.push_back(PendingJob { above, channel_id, request_above, request_id, job, deadline });
    }

    pub(super) fn custom_job_answered(&mut self, answer: CustomJobAnswer, now: Now, out: &mut BytesMut) {
        let asked =
            |job: &PendingJob| job.above == answer.channel_id && job.request_above == answer.request_id;
        let Some(pending) = self.jobs.iter().position(asked).and_then(|at| self.jobs.remove(at)) else {
            return;
        };
        let PendingJob { above, channel_id, request_id, mut job, .. } = pending;
        let taken = match answer.answer {
            Ok(job_id) => job_id,
            Err(code) => return refuse(channel_id, request_id, &code, out),
        };
        job.id = taken;
        // What the pool judges the job's shares by is what it has told until now.
        let target = self.pool.channel_target(above);
        let (Some(at), Some(source_target)) = (self.find(channel_id), target) else { return };
        let ntime_slack = self.ntime_slack;
        let channel = &mut self.channels[at];
        let clock = wall_clock(now);
        let terms = ChannelTerms {
            source: work::SourceId(channel.state.key.source.0),
            generation: channel.generation,
            extranonce_prefix: &channel.prefix,
            filler: &[],
            source_target,
            ntime_slack,
            received_at: Seconds(u64::from(job.min_ntime)).min(clock),
        };
        let advertised = ChannelJob::new(Arc::new(job), terms)
            .ok()
            .and_then(|job| channel.validator.advertise(Arc::new(job), source_target, clock).ok());
        match advertised {
            Some(advertised) => {
                let job_id = advertised.job_id;
                write_frame(&SetCustomMiningJobSuccess { channel_id, request_id, job_id }, out);
            }
            // The prefix takes all of the extranonce: no pool does that.
            None => refuse(channel_id, request_id, error_code::INVALID_COINBASE_TX, out),
        }
    }

    /// Those that the pool is silent about for too long.
    pub(super) fn give_jobs_up(&mut self, now: Now, out: &mut BytesMut) {
        while self.jobs.front().is_some_and(|job| now.reached(job.deadline)) {
            let Some(job) = self.jobs.pop_front() else { return };
            refuse(job.channel_id, job.request_id, "no-answer", out);
        }
    }
}
