//! Group channels (specification, section 5.2.3): the channels of a connection that get the same work.

use std::sync::Arc;

use sv2::mining::SetGroupChannel;
use sv2::{Seq064K, write_frame};

use super::{Sv2Io, Sv2Miner};
use crate::feed::{Feed, GroupMeter};
use crate::ids::{GroupId, MinerRef};

/// See the module.
#[derive(Debug)]
pub(super) struct Group {
    /// What the miner knows it as.
    pub(super) channel_id: u32,
    /// The router's group that its work comes from.
    pub(super) of: GroupId,
    pub(super) members: usize,
}

impl Sv2Miner {
    /// The group channel of a router's group, with one more member.
    pub(super) fn enter_group(&mut self, of: GroupId) -> u32 {
        if let Some(group) = self.groups.iter_mut().find(|group| group.of == of) {
            group.members += 1;
            return group.channel_id;
        }
        let channel_id = self.take_channel_id();
        self.groups.push(Group { channel_id, of, members: 1 });
        channel_id
    }

    /// One member less.
    pub(super) fn leave_group(&mut self, of: GroupId) {
        if let Some(at) = self.groups.iter().position(|group| group.of == of) {
            self.groups[at].members -= 1;
            if self.groups[at].members == 0 {
                self.groups.swap_remove(at);
            }
        }
    }

    /// The router has moved a channel to another group: it is counted there, is a member of that group's channel, and gets
    /// that group's work.
    pub fn moved(
        &mut self,
        miner: MinerRef,
        group: GroupId,
        meter: Arc<GroupMeter>,
        feed: Option<&Arc<Feed>>,
        io: &mut Sv2Io<'_>,
    ) {
        let Some(at) = self.channels.iter().position(|channel| channel.miner == miner) else { return };
        let from = self.channels[at].group;
        self.channels[at].mining.move_to(meter);
        if from != group {
            let group_channel_id = self.enter_group(group);
            self.leave_group(from);
            self.channels[at].group = group;
            if !self.setup.standard_jobs {
                let channel_ids = [self.channels[at].id];
                let channel_ids = Seq064K::from_slice(&channel_ids).unwrap_or_default();
                write_frame(&SetGroupChannel { group_channel_id, channel_ids }, io.out);
            }
        }
        if let Some(feed) = feed.filter(|feed| self.takes(feed) && self.channels[at].lacks(feed)) {
            self.channels[at].mining.take_feed(feed);
            self.send_target(at, io);
            self.send_job(at, io);
            self.rearm(at);
        }
    }

    /// The router's groups that the connection's channels are in.
    pub fn groups(&self) -> impl Iterator<Item = GroupId> + '_ {
        self.groups.iter().map(|group| group.of)
    }
}
