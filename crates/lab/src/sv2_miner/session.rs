//! The protocol as a miner sees it: frames in, frames out, and what is to be hashed. No IO.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::BytesMut;
use sv2::common::{PROTOCOL_MINING, PROTOCOL_VERSION, SetupConnection};
use sv2::extensions::{RequestExtensions, WORKER_HASHRATE_TRACKING};
use sv2::mining::{
    CloseChannel, OpenExtendedMiningChannel, OpenStandardMiningChannel, REQUIRES_STANDARD_JOBS,
    REQUIRES_VERSION_ROLLING, SubmitSharesExtended, SubmitSharesStandard, UpdateChannel,
};
use sv2::{
    AnyMessage, B032, CommonMessage, DecodeError, ExtensionsMessage, FrameHeader, MiningMessage, Seq064K,
    Str0255, UserIdentity, write_frame, write_share_with_worker,
};
use thiserror::Error;

use super::work::{Extended, JobBody, Work};

/// Jobs that a channel keeps; servers keep as many for late shares.
const MAX_JOBS: usize = 32;

/// What a miner asks for.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// `user_identity` of its channels; with several, each has its number behind it.
    pub identity: String,
    /// Standard channels.
    pub standard: u32,
    /// Extended channels.
    pub extended: u32,
    /// Sets `REQUIRES_STANDARD_JOBS`.
    pub standard_jobs: bool,
    /// Rollable extranonce that extended channels need.
    pub min_extranonce_size: u16,
    /// Hashes per second of each channel, as it is told.
    pub nominal_hash_rate: f32,
    /// The easiest target that channels take.
    pub max_target: [u8; 32],
    /// Puts this name to each share (extension 0x0002).
    pub worker: Option<String>,
}

impl SessionOptions {
    /// One extended channel that takes any target.
    pub fn new(identity: impl Into<String>) -> Self {
        Self {
            identity: identity.into(),
            standard: 0,
            extended: 1,
            standard_jobs: false,
            min_extranonce_size: 2,
            nominal_hash_rate: 0.0,
            max_target: [0xff; 32],
            worker: None,
        }
    }
}

/// Why a session cannot go on.
#[derive(Debug, Error, PartialEq)]
pub enum SessionError {
    /// What came is no message.
    #[error("{0}")]
    Decode(#[from] DecodeError),
    /// The server broke the protocol.
    #[error("the server broke the protocol: {0}")]
    Broken(String),
    /// The server does not take the connection.
    #[error("SetupConnection was refused: {0}")]
    SetupRefused(String),
}

/// One channel.
#[derive(Debug)]
pub struct Channel {
    /// Standard, or else extended.
    pub is_standard: bool,
    /// The group that it is in.
    pub group: u32,
    /// The extranonce's fixed part.
    pub prefix: Vec<u8>,
    /// Bytes that are rolled.
    pub extranonce_size: usize,
    /// The target of jobs to come.
    pub target: [u8; 32],
    jobs: Vec<(u32, JobBody)>,
    tip: Option<([u8; 32], u32)>,
    work: Option<Arc<Work>>,
    next_sequence: u32,
}

/// A miner's books. `submitted = accepted + the sum of rejected + open`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionStats {
    /// Channels that were opened.
    pub opened: u64,
    /// Channels that were refused, by code.
    pub refused: BTreeMap<String, u64>,
    /// Jobs, and those of them that came to a group.
    pub jobs: u64,
    /// See `jobs`.
    pub group_jobs: u64,
    /// Tips.
    pub tips: u64,
    /// `SetTarget`s.
    pub targets: u64,
    /// Prefixes that changed after the channel was opened.
    pub prefix_changes: u64,
    /// Channels that the server closed.
    pub closed: u64,
    /// Shares sent.
    pub submitted: u64,
    /// Shares accepted.
    pub accepted: u64,
    /// Sum of their difficulties as the server said.
    pub accepted_work: u64,
    /// Shares rejected, by code.
    pub rejected: BTreeMap<String, u64>,
}

impl SessionStats {
    /// Shares that have no answer yet.
    pub fn open(&self) -> u64 {
        self.submitted - self.accepted - self.rejected.values().sum::<u64>()
    }
}

/// See the module.
#[derive(Debug)]
pub struct Session {
    options: SessionOptions,
    set_up: bool,
    /// For channels.
    has_asked: bool,
    names: bool,
    channels: BTreeMap<u32, Channel>,
    requests: BTreeMap<u32, bool>,
    generation: u64,
    stats: SessionStats,
}

impl Session {
    /// A session that has said nothing yet.
    pub fn new(options: SessionOptions) -> Self {
        Self {
            options,
            set_up: false,
            has_asked: false,
            names: false,
            channels: BTreeMap::new(),
            requests: BTreeMap::new(),
            generation: 0,
            stats: SessionStats::default(),
        }
    }

    /// The first message.
    pub fn greet(&self, out: &mut BytesMut) {
        let standard = if self.options.standard_jobs { REQUIRES_STANDARD_JOBS } else { 0 };
        let setup = SetupConnection {
            protocol: PROTOCOL_MINING,
            min_version: PROTOCOL_VERSION,
            max_version: PROTOCOL_VERSION,
            flags: standard | REQUIRES_VERSION_ROLLING,
            endpoint_host: Str0255::EMPTY,
            endpoint_port: 0,
            vendor: Str0255::truncated("adit"),
            hardware_version: Str0255::EMPTY,
            firmware: Str0255::truncated(concat!("adit-miner/", env!("CARGO_PKG_VERSION"))),
            device_id: Str0255::EMPTY,
        };
        write_frame(&setup, out);
    }

    /// The books.
    pub fn stats(&self) -> &SessionStats {
        &self.stats
    }

    /// Channels by id.
    pub fn channels(&self) -> &BTreeMap<u32, Channel> {
        &self.channels
    }

    /// Grows whenever the work changes.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What is to be hashed now, a job for each channel that has one.
    pub fn work(&self) -> Vec<Arc<Work>> {
        self.channels.values().filter_map(|channel| channel.work.clone()).collect()
    }

    /// Why there is nothing to mine on any more, nor will be.
    pub fn is_without_channels(&self) -> Option<String> {
        if !self.channels.is_empty() || !self.requests.is_empty() || !self.has_asked {
            return None;
        }
        let codes = self.stats.refused.keys().cloned().collect::<Vec<_>>().join(", ");
        Some(if codes.is_empty() { "the server has closed them".to_owned() } else { codes })
    }

    /// Takes a frame; what is to be answered is appended to `out`.
    ///
    /// # Errors
    /// [`SessionError`]: the connection is of no use any more.
    pub fn on_frame(
        &mut self,
        header: &FrameHeader,
        payload: &[u8],
        out: &mut BytesMut,
    ) -> Result<(), SessionError> {
        match AnyMessage::decode(header, payload)? {
            AnyMessage::Common(CommonMessage::SetupConnectionSuccess(_)) if !self.set_up => {
                self.set_up = true;
                if self.options.worker.is_some() {
                    let extensions = [WORKER_HASHRATE_TRACKING];
                    let requested_extensions = Seq064K::from_slice(&extensions).unwrap_or_default();
                    write_frame(&RequestExtensions { request_id: 1, requested_extensions }, out);
                } else {
                    self.open(out);
                }
            }
            AnyMessage::Common(CommonMessage::SetupConnectionError(error)) => {
                return Err(SessionError::SetupRefused(error.error_code.to_string()));
            }
            AnyMessage::Extensions(ExtensionsMessage::RequestExtensionsSuccess(success)) => {
                self.names = success.supported_extensions.iter().any(|e| e == WORKER_HASHRATE_TRACKING);
                self.open(out);
            }
            AnyMessage::Extensions(ExtensionsMessage::RequestExtensionsError(_)) => self.open(out),
            AnyMessage::Mining(message) => self.on_mining(&message)?,
            other => return Err(SessionError::Broken(format!("{} out of place", other.name()))),
        }
        Ok(())
    }

    fn open(&mut self, out: &mut BytesMut) {
        self.has_asked = true;
        let all = self.options.standard + self.options.extended;
        for request_id in 1..=all {
            let identity = match all {
                1 => self.options.identity.clone(),
                _ => format!("{}.{request_id}", self.options.identity),
            };
            let is_standard = request_id <= self.options.standard;
            self.requests.insert(request_id, is_standard);
            let user_identity = Str0255::truncated(&identity);
            let (nominal_hash_rate, max_target) = (self.options.nominal_hash_rate, self.options.max_target);
            if is_standard {
                let open =
                    OpenStandardMiningChannel { request_id, user_identity, nominal_hash_rate, max_target };
                write_frame(&open, out);
            } else {
                let min_extranonce_size = self.options.min_extranonce_size;
                let open = OpenExtendedMiningChannel {
                    request_id,
                    user_identity,
                    nominal_hash_rate,
                    max_target,
                    min_extranonce_size,
                };
                write_frame(&open, out);
            }
        }
    }

    fn on_mining(&mut self, message: &MiningMessage<'_>) -> Result<(), SessionError> {
        match message {
            MiningMessage::OpenStandardMiningChannelSuccess(m) => self.opened(
                (m.request_id, m.channel_id, m.group_channel_id),
                m.extranonce_prefix.as_slice(),
                0,
                m.target,
            )?,
            MiningMessage::OpenExtendedMiningChannelSuccess(m) => self.opened(
                (m.request_id, m.channel_id, m.group_channel_id),
                m.extranonce_prefix.as_slice(),
                usize::from(m.extranonce_size),
                m.target,
            )?,
            MiningMessage::OpenMiningChannelError(m) => {
                self.requests.remove(&m.request_id);
                *self.stats.refused.entry(m.error_code.to_string()).or_default() += 1;
            }
            MiningMessage::NewMiningJob(m) => {
                let body = JobBody::Standard { version: m.version, merkle_root: m.merkle_root };
                self.job(m.channel_id, m.job_id, m.min_ntime, &body)?;
            }
            MiningMessage::NewExtendedMiningJob(m) => {
                let body = JobBody::Extended(Arc::new(Extended {
                    version: m.version,
                    rolls_version: m.version_rolling_allowed,
                    coinbase_tx_prefix: m.coinbase_tx_prefix.as_slice().to_vec(),
                    coinbase_tx_suffix: m.coinbase_tx_suffix.as_slice().to_vec(),
                    merkle_path: m.merkle_path.iter().collect(),
                }));
                self.job(m.channel_id, m.job_id, m.min_ntime, &body)?;
            }
            MiningMessage::SetNewPrevHash(m) => {
                self.stats.tips += 1;
                let mut known = false;
                for (id, channel) in self.channels.iter_mut().filter(|(id, c)| c.hears(**id, m.channel_id)) {
                    known = true;
                    channel.tip = Some((m.prev_hash, m.nbits));
                    channel.jobs.retain(|(job, _)| *job == m.job_id);
                    channel.begin(*id, m.job_id, m.min_ntime)?;
                }
                self.changed(known, "SetNewPrevHash", m.channel_id)?;
            }
            MiningMessage::SetTarget(m) => {
                self.stats.targets += 1;
                for (_, channel) in self.channels.iter_mut().filter(|(id, c)| c.hears(**id, m.channel_id)) {
                    channel.target = m.maximum_target;
                }
            }
            MiningMessage::SetExtranoncePrefix(m) => {
                self.stats.prefix_changes += 1;
                if let Some(channel) = self.channels.get_mut(&m.channel_id) {
                    channel.prefix = m.extranonce_prefix.as_slice().to_vec();
                }
            }
            MiningMessage::SetGroupChannel(m) => {
                for id in m.channel_ids.iter() {
                    if let Some(channel) = self.channels.get_mut(&id) {
                        channel.group = m.group_channel_id;
                    }
                }
            }
            MiningMessage::SubmitSharesSuccess(m) => {
                self.stats.accepted += u64::from(m.new_submits_accepted_count);
                self.stats.accepted_work += m.new_shares_sum;
            }
            MiningMessage::SubmitSharesError(m) => {
                *self.stats.rejected.entry(m.error_code.to_string()).or_default() += 1;
            }
            MiningMessage::CloseChannel(m) => {
                let before = self.channels.len();
                self.channels.retain(|id, channel| !channel.hears(*id, m.channel_id));
                self.stats.closed += (before - self.channels.len()) as u64;
                self.generation += 1;
            }
            MiningMessage::UpdateChannelError(m) => {
                return Err(SessionError::Broken(format!("UpdateChannel refused: {}", m.error_code)));
            }
            other => return Err(SessionError::Broken(format!("{} out of place", other.name()))),
        }
        Ok(())
    }

    fn opened(
        &mut self,
        (request_id, id, group): (u32, u32, u32),
        prefix: &[u8],
        extranonce_size: usize,
        target: [u8; 32],
    ) -> Result<(), SessionError> {
        let Some(is_standard) = self.requests.remove(&request_id) else {
            return Err(SessionError::Broken(format!("no request {request_id}")));
        };
        let channel = Channel {
            is_standard,
            group,
            prefix: prefix.to_vec(),
            extranonce_size,
            target,
            jobs: Vec::new(),
            tip: None,
            work: None,
            next_sequence: 0,
        };
        if self.channels.contains_key(&group) || self.channels.insert(id, channel).is_some() {
            return Err(SessionError::Broken(format!("channel {id} of group {group}: an id is used twice")));
        }
        self.stats.opened += 1;
        Ok(())
    }

    fn job(
        &mut self,
        address: u32,
        job_id: u32,
        min_ntime: Option<u32>,
        body: &JobBody,
    ) -> Result<(), SessionError> {
        self.stats.jobs += 1;
        self.stats.group_jobs += u64::from(!self.channels.contains_key(&address));
        let mut known = false;
        for (id, channel) in self.channels.iter_mut().filter(|(id, c)| c.hears(**id, address)) {
            known = true;
            if channel.jobs.iter().any(|(job, _)| *job == job_id) {
                return Err(SessionError::Broken(format!("job {job_id} came twice to channel {id}")));
            }
            if channel.jobs.len() == MAX_JOBS {
                channel.jobs.remove(0);
            }
            channel.jobs.push((job_id, body.clone()));
            if let Some(ntime) = min_ntime {
                channel.begin(*id, job_id, ntime)?;
            }
        }
        self.changed(known, "a job", address)
    }

    fn changed(&mut self, known: bool, what: &str, address: u32) -> Result<(), SessionError> {
        self.generation += 1;
        // A group may have lost its last member while the message was on its way.
        if known || address > 0 { Ok(()) } else { Err(SessionError::Broken(format!("{what} for channel 0"))) }
    }

    /// Sends a share.
    pub fn submit(&mut self, share: &Share, out: &mut BytesMut) {
        let Some(channel) = self.channels.get_mut(&share.channel_id) else { return };
        channel.next_sequence = channel.next_sequence.wrapping_add(1);
        self.stats.submitted += 1;
        let sequence_number = channel.next_sequence;
        let Share { channel_id, job_id, nonce, ntime, version, .. } = *share;
        if channel.is_standard {
            let message = SubmitSharesStandard { channel_id, sequence_number, job_id, nonce, ntime, version };
            return write_frame(&message, out);
        }
        let message = SubmitSharesExtended {
            channel_id,
            sequence_number,
            job_id,
            nonce,
            ntime,
            version,
            extranonce: B032::new(&share.extranonce).unwrap_or_default(),
        };
        let worker = self.options.worker.as_ref().filter(|_| self.names);
        match worker.and_then(|name| UserIdentity::new(name.as_bytes()).ok()) {
            Some(name) => {
                write_share_with_worker(&message, name, sv2::TlvByteOrder::LittleEndian, out);
            }
            None => write_frame(&message, out),
        }
    }

    /// Says another hashrate on a channel.
    pub fn update(&self, channel_id: u32, nominal_hash_rate: f32, out: &mut BytesMut) {
        let maximum_target = self.options.max_target;
        write_frame(&UpdateChannel { channel_id, nominal_hash_rate, maximum_target }, out);
    }

    /// Closes a channel, or a group.
    pub fn close(&mut self, channel_id: u32, out: &mut BytesMut) {
        self.channels.retain(|id, channel| !channel.hears(*id, channel_id));
        self.generation += 1;
        write_frame(&CloseChannel { channel_id, reason_code: Str0255::EMPTY }, out);
    }
}

impl Channel {
    /// Whether a message to `address` is for this channel.
    fn hears(&self, id: u32, address: u32) -> bool {
        id == address || self.group == address
    }

    /// A job is active from now on, with the target that is in force now.
    fn begin(&mut self, id: u32, job_id: u32, ntime: u32) -> Result<(), SessionError> {
        let broken = |why: &str| SessionError::Broken(format!("job {job_id} of channel {id}: {why}"));
        let body = self.jobs.iter().find(|(job, _)| *job == job_id).map(|(_, body)| body.clone());
        let body = body.ok_or_else(|| broken("activated and never sent"))?;
        if !self.is_standard && matches!(body, JobBody::Standard { .. }) {
            return Err(broken("a standard job on an extended channel"));
        }
        let (prev_hash, nbits) = self.tip.ok_or_else(|| broken("active before any SetNewPrevHash"))?;
        self.work = Some(Arc::new(Work {
            channel_id: id,
            job_id,
            body,
            prefix: self.prefix.clone(),
            extranonce_size: self.extranonce_size,
            prev_hash,
            nbits,
            ntime,
            target: self.target,
        }));
        Ok(())
    }

    /// The job in work.
    pub fn work(&self) -> Option<&Arc<Work>> {
        self.work.as_ref()
    }
}

/// A share that was found.
#[derive(Clone, Debug)]
pub struct Share {
    /// The channel.
    pub channel_id: u32,
    /// The job.
    pub job_id: u32,
    /// Header nonce.
    pub nonce: u32,
    /// Header time.
    pub ntime: u32,
    /// Header version.
    pub version: u32,
    /// The rolled extranonce; empty on a standard channel.
    pub extranonce: Vec<u8>,
}
