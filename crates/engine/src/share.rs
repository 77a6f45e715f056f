//! A verified share on its way from a miner to the source that its job came from.

use std::sync::Arc;

use crate::books::{AccountId, UnsentReason};
use crate::ids::{ChannelKey, MinerRef};

/// Up to 32 bytes of extranonce, in place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Extranonce {
    bytes: [u8; 32],
    len: u8,
}

impl Extranonce {
    /// Takes at most 32 bytes; `None` when there are more.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut own = [0; 32];
        own.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self { bytes: own, len: u8::try_from(bytes.len()).ok()? })
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl std::fmt::Debug for Extranonce {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_slice().iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// A share that meets its source's target, verified.
#[derive(Clone, Debug)]
pub struct OutgoingShare {
    /// The channel that the job came over.
    pub channel: ChannelKey,
    /// The channel's count of tips when the job was live: another one now means the share is stale.
    pub tip: u32,
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
    pub account: AccountId,
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

/// Takes shares out of a miner's state machine and into their source's queue.
pub trait ShareSink {
    /// Queues the share, or says at once why it cannot be sent. Must not block.
    ///
    /// # Errors
    /// [`UnsentReason::QueueFull`] or [`UnsentReason::NoSource`].
    fn forward(&mut self, share: OutgoingShare) -> Result<(), UnsentReason>;
}

/// A source's answer, for a miner that waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The submit that it answers.
    pub token: u32,
    /// How the share ended.
    pub end: crate::books::Final,
}
