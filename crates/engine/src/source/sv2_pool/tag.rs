//! The lease's tag in the channels' fillers, and the room that is asked for it.

use work::LeaseTag;

use super::Sv2Pool;
use crate::now::Now;
use crate::source::event::{Effects, OpenChannel, SourceEvent};
use crate::source::tag::TagStatus;

/// A channel that was asked for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) wish: OpenChannel,
    /// Bytes that were asked for besides what miners need.
    pub(super) room: u8,
}

impl Sv2Pool {
    /// Another lease's tag from now on, or none. The newest job goes to the miners again with it, as far as it has room.
    pub(super) fn set_tag(&mut self, tag: LeaseTag, now: Now, fx: &mut Effects) {
        self.tag = tag;
        let mut ids: Vec<u32> = self.channels.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let Some(channel) = self.channels.get_mut(&id).filter(|channel| channel.draining.is_none())
            else {
                continue;
            };
            let filler = channel.split.filler_of(tag);
            let again = channel.newest.as_ref().and_then(|newest| newest.with_filler(filler.as_slice(), now));
            if let Some(feed) = again {
                channel.newest = Some(feed.clone());
                fx.events.push(SourceEvent::Work(feed));
            }
        }
    }

    /// Room for a tag in a channel that is asked for now. Pools refuse what they do not have instead of giving what they
    /// have, so it is not asked for where that was the reason before.
    pub(super) fn room_asked(&self) -> u8 {
        if self.room_refused { 0 } else { self.settings.tag_room }
    }

    /// The tag, and the channels that have no room for it.
    pub(super) fn tag_status(&self) -> TagStatus {
        let open = self.channels.values().filter(|channel| channel.draining.is_none());
        TagStatus::of(self.tag, open.map(|channel| channel.split.filler))
    }
}

#[cfg(test)]
mod tests;
