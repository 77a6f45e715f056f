//! One client of a dev pool: the mining protocol's server side. No IO: frames in, frames out.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use bitcoin::Target;
use bitcoin::hashes::Hash;
use bytes::BytesMut;
use sv2::common::{
    PROTOCOL_MINING, PROTOCOL_VERSION, SetupConnection, SetupConnectionError, SetupConnectionSuccess,
};
use sv2::extensions::{
    EXTENSION_NEGOTIATION, RequestExtensions, RequestExtensionsError, RequestExtensionsSuccess,
};
use sv2::mining::{
    CloseChannel, NewExtendedMiningJob, NewMiningJob, OpenExtendedMiningChannel,
    OpenExtendedMiningChannelSuccess, OpenMiningChannelError, OpenStandardMiningChannel,
    OpenStandardMiningChannelSuccess, REQUIRES_FIXED_VERSION, REQUIRES_STANDARD_JOBS,
    REQUIRES_VERSION_ROLLING, REQUIRES_WORK_SELECTION, SetCustomMiningJob, SetCustomMiningJobError,
    SetExtranoncePrefix, SetNewPrevHash, SetTarget, SubmitSharesError, SubmitSharesExtended,
    SubmitSharesStandard, UpdateChannel, UpdateChannelError,
};
use sv2::{
    AnyMessage, B032, B064K, CommonMessage, DecodeError, ExtensionsMessage, FrameHeader, Message,
    MiningMessage, Seq064K, Seq0255, Str0255, error_code, write_frame,
};
use thiserror::Error;
use tracing::{debug, info};

use super::Shared;
use super::channel::{Channel, NewChannel};
use super::share::{Refusal, judge};
use super::work::{PoolJob, PoolWork, ShareFields};

/// Why a client is hung up on.
#[derive(Debug, Error)]
pub(super) enum Hangup {
    /// Its frame is no message.
    #[error("{0}")]
    Decode(#[from] DecodeError),
    /// A message that must not come now, or not from a client.
    #[error("{0} is out of place")]
    OutOfPlace(&'static str),
    /// SetupConnection was answered with an error.
    #[error("set-up refused: {0}")]
    SetupRefused(&'static str),
    /// A channel had more accepted shares on one tip than the pool remembers.
    #[error("channel {0} has used up its share budget on this tip")]
    ShareBudget(u32),
}

/// The state of one client.
pub(super) struct Client {
    shared: Arc<Shared>,
    is_set_up: bool,
    requires_standard_jobs: bool,
    extensions: Vec<u16>,
    channels: HashMap<u32, Channel>,
    /// Ids of channels and of the group; never given twice.
    next_id: u32,
    group_id: Option<u32>,
    work: Arc<PoolWork>,
    /// Jobs on the present tip whose shares are taken, the newest last.
    jobs: VecDeque<Arc<PoolJob>>,
    /// The first job that this client may have had.
    first_job: u32,
    /// The first one of them on the present tip.
    first_job_on_tip: u32,
    rotations: u64,
}

impl Client {
    pub(super) fn new(shared: Arc<Shared>, work: Arc<PoolWork>, rotations: u64) -> Client {
        let job = Arc::clone(&work.job);
        Client {
            shared,
            is_set_up: false,
            requires_standard_jobs: false,
            extensions: Vec::new(),
            channels: HashMap::new(),
            next_id: 1,
            group_id: None,
            first_job: job.id,
            first_job_on_tip: job.id,
            jobs: VecDeque::from([job]),
            work,
            rotations,
        }
    }

    pub(super) fn channels(&self) -> usize {
        self.channels.len()
    }

    /// Handles a frame; what is to be sent is appended to `out`.
    pub(super) fn on_frame(
        &mut self,
        header: &FrameHeader,
        payload: &[u8],
        now: Instant,
        out: &mut BytesMut,
    ) -> Result<(), Hangup> {
        // Nearly all frames are shares.
        let extension_zero = header.extension_type == 0;
        if extension_zero && header.msg_type == SubmitSharesExtended::MSG_TYPE && self.is_set_up {
            let (share, tlvs) = SubmitSharesExtended::decode_with_tlvs(payload, &self.extensions)?;
            let fields = ShareFields {
                version: share.version,
                ntime: share.ntime,
                nonce: share.nonce,
                extranonce: share.extranonce.as_slice(),
            };
            let worker = tlvs.user_identity();
            let worker = worker.as_ref().map(|name| name.as_bytes());
            return self.on_share(
                (share.channel_id, share.sequence_number, share.job_id),
                &fields,
                worker,
                now,
                out,
            );
        }
        if !extension_zero && header.extension_type != EXTENSION_NEGOTIATION {
            // Messages of unknown extensions are ignored (specification, section 3.4.1).
            return Ok(());
        }
        let (message, _) = AnyMessage::decode_lenient(header, payload, &self.extensions)?;
        match message {
            AnyMessage::Common(CommonMessage::SetupConnection(setup)) if !self.is_set_up => {
                self.on_setup(&setup, out)
            }
            _ if !self.is_set_up => Err(Hangup::OutOfPlace(message.name())),
            AnyMessage::Extensions(ExtensionsMessage::RequestExtensions(request)) => {
                self.on_request_extensions(&request, out);
                Ok(())
            }
            AnyMessage::Mining(message) => self.on_mining(&message, now, out),
            other => Err(Hangup::OutOfPlace(other.name())),
        }
    }

    fn on_mining(
        &mut self,
        message: &MiningMessage<'_>,
        now: Instant,
        out: &mut BytesMut,
    ) -> Result<(), Hangup> {
        match message {
            MiningMessage::OpenExtendedMiningChannel(open) => self.on_open_extended(open, now, out),
            MiningMessage::OpenStandardMiningChannel(open) => self.on_open_standard(open, now, out),
            MiningMessage::UpdateChannel(update) => self.on_update(update, now, out),
            MiningMessage::CloseChannel(close) => self.on_close(close),
            MiningMessage::SubmitSharesStandard(share) => return self.on_standard_share(share, now, out),
            MiningMessage::SetCustomMiningJob(job) => refuse_custom_job(job, out),
            other => return Err(Hangup::OutOfPlace(other.name())),
        }
        Ok(())
    }

    // --- set-up ---

    fn on_setup(&mut self, setup: &SetupConnection<'_>, out: &mut BytesMut) -> Result<(), Hangup> {
        let options = &self.shared.options;
        let mut unsupported = setup.flags & REQUIRES_WORK_SELECTION;
        if !options.version_rolling {
            unsupported |= setup.flags & REQUIRES_VERSION_ROLLING;
        }
        let versions = setup.min_version..=setup.max_version;
        let error = if setup.protocol != PROTOCOL_MINING {
            Some(error_code::UNSUPPORTED_PROTOCOL)
        } else if !versions.contains(&PROTOCOL_VERSION) {
            Some(error_code::PROTOCOL_VERSION_MISMATCH)
        } else if unsupported != 0 {
            Some(error_code::UNSUPPORTED_FEATURE_FLAGS)
        } else {
            None
        };
        if let Some(code) = error {
            let flags = if code == error_code::UNSUPPORTED_FEATURE_FLAGS {
                unsupported
            } else {
                0
            };
            write_frame(
                &SetupConnectionError {
                    flags,
                    error_code: Str0255::truncated(code),
                },
                out,
            );
            return Err(Hangup::SetupRefused(code));
        }
        self.requires_standard_jobs = setup.flags & REQUIRES_STANDARD_JOBS != 0;
        self.is_set_up = true;
        let flags = if options.version_rolling {
            0
        } else {
            REQUIRES_FIXED_VERSION
        };
        write_frame(
            &SetupConnectionSuccess {
                used_version: PROTOCOL_VERSION,
                flags,
            },
            out,
        );
        debug!(vendor = %setup.vendor, firmware = %setup.firmware, "client set up");
        Ok(())
    }

    fn on_request_extensions(&mut self, request: &RequestExtensions<'_>, out: &mut BytesMut) {
        let granted = &self.shared.options.extensions;
        let (supported, unsupported): (Vec<u16>, Vec<u16>) = request
            .requested_extensions
            .iter()
            .partition(|extension| granted.contains(extension));
        let request_id = request.request_id;
        // Both are parts of a list that fits.
        if supported.is_empty() {
            write_frame(
                &RequestExtensionsError {
                    request_id,
                    unsupported_extensions: Seq064K::from_slice(&unsupported).unwrap_or_default(),
                    required_extensions: Seq064K::default(),
                },
                out,
            );
        } else {
            write_frame(
                &RequestExtensionsSuccess {
                    request_id,
                    supported_extensions: Seq064K::from_slice(&supported).unwrap_or_default(),
                },
                out,
            );
            self.extensions = supported;
            self.extensions.sort_unstable();
            self.extensions.dedup();
        }
    }

    // --- channels ---

    fn on_open_extended(&mut self, open: &OpenExtendedMiningChannel<'_>, now: Instant, out: &mut BytesMut) {
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

    fn on_open_standard(&mut self, open: &OpenStandardMiningChannel<'_>, now: Instant, out: &mut BytesMut) {
        let request = OpenRequest {
            request_id: open.request_id,
            user_identity: &open.user_identity.to_str_lossy(),
            nominal_hash_rate: open.nominal_hash_rate,
            max_target: open.max_target,
            rollable_size: 0,
            is_standard: true,
        };
        match self.open(&request, now) {
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
        let mut prefix = self
            .shared
            .next_prefix()
            .ok_or(error_code::CHANNEL_CAPACITY_EXHAUSTED)?;
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

    fn on_update(&mut self, update: &UpdateChannel, now: Instant, out: &mut BytesMut) {
        let channel_id = update.channel_id;
        let last_job = self.work.job.id;
        let mut refuse = |code| {
            write_frame(
                &UpdateChannelError {
                    channel_id,
                    error_code: Str0255::truncated(code),
                },
                out,
            )
        };
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
            write_frame(
                &SetTarget {
                    channel_id,
                    maximum_target: target.to_le_bytes(),
                },
                out,
            );
        }
    }

    fn on_close(&mut self, close: &CloseChannel<'_>) {
        let before = self.channels.len();
        if Some(close.channel_id) == self.group_id {
            self.channels.clear();
        } else {
            self.channels.remove(&close.channel_id);
        }
        self.shared.stats.channels_closed(before - self.channels.len());
    }

    // --- shares ---

    fn on_standard_share(
        &mut self,
        share: &SubmitSharesStandard,
        now: Instant,
        out: &mut BytesMut,
    ) -> Result<(), Hangup> {
        let fields = ShareFields {
            version: share.version,
            ntime: share.ntime,
            nonce: share.nonce,
            extranonce: &[],
        };
        self.on_share(
            (share.channel_id, share.sequence_number, share.job_id),
            &fields,
            None,
            now,
            out,
        )
    }

    fn on_share(
        &mut self,
        (channel_id, sequence_number, job_id): (u32, u32, u32),
        share: &ShareFields<'_>,
        worker: Option<&[u8]>,
        now: Instant,
        out: &mut BytesMut,
    ) -> Result<(), Hangup> {
        let shared = Arc::clone(&self.shared);
        let options = &shared.options;
        let mut refuse = |user: Option<&_>, reason: Refusal| {
            shared.stats.rejected(user, reason);
            let error_code = Str0255::truncated(reason.code());
            write_frame(
                &SubmitSharesError {
                    channel_id,
                    sequence_number,
                    error_code,
                },
                out,
            );
            Ok(())
        };
        let job = self.jobs.iter().rev().find(|job| job.id == job_id);
        let Some(channel) = self.channels.get_mut(&channel_id) else {
            return refuse(None, Refusal::InvalidChannelId);
        };
        let user = channel.user_of(worker, |name| shared.stats.user(name));
        let Some(job) = job else {
            let was_valid = (self.first_job..self.first_job_on_tip).contains(&job_id);
            let reason = if was_valid {
                Refusal::StaleShare
            } else {
                Refusal::InvalidJobId
            };
            return refuse(Some(&user), reason);
        };
        let good = match judge(channel, job, options.version_rolling, share) {
            Ok(good) => good,
            Err(reason) => return refuse(Some(&user), reason),
        };
        if !channel.first_time(&good.hash) {
            return refuse(Some(&user), Refusal::DuplicateShare);
        }
        if channel.seen() > options.duplicate_budget {
            return Err(Hangup::ShareBudget(channel_id));
        }
        shared.stats.accepted(&user, good.difficulty);
        if let Some(success) = channel.accept(
            sequence_number,
            good.difficulty,
            options.share_batch_size,
            good.is_block,
            now,
        ) {
            shared.stats.acknowledged(success.new_submits_accepted_count);
            write_frame(&success, out);
        }
        if good.is_block {
            let prefix = channel.prefixes.at(job_id).map_or(&[][..], Vec::as_slice);
            let coinbase = job.coinbase(prefix, share.extranonce);
            let template_id = job.template.template_id;
            let result =
                shared.submit_solution(template_id, share.version, share.ntime, share.nonce, &coinbase);
            shared.stats.block(result.is_ok(), &good.hash);
            match result {
                Ok(block) => info!(height = block.height, hash = %block.hash, "block found"),
                Err(error) => info!(%error, "a block was refused"),
            }
        }
        Ok(())
    }

    // --- what the pool says by itself ---

    /// New work: a job for all channels, after a new tip as a future job with its SetNewPrevHash.
    pub(super) fn on_work(&mut self, work: Arc<PoolWork>, out: &mut BytesMut) {
        if work.job.id == self.work.job.id {
            return;
        }
        let new_tip = work.tip_number != self.work.tip_number;
        if new_tip {
            self.first_job_on_tip = work.job.id;
            self.jobs.clear();
            self.channels
                .values_mut()
                .for_each(|channel| channel.new_tip(work.job.id));
        }
        self.jobs.push_back(Arc::clone(&work.job));
        while self.jobs.len() > self.shared.options.max_past_jobs + 1 {
            self.jobs.pop_front();
        }
        self.work = work;
        self.broadcast(new_tip, out);
    }

    fn broadcast(&self, future: bool, out: &mut BytesMut) {
        if self.channels.is_empty() {
            return;
        }
        let group = self
            .group_id
            .filter(|_| self.shared.options.group_channels && !self.requires_standard_jobs);
        if let Some(group_id) = group {
            self.send_extended_job(group_id, future, out);
            if future {
                self.send_prev_hash(group_id, out);
            }
            return;
        }
        for channel in self.channels.values() {
            self.send_job(channel, future, out);
            if future {
                self.send_prev_hash(channel.id, out);
            }
        }
    }

    /// A channel's first job, as the reference sends it: a future job and its activation.
    fn send_first_job(&self, channel_id: u32, out: &mut BytesMut) {
        self.send_job(&self.channels[&channel_id], true, out);
        self.send_prev_hash(channel_id, out);
    }

    fn send_job(&self, channel: &Channel, future: bool, out: &mut BytesMut) {
        if !channel.is_standard {
            return self.send_extended_job(channel.id, future, out);
        }
        let job = &self.work.job;
        let prefix = channel.prefixes.at(job.id).map_or(&[][..], Vec::as_slice);
        write_frame(
            &NewMiningJob {
                channel_id: channel.id,
                job_id: job.id,
                min_ntime: (!future).then_some(job.min_ntime),
                version: job.template.version,
                merkle_root: job.merkle_root(prefix, &[]),
            },
            out,
        );
    }

    fn send_extended_job(&self, channel_id: u32, future: bool, out: &mut BytesMut) {
        let job = &self.work.job;
        // A coinbase and its path are far below these limits.
        let (prefix, suffix) = (
            B064K::new(&job.coinbase_tx_prefix),
            B064K::new(&job.coinbase_tx_suffix),
        );
        write_frame(
            &NewExtendedMiningJob {
                channel_id,
                job_id: job.id,
                min_ntime: (!future).then_some(job.min_ntime),
                version: job.template.version,
                version_rolling_allowed: self.shared.options.version_rolling,
                merkle_path: Seq0255::from_slice(&job.template.merkle_path).unwrap_or_default(),
                coinbase_tx_prefix: prefix.unwrap_or_default(),
                coinbase_tx_suffix: suffix.unwrap_or_default(),
            },
            out,
        );
    }

    fn send_prev_hash(&self, channel_id: u32, out: &mut BytesMut) {
        let job = &self.work.job;
        write_frame(
            &SetNewPrevHash {
                channel_id,
                job_id: job.id,
                prev_hash: job.template.prev_hash.to_byte_array(),
                min_ntime: job.min_ntime,
                nbits: job.template.nbits.to_consensus(),
            },
            out,
        );
    }

    /// Acknowledges old batches and fits targets.
    pub(super) fn on_tick(&mut self, now: Instant, out: &mut BytesMut) {
        let options = &self.shared.options;
        let last_job = self.work.job.id;
        for channel in self.channels.values_mut() {
            let success = options
                .acknowledge_after
                .and_then(|age| channel.acknowledge_older(age, now));
            if let Some(success) = success {
                self.shared.stats.acknowledged(success.new_submits_accepted_count);
                write_frame(&success, out);
            }
            let fitted = options
                .vardiff_interval
                .and_then(|every| channel.fit(options, every, last_job, now));
            if let Some(target) = fitted {
                write_frame(
                    &SetTarget {
                        channel_id: channel.id,
                        maximum_target: target.to_le_bytes(),
                    },
                    out,
                );
            }
        }
    }

    /// Gives every channel another extranonce prefix, if that was ordered.
    pub(super) fn on_rotations(&mut self, rotations: u64, out: &mut BytesMut) {
        if std::mem::replace(&mut self.rotations, rotations) == rotations {
            return;
        }
        let first_job = self.work.job.id.saturating_add(1);
        for channel in self.channels.values_mut() {
            // Without prefixes left the old one stays.
            let Some(mut prefix) = self.shared.next_prefix() else {
                return;
            };
            prefix.resize(channel.prefixes.latest().len(), 0);
            let message = SetExtranoncePrefix {
                channel_id: channel.id,
                extranonce_prefix: B032::new(&prefix).unwrap_or_default(),
            };
            write_frame(&message, out);
            channel.prefixes.change(first_job, prefix);
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.shared.stats.channels_closed(self.channels.len());
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
    write_frame(
        &OpenMiningChannelError {
            request_id,
            error_code: Str0255::truncated(code),
        },
        out,
    );
}

fn refuse_custom_job(job: &SetCustomMiningJob<'_>, out: &mut BytesMut) {
    write_frame(
        &SetCustomMiningJobError {
            channel_id: job.channel_id,
            request_id: job.request_id,
            error_code: Str0255::truncated(error_code::JD_NOT_SUPPORTED),
        },
        out,
    );
}
