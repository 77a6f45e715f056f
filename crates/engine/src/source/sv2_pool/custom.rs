//! Channels as whoever sets custom jobs on them needs to see them (specification section 5.3.18).

use std::sync::Arc;
use std::time::Duration;

use work::{ExtranonceSplit, LeaseTag, Target};

use super::Sv2Pool;
use crate::feed::ChannelState;

/// A channel that custom jobs can be set on.
#[derive(Debug)]
pub(crate) struct CustomChannel<'a> {
    pub(crate) state: &'a Arc<ChannelState>,
    /// The extranonce prefix in force.
    pub(crate) prefix: &'a [u8],
    pub(crate) split: &'a ExtranonceSplit,
    /// The lease's tag in force.
    pub(crate) tag: LeaseTag,
    /// The target in force for jobs to come.
    pub(crate) target: Target,
    /// Names the channel's present tip among all tips of all of the source's channels.
    pub(crate) generation: u32,
}

impl CustomChannel<'_> {
    /// The whole extranonce: prefix and rollable part.
    pub(crate) fn extranonce_len(&self) -> usize {
        self.prefix.len() + usize::from(self.split.extranonce_size())
    }
}

impl Sv2Pool {
    /// A channel that is open and not about to be closed.
    pub(crate) fn custom_channel(&self, channel_id: u32) -> Option<CustomChannel<'_>> {
        self.channels.get(&channel_id).filter(|channel| channel.draining.is_none()).map(|channel| {
            CustomChannel {
                state: &channel.state,
                prefix: channel.prefix(u64::MAX),
                split: &channel.split,
                tag: self.tag,
                target: channel.target,
                generation: channel.generation,
            }
        })
    }

    /// The target that the pool judges a channel's next job by, also while the channel is about to be closed.
    pub(crate) fn channel_target(&self, channel_id: u32) -> Option<Target> {
        self.channels.get(&channel_id).map(|channel| channel.target)
    }

    /// The tip has changed for a channel: shares on the old one are stale from now on.
    pub(crate) fn new_generation(&mut self, channel_id: u32) {
        self.next_generation = self.next_generation.wrapping_add(1);
        if let Some(channel) = self.channels.get_mut(&channel_id) {
            channel.generation = self.next_generation;
        }
    }

    /// The tip has changed for all channels, those about to be closed with them.
    pub(crate) fn new_generations(&mut self) {
        let mut ids: Vec<u32> = self.channels.keys().copied().collect();
        ids.sort_unstable();
        ids.into_iter().for_each(|id| self.new_generation(id));
    }

    /// Every channel that is not about to be closed, in the order of their ids.
    pub(crate) fn custom_channels(&self) -> Vec<u32> {
        let open = self.channels.iter().filter(|(_, channel)| channel.draining.is_none());
        let mut ids: Vec<u32> = open.map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }

    /// How long a pool that refuses the shares of custom jobs is to be left alone: longer each time, until it takes one.
    pub(crate) fn next_wait(&mut self) -> Duration {
        self.backoff.next_wait()
    }

    /// A number for a request.
    pub(crate) fn request_id(&mut self) -> u32 {
        self.next_request = self.next_request.wrapping_add(1);
        self.next_request
    }
}
