//! One miner's work, whichever protocol it speaks: its jobs, its difficulty, its hashrate.

use std::sync::Arc;
use std::time::Duration;

use work::vardiff::Vardiff;
use work::{Limits, Validator};

use crate::feed::{Feed, GroupMeter};
use crate::ids::SourceId;

/// Channels and tips whose late shares still find their way: as many as the validator can still know jobs of, or a block
/// that it finds good would have nowhere to go.
const MAX_KNOWN: usize = Limits::STALE_JOBS as usize + 1;

/// A share renews the miner's part of the meter when that is this old: a source must hear how much is there, also of
/// miners whose difficulty never changes.
const METER_AFTER: Duration = Duration::from_secs(5);
/// At first, while only a guess stands there, this is enough.
const METER_AFTER_JOINING: Duration = Duration::from_secs(1);
/// Without shares it is renewed this often.
pub(super) const METER_AT_LEAST: Duration = Duration::from_secs(60);

/// What is known of a miner once it may be given work.
#[derive(Debug)]
pub(super) struct Mining {
    pub(super) validator: Validator,
    pub(super) vardiff: Vardiff,
    pub(super) meter: Arc<GroupMeter>,
    /// Where it was counted before, for shares of that source that come late.
    left: Option<(SourceId, Arc<GroupMeter>)>,
    /// This miner's part of the meter's sum.
    pub(super) metered: f64,
    /// When that was last renewed.
    pub(super) metered_at: Duration,
    pub(super) feed: Option<Arc<Feed>>,
    /// The newest feed of each channel and tip that shares may still come for, newest last.
    known: Vec<Arc<Feed>>,
    /// The difficulty as it was last told to the miner; 0 before the first.
    pub(super) told: f64,
    /// By how much its difficulty is above what vardiff wishes, to spare memory; 1 usually.
    pub(super) relief: f64,
}

impl Mining {
    /// A miner that has joined a group, which has `metered` of its hashrate in its sum.
    pub(super) fn new(
        validator: Validator,
        vardiff: Vardiff,
        meter: Arc<GroupMeter>,
        metered: f64,
        now: Duration,
    ) -> Self {
        Self {
            validator,
            vardiff,
            meter,
            left: None,
            metered,
            metered_at: now,
            feed: None,
            known: Vec::new(),
            told: 0.0,
            relief: 1.0,
        }
    }

    /// The newest work.
    pub(super) fn take_feed(&mut self, feed: &Arc<Feed>) {
        let last = self.feed.replace(Arc::clone(feed));
        if last.is_some_and(|last| last.source() != feed.source() && last.channel.is_alive()) {
            // Its source was left and not lost: what was found for it still goes there.
            self.validator.change_source();
        }
        let same = |f: &Arc<Feed>| f.source() == feed.source() && f.generation == feed.generation;
        self.known.retain(|f| !same(f));
        if self.known.len() >= MAX_KNOWN {
            self.known.remove(0);
        }
        self.known.push(Arc::clone(feed));
    }

    /// The difficulty that the miner should have: vardiff's wish, but never above the source's. A pool credits a share
    /// with its channel's target whatever the share is worth, so a miner held at a harder one would lose income.
    /// `max` is the listener's highest. `None` while there is no work.
    pub(super) fn wish(&self, max: f64) -> Option<f64> {
        let source = self.feed.as_ref()?.job.source_difficulty.get();
        let wish = self.vardiff.difficulty();
        let relieved = (wish * self.relief).min(max.max(wish));
        Some(relieved.min(source))
    }

    /// Whether the miner drops its jobs for this feed's: it is on another tip or from another source than the last job that
    /// the miner was sent.
    pub(super) fn would_be_clean(&self, feed: &Feed) -> bool {
        self.validator.newest_job().is_none_or(|last| {
            let (old, new) = (&last.job, &feed.job.job);
            old.prev_hash != new.prev_hash || old.era != new.era || last.source != feed.job.source
        })
    }

    /// The feed that a job came with, or a later one of the same channel and tip.
    pub(super) fn feed_of(&self, source: SourceId, generation: u32) -> Option<&Arc<Feed>> {
        self.known.iter().rev().find(|f| f.source() == source && f.generation == generation)
    }

    /// When a share is to renew this miner's part of the meter: the guess that stands there at first may be far off, and
    /// a channel that was opened with it lets through far more or far fewer shares than its pool wants.
    pub(super) fn meter_due(&self, joined: Duration) -> Duration {
        let known_for = self.metered_at.saturating_sub(joined);
        self.metered_at + known_for.clamp(METER_AFTER_JOINING, METER_AFTER)
    }

    /// Tells the group's meter this miner's hashrate; `guess` is all there is before the first share.
    pub(super) fn meter_hashrate(&mut self, guess: f64, now: Duration) {
        let estimate = self.vardiff.hashrate(now);
        self.meter_as(if estimate.is_known() { estimate.value } else { guess }, now);
    }

    /// Tells the group's meter a hashrate.
    pub(super) fn meter_as(&mut self, value: f64, now: Duration) {
        self.meter.shift_hashrate(value - self.metered);
        self.metered = value;
        self.metered_at = now;
    }

    /// What vardiff's difficulty is right for, hashes per second.
    pub(super) fn guess(&self, shares_per_minute: f64) -> f64 {
        self.vardiff.difficulty() * work::hashrate::HASHES_PER_DIFFICULTY * shares_per_minute / 60.0
    }

    /// The miner is in another group: it is counted there from now on, and shares of the jobs that it has go on to the
    /// source that they came from.
    pub(super) fn move_to(&mut self, meter: Arc<GroupMeter>) {
        self.meter.shift_hashrate(-self.metered);
        meter.shift_hashrate(self.metered);
        let left = std::mem::replace(&mut self.meter, meter);
        self.left = self.feed.as_ref().map(|feed| (feed.source(), left));
        self.validator.change_source();
    }

    /// Where a share of this source is counted.
    pub(super) fn meter_of(&self, source: SourceId) -> &GroupMeter {
        let is_present = self.feed.as_ref().is_none_or(|feed| feed.source() == source);
        match &self.left {
            Some((of, left)) if *of == source && !is_present => left,
            _ => &self.meter,
        }
    }

    /// The miner is out of its group's sums.
    pub(super) fn ended(&mut self) {
        self.meter.shift_hashrate(-self.metered);
        self.metered = 0.0;
    }
}
