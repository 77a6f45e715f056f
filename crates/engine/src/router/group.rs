//! Miners that share one upstream channel.

use std::sync::Arc;
use std::time::Duration;

use work::hashrate::{Estimate, NominalHashrate};

use crate::feed::{ChannelState, Feed, GroupMeter};
use crate::ids::{GoalId, GroupId, RouteId, SourceId};

/// The estimate of a group's hashrate may have grown by this factor over what its channel was opened with
/// before a job with a harder target must come, or a further channel is opened.
pub(super) const OUTGROWN: f64 = 2.0;
/// How long a new job with the right target is waited for after `UpdateChannel`.
pub(super) const OUTGROWN_GRACE: Duration = Duration::from_secs(1);
/// Beyond this factor there is no waiting.
pub(super) const FAR_OUTGROWN: f64 = 16.0;
/// Further channels for one group come no faster than this.
pub(super) const FURTHER_CHANNEL_INTERVAL: Duration = Duration::from_secs(2);

/// A channel's first job comes within this, or the channel is given up.
pub(super) const FIRST_JOB_DEADLINE: Duration = Duration::from_secs(10);

/// A group without work, while its goal has a source, is told so no sooner than this.
pub(super) const UNSERVED_AT_LEAST: Duration = Duration::from_secs(60);

/// A group without miners whose route has several goals is kept for so long: longer than a miner that comes and goes
/// stays away.
pub(super) const KEPT_IDLE: Duration = Duration::from_secs(900);
/// No more of them than a route's miners may come back to, and as many as this.
pub(super) const KEPT_BEYOND: usize = 32;
/// How long the most that a group did is remembered.
const PEAK_FOR: Duration = Duration::from_secs(300);
/// How long the miners of a group that has ended are expected back together: within this a farm that lost its power or
/// its network for a moment has connected again.
const BACK_WITHIN: Duration = Duration::from_secs(30);

/// A channel that carries a group, or is about to.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    pub(super) channel: Arc<ChannelState>,
    /// Hashes per second that the active job's target was made for, as far as known.
    pub(super) sized_for: f64,
}

impl Bound {
    pub(super) fn source(&self) -> SourceId {
        self.channel.key.source
    }

    pub(super) fn channel_id(&self) -> u32 {
        self.channel.key.channel_id
    }
}

/// A channel that was asked for.
#[derive(Clone, Debug)]
pub(super) struct Opening {
    pub(super) request: u64,
    pub(super) source: SourceId,
    pub(super) nominal: f64,
}

/// The most that a goal's miners did together, for the channel of those that come back.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Remembered {
    hashrate: f64,
    at: Duration,
}

impl Remembered {
    /// A group of these miners is no more.
    pub(super) fn ended(&mut self, most: f64, now: Duration) {
        *self = Self { hashrate: self.now(now).max(most), at: now };
    }

    /// Hashes per second that may come back.
    pub(super) fn now(&self, now: Duration) -> f64 {
        faded(self.hashrate, now.saturating_sub(self.at).as_secs_f64(), PEAK_FOR)
    }
}

fn faded(hashrate: f64, seconds: f64, within: Duration) -> f64 {
    hashrate * (-seconds / within.as_secs_f64()).exp()
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) id: GroupId,
    pub(super) route: RouteId,
    pub(super) goal: GoalId,
    pub(super) limit: u32,
    /// Miners that are in it or on their way.
    pub(super) members: u32,
    /// Those on their way: they come with its first job.
    pub(super) awaited: u32,
    /// Their hashrate, hashes per second.
    pub(super) awaited_hashrate: f64,
    /// Empty since, and kept because miners come and go between goals.
    pub(super) idle_since: Option<Duration>,
    /// The most that its miners did of late.
    pub(super) most: f64,
    /// What its channel is to be right for at least: the most that its miners did where they come and go; else what those
    /// of the group before it did, for as long as they are expected back.
    pub(super) peak: f64,
    pub(super) miner_id_size: u8,
    pub(super) extranonce2_size: u8,
    /// Of its miners' ids: the bytes of an id are told once in it.
    pub(super) space: u8,
    /// Set when the group is one miner with a channel of its own.
    pub(super) identity: Option<Arc<str>>,
    pub(super) meter: Arc<GroupMeter>,
    pub(super) current: Option<Bound>,
    pub(super) opening: Option<Opening>,
    pub(super) incoming: Option<Bound>,
    /// When `incoming` was opened.
    pub(super) incoming_since: Duration,
    pub(super) last_feed: Option<Arc<Feed>>,
    pub(super) sequence: u64,
    pub(super) published: Duration,
    pub(super) nominal: NominalHashrate,
    pub(super) outgrown_since: Option<Duration>,
    pub(super) opened_at: Duration,
    /// Shares seen by the meter at the last look, and when, for the estimate's interval.
    pub(super) shares_seen: (u64, Duration),
    pub(super) recent_shares: f64,
    /// It has no channel since, although its goal has a source.
    pub(super) unserved_since: Option<Duration>,
    /// The source that refused the last wish, and when it may be asked again.
    pub(super) refused: Option<(SourceId, Duration)>,
}

impl Group {
    /// The hashrate that its channel is to be right for.
    pub(super) fn hashrate(&self) -> f64 {
        self.meter.hashrate().max(self.peak)
    }

    /// Where miners come and go between goals, a channel that was told each going would have to be told each coming,
    /// too late for the job at hand. So the most of the last minutes counts. Elsewhere it is kept for the group that comes
    /// after this one.
    pub(super) fn look_at_peak(&mut self, come_and_go: bool, seconds: f64) {
        let awaited = self.meter.hashrate() + self.awaited_hashrate;
        self.most = faded(self.most, seconds, PEAK_FOR).max(awaited);
        self.peak = if come_and_go { self.most } else { faded(self.peak, seconds, BACK_WITHIN) };
    }

    /// The sum of the miners' estimates, with an interval from how many shares came lately.
    pub(super) fn estimate(&self) -> Estimate {
        let value = self.hashrate();
        let spread = (1.96 / self.recent_shares.max(1.0).sqrt()).min(0.9);
        Estimate { value, low95: value * (1.0 - spread), high95: value * (1.0 + spread) }
    }

    /// Whether its miners are to be told that there is no work for them: there is none on a source that serves others, for
    /// `grace`. They are told again as often.
    pub(super) fn is_given_up(&mut self, is_chosen: bool, grace: Duration, now: Duration) -> bool {
        if self.current.is_some() || self.incoming.is_some() || !is_chosen || self.members == self.awaited {
            self.unserved_since = None;
            return false;
        }
        let since = *self.unserved_since.get_or_insert(now);
        let told = now.saturating_sub(since) >= grace.max(UNSERVED_AT_LEAST);
        if told {
            self.unserved_since = Some(now);
        }
        told
    }

    /// Looks at the share counter: about two minutes of shares are remembered.
    pub(super) fn look(&mut self, now: Duration) {
        let shares = self.meter.shares();
        let elapsed = now.saturating_sub(self.shares_seen.1).as_secs_f64();
        let fresh = shares.saturating_sub(self.shares_seen.0);
        self.recent_shares = self.recent_shares * (-elapsed / 120.0).exp() + fresh as f64;
        self.shares_seen = (shares, now);
    }
}
