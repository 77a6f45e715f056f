//! How one job spread over the miners.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use super::Latencies;

/// Follows one job from the source's frame to the miners' sockets. Put an `Arc` of it beside the job in the
/// cell that miners wait on; every task that writes the job *because it was published* says so with
/// [`written`](Self::written). When the last holder lets go, the job's first and last write are entered.
///
/// A miner that joins later and is handed the current job is not part of the fan-out.
#[derive(Debug)]
pub struct JobFanout {
    latencies: Latencies,
    read_at: Instant,
    /// Nanoseconds after `read_at`; `u64::MAX` while nothing was written.
    first_ns: AtomicU64,
    /// Nanoseconds after `read_at`.
    last_ns: AtomicU64,
}

impl JobFanout {
    /// A job whose frame was read from the source's socket at `read_at`.
    #[must_use]
    pub fn new(latencies: &Latencies, read_at: Instant) -> Self {
        Self {
            latencies: latencies.clone(),
            read_at,
            first_ns: AtomicU64::new(u64::MAX),
            last_ns: AtomicU64::new(0),
        }
    }

    /// A miner's notify was written at `at`.
    pub fn written(&self, at: Instant) {
        let took = at.saturating_duration_since(self.read_at);
        self.latencies.job_fanout().observe(took);
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        // Reading is cheap while others only read: most writes are neither the first nor race to be the last.
        if ns < self.first_ns.load(Relaxed) {
            self.first_ns.fetch_min(ns, Relaxed);
        }
        if ns > self.last_ns.load(Relaxed) {
            self.last_ns.fetch_max(ns, Relaxed);
        }
    }
}

impl Drop for JobFanout {
    fn drop(&mut self) {
        let first = *self.first_ns.get_mut();
        let last = *self.last_ns.get_mut();
        if first != u64::MAX {
            self.latencies.job_fanout_last().observe(std::time::Duration::from_nanos(last));
            self.latencies.job_fanout_spread().observe(std::time::Duration::from_nanos(last - first));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_job_is_entered_once_when_its_last_holder_lets_go() {
        let latencies = Latencies::default();
        let read_at = Instant::now();
        let job = Arc::new(JobFanout::new(&latencies, read_at));
        let holders = [job.clone(), job.clone()];
        for ms in [30, 10, 20] {
            job.written(read_at + Duration::from_millis(ms));
        }
        drop(job);
        assert_eq!(latencies.job_fanout().count(), 3);
        assert_eq!(latencies.job_fanout_last().count(), 0);
        drop(holders);
        assert!((latencies.job_fanout_last().read().sum_seconds - 0.030).abs() < 1e-9);
        assert!((latencies.job_fanout_spread().read().sum_seconds - 0.020).abs() < 1e-9);
    }

    #[test]
    fn a_job_that_nobody_was_sent_is_not_entered() {
        let latencies = Latencies::default();
        drop(JobFanout::new(&latencies, Instant::now()));
        assert_eq!(latencies.job_fanout_last().count(), 0);
        assert_eq!(latencies.job_fanout_spread().count(), 0);
    }
}
