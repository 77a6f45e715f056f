//! One channel.

use std::time::Duration;

use work::{Difficulty, Target};

use super::LeftChannel;
use super::accepted::Accepted;
use crate::feed::Feed;
use crate::ids::{GroupId, MinerRef, RouteId};
use crate::miner::ListenerPolicy;
use crate::miner::mining::{METER_AT_LEAST, Mining};
use crate::miner::worker::Worker;
use crate::now::earliest;

/// What the miner asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Section 5.2.1: the extranonce is fixed, only the header is rolled.
    Standard,
    /// Section 5.2.2: the miner rolls an extranonce.
    Extended,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) id: u32,
    pub(super) kind: Kind,
    pub(super) worker: Worker,
    /// Who it is to the router.
    pub(super) miner: MinerRef,
    /// The router's group that it gets its work from.
    pub(super) group: GroupId,
    /// The route that it takes.
    pub(super) route: RouteId,
    pub(super) mining: Mining,
    /// The target as it was last told.
    pub(super) told_target: Target,
    /// The easiest that the miner takes.
    pub(super) max_target: Target,
    /// Hashes per second, as the miner said last.
    pub(super) nominal: f64,
    /// When it was opened.
    pub(super) since: Duration,
    /// When the miner said last that nothing mines (a hashrate of 0.0); when it was opened, before that.
    pub(super) zero_since: Duration,
    pub(super) last_share: Duration,
    /// What the miner has not been told of.
    pub(super) accepted: Accepted,
}

impl Channel {
    /// Nothing mines behind it, as far as the miner says and its shares do not show otherwise.
    pub(super) fn is_standby(&self) -> bool {
        self.nominal == 0.0 && self.last_share <= self.zero_since
    }

    /// The hashrate before the first share.
    pub(super) fn guess(&self, policy: &ListenerPolicy) -> f64 {
        if self.nominal > 0.0 {
            self.nominal
        } else if self.is_standby() {
            0.0
        } else {
            self.mining.guess(policy.vardiff.shares_per_minute)
        }
    }

    /// The target that the miner should have: vardiff's wish, never harder than the source's, unless the miner takes
    /// none that is easier; with its difficulty. Before there is work the source's is not known.
    pub(super) fn wish(&self, policy: &ListenerPolicy) -> (Target, f64) {
        let difficulty =
            self.mining.wish(policy.vardiff.max).unwrap_or_else(|| self.mining.vardiff.difficulty());
        let target = Difficulty::new(difficulty).map_or(Target::MAX, Target::from_difficulty);
        let source = self.mining.feed.as_ref().map(|feed| feed.job.source_target);
        // The target of a difficulty is rounded; it must not be harder than the source's for that.
        let target = source.map_or(target, |source| target.easier(source)).harder(self.max_target);
        (target, target.difficulty().get())
    }

    /// The channel has not been given this work yet.
    pub(super) fn lacks(&self, feed: &std::sync::Arc<Feed>) -> bool {
        self.mining.feed.as_ref().is_none_or(|known| !std::sync::Arc::ptr_eq(known, feed))
    }

    /// When its timers are to be looked at.
    pub(super) fn deadline(&self, policy: &ListenerPolicy) -> Option<Duration> {
        let vardiff = &self.mining.vardiff;
        let adapts = policy.vardiff_enabled && !self.is_standby();
        let vardiff = adapts.then(|| vardiff.deadline(&policy.vardiff)).flatten();
        // Where vardiff has nothing to do, the hashrate is looked at all the same.
        let meter =
            (vardiff.is_none() && self.mining.metered > 0.0).then(|| self.mining.metered_at + METER_AT_LEAST);
        earliest(vardiff, meter)
    }

    pub(super) fn into_left(self) -> LeftChannel {
        LeftChannel {
            miner_id: self.mining.validator.miner_id(),
            place: Some((self.miner, self.group)),
            learnt: (self.last_share > self.since).then(|| self.mining.vardiff.difficulty()),
            identity: self.worker.name,
        }
    }
}
