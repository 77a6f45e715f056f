//! The lease's tag in what the pool leaves beyond the miners' parts.

use work::{ExtranonceSplit, LeaseTag};

use super::channels::Channel;
use super::jobs::{feed, split};
use super::{Sv1Effects, Sv1Pool};
use crate::now::Now;
use crate::source::event::SourceEvent;
use crate::source::tag::TagStatus;

impl Sv1Pool {
    /// Another lease's tag from now on, or none. The newest job goes to the miners again with it, as far as it has room.
    pub(super) fn set_tag(&mut self, tag: LeaseTag, now: Now, fx: &mut Sv1Effects) {
        let before = std::mem::replace(&mut self.tag, tag);
        let changes = |split: &ExtranonceSplit| split.filler_of(before) != split.filler_of(tag);
        for channel in self.channels.values().filter(|channel| channel.ends.is_none()) {
            if self.split_of(channel).as_ref().is_some_and(changes)
                && let Some(lane) = self.lanes.get(&channel.lane)
                && let Ok(feed) = feed(lane, channel, (self.settings.ntime_slack, tag), now)
            {
                fx.common.events.push(SourceEvent::Work(feed));
            }
        }
    }

    /// How the extranonce of a channel's newest job is split.
    fn split_of(&self, channel: &Channel) -> Option<ExtranonceSplit> {
        let current = self.lanes.get(&channel.lane)?.current.as_ref()?;
        split(current.extranonce2_size, channel.miners.sizes).ok()
    }

    /// The tag, and the channels that have no room for it.
    pub(super) fn tag_status(&self) -> TagStatus {
        let mined = self.channels.values().filter(|channel| channel.ends.is_none() && !channel.standby);
        let fillers = mined.filter_map(|channel| Some(self.split_of(channel)?.filler));
        TagStatus::of(self.tag, fillers)
    }
}
