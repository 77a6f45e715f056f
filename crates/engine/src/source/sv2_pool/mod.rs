//! An SV2 pool as a source: connection set-up, extension negotiation, extended channels, jobs, shares and
//! their answers (specification sections 3.6 and 5.3, extensions 0x0001 and 0x0002).
//!
//! A plain state machine: the caller connects when [`Sv2Pool::wants_connection`] says so, feeds frames and
//! time in, and sends out what [`Effects`] holds.

mod channel;
mod channels;
pub(crate) mod custom;
mod drafts;
mod jobs;
mod link;
mod shares;
mod tag;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use hashbrown::HashMap;
use sv2::{FrameHeader, Message};
use work::LeaseTag;
use work::coinbase::PayoutRule;

use channel::{Channel, DRAIN_AT_LEAST, DRAIN_LOOK, Draining};
use channels::as_f32;
use drafts::FutureJobs;
use tag::Asked;

use super::backoff::Backoff;
use super::event::{ChannelRefusal, CustomJobAnswer, DownReason, Effects, SourceCommand, SourceEvent};
use super::status::{PoolStatus, SourceState, SourceStatus};

use crate::ids::SourceId;
use crate::now::{Now, earliest};

/// Channels wished for and not answered yet, at most.
pub(super) const MAX_PENDING_OPENS: usize = 32_768;
/// A channel wish is answered within this, or counts as refused.
pub(super) const OPEN_DEADLINE: Duration = Duration::from_secs(10);
/// SetupConnection is answered within this.
pub(super) const SETUP_DEADLINE: Duration = Duration::from_secs(10);
/// RequestExtensions is answered within this, else the pool has no extensions (0x0001, section 4).
pub(super) const EXTENSIONS_DEADLINE: Duration = Duration::from_secs(2);
/// A pool answers in batches, channel by channel, and an incomplete batch never: before one was seen it is taken
/// to be this large.
const ASSUMED_BATCH: usize = 1024;
/// The bound on open shares is never below this.
const MIN_UNSETTLED: usize = 4096;
/// The bound on open shares is never above this, whatever the rate: about 64 bytes each.
const MAX_UNSETTLED: usize = 1 << 20;
/// With the bound on open shares reached and no answer for this long, the source counts as broken.
const STUCK_AFTER: Duration = Duration::from_secs(30);
/// Groups that are remembered; a pool needs one.
const MAX_GROUPS: usize = 1024;

/// What protects a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkSecurity {
    /// Noise, and the certificate was signed by the configured authority key.
    Authenticated,
    /// Noise without a verified authority.
    Unauthenticated,
}

/// How a source is to be used.
#[derive(Clone, Debug)]
pub struct SourceSettings {
    /// Which it is.
    pub id: SourceId,
    /// For `SetupConnection.endpoint_host`.
    pub host: String,
    /// For `SetupConnection.endpoint_port`.
    pub port: u16,
    /// Mining is allowed though nobody vouches for the pool.
    pub insecure: bool,
    /// Ask for extension 0x0002.
    pub worker_names: bool,
    /// How this pool reads worker names: see [`sv2::TlvByteOrder`].
    pub tlv_byte_order: sv2::TlvByteOrder,
    /// How far a share's ntime may run ahead of the clock, seconds.
    pub ntime_slack: u32,
    /// A fixed bound on open shares instead of the scaled one.
    pub unsettled_max: Option<usize>,
    /// The connection is for work that Adit selects itself (`REQUIRES_WORK_SELECTION`, 5.3.1): the pool's own jobs are
    /// not mined, whatever it sends.
    pub work_selection: bool,
    /// Whom every job must pay.
    pub payout: Option<PayoutRule>,
    /// Bytes that channels are asked to have for a lease's tag besides what miners need. A pool that refuses them is asked
    /// without.
    pub tag_room: u8,
}

/// See the module.
#[derive(Debug)]
pub struct Sv2Pool {
    settings: SourceSettings,
    state: SourceState,
    since: Duration,
    last_down: DownReason,
    backoff: Backoff,
    connection: u32,
    worker_names: bool,
    channels: HashMap<u32, Channel, foldhash::fast::FixedState>,
    /// Members by group channel.
    groups: HashMap<u32, (FutureJobs, Vec<u32>), foldhash::fast::FixedState>,
    /// Channels wished for, by request id.
    pending: HashMap<u32, Asked, foldhash::fast::FixedState>,
    /// Their deadlines, in order; of those answered meanwhile, too.
    pending_order: VecDeque<(Duration, u32)>,
    next_request: u32,
    next_generation: u32,
    /// Stands in the fillers.
    tag: LeaseTag,
    /// This connection's pool has no room for a tag.
    room_refused: bool,
    /// When closing channels are to be looked at.
    drain_looks: BinaryHeap<Reverse<(Duration, u32)>>,
    /// Job messages received.
    job_messages: u64,
    open_shares: usize,
    refused_in_a_row: u32,
    batch_seen: u32,
    /// Shares sent in the current and the last full second, for the bound on open ones.
    rate: (u64, usize, usize),
    last_answer: Duration,
    unknown_messages: u64,
    stray_answers: u64,
}

impl Sv2Pool {
    /// A source that is off. `seed` decides jitter and hashing.
    #[must_use]
    pub fn new(settings: SourceSettings, seed: u64) -> Self {
        let hasher = foldhash::fast::FixedState::with_seed(seed);
        Self {
            settings,
            state: SourceState::Off,
            since: Duration::ZERO,
            last_down: DownReason::NotStarted,
            backoff: Backoff::new(seed ^ 0x00ba_c0ff),
            connection: 0,
            worker_names: false,
            channels: HashMap::with_hasher(hasher.clone()),
            groups: HashMap::with_hasher(hasher.clone()),
            pending: HashMap::with_hasher(hasher),
            next_request: 0,
            next_generation: 0,
            tag: LeaseTag::NONE,
            room_refused: false,
            pending_order: VecDeque::new(),
            drain_looks: BinaryHeap::new(),
            job_messages: 0,
            open_shares: 0,
            refused_in_a_row: 0,
            batch_seen: 1,
            rate: (0, 0, 0),
            last_answer: Duration::ZERO,
            unknown_messages: 0,
            stray_answers: 0,
        }
    }

    /// Which source it is.
    #[must_use]
    pub fn id(&self) -> SourceId {
        self.settings.id
    }

    /// Channels can be opened.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.state == SourceState::Ready
    }

    /// Worker names go up with shares.
    #[must_use]
    pub fn has_worker_names(&self) -> bool {
        self.worker_names
    }

    /// Where it stands.
    #[must_use]
    pub fn status(&self) -> SourceStatus {
        SourceStatus {
            state: self.state.clone(),
            since: self.since,
            last_down: self.last_down.clone(),
            connections: self.connection,
            channels: self.channels.len(),
            open_shares: self.open_shares,
            open_shares_max: self.unsettled_max(),
            tag: self.tag_status(),
            pool: Some(PoolStatus {
                worker_names: self.worker_names,
                unknown_messages: self.unknown_messages,
                stray_answers: self.stray_answers,
                extranonce2_size: None,
            }),
            declared: None,
        }
    }

    /// The caller should connect now, and then call [`Sv2Pool::connected`] or [`Sv2Pool::disconnected`].
    #[must_use]
    pub fn wants_connection(&self) -> bool {
        self.state == SourceState::Dialling
    }

    /// The caller should keep its connection.
    #[must_use]
    pub fn has_connection(&self) -> bool {
        matches!(
            self.state,
            SourceState::SettingUp { .. } | SourceState::Negotiating { .. } | SourceState::Ready
        )
    }

    /// When [`Sv2Pool::timer`] must be called at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let state = match self.state {
            SourceState::Waiting { until } => Some(until),
            SourceState::SettingUp { deadline } | SourceState::Negotiating { deadline } => Some(deadline),
            SourceState::Off
            | SourceState::Dialling
            | SourceState::AwaitingDeclarator
            | SourceState::AwaitingTemplate
            | SourceState::Ready => None,
        };
        let opens = self.pending_order.front().map(|(deadline, _)| *deadline);
        let drains = self.drain_looks.peek().map(|Reverse((at, _))| *at);
        let stuck = (self.open_shares >= self.unsettled_max()).then(|| self.last_answer + STUCK_AFTER);
        earliest(earliest(state, opens), earliest(drains, stuck))
    }

    /// How many more shares may be sent now.
    #[must_use]
    pub fn room(&self) -> usize {
        self.unsettled_max().saturating_sub(self.open_shares)
    }

    /// Ten seconds of shares at the rate measured, and room for the pool's batches, within fixed bounds.
    fn unsettled_max(&self) -> usize {
        self.settings.unsettled_max.unwrap_or_else(|| {
            let batch = (self.batch_seen as usize).max(ASSUMED_BATCH);
            let batches = batch.saturating_mul(2 * self.channels.len().max(1));
            (self.rate.1.max(self.rate.2) * 10).max(batches).clamp(MIN_UNSETTLED, MAX_UNSETTLED)
        })
    }

    /// Does what the router says.
    pub fn command(&mut self, command: SourceCommand, now: Now, fx: &mut Effects) {
        match command {
            SourceCommand::Start => {
                if self.state == SourceState::Off {
                    self.enter(SourceState::Dialling, now);
                }
            }
            SourceCommand::Stop => {
                if self.state != SourceState::Off {
                    self.drop_link(DownReason::NotStarted, now, fx);
                    self.enter(SourceState::Off, now);
                }
            }
            SourceCommand::Open(wish) => self.open(wish, now, fx),
            SourceCommand::SetTag(tag) => self.set_tag(tag, now, fx),
            SourceCommand::Update { channel_id, nominal_hashrate } => {
                if let Some(channel) = self.channels.get(&channel_id).filter(|c| c.draining.is_none()) {
                    let update = sv2::mining::UpdateChannel {
                        channel_id,
                        nominal_hash_rate: as_f32(nominal_hashrate),
                        maximum_target: work::Target::MAX.to_le_bytes(),
                    };
                    debug_assert_eq!(channel.state.key.channel_id, channel_id);
                    sv2::write_frame(&update, &mut fx.frames);
                }
            }
            SourceCommand::Close { channel_id } => {
                if let Some(channel) = self.channels.get_mut(&channel_id)
                    && channel.draining.is_none()
                {
                    channel.draining = Some(Draining { since: now.mono, progress: now.mono });
                    self.drain_looks.push(Reverse((now.mono + DRAIN_AT_LEAST, channel_id)));
                }
            }
        }
    }

    fn enter(&mut self, state: SourceState, now: Now) {
        self.state = state;
        self.since = now.mono;
    }

    /// A deadline has come.
    pub fn timer(&mut self, now: Now, fx: &mut Effects) {
        match self.state {
            SourceState::Waiting { until } if now.reached(until) => self.enter(SourceState::Dialling, now),
            SourceState::SettingUp { deadline } if now.reached(deadline) => {
                self.fail(DownReason::Silent("SetupConnection"), now, fx);
            }
            SourceState::Negotiating { deadline } if now.reached(deadline) => {
                // Silence means that it has no extensions (0x0001, section 4, backward compatibility).
                self.ready(false, now, fx);
            }
            _ => {}
        }
        if self.open_shares > 0 && self.room() == 0 && now.reached(self.last_answer + STUCK_AFTER) {
            self.fail(DownReason::IgnoresShares, now, fx);
        }
        while let Some((deadline, id)) = self.pending_order.front().copied()
            && now.reached(deadline)
        {
            self.pending_order.pop_front();
            if let Some(asked) = self.pending.remove(&id) {
                let why = ChannelRefusal::Silent;
                fx.events.push(SourceEvent::NotOpened { request: asked.wish.request, why });
            }
        }
        while let Some(Reverse((at, id))) = self.drain_looks.peek().copied()
            && now.reached(at)
        {
            self.drain_looks.pop();
            let Some(channel) = self.channels.get(&id).filter(|c| c.draining.is_some()) else { continue };
            if channel.drained(now) {
                let reason_code = sv2::Str0255::truncated("unused");
                sv2::write_frame(&sv2::mining::CloseChannel { channel_id: id, reason_code }, &mut fx.frames);
                self.remove_channel(id, fx);
            } else {
                self.drain_looks.push(Reverse((now.mono + DRAIN_LOOK, id)));
            }
        }
    }

    /// Takes one frame from the pool.
    pub fn frame(&mut self, header: &FrameHeader, payload: &[u8], now: Now, fx: &mut Effects) {
        if !self.has_connection() {
            return;
        }
        if let Err(why) = self.read(header, payload, now, fx) {
            self.fail(why, now, fx);
        }
    }

    fn read(
        &mut self,
        header: &FrameHeader,
        payload: &[u8],
        now: Now,
        fx: &mut Effects,
    ) -> Result<(), DownReason> {
        use sv2::{common, extensions, mining};
        if header.extension_type == extensions::EXTENSION_NEGOTIATION {
            return self.read_extensions(header, payload, now, fx);
        }
        if header.extension_type != 0 {
            // Section 3.4.1: unknown extensions addressed to us are discarded.
            self.unknown_messages += 1;
            return Ok(());
        }
        match header.msg_type {
            common::SetupConnectionSuccess::MSG_TYPE => self.on_setup(parse(payload)?, now, fx),
            common::SetupConnectionError::MSG_TYPE => {
                let error: common::SetupConnectionError<'_> = parse(payload)?;
                Err(DownReason::Refused(shown(error.error_code.as_bytes())))
            }
            common::Reconnect::MSG_TYPE => {
                let message: common::Reconnect<'_> = parse(payload)?;
                fx.reconnect_to = Some((shown(message.new_host.as_bytes()), message.new_port));
                Err(DownReason::Reconnect)
            }
            common::ChannelEndpointChanged::MSG_TYPE => {
                // Adit holds no state of extensions per channel, so there is nothing to reset (3.6.4).
                parse::<common::ChannelEndpointChanged>(payload).map(drop)
            }
            _ if self.state != SourceState::Ready => {
                Err(protocol(format!("message 0x{:02x} before the set-up was done", header.msg_type)))
            }
            mining::OpenExtendedMiningChannelSuccess::MSG_TYPE => self.on_opened(&parse(payload)?, fx),
            mining::OpenMiningChannelError::MSG_TYPE => {
                self.on_not_opened(&parse(payload)?, now, fx);
                Ok(())
            }
            mining::NewExtendedMiningJob::MSG_TYPE | mining::SetNewPrevHash::MSG_TYPE
                if self.settings.work_selection =>
            {
                self.unknown_messages += 1;
                Ok(())
            }
            mining::NewExtendedMiningJob::MSG_TYPE => self.on_job(&parse(payload)?, now, fx),
            mining::SetNewPrevHash::MSG_TYPE => self.on_prev_hash(&parse(payload)?, now, fx),
            mining::SetTarget::MSG_TYPE => self.on_target(&parse(payload)?, fx),
            mining::SetExtranoncePrefix::MSG_TYPE => self.on_prefix(&parse(payload)?, fx),
            mining::SetGroupChannel::MSG_TYPE => self.on_group(&parse(payload)?),
            mining::SubmitSharesSuccess::MSG_TYPE => {
                self.on_accepted(&parse(payload)?, now, fx);
                Ok(())
            }
            mining::SubmitSharesError::MSG_TYPE => self.on_refused(&parse(payload)?, now, fx),
            mining::UpdateChannelError::MSG_TYPE => {
                // The channel goes on with what it had.
                parse::<mining::UpdateChannelError<'_>>(payload).map(drop)
            }
            mining::CloseChannel::MSG_TYPE => self.on_closed(&parse(payload)?, fx),
            mining::SetCustomMiningJobSuccess::MSG_TYPE if self.settings.work_selection => {
                let message: mining::SetCustomMiningJobSuccess = parse(payload)?;
                let (channel_id, request_id) = (message.channel_id, message.request_id);
                fx.custom_jobs.push(CustomJobAnswer { channel_id, request_id, answer: Ok(message.job_id) });
                Ok(())
            }
            mining::SetCustomMiningJobError::MSG_TYPE if self.settings.work_selection => {
                let message: mining::SetCustomMiningJobError<'_> = parse(payload)?;
                let (channel_id, request_id) = (message.channel_id, message.request_id);
                let answer = Err(shown(message.error_code.as_bytes()));
                fx.custom_jobs.push(CustomJobAnswer { channel_id, request_id, answer });
                Ok(())
            }
            // Standard jobs were never asked for on this connection.
            _ => {
                self.unknown_messages += 1;
                Ok(())
            }
        }
    }
}

/// Reads a message. TLV fields of extensions that were not negotiated are passed over.
pub(crate) fn parse<'a, M: Message<'a>>(payload: &'a [u8]) -> Result<M, DownReason> {
    M::decode_with_tlvs(payload, &[]).map(|(message, _)| message).map_err(|e| protocol(e.to_string()))
}

pub(crate) fn protocol(what: impl Into<String>) -> DownReason {
    DownReason::Protocol(what.into())
}

/// A pool's text, fit for a log line: printable, at most 100 characters.
pub(crate) fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().filter(|c| !c.is_control()).take(100).collect()
}

#[cfg(test)]
mod payout_tests;
