//! `mining.notify`: one job, for every channel of its connection.

use sv1::client::Notify;
use work::coinbase::PayoutError;
use work::{ExtranonceSplit, Job, JobParts, LeaseTag};

use super::channels::Channel;
use super::lane::{Current, JobName, Lane, LaneState, MAX_JOBS, Step};
use super::{Sv1Effects, Sv1Pool, protocol};
use crate::feed::Feed;
use crate::now::Now;
use crate::source::event::{ChannelRefusal, DownReason, SourceEvent};
use crate::source::ready_job::{Place, ReadyJob};

/// A pool's name for a job, bytes: it stands in every share.
const MAX_JOB_NAME: usize = 256;

impl Sv1Pool {
    pub(super) fn on_notify(
        &mut self,
        number: u32,
        notify: &Notify<'_>,
        now: Now,
        fx: &mut Sv1Effects,
    ) -> Result<(), DownReason> {
        let lane = self.lanes.get_mut(&number).expect("checked by the caller");
        if let LaneState::SettingUp { step: Step::Configure | Step::Subscribe, .. } = lane.state {
            // Without an extranonce it cannot be mined; one comes after it.
            self.unknown_messages += 1;
            return Ok(());
        }
        if notify.job_id.len() > MAX_JOB_NAME {
            let got = notify.job_id.len();
            return Err(protocol(format!("a job id of {got} bytes, more than {MAX_JOB_NAME}")));
        }
        let extranonce_len = lane.extranonce1.len() + lane.extranonce2_size;
        if let Some(rule) = &self.settings.payout {
            rule.check(&notify.coinb1, extranonce_len, &notify.coinb2).map_err(|error| match error {
                PayoutError::Mismatch(mismatch) => DownReason::Payout(mismatch),
                PayoutError::Unsound(error) => DownReason::BadJob(error.to_string()),
            })?;
        }
        let before = lane.current.as_ref();
        let same_tip = before.is_some_and(|current| current.ready.job.prev_hash == notify.prev_hash);
        let generation = match before {
            Some(current) if same_tip && !notify.clean_jobs => current.generation,
            _ => {
                self.next_generation = self.next_generation.wrapping_add(1);
                self.next_generation
            }
        };
        self.next_job = self.next_job.wrapping_add(1);
        let parts = JobParts {
            id: self.next_job,
            version: notify.version,
            version_rolling_allowed: lane.mask != 0,
            prev_hash: notify.prev_hash,
            nbits: notify.nbits,
            min_ntime: notify.ntime,
            merkle_path: notify.merkle_path.clone().into(),
            coinbase_tx_prefix: notify.coinb1.clone().into(),
            coinbase_tx_suffix: notify.coinb2.clone().into(),
        };
        let job = Job::new(parts, extranonce_len).map_err(|error| DownReason::BadJob(error.to_string()))?;
        fx.jobs.0 += 1;
        fx.jobs.1 += u32::from(!same_tip);
        if lane.jobs.len() == MAX_JOBS {
            lane.jobs.pop_front();
        }
        let name = notify.job_id.as_ref().into();
        lane.jobs.push_back(JobName { id: job.id, name, mask: lane.mask });
        lane.last_job = now.mono;
        lane.current = Some(Current {
            ready: ReadyJob::new(job.of_era(generation)),
            extranonce1: lane.extranonce1,
            extranonce2_size: lane.extranonce2_size,
            target: lane.target,
            generation,
            received: now.seconds(),
        });
        let mut misfits = Vec::new();
        for (id, channel) in self.channels.iter().filter(|(_, channel)| channel.lane == number) {
            if channel.ends.is_some() {
                continue;
            }
            match feed(lane, channel, (self.settings.ntime_slack, self.tag), now) {
                Ok(feed) => fx.common.events.push(SourceEvent::Work(feed)),
                Err(FeedError::Misfit(why)) => misfits.push((*id, why)),
                Err(FeedError::Job(why)) => return Err(why),
            }
        }
        for (channel_id, why) in misfits {
            self.remove_channel(channel_id);
            fx.common.events.push(SourceEvent::Closed { channel_id, reason: why.to_string() });
        }
        if matches!(self.lanes[&number].state, LaneState::SettingUp { step: Step::FirstJob, .. }) {
            self.lane_ready(number, now, fx);
        }
        Ok(())
    }
}

/// Why a connection's job cannot be given to a channel.
pub(super) enum FeedError {
    /// The channel's split does not fit into what the pool leaves.
    Misfit(ChannelRefusal),
    /// Nobody could be given it.
    Job(DownReason),
}

/// The newest job of a connection, for one of its channels.
pub(super) fn feed(
    lane: &Lane,
    channel: &Channel,
    (ntime_slack, tag): (u32, LeaseTag),
    now: Now,
) -> Result<Feed, FeedError> {
    let Some(current) = &lane.current else {
        return Err(FeedError::Misfit(ChannelRefusal::ByPool("no job yet".into())));
    };
    let split = split(current.extranonce2_size, channel.miners.sizes).map_err(FeedError::Misfit)?;
    let place = Place {
        state: &channel.state,
        generation: current.generation,
        prefix: &current.extranonce1,
        split: &split,
        tag,
        target: current.target,
        ntime_slack,
        active_since: current.received,
    };
    current.ready.feed(place, now).map_err(|error| FeedError::Job(DownReason::BadJob(error.to_string())))
}

/// How miners' parts fit into the pool's extranonce2.
pub(super) fn split(extranonce2_size: usize, sizes: (u8, u8)) -> Result<ExtranonceSplit, ChannelRefusal> {
    let space = u16::try_from(extranonce2_size).unwrap_or(u16::MAX);
    ExtranonceSplit::for_space(space, sizes.0, sizes.1).map_err(ChannelRefusal::from)
}
