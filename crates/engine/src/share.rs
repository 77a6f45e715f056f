//! A verified share on its way from a miner to the source that its job came from.

use std::sync::Arc;

use work::Extranonce;

use crate::books::{Final, Tally, UnsentReason};
use crate::evidence::Evidence;
use crate::ids::{ChannelKey, MinerRef};

/// A share that meets its source's target, verified.
#[derive(Clone, Debug)]
pub struct OutgoingShare {
    /// The channel that the job came over.
    pub channel: ChannelKey,
    /// The job's channel and tip: the channel has another one now if the share is stale.
    pub generation: u32,
    /// The source's id of the job.
    pub job_id: u32,
    /// The header's nonce.
    pub nonce: u32,
    /// The header's time, Unix seconds.
    pub ntime: u32,
    /// The header's full version.
    pub version: u32,
    /// The whole rollable extranonce of the channel: filler, miner id, extranonce2.
    pub extranonce: Extranonce,
    /// What the source credits: the difficulty of the channel's target for the job.
    pub difficulty: f64,
    /// The hash meets the network's target: it goes out before all else, also when stale.
    pub is_block: bool,
    /// Where it is counted.
    pub tally: Arc<Tally>,
    /// Who found it.
    pub miner: MinerRef,
    /// The worker's name, for extension 0x0002.
    pub worker: Arc<str>,
    /// The miner was answered `true` at once.
    pub told_true: bool,
    /// For [`ReplyMode::Source`](crate::miner::ReplyMode): which of the miner's submits waits for the source's
    /// answer.
    pub token: Option<u32>,
}

impl OutgoingShare {
    /// It has found its end: into the books, and to the miner if it waits for that.
    pub(crate) fn end(&self, end: Final, answers: &mut Vec<(MinerRef, Answer)>) {
        self.tally.settle(self.miner, end, self.difficulty, self.told_true);
        if let Some(token) = self.token {
            answers.push((self.miner, Answer { token, end }));
        }
    }
}

/// Takes shares out of a miner's state machine and into their source's queue.
pub trait ShareSink {
    /// Queues the share, or says at once why it cannot be sent. Must not block.
    ///
    /// # Errors
    /// [`UnsentReason::QueueFull`] or [`UnsentReason::NoSource`].
    fn forward(&mut self, share: OutgoingShare) -> Result<(), UnsentReason>;

    /// A good share meets its worker's keep target. Must not block. Called for a few thousand shares a worker and day.
    fn keep(&mut self, evidence: &Evidence<'_>) {
        let _ = evidence;
    }
}

/// A source's answer, for a miner that waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The submit that it answers.
    pub token: u32,
    /// How the share ended.
    pub end: Final,
}
