//! Group channels (specification, section 5.2.3): the channels of a connection that get the same work.

use crate::ids::GroupId;

use super::Sv2Miner;

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

    /// The router's groups that the connection's channels are in.
    pub fn groups(&self) -> impl Iterator<Item = GroupId> + '_ {
        self.groups.iter().map(|group| group.of)
    }
}
