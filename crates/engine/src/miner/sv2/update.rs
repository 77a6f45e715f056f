//! `UpdateChannel` and `CloseChannel` (specification, sections 5.3.7 to 5.3.9).

use sv2::mining::{UpdateChannel, UpdateChannelError};
use sv2::{Str0255, error_code, write_frame};

use super::open::{begin_vardiff, hashrate_of, max_target_of};
use super::{Sv2Io, Sv2Miner};

/// A hashrate that the miner reports is believed over what its shares show when it is off by more than this factor, and
/// so much other than what the miner said last: its devices have come or gone, which shares show only later.
const BELIEVED: f64 = 1.5;

impl Sv2Miner {
    pub(super) fn update(&mut self, update: &UpdateChannel, io: &mut Sv2Io<'_>) {
        let channel_id = update.channel_id;
        let refusal = |code| UpdateChannelError { channel_id, error_code: Str0255::truncated(code) };
        let Some(at) = self.find(channel_id) else {
            return write_frame(&refusal(error_code::INVALID_CHANNEL_ID), io.out);
        };
        let Some(nominal) = hashrate_of(update.nominal_hash_rate) else {
            return write_frame(&refusal(error_code::INVALID_NOMINAL_HASHRATE), io.out);
        };
        let policy = &*self.policy;
        let Some(max_target) = max_target_of(update.maximum_target, policy) else {
            return write_frame(&refusal(error_code::MAX_TARGET_OUT_OF_RANGE), io.out);
        };
        let channel = &mut self.channels[at];
        channel.max_target = max_target;
        let before = std::mem::replace(&mut channel.nominal, nominal);
        let estimate = channel.mining.vardiff.hashrate(io.now.mono);
        let off = |a: f64, b: f64| !(1.0 / BELIEVED..=BELIEVED).contains(&(a / b));
        if nominal == 0.0 {
            channel.zero_since = channel.last_share.max(io.now.mono);
            channel.mining.vardiff.pause();
            channel.mining.meter_as(0.0, io.now.mono);
        } else if off(nominal, before) && (!estimate.is_known() || off(nominal, estimate.value)) {
            channel.mining.vardiff = begin_vardiff(policy, nominal, None, io.now.mono);
            if channel.mining.told > 0.0 {
                channel.mining.vardiff.set_in_force(channel.mining.told, io.now.mono);
            }
            channel.mining.meter_as(nominal, io.now.mono);
        }
        let (target, difficulty) = channel.wish(policy);
        let told = channel.mining.told;
        // A target that is smaller than what the miner has must be told; the rest is as urgent as vardiff's wishes.
        let too_easy = channel.told_target > channel.max_target;
        if target != channel.told_target && (too_easy || work::vardiff::is_urgent(told, difficulty)) {
            self.send_target(at, io);
            self.send_job(at, io);
        }
        self.rearm(at);
    }

    /// Ends a channel, or all channels of a group.
    pub(super) fn close(&mut self, channel_id: u32, io: &mut Sv2Io<'_>) {
        self.flush(io.out);
        let group = self.groups.iter().find(|group| group.channel_id == channel_id).map(|group| group.of);
        if let Some(group) = group {
            while let Some(at) = self.channels.iter().position(|channel| channel.group == group) {
                self.end_channel(at);
            }
        } else if let Some(at) = self.find(channel_id) {
            self.end_channel(at);
        }
    }

    fn end_channel(&mut self, at: usize) {
        let mut channel = self.channels.remove(at);
        channel.mining.ended();
        self.waiting.retain(|waiting| waiting.channel_id != channel.id);
        self.leave_group(channel.group);
        self.left.push(channel.into_left());
    }
}
