//! One extended channel on a pool's connection.

use std::sync::Arc;
use std::time::Duration;

use work::{ChannelJobError, ExtranonceSplit, LeaseTag, Target};

use super::drafts::{FutureJobs, Tip};
use crate::feed::{ChannelState, Feed};
use crate::now::Now;
use crate::source::ready_job::{Place, ReadyJob};
use crate::source::settle::OpenShares;

/// A closing channel waits at least this long: miners may still send shares of its last job.
pub(super) const DRAIN_AT_LEAST: Duration = Duration::from_secs(3);
/// A closing channel is closed when no answer came for this long: a pool that answers in batches never
/// answers the last incomplete one.
pub(super) const DRAIN_WITHOUT_PROGRESS: Duration = Duration::from_secs(5);
/// A closing channel is closed after this long whatever happens.
pub(super) const DRAIN_AT_MOST: Duration = Duration::from_secs(15);

/// Prefixes remembered for future jobs; a pool changes them seldom, and all but one are forgotten with each tip.
const MAX_PREFIXES: usize = 8;
/// A closing channel that waits for answers is looked at again after this.
pub(super) const DRAIN_LOOK: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct Draining {
    pub(super) since: Duration,
    pub(super) progress: Duration,
}

/// An open channel.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) state: Arc<ChannelState>,
    /// 0: the pool groups nothing.
    pub(super) group_id: u32,
    /// The extranonce prefixes, oldest first, each with the number of the first job message that it holds for.
    /// A future job keeps the prefix in force when it was sent (section 5.3.10).
    pub(super) prefixes: Vec<(u64, Vec<u8>)>,
    pub(super) split: ExtranonceSplit,
    /// In force for jobs to come, and for future jobs that wait for their tip.
    pub(super) target: Target,
    pub(super) tip: Option<Tip>,
    /// Names the channel's present tip among all tips of all of the source's channels.
    pub(super) generation: u32,
    pub(super) future: FutureJobs,
    /// What miners were given last, if the pool's own jobs are mined.
    pub(super) newest: Option<Feed>,
    pub(super) open: OpenShares,
    pub(super) draining: Option<Draining>,
}

impl Channel {
    /// The whole extranonce: prefix and rollable part.
    pub(super) fn extranonce_len(&self) -> usize {
        self.prefix(u64::MAX).len() + usize::from(self.split.extranonce_size())
    }

    /// The prefix of the job that came as message `number`.
    pub(super) fn prefix(&self, number: u64) -> &[u8] {
        let of = self.prefixes.iter().rev().find(|(from, _)| *from <= number);
        of.or(self.prefixes.first()).map_or(&[], |(_, prefix)| prefix)
    }

    /// Another prefix for jobs from message `number` on.
    pub(super) fn set_prefix(&mut self, number: u64, prefix: Vec<u8>) {
        if self.prefixes.len() == MAX_PREFIXES {
            self.prefixes.remove(0);
        }
        self.prefixes.push((number, prefix));
    }

    /// A new tip: shares of jobs on the old one are stale from now on.
    pub(super) fn set_tip(&mut self, tip: Tip, generation: u32) {
        self.generation = generation;
        self.tip = Some(tip);
        self.future.clear();
    }

    /// No job is left that came before the newest prefix.
    pub(super) fn forget_old_prefixes(&mut self) {
        self.prefixes.drain(..self.prefixes.len().saturating_sub(1));
    }

    /// The feed that carries `ready` to this channel's miners, with the target and the lease's tag in force now.
    pub(super) fn feed(
        &mut self,
        (ready, number): (&ReadyJob, u64),
        ntime_slack: u32,
        tag: LeaseTag,
        now: Now,
    ) -> Result<Feed, ChannelJobError> {
        let place = Place {
            state: &self.state,
            generation: self.generation,
            prefix: self.prefix(number),
            split: &self.split,
            tag,
            target: self.target,
            ntime_slack,
            active_since: now.seconds(),
        };
        let feed = ready.feed(place, now)?;
        self.newest = Some(feed.clone());
        Ok(feed)
    }

    /// Whether a closing channel has waited enough.
    pub(super) fn drained(&self, now: Now) -> bool {
        self.draining.as_ref().is_some_and(|d| {
            let waited = now.since(d.since);
            waited >= DRAIN_AT_LEAST
                && (self.open.is_empty()
                    || now.since(d.progress) >= DRAIN_WITHOUT_PROGRESS
                    || waited >= DRAIN_AT_MOST)
        })
    }
}
