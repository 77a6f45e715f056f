//! The newest jobs of a receipt, to which shares refer by how far back they are.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::job::Job;
use crate::records::{JOB_WINDOW, MAX_WINDOW};

/// A job and what it is hashed to.
#[derive(Clone, Debug)]
pub struct KnownJob {
    /// The job.
    pub job: Job,
    /// Its [`Job::hash`].
    pub hash: [u8; 32],
    /// How many jobs stand before it.
    pub number: u64,
}

/// Up to [`JOB_WINDOW`] jobs of up to [`MAX_WINDOW`] bytes together; older ones are forgotten.
#[derive(Debug, Default)]
pub(crate) struct JobWindow {
    jobs: VecDeque<Arc<KnownJob>>,
    bytes: usize,
    count: u64,
}

impl JobWindow {
    pub(crate) fn push(&mut self, job: Job, hash: [u8; 32]) {
        self.bytes += job.len();
        self.jobs.push_front(Arc::new(KnownJob { job, hash, number: self.count }));
        self.count += 1;
        while self.jobs.len() > JOB_WINDOW || self.bytes > MAX_WINDOW {
            let Some(oldest) = self.jobs.pop_back() else { break };
            self.bytes -= oldest.job.len();
        }
    }

    /// How far back a job is.
    pub(crate) fn find(&self, hash: &[u8; 32]) -> Option<usize> {
        self.jobs.iter().position(|known| known.hash == *hash)
    }

    pub(crate) fn get(&self, back: usize) -> Option<&Arc<KnownJob>> {
        self.jobs.get(back)
    }

    pub(crate) fn newest(&self) -> Option<&Arc<KnownJob>> {
        self.jobs.front()
    }
}
