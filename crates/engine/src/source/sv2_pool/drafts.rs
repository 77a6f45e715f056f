//! The jobs of one channel or group channel: future ones wait for their tip, the newest active one is
//! remembered so that a channel can be given it again.

use std::collections::VecDeque;
use std::sync::Arc;

use sv2::mining::NewExtendedMiningJob;
use work::coinbase::{PayoutError, PayoutRule};
use work::{Job, JobError, JobParts};

use crate::source::ready_job::ReadyJob;

/// Future jobs kept for one address. The reference pool keeps 16; the oldest goes first.
pub(super) const MAX_FUTURE_JOBS: usize = 32;

/// The tip that jobs stand on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tip {
    pub(super) prev_hash: [u8; 32],
    pub(super) nbits: u32,
    pub(super) min_ntime: u32,
}

/// A job before it has a tip.
#[derive(Debug)]
pub(super) struct Draft {
    /// Counts the source's job messages.
    number: u64,
    job_id: u32,
    version: u32,
    version_rolling_allowed: bool,
    merkle_path: Vec<[u8; 32]>,
    coinbase_tx_prefix: Vec<u8>,
    coinbase_tx_suffix: Vec<u8>,
}

impl Draft {
    /// Takes a job out of its message. All lengths were bounded by the frame.
    pub(super) fn read(number: u64, message: &NewExtendedMiningJob<'_>) -> Self {
        Self {
            number,
            job_id: message.job_id,
            version: message.version,
            version_rolling_allowed: message.version_rolling_allowed,
            merkle_path: message.merkle_path.iter().collect(),
            coinbase_tx_prefix: message.coinbase_tx_prefix.as_slice().to_vec(),
            coinbase_tx_suffix: message.coinbase_tx_suffix.as_slice().to_vec(),
        }
    }

    /// Puts the job on a tip. `extranonce_len` is the channel's whole extranonce: prefix and rollable part.
    pub(super) fn on_tip(&self, tip: Tip, extranonce_len: usize) -> Result<ReadyJob, JobError> {
        let job = Job::new(
            JobParts {
                id: self.job_id,
                version: self.version,
                version_rolling_allowed: self.version_rolling_allowed,
                prev_hash: tip.prev_hash,
                nbits: tip.nbits,
                min_ntime: tip.min_ntime,
                merkle_path: self.merkle_path.clone().into(),
                coinbase_tx_prefix: self.coinbase_tx_prefix.clone().into(),
                coinbase_tx_suffix: self.coinbase_tx_suffix.clone().into(),
            },
            extranonce_len,
        )?;
        Ok(ReadyJob::new(job))
    }

    /// Holds the job's coinbase against a rule.
    pub(super) fn pays(&self, rule: &PayoutRule, extranonce_len: usize) -> Result<(), PayoutError> {
        rule.check(&self.coinbase_tx_prefix, extranonce_len, &self.coinbase_tx_suffix)
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn job_id(&self) -> u32 {
        self.job_id
    }
}

/// Future jobs of one address, newest last.
#[derive(Debug, Default)]
pub(super) struct FutureJobs(VecDeque<Arc<Draft>>);

impl FutureJobs {
    pub(super) fn insert(&mut self, draft: Arc<Draft>) {
        self.0.retain(|d| d.job_id() != draft.job_id());
        if self.0.len() == MAX_FUTURE_JOBS {
            self.0.pop_front();
        }
        self.0.push_back(draft);
    }

    pub(super) fn get(&self, job_id: u32) -> Option<Arc<Draft>> {
        self.0.iter().find(|d| d.job_id() == job_id).cloned()
    }

    /// Takes another address's jobs as well.
    pub(super) fn extend(&mut self, other: &Self) {
        other.0.iter().for_each(|draft| self.insert(Arc::clone(draft)));
    }

    /// A tip was set: of the jobs sent before it none but the named one is valid (section 5.3.17).
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
