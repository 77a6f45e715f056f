//! Channels, as the router asks for them: those with one split, one space of miner ids and one identity share a connection.

use std::sync::Arc;
use std::time::Duration;

use super::jobs::{FeedError, feed, split};
use super::lane::{Lane, Miners};
use super::{MAX_SV1_CONNECTIONS, Sv1Effects, Sv1Pool};
use crate::feed::ChannelState;
use crate::ids::ChannelKey;
use crate::now::Now;
use crate::source::event::{ChannelRefusal, OpenChannel, SourceEvent};

/// A closed channel takes shares for this long: miners may still send some of its last job.
const DRAIN: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(super) struct Channel {
    pub(super) state: Arc<ChannelState>,
    pub(super) lane: u32,
    pub(super) miners: Miners,
    /// Nobody mines on it.
    pub(super) standby: bool,
    /// It was closed, and goes then.
    pub(super) ends: Option<Duration>,
}

/// A wish that waits for its connection.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) lane: u32,
    pub(super) wish: OpenChannel,
}

impl Sv1Pool {
    pub(super) fn open(&mut self, wish: OpenChannel, now: Now, fx: &mut Sv1Effects) {
        let sizes = (wish.miner_id_size, wish.extranonce2_size);
        let miners = Miners { sizes, space: wish.space };
        let Some((first, lane)) = self.lanes.iter().find(|(_, lane)| lane.is_ready()) else {
            return not_opened(&wish, ChannelRefusal::ByPool("not connected".into()), fx);
        };
        if wish.standby {
            return self.attach(*first, &wish, now, fx);
        }
        // A pool gives all connections the same size: what does not fit here needs no further connection.
        if let Err(why) = split(lane.extranonce2_size, sizes) {
            return not_opened(&wish, why, fx);
        }
        let fits = |lane: &Lane| {
            lane.identity == wish.user_identity && lane.miners.is_none_or(|present| present == miners)
        };
        let mut found = self.lanes.iter().filter(|(_, lane)| lane.is_ready() && fits(lane));
        let shared = found.clone().find(|(_, lane)| lane.miners.is_some()).or_else(|| found.next());
        if let Some(number) = shared.map(|(number, _)| *number) {
            return self.attach(number, &wish, now, fx);
        }
        let coming = self.lanes.iter().find(|(_, lane)| !lane.is_ready() && fits(lane));
        let number = match coming.map(|(number, _)| *number) {
            Some(number) => number,
            None if self.lanes.len() >= self.connections_max() && !self.drop_unused(fx) => {
                return not_opened(&wish, ChannelRefusal::Connections(self.connections_max()), fx);
            }
            None => self.add_lane(Arc::clone(&wish.user_identity), Some(miners)),
        };
        self.waiting.push(Waiting { lane: number, wish });
    }

    /// A connection that is to be made.
    pub(super) fn add_lane(&mut self, identity: Arc<str>, miners: Option<Miners>) -> u32 {
        self.next_channel = self.next_channel.wrapping_add(1);
        // Its number is the channel's `connection`: one that is never used again.
        let number = self.next_channel;
        self.lanes.insert(number, Lane::new(identity, miners));
        number
    }

    fn connections_max(&self) -> usize {
        self.settings.connections_max.clamp(1, MAX_SV1_CONNECTIONS)
    }

    /// Ends a connection that nobody mines on, to make room for another. False: there is none.
    fn drop_unused(&mut self, fx: &mut Sv1Effects) -> bool {
        let used = |number: u32| self.channels.values().any(|c| c.lane == number && !c.standby);
        let unused =
            |(number, lane): &(&u32, &Lane)| lane.is_ready() && lane.open.is_empty() && !used(**number);
        let Some(number) = self.lanes.iter().find(unused).map(|(number, _)| *number) else { return false };
        for channel_id in self.channels_on(number) {
            self.remove_channel(channel_id);
            let reason = "its connection makes room for another".to_owned();
            fx.common.events.push(SourceEvent::Closed { channel_id, reason });
        }
        if let Some(lane) = self.lanes.remove(&number) {
            lane.end();
            fx.hang_up.push(number);
        }
        true
    }

    /// Puts a channel on a connection that is ready: it has work at once.
    fn attach(&mut self, number: u32, wish: &OpenChannel, now: Now, fx: &mut Sv1Effects) {
        let standby = wish.standby;
        let Some(lane) = self.lanes.get(&number) else { return };
        // With nobody on it whatever the pool leaves will do.
        let sizes = if standby { (0, 1) } else { (wish.miner_id_size, wish.extranonce2_size) };
        let miners = Miners { sizes, space: wish.space };
        // Where the same ids are given out in several spaces it is the pool that must tell them apart.
        let same = |other: &Channel| {
            other.lane != number
                && !other.standby
                && other.miners.space != wish.space
                && self.lanes.get(&other.lane).is_some_and(|of| of.extranonce1 == lane.extranonce1)
        };
        if !standby && self.channels.values().any(same) {
            return not_opened(wish, ChannelRefusal::SameExtranonce, fx);
        }
        let Some(lane) = self.lanes.get_mut(&number) else { return };
        let channel_id = self.next_channel.wrapping_add(1);
        self.next_channel = channel_id;
        let key = ChannelKey { source: self.settings.id, connection: number, channel_id };
        let channel = Channel {
            state: Arc::new(ChannelState::sized_by_pool(key)),
            lane: number,
            miners,
            standby,
            ends: None,
        };
        match feed(lane, &channel, (self.settings.ntime_slack, self.tag), now) {
            Ok(feed) => {
                lane.idle_since = None;
                if !standby {
                    lane.miners = Some(miners);
                }
                let target = feed.job.source_target;
                let state = Arc::clone(&channel.state);
                lane.states.retain(|state| Arc::strong_count(state) > 1);
                lane.states.push(Arc::clone(&state));
                self.channels.insert(channel_id, channel);
                fx.common.events.push(SourceEvent::Opened { request: wish.request, channel: state, target });
                fx.common.events.push(SourceEvent::Work(feed));
            }
            Err(FeedError::Misfit(why)) => not_opened(wish, why, fx),
            Err(FeedError::Job(why)) => not_opened(wish, ChannelRefusal::ByPool(why.to_string()), fx),
        }
    }

    /// A connection became ready: those who wait for it are served.
    pub(super) fn serve_waiting(&mut self, number: u32, now: Now, fx: &mut Sv1Effects) {
        for waiting in self.take_waiting(number) {
            self.attach(number, &waiting.wish, now, fx);
        }
    }

    /// Those who wait for a connection, and do not any more.
    pub(super) fn take_waiting(&mut self, number: u32) -> Vec<Waiting> {
        self.waiting.extract_if(.., |waiting| waiting.lane == number).collect()
    }

    pub(super) fn close(&mut self, channel_id: u32, now: Now) {
        if let Some(channel) = self.channels.get_mut(&channel_id) {
            channel.ends.get_or_insert(now.mono + DRAIN);
        }
    }

    /// Closed channels whose time has come.
    pub(super) fn drain(&mut self, now: Now) {
        let due = |channel: &Channel| channel.ends.is_some_and(|at| now.reached(at));
        let gone: Vec<(u32, u32)> =
            self.channels.iter().filter(|(_, c)| due(c)).map(|(id, c)| (*id, c.lane)).collect();
        for (channel_id, lane) in gone {
            self.remove_channel(channel_id);
            self.note_idle(lane, now);
        }
    }

    /// It gets no jobs any more. Its shares are sent and answered on the connection, with or without it.
    pub(super) fn remove_channel(&mut self, channel_id: u32) {
        self.channels.remove(&channel_id);
    }

    /// Notes when a connection lost its last channel.
    pub(super) fn note_idle(&mut self, number: u32, now: Now) {
        let used = self.channels.values().any(|channel| channel.lane == number);
        if let Some(lane) = self.lanes.get_mut(&number) {
            if used {
                lane.idle_since = None;
            } else if lane.idle_since.is_none() {
                lane.idle_since = Some(now.mono);
            }
        }
    }

    /// A connection that had no channel for a while: one is kept, the others are closed when their shares are answered.
    pub(super) fn lane_unused(&mut self, number: u32, now: Now, fx: &mut Sv1Effects) {
        let others = self.lanes.iter().any(|(other, lane)| *other != number && lane.is_ready());
        let Some(lane) = self.lanes.get_mut(&number) else { return };
        if others && lane.open.is_empty() {
            fx.hang_up.push(number);
            lane.end();
            self.lanes.remove(&number);
        } else {
            lane.idle_since = Some(now.mono);
        }
    }
}

pub(super) fn not_opened(wish: &OpenChannel, why: ChannelRefusal, fx: &mut Sv1Effects) {
    fx.common.events.push(SourceEvent::NotOpened { request: wish.request, why });
}
