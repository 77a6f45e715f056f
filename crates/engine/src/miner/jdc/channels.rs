//! A JDC's channels, one to one with the pool's.

use std::sync::Arc;

use bytes::BytesMut;
use sv2::mining::{
    CloseChannel, OpenExtendedMiningChannel, OpenExtendedMiningChannelSuccess, SetExtranoncePrefix,
    SetTarget, UpdateChannel, UpdateChannelError,
};
use sv2::{B032, Message, Str0255, error_code, write_frame};
use work::{Limits, MAX_EXTRANONCE, MinerId, Target, Validator};

use super::mining::{JdcMining, refuse_channel};
use crate::feed::ChannelState;
use crate::miner::sv2::accepted::Accepted;
use crate::miner::sv2::open::hashrate_of;
use crate::miner::worker::Worker;
use crate::now::Now;
use crate::source::{ChannelRefusal, OpenChannel, SourceCommand};

/// Channels that one connection may have: a JDC has one.
pub(super) const MAX_CHANNELS: usize = 16;

/// A channel that was asked for.
#[derive(Debug)]
pub(super) struct Opening {
    /// The pool machine's number for it.
    request: u64,
    /// The JDC's.
    request_id: u32,
    worker: Worker,
    nominal: f64,
}

/// A channel.
#[derive(Debug)]
pub(super) struct Channel {
    /// Towards the JDC.
    pub(super) id: u32,
    /// Towards the pool.
    pub(super) above: u32,
    pub(super) state: Arc<ChannelState>,
    /// What the pool's machine takes shares for.
    pub(super) generation: u32,
    pub(super) worker: Worker,
    /// Hashes per second that the JDC has announced.
    pub(super) nominal: f64,
    /// The pool's prefix, in force for jobs that it takes from now on.
    pub(super) prefix: Vec<u8>,
    /// Bytes that the JDC rolls.
    pub(super) extranonce_size: u8,
    /// Judges its shares, by the pool's jobs as the JDC was told of them.
    pub(super) validator: Validator,
    /// Accepted shares that the JDC has not been told of.
    pub(super) accepted: Accepted,
}

impl Channel {
    /// The whole extranonce: prefix and rollable part.
    pub(super) fn extranonce_len(&self) -> usize {
        self.prefix.len() + usize::from(self.extranonce_size)
    }
}

impl JdcMining {
    pub(super) fn find(&self, id: u32) -> Option<usize> {
        self.channels.binary_search_by_key(&id, |channel| channel.id).ok()
    }

    pub(super) fn find_above(&mut self, above: u32) -> Option<&mut Channel> {
        self.channels.iter_mut().find(|channel| channel.above == above)
    }

    fn take_id(&mut self) -> u32 {
        self.next_channel_id = self.next_channel_id.wrapping_add(1);
        self.next_channel_id
    }

    pub(super) fn open(&mut self, open: &OpenExtendedMiningChannel<'_>, now: Now, out: &mut BytesMut) {
        let request_id = open.request_id;
        let Some(nominal) = hashrate_of(open.nominal_hash_rate) else {
            return refuse_channel(request_id, error_code::INVALID_NOMINAL_HASHRATE, out);
        };
        let max_target = Target::from_le_bytes(open.max_target);
        if max_target.is_zero() {
            return refuse_channel(request_id, error_code::MAX_TARGET_OUT_OF_RANGE, out);
        }
        if usize::from(open.min_extranonce_size) > MAX_EXTRANONCE {
            return refuse_channel(request_id, error_code::MIN_EXTRANONCE_SIZE_TOO_LARGE, out);
        }
        if self.channels.len() + self.opening.len() >= MAX_CHANNELS {
            return refuse_channel(request_id, error_code::CHANNEL_CAPACITY_EXHAUSTED, out);
        }
        let worker = Worker::new(open.user_identity.to_str_lossy().trim(), &self.policy.identity);
        self.next_request += 1;
        let request = self.next_request;
        let user_identity = self.user_identity.as_ref().map_or_else(|| Arc::clone(&worker.name), Arc::clone);
        self.opening.push(Opening { request, request_id, worker, nominal });
        // All that is rolled is the JDC's; a channel that leaves nothing to roll is of no use.
        let extranonce2_size = u8::try_from(open.min_extranonce_size.max(1)).unwrap_or(u8::MAX);
        let wish = OpenChannel {
            request,
            user_identity,
            nominal_hashrate: nominal,
            max_target,
            miner_id_size: 0,
            extranonce2_size,
            space: 0,
            standby: false,
        };
        self.pool.command(SourceCommand::Open(wish), now, &mut self.up);
    }

    pub(super) fn opened(
        &mut self,
        request: u64,
        state: Arc<ChannelState>,
        target: Target,
        now: Now,
        out: &mut BytesMut,
    ) {
        let above = state.key.channel_id;
        let at = self.opening.iter().position(|opening| opening.request == request);
        let known = self.pool.custom_channel(above);
        let (Some(at), Some(known)) = (at, known) else { return };
        let (prefix, size) = (known.prefix.to_vec(), known.split.extranonce_size());
        let generation = known.generation;
        let Opening { request_id, worker, nominal, .. } = self.opening.swap_remove(at);
        let Some(extranonce_size) = u8::try_from(size).ok() else {
            self.pool.command(SourceCommand::Close { channel_id: above }, now, &mut self.up);
            return refuse_channel(request_id, error_code::UNSUPPORTED_MIN_EXTRANONCE_SIZE, out);
        };
        let (channel_id, group_channel_id) = (self.take_id(), self.take_id());
        let success = OpenExtendedMiningChannelSuccess {
            request_id,
            channel_id,
            target: target.to_le_bytes(),
            extranonce_size: size,
            extranonce_prefix: B032::new(&prefix).unwrap_or_default(),
            group_channel_id,
        };
        write_frame(&success, out);
        let seed = self.policy.hash_seed;
        let validator = Validator::new(MinerId::WHOLE, extranonce_size, seed, Limits::default());
        self.channels.push(Channel {
            id: channel_id,
            above,
            state,
            generation,
            worker,
            nominal,
            prefix,
            extranonce_size,
            validator,
            accepted: Accepted::default(),
        });
    }

    pub(super) fn not_opened(&mut self, request: u64, why: &ChannelRefusal, out: &mut BytesMut) {
        let Some(at) = self.opening.iter().position(|opening| opening.request == request) else { return };
        let request_id = self.opening.swap_remove(at).request_id;
        let code = match why {
            ChannelRefusal::ByPool(code) => code,
            ChannelRefusal::Extranonce(_) => error_code::UNSUPPORTED_MIN_EXTRANONCE_SIZE,
            ChannelRefusal::Silent | ChannelRefusal::LinkEnded(_) => "no-answer",
            // Of Stratum V1 pools alone.
            ChannelRefusal::Connections(_) | ChannelRefusal::SameExtranonce => {
                error_code::CHANNEL_CAPACITY_EXHAUSTED
            }
        };
        refuse_channel(request_id, code, out);
    }

    pub(super) fn target_changed(&mut self, above: u32, target: Target, out: &mut BytesMut) {
        if let Some(channel) = self.find_above(above) {
            write_frame(&SetTarget { channel_id: channel.id, maximum_target: target.to_le_bytes() }, out);
        }
    }

    pub(super) fn prefix_changed(&mut self, above: u32, out: &mut BytesMut) {
        let Some(prefix) = self.pool.custom_channel(above).map(|known| known.prefix.to_vec()) else { return };
        let Some(channel) = self.find_above(above) else { return };
        let extranonce_prefix = B032::new(&prefix).unwrap_or_default();
        write_frame(&SetExtranoncePrefix { channel_id: channel.id, extranonce_prefix }, out);
        channel.prefix = prefix;
    }

    pub(super) fn update(&mut self, update: &UpdateChannel, out: &mut BytesMut) {
        let refuse = |code: &str, out: &mut BytesMut| {
            let error_code = Str0255::truncated(code);
            write_frame(&UpdateChannelError { channel_id: update.channel_id, error_code }, out);
        };
        let Some(at) = self.find(update.channel_id) else {
            return refuse(error_code::INVALID_CHANNEL_ID, out);
        };
        let Some(nominal) = hashrate_of(update.nominal_hash_rate) else {
            return refuse(error_code::INVALID_NOMINAL_HASHRATE, out);
        };
        let channel = &mut self.channels[at];
        channel.nominal = nominal;
        let message = UpdateChannel {
            channel_id: channel.above,
            nominal_hash_rate: update.nominal_hash_rate,
            maximum_target: update.maximum_target,
        };
        write_frame(&message, &mut self.up.frames);
    }

    pub(super) fn update_refused(&mut self, payload: &[u8], out: &mut BytesMut) {
        // One that cannot be read ends the connection: the pool's machine sees to that.
        let Ok(error) = UpdateChannelError::decode(payload) else { return };
        if let Some(channel) = self.find_above(error.channel_id) {
            write_frame(&UpdateChannelError { channel_id: channel.id, error_code: error.error_code }, out);
        }
    }

    /// The JDC closes a channel: the pool's is closed when its open shares are answered.
    pub(super) fn close(&mut self, id: u32, now: Now) {
        let Some(at) = self.find(id) else { return };
        let channel = self.channels.remove(at);
        self.jobs.retain(|job| job.above != channel.above);
        self.pool.command(SourceCommand::Close { channel_id: channel.above }, now, &mut self.up);
    }

    pub(super) fn closed_above(&mut self, above: u32, reason: &str, out: &mut BytesMut) {
        let Some(at) = self.channels.iter().position(|channel| channel.above == above) else { return };
        let channel_id = self.channels.remove(at).id;
        self.jobs.retain(|job| job.above != above);
        write_frame(&CloseChannel { channel_id, reason_code: Str0255::truncated(reason) }, out);
    }
}
