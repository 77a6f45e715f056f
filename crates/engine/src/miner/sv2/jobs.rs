//! Jobs and targets, down to the channels (specification, sections 5.3.15 to 5.3.17 and 5.3.21).
//!
//! A job on the tip that the miner is on begins at once (`min_ntime` is set). One on another tip, or from another
//! source, is sent as a future job that a `SetNewPrevHash` follows: that makes all earlier jobs invalid.

use std::sync::Arc;

use bytes::BytesMut;
use sv2::mining::{NewExtendedMiningJob, NewMiningJob, SetNewPrevHash, SetTarget};
use sv2::{B064K, Seq0255, write_frame};
use work::vardiff::is_urgent;

use super::channel::Kind;
use super::open::fixed;
use super::{Sv2Io, Sv2Miner};
use crate::feed::Feed;
use crate::ids::GroupId;
use crate::miner::mining::METER_AT_LEAST;

/// How a job begins.
#[derive(Clone, Copy, Debug)]
struct Beginning {
    job_id: u32,
    ntime: u32,
    /// A `SetNewPrevHash` follows.
    drops_jobs: bool,
}

impl Sv2Miner {
    /// Whether the miner can be given this work: not if it must roll a version that may not be rolled (section 5.3.1).
    pub(super) fn takes(&self, feed: &Feed) -> bool {
        !self.setup.version_rolling || feed.job.job.version_rolling_allowed
    }

    /// A group has new work: `SetTarget` for channels whose target is another now, and the job, once for all channels of
    /// the group if they take extended jobs.
    pub fn feed(&mut self, group: GroupId, feed: &Arc<Feed>, io: &mut Sv2Io<'_>) {
        if !self.takes(feed) {
            return;
        }
        let lacks = |at: &usize| {
            let channel = &self.channels[*at];
            channel.group == group && channel.lacks(feed)
        };
        let lacking: Vec<usize> = (0..self.channels.len()).filter(lacks).collect();
        let mut dropping = 0;
        for at in &lacking {
            let channel = &mut self.channels[*at];
            dropping += usize::from(channel.mining.would_be_clean(feed));
            channel.mining.take_feed(feed);
            self.send_target(*at, io);
        }
        let known = self.groups.iter().find(|known| known.of == group);
        // What not all members need, or not in the same way, each gets by itself. So does one that is alone: not every
        // device that does not insist on standard jobs knows what a group is.
        let together = known.filter(|known| {
            !self.setup.standard_jobs
                && lacking.len() > 1
                && lacking.len() == known.members
                && (dropping == 0 || dropping == lacking.len())
        });
        match together.map(|known| known.channel_id) {
            Some(channel_id) => self.send_group_job(group, channel_id, feed, dropping > 0, io),
            None => lacking.into_iter().for_each(|at| self.send_job(at, io)),
        }
    }

    /// One job for all channels of a group.
    fn send_group_job(
        &mut self,
        group: GroupId,
        channel_id: u32,
        feed: &Arc<Feed>,
        drops_jobs: bool,
        io: &mut Sv2Io<'_>,
    ) {
        let job_id = self.take_job_id();
        let now = io.now.seconds();
        for channel in self.channels.iter_mut().filter(|channel| channel.group == group) {
            let job = Arc::clone(&feed.job);
            let told = channel.mining.validator.advertise_as(job_id, job, channel.told_target, now);
            // All channels of a listener have its split, and no target told is zero.
            debug_assert!(told.is_ok(), "a job of another split, or a target of zero");
        }
        let beginning = Beginning { job_id, ntime: feed.job.ntime_at(now), drops_jobs };
        write_extended(channel_id, feed, beginning, io.out);
    }

    /// The newest work for one channel alone.
    pub(super) fn send_job(&mut self, at: usize, io: &mut Sv2Io<'_>) {
        let job_id = self.take_job_id();
        let channel = &mut self.channels[at];
        let Some(feed) = channel.mining.feed.clone() else { return };
        let job = Arc::clone(&feed.job);
        let now = io.now.seconds();
        let advertised = channel.mining.validator.advertise_as(job_id, job, channel.told_target, now);
        let Ok(told) = advertised else {
            debug_assert!(false, "a job of another split, or a target of zero");
            return;
        };
        let beginning = Beginning { job_id, ntime: told.ntime, drops_jobs: told.clean_jobs };
        match channel.kind {
            Kind::Extended => write_extended(channel.id, &feed, beginning, io.out),
            Kind::Standard => {
                let miner_id = channel.mining.validator.miner_id();
                let rolled = [miner_id.as_bytes(), fixed(channel.mining.validator.extranonce2_size())];
                let header = feed.job.header(&rolled, feed.job.job.version, beginning.ntime, 0);
                let job = NewMiningJob {
                    channel_id: channel.id,
                    job_id,
                    min_ntime: (!beginning.drops_jobs).then_some(beginning.ntime),
                    version: header.version,
                    merkle_root: header.merkle_root,
                };
                write_frame(&job, io.out);
                write_tip(channel.id, &feed, beginning, io.out);
            }
        }
    }

    /// Tells a channel its target if it should have another one. The job that it holds for must follow, or be one that
    /// is still to come.
    pub(super) fn send_target(&mut self, at: usize, io: &mut Sv2Io<'_>) -> bool {
        let channel = &mut self.channels[at];
        let (target, difficulty) = channel.wish(&self.policy);
        let changed = target != channel.told_target;
        if changed {
            channel.told_target = target;
            let before = std::mem::replace(&mut channel.mining.told, difficulty);
            self.policy.retargets.count(before, difficulty);
            if let Some(known) = channel.worker.known() {
                known.told(difficulty);
            }
            let maximum_target = target.to_le_bytes();
            write_frame(&SetTarget { channel_id: channel.id, maximum_target }, io.out);
        }
        if changed || channel.mining.validator.newest_job().is_none() {
            channel.mining.vardiff.set_in_force(difficulty, io.now.mono);
        }
        changed
    }

    /// Vardiff wishes another difficulty. One that is far off holds at once, with the current job under a new id; the
    /// rest goes with the next job.
    pub(super) fn retarget(&mut self, at: usize, io: &mut Sv2Io<'_>) {
        let policy = &*self.policy;
        let channel = &mut self.channels[at];
        let guess = channel.guess(policy);
        channel.mining.meter_hashrate(guess, io.now.mono);
        if channel.mining.feed.is_none() {
            return;
        }
        let (_, wish) = channel.wish(policy);
        if is_urgent(channel.mining.told, wish) && self.send_target(at, io) {
            self.send_job(at, io);
        }
    }

    /// A channel's part of [`Sv2Miner::timer`].
    pub(super) fn channel_timer(&mut self, at: usize, io: &mut Sv2Io<'_>) {
        let policy = &*self.policy;
        let channel = &mut self.channels[at];
        let standby = channel.is_standby();
        let vardiff = &mut channel.mining.vardiff;
        if policy.vardiff_enabled
            && !standby
            && vardiff.deadline(&policy.vardiff).is_some_and(|due| io.now.reached(due))
            && vardiff.on_deadline(&policy.vardiff, io.now.mono).is_some()
        {
            self.retarget(at, io);
        }
        let (policy, channel) = (&*self.policy, &mut self.channels[at]);
        if io.now.reached(channel.mining.metered_at + METER_AT_LEAST) {
            let guess = channel.guess(policy);
            channel.mining.meter_hashrate(guess, io.now.mono);
        }
    }

    fn take_job_id(&mut self) -> u32 {
        // 0 is none. After 2^32 jobs the first ones are long forgotten.
        self.next_job_id = self.next_job_id.wrapping_add(1).max(1);
        self.next_job_id
    }
}

/// An extended job for a channel or a group: upstream's prefix and filler are the end of `coinbase_tx_prefix`.
fn write_extended(channel_id: u32, feed: &Feed, beginning: Beginning, out: &mut BytesMut) {
    let job = &*feed.job.job;
    let prefix = [&*job.coinbase_tx_prefix, feed.job.constant_extranonce()].concat();
    // The longest that a pool could send, with its own prefix added, does not fit: no real coinbase is near that.
    let (Ok(coinbase_tx_prefix), Ok(coinbase_tx_suffix), Ok(merkle_path)) =
        (B064K::new(&prefix), B064K::new(&job.coinbase_tx_suffix), Seq0255::from_slice(&job.merkle_path))
    else {
        return;
    };
    let message = NewExtendedMiningJob {
        channel_id,
        job_id: beginning.job_id,
        min_ntime: (!beginning.drops_jobs).then_some(beginning.ntime),
        version: job.version,
        version_rolling_allowed: job.version_rolling_allowed,
        merkle_path,
        coinbase_tx_prefix,
        coinbase_tx_suffix,
    };
    write_frame(&message, out);
    write_tip(channel_id, feed, beginning, out);
}

/// What activates a future job.
fn write_tip(channel_id: u32, feed: &Feed, beginning: Beginning, out: &mut BytesMut) {
    if beginning.drops_jobs {
        let message = SetNewPrevHash {
            channel_id,
            job_id: beginning.job_id,
            prev_hash: feed.job.job.prev_hash,
            min_ntime: beginning.ntime,
            nbits: feed.job.job.nbits,
        };
        write_frame(&message, out);
    }
}
