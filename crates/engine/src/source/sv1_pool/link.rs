//! The beginning and the end of connections.

use std::sync::Arc;
use std::time::Duration;

use super::channels::not_opened;
use super::shares::end_open_shares;
use super::{Sv1Effects, Sv1Pool};
use crate::now::Now;
use crate::source::event::{ChannelRefusal, DownReason, SourceEvent};
use crate::source::status::SourceState;

/// A pool that asks to reconnect sooner than this after it was ready is waited for like one that failed.
const MOVED_TOO_SOON: Duration = Duration::from_secs(10);

impl Sv1Pool {
    /// The first connection.
    pub(super) fn begin(&mut self, now: Now) {
        self.enter(SourceState::Dialling, now);
        let identity = Arc::clone(&self.settings.user_identity);
        self.add_lane(identity, None);
    }

    /// A connection could not be made, or has ended.
    pub fn disconnected(&mut self, number: u32, why: DownReason, now: Now, fx: &mut Sv1Effects) {
        let was_ready = self.lanes.get(&number).is_some_and(super::Lane::is_ready);
        self.lane_over(number, why, now, fx, |pool| match was_ready {
            true => pool.backoff.next_wait_after_ready(),
            false => pool.backoff.next_wait(),
        });
    }

    /// The pool does or says on a connection what it must not, or not what it must.
    pub(super) fn lane_failed(&mut self, number: u32, why: DownReason, now: Now, fx: &mut Sv1Effects) {
        self.lane_over(number, why, now, fx, |pool| pool.backoff.next_wait());
    }

    /// The pool moves: at once, unless it does nothing else.
    pub(super) fn lane_moves(&mut self, number: u32, wait: Duration, now: Now, fx: &mut Sv1Effects) {
        let steady = self
            .lanes
            .get(&number)
            .is_some_and(|lane| lane.is_ready() && now.since(lane.ready_since) >= MOVED_TOO_SOON);
        self.lane_over(number, DownReason::Reconnect, now, fx, |pool| match steady {
            true => wait,
            false => pool.backoff.next_wait().max(wait),
        });
    }

    fn lane_over(
        &mut self,
        number: u32,
        why: DownReason,
        now: Now,
        fx: &mut Sv1Effects,
        wait: impl FnOnce(&mut Self) -> Duration,
    ) {
        let Some(mut lane) = self.lanes.remove(&number) else { return };
        fx.hang_up.push(number);
        lane.end();
        self.open_shares -= lane.open.len();
        end_open_shares(&mut lane.open, &mut fx.common);
        for waiting in self.take_waiting(number) {
            not_opened(&waiting.wish, ChannelRefusal::LinkEnded(why.clone()), fx);
        }
        if self.lanes.values().any(super::Lane::is_ready) {
            // The source goes on; those who were on this connection ask for another.
            for channel_id in self.channels_on(number) {
                self.remove_channel(channel_id);
                let reason = why.to_string();
                fx.common.events.push(SourceEvent::Closed { channel_id, reason });
            }
            return;
        }
        let wait = wait(self);
        self.end_all(why, now, fx);
        self.enter(SourceState::Waiting { until: now.mono + wait }, now);
    }

    pub(super) fn channels_on(&self, number: u32) -> Vec<u32> {
        self.channels.iter().filter(|(_, channel)| channel.lane == number).map(|(id, _)| *id).collect()
    }

    /// Every connection is over, and so is the source.
    pub(super) fn end_all(&mut self, why: DownReason, now: Now, fx: &mut Sv1Effects) {
        for (number, mut lane) in std::mem::take(&mut self.lanes) {
            fx.hang_up.push(number);
            lane.end();
            self.open_shares -= lane.open.len();
            end_open_shares(&mut lane.open, &mut fx.common);
        }
        self.channels.clear();
        for waiting in std::mem::take(&mut self.waiting) {
            not_opened(&waiting.wish, ChannelRefusal::LinkEnded(why.clone()), fx);
        }
        self.refused_in_a_row = 0;
        self.last_down = why.clone();
        self.since = now.mono;
        fx.common.events.push(SourceEvent::Down(why));
    }
}
