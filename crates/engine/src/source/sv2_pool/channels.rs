//! Channels of a pool's connection: opening, grouping, targets, prefixes, closing.

use std::sync::Arc;

use work::ExtranonceSplit;

use super::super::status::SourceState;
use super::channel::Channel;
use super::drafts::FutureJobs;
use super::shares::end_open_shares;
use super::tag::Asked;
use super::{MAX_GROUPS, MAX_PENDING_OPENS, OPEN_DEADLINE, Sv2Pool, protocol, shown};
use crate::feed::ChannelState;
use crate::ids::ChannelKey;
use crate::now::Now;
use crate::source::event::{ChannelRefusal, DownReason, Effects, OpenChannel, SourceEvent};
use crate::source::settle::OpenShares;

impl Sv2Pool {
    pub(super) fn open(&mut self, wish: OpenChannel, now: Now, fx: &mut Effects) {
        let refuse =
            |wish: &OpenChannel, why: ChannelRefusal| SourceEvent::NotOpened { request: wish.request, why };
        if self.state != SourceState::Ready {
            fx.events.push(refuse(&wish, ChannelRefusal::ByPool("not connected".into())));
            return;
        }
        if self.pending.len() >= MAX_PENDING_OPENS {
            fx.events.push(refuse(&wish, ChannelRefusal::Silent));
            return;
        }
        self.ask(wish, self.room_asked(), now, fx);
    }

    /// Asks for a channel, with so many bytes besides what miners need.
    fn ask(&mut self, wish: OpenChannel, room: u8, now: Now, fx: &mut Effects) {
        let request_id = self.request_id();
        let message = sv2::mining::OpenExtendedMiningChannel {
            request_id,
            user_identity: sv2::Str0255::truncated(&wish.user_identity),
            nominal_hash_rate: as_f32(wish.nominal_hashrate),
            max_target: wish.max_target.to_le_bytes(),
            min_extranonce_size: u16::from(wish.miner_id_size)
                + u16::from(wish.extranonce2_size)
                + u16::from(room),
        };
        sv2::write_frame(&message, &mut fx.frames);
        self.pending.insert(request_id, Asked { wish, room });
        self.pending_order.push_back((now.mono + OPEN_DEADLINE, request_id));
    }

    /// The pool opens no channel. Where it was asked for more bytes than miners need it is asked once more without them: codes
    /// differ, and nobody may act on them.
    pub(super) fn on_not_opened(
        &mut self,
        message: &sv2::mining::OpenMiningChannelError<'_>,
        now: Now,
        fx: &mut Effects,
    ) {
        match self.pending.remove(&message.request_id) {
            Some(Asked { wish, room: 0 }) => {
                let why = ChannelRefusal::ByPool(shown(message.error_code.as_bytes()));
                fx.events.push(SourceEvent::NotOpened { request: wish.request, why });
            }
            Some(Asked { wish, .. }) => self.ask(wish, 0, now, fx),
            None => self.stray_answers += 1,
        }
    }

    pub(super) fn remove_channel(&mut self, channel_id: u32, fx: &mut Effects) -> bool {
        let Some(mut channel) = self.channels.remove(&channel_id) else {
            return false;
        };
        channel.state.end();
        self.open_shares -= channel.open.len();
        end_open_shares(&mut channel.open, fx);
        if let Some((_, members)) = self.groups.get_mut(&channel.group_id) {
            members.retain(|m| *m != channel_id);
            if members.is_empty() {
                self.groups.remove(&channel.group_id);
            }
        }
        true
    }

    pub(super) fn on_opened(
        &mut self,
        message: &sv2::mining::OpenExtendedMiningChannelSuccess<'_>,
        fx: &mut Effects,
    ) -> Result<(), DownReason> {
        let Some(Asked { wish, room }) = self.pending.remove(&message.request_id) else {
            // Asked for and given up: it must not stay open unused.
            let close = sv2::mining::CloseChannel {
                channel_id: message.channel_id,
                reason_code: sv2::Str0255::truncated("too-late"),
            };
            sv2::write_frame(&close, &mut fx.frames);
            self.stray_answers += 1;
            return Ok(());
        };
        let channel_id = message.channel_id;
        if self.channels.contains_key(&channel_id) {
            return Err(protocol(format!("channel {channel_id} opened twice")));
        }
        let split = match ExtranonceSplit::for_space(
            message.extranonce_size,
            wish.miner_id_size,
            wish.extranonce2_size,
        ) {
            Ok(split) => split,
            Err(error) => {
                let close = sv2::mining::CloseChannel {
                    channel_id,
                    reason_code: sv2::Str0255::truncated("extranonce-too-small"),
                };
                sv2::write_frame(&close, &mut fx.frames);
                fx.events.push(SourceEvent::NotOpened { request: wish.request, why: error.into() });
                return Ok(());
            }
        };
        // It takes without the room what it has refused with it: that is not tried for each channel.
        self.room_refused = room < self.settings.tag_room;
        let target = read_target(message.target)?;
        let key = ChannelKey { source: self.settings.id, connection: self.connection, channel_id };
        let state = if self.settings.work_selection {
            ChannelState::of_own_blocks(key)
        } else {
            ChannelState::new(key)
        };
        let state = Arc::new(state);
        let group_id = message.group_channel_id;
        let channel = Channel {
            state: Arc::clone(&state),
            group_id,
            prefixes: vec![(0, message.extranonce_prefix.as_slice().to_vec())],
            split,
            target,
            tip: None,
            generation: 0,
            future: FutureJobs::default(),
            newest: None,
            open: OpenShares::default(),
            draining: None,
        };
        self.channels.insert(channel_id, channel);
        self.join_group(group_id, channel_id);
        fx.events.push(SourceEvent::Opened { request: wish.request, channel: state, target });
        Ok(())
    }

    pub(super) fn join_group(&mut self, group_id: u32, channel_id: u32) {
        if self.groups.len() < MAX_GROUPS || self.groups.contains_key(&group_id) {
            self.groups.entry(group_id).or_default().1.push(channel_id);
        }
    }

    /// The channels that a message's `channel_id` addresses: itself, or a group's members.
    pub(super) fn addressed(&self, id: u32) -> Vec<u32> {
        if self.channels.contains_key(&id) {
            return vec![id];
        }
        self.groups.get(&id).map(|(_, members)| members.clone()).unwrap_or_default()
    }

    pub(super) fn on_target(
        &mut self,
        message: &sv2::mining::SetTarget,
        fx: &mut Effects,
    ) -> Result<(), DownReason> {
        let target = read_target(message.maximum_target)?;
        for id in self.addressed(message.channel_id) {
            let channel = self.channels.get_mut(&id).expect("addressed channels exist");
            channel.target = target;
            fx.events.push(SourceEvent::TargetChanged { channel_id: id, target });
        }
        Ok(())
    }

    pub(super) fn on_prefix(
        &mut self,
        message: &sv2::mining::SetExtranoncePrefix<'_>,
        fx: &mut Effects,
    ) -> Result<(), DownReason> {
        let Some(channel) = self.channels.get_mut(&message.channel_id) else {
            self.stray_answers += 1;
            return Ok(());
        };
        let prefix = message.extranonce_prefix.as_slice();
        let present = channel.prefix(u64::MAX).len();
        if prefix.len() != present {
            // The script_sig's length stands in the coinbase prefix that the group shares (5.1.2.1).
            return Err(protocol(format!(
                "SetExtranoncePrefix changes the prefix from {} to {} bytes",
                present,
                prefix.len()
            )));
        }
        channel.set_prefix(self.job_messages + 1, prefix.to_vec());
        if self.settings.work_selection {
            // No job of the pool's will ever need an earlier one.
            channel.forget_old_prefixes();
            fx.new_prefixes.push(message.channel_id);
        }
        Ok(())
    }

    pub(super) fn on_group(&mut self, message: &sv2::mining::SetGroupChannel<'_>) -> Result<(), DownReason> {
        if self.channels.contains_key(&message.group_channel_id) {
            return Err(protocol(format!("channel {} turned into a group", message.group_channel_id)));
        }
        for id in message.channel_ids.iter() {
            let Some(channel) = self.channels.get_mut(&id) else {
                self.stray_answers += 1;
                continue;
            };
            let old = std::mem::replace(&mut channel.group_id, message.group_channel_id);
            if let Some((future, members)) = self.groups.get_mut(&old) {
                // What was sent to the old group was sent to its members.
                channel.future.extend(future);
                members.retain(|m| *m != id);
            }
            self.join_group(message.group_channel_id, id);
        }
        self.groups.retain(|_, (_, members)| !members.is_empty());
        Ok(())
    }

    pub(super) fn on_closed(
        &mut self,
        message: &sv2::mining::CloseChannel<'_>,
        fx: &mut Effects,
    ) -> Result<(), DownReason> {
        for id in self.addressed(message.channel_id) {
            if self.remove_channel(id, fx) {
                fx.events.push(SourceEvent::Closed {
                    channel_id: id,
                    reason: shown(message.reason_code.as_bytes()),
                });
            }
        }
        Ok(())
    }
}

pub(super) fn read_target(bytes: [u8; 32]) -> Result<work::Target, DownReason> {
    let target = work::Target::from_le_bytes(bytes);
    if target == work::Target::ZERO {
        return Err(protocol("a target of zero, which no hash can meet"));
    }
    Ok(target)
}

#[expect(clippy::cast_possible_truncation, reason = "the wire has 32-bit floats; the value is clamped first")]
pub(super) fn as_f32(hashrate: f64) -> f32 {
    if hashrate.is_finite() { hashrate.clamp(0.0, f64::from(f32::MAX)) as f32 } else { 0.0 }
}
