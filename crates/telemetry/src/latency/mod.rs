//! How long things take: observed on the hot paths, read by a scrape.

mod fanout;
mod histogram;

use std::sync::Arc;

pub use fanout::JobFanout;
pub use histogram::Histogram;

#[derive(Debug, Default)]
struct Histograms {
    share_to_reply: Histogram,
    share_to_ack: Histogram,
    template_to_ack: Histogram,
    job_fanout: Histogram,
    job_fanout_last: Histogram,
    job_fanout_spread: Histogram,
    handshake: Histogram,
    ledger_flush: Histogram,
}

/// All histograms. Made once; a clone is another handle to the same ones.
#[derive(Clone, Debug, Default)]
pub struct Latencies(Arc<Histograms>);

impl Latencies {
    /// From reading a miner's submit to writing the reply.
    #[must_use]
    pub fn share_to_reply(&self) -> &Histogram {
        &self.0.share_to_reply
    }

    /// From reading a miner's submit to reading the source's answer to that share.
    #[must_use]
    pub fn share_to_ack(&self) -> &Histogram {
        &self.0.share_to_ack
    }

    /// From a template to the pool's acknowledgement of its job.
    #[must_use]
    pub fn template_to_ack(&self) -> &Histogram {
        &self.0.template_to_ack
    }

    /// From reading a job's frame from the source to writing one miner's notify; once per job and miner.
    /// [`JobFanout`] observes it.
    #[must_use]
    pub fn job_fanout(&self) -> &Histogram {
        &self.0.job_fanout
    }

    /// From reading a job's frame from the source to writing the last miner's notify; once per job.
    /// [`JobFanout`] observes it.
    #[must_use]
    pub fn job_fanout_last(&self) -> &Histogram {
        &self.0.job_fanout_last
    }

    /// From writing the first miner's notify of a job to writing the last one's; once per job.
    /// [`JobFanout`] observes it.
    #[must_use]
    pub fn job_fanout_spread(&self) -> &Histogram {
        &self.0.job_fanout_spread
    }

    /// From beginning to write what waits for the ledger until it is on the disk.
    #[must_use]
    pub fn ledger_flush(&self) -> &Histogram {
        &self.0.ledger_flush
    }

    /// From dialling a source to the end of the Noise handshake.
    #[must_use]
    pub fn handshake(&self) -> &Histogram {
        &self.0.handshake
    }
}
