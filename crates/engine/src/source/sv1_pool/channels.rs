//! Channels, as the router asks for them: those with one split and one identity share a connection.

use std::sync::Arc;
use std::time::Duration;

use super::jobs::{FeedError, feed, split};
use super::lane::{Lane, LaneState, Sizes};
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
    pub(super) sizes: Sizes,
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
        // The router's own, so that jobs come.
        let standby = wish.nominal_hashrate <= 0.0 && sizes == (1, 1);
        let Some((first, lane)) = self.lanes.iter().find(|(_, lane)| lane.is_ready()) else {
            return not_opened(&wish, ChannelRefusal::ByPool("not connected".into()), fx);
        };
        if standby {
            return self.attach(*first, &wish, true, now, fx);
        }
        // A pool gives all connections the same size: what does not fit here needs no further connection.
        if let Err(why) = split(lane.extranonce2_size, sizes) {
            return not_opened(&wish, why, fx);
        }
        let fits = |lane: &Lane| {
            lane.identity == wish.user_identity && lane.sizes.is_none_or(|present| present == sizes)
        };
        let mut found = self.lanes.iter().filter(|(_, lane)| lane.is_ready() && fits(lane));
        let shared = found.clone().find(|(_, lane)| lane.sizes.is_some()).or_else(|| found.next());
        if let Some(number) = shared.map(|(number, _)| *number) {
            return self.attach(number, &wish, false, now, fx);
        }
        let coming = self.lanes.iter().find(|(_, lane)| !lane.is_ready() && fits(lane));
        let number = match coming {
            Some((number, _)) => *number,
            None if self.lanes.len() >= MAX_SV1_CONNECTIONS => {
                let why =
                    format!("Adit has {MAX_SV1_CONNECTIONS} connections to this pool, and makes no more");
                return not_opened(&wish, ChannelRefusal::ByPool(why), fx);
            }
            None => self.add_lane(Arc::clone(&wish.user_identity), Some(sizes)),
        };
        self.waiting.push(Waiting { lane: number, wish });
    }

    /// A connection that is to be made.
    pub(super) fn add_lane(&mut self, identity: Arc<str>, sizes: Option<Sizes>) -> u32 {
        self.next_channel = self.next_channel.wrapping_add(1);
        // Its number is the channel's `connection`: one that is never used again.
        let number = self.next_channel;
        self.lanes.insert(number, Lane::new(identity, sizes));
        number
    }

    /// Puts a channel on a connection that is ready: it has work at once.
    fn attach(&mut self, number: u32, wish: &OpenChannel, standby: bool, now: Now, fx: &mut Sv1Effects) {
        let Some(lane) = self.lanes.get_mut(&number) else { return };
        let channel_id = self.next_channel.wrapping_add(1);
        self.next_channel = channel_id;
        let key = ChannelKey { source: self.settings.id, connection: number, channel_id };
        let channel = Channel {
            state: Arc::new(ChannelState::sized_by_pool(key)),
            lane: number,
            sizes: (wish.miner_id_size, wish.extranonce2_size),
            standby,
            ends: None,
        };
        match feed(lane, &channel, self.settings.ntime_slack, now) {
            Ok(feed) => {
                lane.idle_since = None;
                if !standby {
                    lane.sizes = Some(channel.sizes);
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
            self.attach(number, &waiting.wish, false, now, fx);
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

    /// Notes when a connection lost its last channel; another split may have it then.
    pub(super) fn note_idle(&mut self, number: u32, now: Now) {
        let mut on_it = self.channels.values().filter(|channel| channel.lane == number).peekable();
        let none = on_it.peek().is_none();
        let only_standby = on_it.all(|channel| channel.standby);
        if let Some(lane) = self.lanes.get_mut(&number) {
            if only_standby && lane.state == LaneState::Ready {
                lane.sizes = None;
            }
            if !none {
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
