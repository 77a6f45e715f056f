//! What a miner is fed with: the newest job of its group, as it stands on the group's channel.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use work::ChannelJob;

use crate::ids::{ChannelKey, SourceId};
use crate::now::Now;

/// What miners and their source's channel have to know of each other.
#[derive(Debug)]
pub struct ChannelState {
    /// Which channel.
    pub key: ChannelKey,
    /// Shares of its jobs can still be sent. Cleared when the connection ends or the channel is closed.
    alive: AtomicBool,
    /// Its jobs' blocks are taken even then.
    takes_late_blocks: bool,
    /// The source sees how much is mined by itself, and sets the target for it.
    sized_by_source: bool,
}

impl ChannelState {
    /// A channel that was just opened.
    #[must_use]
    pub fn new(key: ChannelKey) -> Self {
        Self { key, alive: AtomicBool::new(true), takes_late_blocks: false, sized_by_source: false }
    }

    /// A channel of a source that hands blocks in by itself, over whatever way there is: a block of one of its jobs is
    /// one, whatever has become of the channel.
    #[must_use]
    pub fn of_own_blocks(key: ChannelKey) -> Self {
        Self { takes_late_blocks: true, ..Self::new(key) }
    }

    /// A channel whose target the source sets by the shares that it sees, whatever it was opened for: no further one would
    /// have another.
    #[must_use]
    pub fn sized_by_pool(key: ChannelKey) -> Self {
        Self { sized_by_source: true, ..Self::new(key) }
    }

    /// Whether more hashrate than it was opened for wants a channel with a harder target.
    #[must_use]
    pub fn can_be_outgrown(&self) -> bool {
        !self.sized_by_source
    }

    /// Whether a share can go to its source.
    #[must_use]
    pub fn takes(&self, is_block: bool) -> bool {
        self.is_alive() || is_block && self.takes_late_blocks
    }

    /// Whether shares can still be sent on it.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.alive.load(Relaxed)
    }

    /// No share can be sent any more.
    pub fn end(&self) {
        self.alive.store(false, Relaxed);
    }
}

/// The newest work of a group of miners. One is made per job and channel; every miner of the group reads the
/// same.
#[derive(Clone, Debug)]
pub struct Feed {
    /// Grows with every publication to the group.
    pub sequence: u64,
    /// The channel that takes the shares.
    pub channel: Arc<ChannelState>,
    /// Which channel and tip: the job's [`ChannelJob::generation`]. No two channels and no two tips of one
    /// source share it.
    pub generation: u32,
    /// The job with the channel's prefix and target.
    pub job: Arc<ChannelJob>,
    /// The parts of `mining.notify` that are the same for all, rendered once per upstream job.
    pub notify: Arc<sv1::notify::NotifyParts>,
    /// When the source's message was read, or, for a job that is sent again, when that was decided: what fan-out
    /// is measured from.
    pub received: Duration,
}

impl Feed {
    /// Where the shares go: the channel, and its tip.
    pub(crate) fn place(&self) -> (&ChannelState, u32) {
        (&self.channel, self.generation)
    }

    /// The same job with another filler, to be sent again; `None` if it has that one, or cannot have it.
    pub(crate) fn with_filler(&self, filler: &[u8], now: Now) -> Option<Self> {
        let present = self.job.filler();
        if present == filler || present.len() != filler.len() {
            return None;
        }
        Some(Self { job: Arc::new(self.job.with_filler(filler).ok()?), received: now.mono, ..self.clone() })
    }

    /// The source that the work comes from.
    #[must_use]
    pub fn source(&self) -> SourceId {
        self.channel.key.source
    }
}

/// Numbers that a group's miners keep for the router, without a message.
#[derive(Debug, Default)]
pub struct GroupMeter {
    hashrate_bits: AtomicU64,
    shares: AtomicU64,
    work_bits: AtomicU64,
    /// The whole that this is a part of.
    whole: Option<Arc<GroupMeter>>,
}

impl GroupMeter {
    /// One miner's part of its group's meter: what is counted here is counted there too.
    #[must_use]
    pub fn of_one(group: Arc<GroupMeter>) -> Self {
        Self { whole: Some(group), ..Self::default() }
    }

    /// Moves the sum of the miners' estimates, in hashes per second.
    pub fn shift_hashrate(&self, by: f64) {
        add(&self.hashrate_bits, by);
        if let Some(whole) = &self.whole {
            whole.shift_hashrate(by);
        }
    }

    /// The sum of the miners' estimates, in hashes per second.
    #[must_use]
    pub fn hashrate(&self) -> f64 {
        f64::from_bits(self.hashrate_bits.load(Relaxed))
    }

    /// A share was verified, and is worth this difficulty.
    pub fn count_share(&self, difficulty: f64) {
        self.shares.fetch_add(1, Relaxed);
        add(&self.work_bits, difficulty);
        if let Some(whole) = &self.whole {
            whole.count_share(difficulty);
        }
    }

    /// The sum of the verified shares' difficulties, ever.
    #[must_use]
    pub fn work(&self) -> f64 {
        f64::from_bits(self.work_bits.load(Relaxed))
    }

    /// Shares verified, ever.
    #[must_use]
    pub fn shares(&self) -> u64 {
        self.shares.load(Relaxed)
    }
}

/// Adds to a number that is kept as its bits; it never gets below zero.
fn add(bits: &AtomicU64, by: f64) {
    let _ = bits.fetch_update(Relaxed, Relaxed, |bits| Some((f64::from_bits(bits) + by).max(0.0).to_bits()));
}

/// How long after a keepalive job the next one is due.
pub const DEFAULT_KEEPALIVE: Duration = Duration::from_secs(30);
