//! Opening, updating and closing channels.

use std::time::Instant;

use bitcoin::Target;
use bytes::BytesMut;
use sv2::mining::{
    CloseChannel, OpenExtendedMiningChannel, OpenExtendedMiningChannelSuccess, OpenMiningChannelError,
    OpenStandardMiningChannel, OpenStandardMiningChannelSuccess, SetTarget, UpdateChannel,
    UpdateChannelError,
};
use sv2::{B032, Str0255, error_code, write_frame};
use tracing::{debug, info};

use super::Client;
use crate::dev_pool::channel::{Channel, NewChannel};

impl Client {
    pub(super) fn on_open_extended(
        &mut self,
        open: &OpenExtendedMiningChannel<'_>,
        now: Instant,
        out: &mut BytesMut,
    ) {
        let extranonce_size = self.shared.options.extranonce_size;
        let error = if self.requires_standard_jobs {
            Some(error_code::EXTENDED_CHANNELS_NOT_SUPPORTED_FOR_STANDARD_JOBS)
        } else if open.min_extranonce_size > u16::from(extranonce_size) {
            Some(error_code::MIN_EXTRANONCE_SIZE_TOO_LARGE)
        } else {
            None
        };
        let request = OpenRequest {
            request_id: open.request_id,
            user_identity: &open.user_identity.to_str_lossy(),
            nominal_hash_rate: open.nominal_hash_rate,
            max_target: open.max_target,
            rollable_size: usize::from(extranonce_size),
            is_standard: false,
        };
        let opened = error.map_or_else(|| self.open(&request, now), Err);
        match opened {
            Ok((channel_id, group_channel_id)) => {
                let channel = &self.channels[&channel_id];
                write_frame(
                    &OpenExtendedMiningChannelSuccess {
                        request_id: open.request_id,
                        channel_id,
                        target: channel.goals.latest().target.to_le_bytes(),
                        extranonce_size: u16::from(extranonce_size),
                        extranonce_prefix: B032::new(channel.prefixes.latest()).unwrap_or_default(),
                        group_channel_id,
                    },
                    out,
                );
                self.send_first_job(channel_id, out);
            }
            Err(code) => refuse_channel(open.request_id, code, out),
        }
    }

    pub(super) fn on_open_standard(
        &mut self,
        open: &OpenStandardMiningChannel<'_>,
        now: Instant,
        out: &mut BytesMut,
    ) {
        let request = OpenRequest {
            request_id: open.request_id,
            user_identity: &open.user_identity.to_str_lossy(),
            nominal_hash_rate: open.nominal_hash_rate,
            max_target: open.max_target,
            rollable_size: 0,
            is_standard: true,
        };
        let opened = if self.custom.is_some() {
            Err(error_code::STANDARD_CHANNELS_NOT_SUPPORTED_FOR_CUSTOM_WORK)
        } else {
            self.open(&request, now)
        };
        match opened {
            Ok((channel_id, group_channel_id)) => {
                let channel = &self.channels[&channel_id];
                write_frame(
                    &OpenStandardMiningChannelSuccess {
                        request_id: open.request_id,
                        channel_id,
                        target: channel.goals.latest().target.to_le_bytes(),
                        extranonce_prefix: B032::new(channel.prefixes.latest()).unwrap_or_default(),
                        group_channel_id,
                    },
                    out,
                );
                self.send_first_job(channel_id, out);
            }
            Err(code) => refuse_channel(open.request_id, code, out),
        }
    }

    /// Opens a channel: its id and its group's.
    fn open(&mut self, open: &OpenRequest<'_>, now: Instant) -> Result<(u32, u32), &'static str> {
        let options = &self.shared.options;
        let nominal_hash_rate =
            hash_rate(open.nominal_hash_rate).ok_or(error_code::INVALID_NOMINAL_HASHRATE)?;
        let max_target = Target::from_le_bytes(open.max_target);
        if max_target == Target::ZERO {
            return Err(error_code::MAX_TARGET_OUT_OF_RANGE);
        }
        // Ids are never given twice, and 0 is none.
        if self.channels.len() >= options.max_channels || self.next_id >= u32::MAX - 1 {
            return Err(error_code::CHANNEL_CAPACITY_EXHAUSTED);
        }
        let mut prefix = self.shared.next_prefix().ok_or(error_code::CHANNEL_CAPACITY_EXHAUSTED)?;
        if open.is_standard {
            prefix.resize(prefix.len() + usize::from(options.extranonce_size), 0);
        }
        let group_id = match self.group_id {
            Some(group_id) => group_id,
            None => {
                let group_id = self.take_id();
                self.group_id = Some(group_id);
                group_id
            }
        };
        let id = self.take_id();
        let channel = Channel::new(
            NewChannel {
                id,
                is_standard: open.is_standard,
                rollable_size: open.rollable_size,
                prefix,
                // Earlier jobs were not for this channel.
                first_job: self.work.job.id,
                user: self.shared.stats.user(open.user_identity),
                nominal_hash_rate,
                max_target,
                now,
            },
            &self.shared.options,
        );
        info!(
            channel = id,
            user = %open.user_identity.escape_debug(),
            request = open.request_id,
            difficulty = channel.goals.latest().difficulty,
            "channel opened"
        );
        self.channels.insert(id, channel);
        self.shared.stats.channel_opened();
        Ok((id, group_id))
    }

    fn take_id(&mut self) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    pub(super) fn on_update(&mut self, update: &UpdateChannel, now: Instant, out: &mut BytesMut) {
        let channel_id = update.channel_id;
        let last_job = self.work.job.id;
        let mut refuse =
            |code| write_frame(&UpdateChannelError { channel_id, error_code: Str0255::truncated(code) }, out);
        let Some(channel) = self.channels.get_mut(&channel_id) else {
            return refuse(error_code::INVALID_CHANNEL_ID);
        };
        let Some(nominal_hash_rate) = hash_rate(update.nominal_hash_rate) else {
            return refuse(error_code::INVALID_NOMINAL_HASHRATE);
        };
        let max_target = Target::from_le_bytes(update.maximum_target);
        if max_target == Target::ZERO {
            return refuse(error_code::MAX_TARGET_OUT_OF_RANGE);
        }
        self.shared.stats.channel_updated();
        let changed = channel.update(&self.shared.options, nominal_hash_rate, max_target, last_job, now);
        if let Some(target) = changed {
            write_frame(&SetTarget { channel_id, maximum_target: target.to_le_bytes() }, out);
        }
    }

    pub(super) fn on_close(&mut self, close: &CloseChannel<'_>) {
        let before = self.channels.len();
        if Some(close.channel_id) == self.group_id {
            self.channels.clear();
        } else {
            self.channels.remove(&close.channel_id);
        }
        self.shared.stats.channels_closed(before - self.channels.len());
    }
}

/// What both kinds of channels ask for.
struct OpenRequest<'a> {
    request_id: u32,
    user_identity: &'a str,
    nominal_hash_rate: f32,
    max_target: [u8; 32],
    rollable_size: usize,
    is_standard: bool,
}

/// A hash rate that is a number and not negative.
fn hash_rate(nominal: f32) -> Option<f64> {
    (nominal.is_finite() && nominal >= 0.0).then(|| f64::from(nominal))
}

fn refuse_channel(request_id: u32, code: &'static str, out: &mut BytesMut) {
    debug!(request_id, code, "channel refused");
    write_frame(&OpenMiningChannelError { request_id, error_code: Str0255::truncated(code) }, out);
}
