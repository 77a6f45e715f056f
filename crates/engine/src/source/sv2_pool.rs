//! An SV2 pool as a source: connection set-up, extension negotiation, extended channels, jobs, shares and
//! their answers (specification sections 3.6 and 5.3, extensions 0x0001 and 0x0002).
//!
//! A plain state machine: the caller connects when [`Sv2Pool::wants_connection`] says so, feeds frames and
//! time in, and sends out what [`Effects`] holds.

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use sv2::extensions::UserIdentity;
use sv2::{FrameHeader, Message};
use work::ExtranonceSplit;

use super::backoff::Backoff;
use super::event::{ChannelRefusal, DownReason, Effects, OpenChannel, SourceCommand, SourceEvent};
use super::settle::{MAX_BATCH_SEEN, OpenShares};
use super::sv2_channel::{Channel, Draining};
use super::sv2_jobs::{Draft, FutureJobs, ReadyJob, Tip};
use crate::books::{Books, Final, RefuseCode, UnsentReason};
use crate::feed::ChannelState;
use crate::ids::{ChannelKey, SourceId};
use crate::now::{Now, earliest};
use crate::share::{Answer, OutgoingShare};

/// Channels wished for and not answered yet, at most.
pub(super) const MAX_PENDING_OPENS: usize = 32_768;
/// A channel wish is answered within this, or counts as refused.
pub(super) const OPEN_DEADLINE: Duration = Duration::from_secs(10);
/// SetupConnection is answered within this.
pub(super) const SETUP_DEADLINE: Duration = Duration::from_secs(10);
/// RequestExtensions is answered within this, else the pool has no extensions (0x0001, section 4).
pub(super) const EXTENSIONS_DEADLINE: Duration = Duration::from_secs(2);
/// The bound on open shares is never below this.
const MIN_UNSETTLED: usize = 4096;
/// The bound on open shares is never above this, whatever the rate: about 64 bytes each.
const MAX_UNSETTLED: usize = 1 << 20;
/// This many shares refused in a row, with none acknowledged between, and the source counts as broken.
const REFUSED_IN_A_ROW: u32 = 100;
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
}

/// Where a source stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// Not wanted.
    Off,
    /// Waits to try again.
    Waiting {
        /// When it will.
        until: Duration,
    },
    /// The caller connects and shakes hands.
    Dialling,
    /// Waits for SetupConnection.Success.
    SettingUp {
        /// The last moment for it.
        deadline: Duration,
    },
    /// Waits for RequestExtensions.Success.
    Negotiating {
        /// The last moment for it.
        deadline: Duration,
    },
    /// Channels can be opened.
    Ready,
}

impl SourceState {
    /// The word for it in metrics and API.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Waiting { .. } => "waiting",
            Self::Dialling => "connecting",
            Self::SettingUp { .. } => "setting_up",
            Self::Negotiating { .. } => "negotiating",
            Self::Ready => "ready",
        }
    }
}

/// A source's state as shown to people.
#[derive(Clone, Debug)]
pub struct SourceStatus {
    /// Where it stands.
    pub state: SourceState,
    /// Since when.
    pub since: Duration,
    /// Why it was last down.
    pub last_down: DownReason,
    /// Connections made, ever.
    pub connections: u32,
    /// Open channels.
    pub channels: usize,
    /// Shares sent and not answered.
    pub open_shares: usize,
    /// The bound on them.
    pub open_shares_max: usize,
    /// Worker names go up.
    pub worker_names: bool,
    /// Messages that Adit does not know, ignored.
    pub unknown_messages: u64,
    /// Answers for shares or channels that are not open, ignored.
    pub stray_answers: u64,
}

#[derive(Debug)]
struct PendingOpen {
    wish: OpenChannel,
    deadline: Duration,
}

/// See the module.
#[derive(Debug)]
pub struct Sv2Pool {
    settings: SourceSettings,
    books: Arc<Books>,
    state: SourceState,
    since: Duration,
    last_down: DownReason,
    backoff: Backoff,
    connection: u32,
    worker_names: bool,
    channels: HashMap<u32, Channel, foldhash::fast::FixedState>,
    /// Members by group channel.
    groups: HashMap<u32, (FutureJobs, Vec<u32>), foldhash::fast::FixedState>,
    pending: HashMap<u32, PendingOpen, foldhash::fast::FixedState>,
    next_request: u32,
    next_generation: u32,
    draining: usize,
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
    pub fn new(settings: SourceSettings, books: Arc<Books>, seed: u64) -> Self {
        let hasher = foldhash::fast::FixedState::with_seed(seed);
        Self {
            settings,
            books,
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
            draining: 0,
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
            worker_names: self.worker_names,
            unknown_messages: self.unknown_messages,
            stray_answers: self.stray_answers,
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
            SourceState::Off | SourceState::Dialling | SourceState::Ready => None,
        };
        let opens = self.pending.values().map(|p| p.deadline).min();
        let drains = if self.draining == 0 {
            None
        } else {
            // Drains are looked at twice a second while there are any.
            self.channels
                .values()
                .filter_map(|c| c.draining.as_ref())
                .map(|d| d.since.max(d.progress))
                .min()
                .map(|t| t + Duration::from_millis(500))
        };
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
            let batches = (self.batch_seen as usize).saturating_mul(2 * self.channels.len().max(1));
            (self.rate.1.max(self.rate.2) * 10).max(batches).clamp(MIN_UNSETTLED, MAX_UNSETTLED)
        })
    }

    // ---- commands ----

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
                    self.draining += 1;
                }
            }
        }
    }

    fn open(&mut self, wish: OpenChannel, now: Now, fx: &mut Effects) {
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
        self.next_request = self.next_request.wrapping_add(1);
        let request_id = self.next_request;
        let message = sv2::mining::OpenExtendedMiningChannel {
            request_id,
            user_identity: sv2::Str0255::truncated(&wish.user_identity),
            nominal_hash_rate: as_f32(wish.nominal_hashrate),
            max_target: wish.max_target.to_le_bytes(),
            min_extranonce_size: u16::from(wish.miner_id_size) + u16::from(wish.extranonce2_size),
        };
        sv2::write_frame(&message, &mut fx.frames);
        self.pending.insert(request_id, PendingOpen { wish, deadline: now.mono + OPEN_DEADLINE });
    }

    // ---- the link ----

    /// The link stands (TCP and Noise): begins the set-up. Refuses a pool that nobody vouches for, unless
    /// the configuration says `insecure`.
    pub fn connected(&mut self, security: LinkSecurity, now: Now, fx: &mut Effects) {
        if self.state != SourceState::Dialling {
            fx.hang_up = true;
            return;
        }
        self.connection = self.connection.wrapping_add(1);
        if security != LinkSecurity::Authenticated && !self.settings.insecure {
            self.fail(DownReason::NotAuthenticated, now, fx);
            return;
        }
        let text = sv2::Str0255::truncated;
        let setup = sv2::common::SetupConnection {
            protocol: sv2::common::PROTOCOL_MINING,
            min_version: 2,
            max_version: 2,
            flags: sv2::mining::REQUIRES_VERSION_ROLLING,
            endpoint_host: sv2::Str0255::truncated(&self.settings.host),
            endpoint_port: self.settings.port,
            vendor: text("Adit"),
            hardware_version: text("proxy"),
            firmware: text(concat!("adit/", env!("CARGO_PKG_VERSION"))),
            device_id: text(""),
        };
        sv2::write_frame(&setup, &mut fx.frames);
        self.enter(SourceState::SettingUp { deadline: now.mono + SETUP_DEADLINE }, now);
    }

    /// The link could not be made, or has ended.
    pub fn disconnected(&mut self, why: DownReason, now: Now, fx: &mut Effects) {
        if self.state == SourceState::Dialling || self.has_connection() {
            self.fail(why, now, fx);
        }
    }

    /// Everything of this connection is over; tries again after a wait.
    fn fail(&mut self, why: DownReason, now: Now, fx: &mut Effects) {
        // A planned move is made at once; everything else waits its turn.
        let wait = if why == DownReason::Reconnect { Duration::ZERO } else { self.backoff.next_wait() };
        self.drop_link(why, now, fx);
        self.enter(SourceState::Waiting { until: now.mono + wait }, now);
    }

    fn drop_link(&mut self, why: DownReason, now: Now, fx: &mut Effects) {
        fx.hang_up = true;
        for (_, mut channel) in self.channels.drain() {
            channel.state.end();
            end_open_shares(&self.books, &mut channel.open, fx);
        }
        for (_, pending) in self.pending.drain() {
            fx.events.push(SourceEvent::NotOpened {
                request: pending.wish.request,
                why: ChannelRefusal::ByPool(why.to_string()),
            });
        }
        self.groups.clear();
        self.draining = 0;
        self.open_shares = 0;
        self.refused_in_a_row = 0;
        self.worker_names = false;
        self.last_answer = now.mono;
        self.last_down = why.clone();
        fx.events.push(SourceEvent::Down(why));
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
        let silent: Vec<u32> =
            self.pending.iter().filter(|(_, p)| now.reached(p.deadline)).map(|(id, _)| *id).collect();
        for id in silent {
            if let Some(p) = self.pending.remove(&id) {
                fx.events
                    .push(SourceEvent::NotOpened { request: p.wish.request, why: ChannelRefusal::Silent });
            }
        }
        if self.draining > 0 {
            let done: Vec<u32> =
                self.channels.iter().filter(|(_, c)| c.drained(now)).map(|(id, _)| *id).collect();
            for id in done {
                let close = sv2::mining::CloseChannel {
                    channel_id: id,
                    reason_code: sv2::Str0255::truncated("unused"),
                };
                sv2::write_frame(&close, &mut fx.frames);
                self.remove_channel(id, fx);
            }
        }
    }

    fn remove_channel(&mut self, channel_id: u32, fx: &mut Effects) -> bool {
        let Some(mut channel) = self.channels.remove(&channel_id) else {
            return false;
        };
        channel.state.end();
        self.open_shares -= channel.open.len();
        if channel.draining.is_some() {
            self.draining -= 1;
        }
        end_open_shares(&self.books, &mut channel.open, fx);
        if let Some((_, members)) = self.groups.get_mut(&channel.group_id) {
            members.retain(|m| *m != channel_id);
            if members.is_empty() {
                self.groups.remove(&channel.group_id);
            }
        }
        true
    }

    // ---- shares ----

    /// Sends a share, or settles it as unsent. The books have it as `pending` already.
    pub fn share(&mut self, share: &OutgoingShare, now: Now, fx: &mut Effects) {
        let &OutgoingShare { account, miner, difficulty, told_true, token, .. } = share;
        let unsent = |books: &Books, fx: &mut Effects, why| {
            let end = Final::Unsent(why);
            books.get(account).settle(miner.stripe(), end, difficulty, told_true);
            if let Some(token) = token {
                fx.answers.push((miner, Answer { token, end }));
            }
        };
        let channel = (share.channel.connection == self.connection)
            .then(|| self.channels.get_mut(&share.channel.channel_id))
            .flatten();
        let Some(channel) = channel else {
            return unsent(&self.books, fx, UnsentReason::NoSource);
        };
        if share.generation != channel.generation && !share.is_block {
            return unsent(&self.books, fx, UnsentReason::StaleInQueue);
        }
        let sequence_number = channel.open.push(account, miner, difficulty, now.mono, told_true, token);
        if self.open_shares == 0 {
            self.last_answer = now.mono;
        }
        self.open_shares += 1;
        self.count_rate(now);
        let message = sv2::mining::SubmitSharesExtended {
            channel_id: share.channel.channel_id,
            sequence_number,
            job_id: share.job_id,
            nonce: share.nonce,
            ntime: share.ntime,
            version: share.version,
            extranonce: sv2::B032::try_from(share.extranonce.as_slice()).expect("at most 32 bytes"),
        };
        if self.worker_names {
            let name = share.worker.as_bytes();
            let name = &name[..name.len().min(UserIdentity::MAX)];
            let name = UserIdentity::new(name).expect("cut to the most that fits");
            sv2::write_share_with_worker(&message, name, self.settings.tlv_byte_order, &mut fx.frames);
        } else {
            sv2::write_frame(&message, &mut fx.frames);
        }
    }

    fn count_rate(&mut self, now: Now) {
        let second = now.mono.as_secs();
        if second != self.rate.0 {
            let last = if second == self.rate.0 + 1 { self.rate.1 } else { 0 };
            self.rate = (second, 0, last);
        }
        self.rate.1 += 1;
    }

    // ---- frames ----

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
                let error: mining::OpenMiningChannelError<'_> = parse(payload)?;
                if let Some(pending) = self.pending.remove(&error.request_id) {
                    let why = ChannelRefusal::ByPool(shown(error.error_code.as_bytes()));
                    fx.events.push(SourceEvent::NotOpened { request: pending.wish.request, why });
                } else {
                    self.stray_answers += 1;
                }
                Ok(())
            }
            mining::NewExtendedMiningJob::MSG_TYPE => self.on_job(&parse(payload)?, now, fx),
            mining::SetNewPrevHash::MSG_TYPE => self.on_prev_hash(&parse(payload)?, now, fx),
            mining::SetTarget::MSG_TYPE => self.on_target(&parse(payload)?, fx),
            mining::SetExtranoncePrefix::MSG_TYPE => self.on_prefix(&parse(payload)?),
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
            // Standard jobs and custom jobs were never asked for on this connection.
            _ => {
                self.unknown_messages += 1;
                Ok(())
            }
        }
    }

    fn on_setup(
        &mut self,
        message: sv2::common::SetupConnectionSuccess,
        now: Now,
        fx: &mut Effects,
    ) -> Result<(), DownReason> {
        if !matches!(self.state, SourceState::SettingUp { .. }) {
            return Err(protocol("SetupConnection.Success twice"));
        }
        if message.used_version != 2 {
            return Err(protocol(format!("protocol version {} (Adit speaks 2)", message.used_version)));
        }
        if message.flags & sv2::mining::REQUIRES_FIXED_VERSION != 0 {
            return Err(DownReason::Requires("a fixed version, but miners roll it"));
        }
        if !self.settings.worker_names {
            self.ready(false, now, fx);
            return Ok(());
        }
        let request = sv2::extensions::RequestExtensions {
            request_id: 1,
            requested_extensions: sv2::Seq064K::from_slice(&[sv2::extensions::WORKER_HASHRATE_TRACKING])
                .expect("one element"),
        };
        sv2::write_frame(&request, &mut fx.frames);
        self.enter(SourceState::Negotiating { deadline: now.mono + EXTENSIONS_DEADLINE }, now);
        Ok(())
    }

    fn read_extensions(
        &mut self,
        header: &FrameHeader,
        payload: &[u8],
        now: Now,
        fx: &mut Effects,
    ) -> Result<(), DownReason> {
        use sv2::extensions;
        let negotiating = matches!(self.state, SourceState::Negotiating { .. });
        match header.msg_type {
            extensions::RequestExtensionsSuccess::MSG_TYPE => {
                let message: extensions::RequestExtensionsSuccess<'_> = parse(payload)?;
                let names =
                    message.supported_extensions.iter().any(|e| e == extensions::WORKER_HASHRATE_TRACKING);
                // An answer after the deadline changes nothing: shares go up without names already.
                if negotiating {
                    self.ready(names, now, fx);
                }
                Ok(())
            }
            extensions::RequestExtensionsError::MSG_TYPE => {
                let message: extensions::RequestExtensionsError<'_> = parse(payload)?;
                let missing: Vec<String> = message
                    .required_extensions
                    .iter()
                    .filter(|e| *e != extensions::WORKER_HASHRATE_TRACKING)
                    .take(8)
                    .map(|e| format!("0x{e:04x}"))
                    .collect();
                if !missing.is_empty() {
                    return Err(DownReason::RequiresExtensions(missing.join(", ")));
                }
                if negotiating {
                    self.ready(false, now, fx);
                }
                Ok(())
            }
            _ => {
                self.unknown_messages += 1;
                Ok(())
            }
        }
    }

    fn ready(&mut self, worker_names: bool, now: Now, fx: &mut Effects) {
        self.worker_names = worker_names;
        self.enter(SourceState::Ready, now);
        fx.events.push(SourceEvent::Ready { worker_names });
    }

    fn on_opened(
        &mut self,
        message: &sv2::mining::OpenExtendedMiningChannelSuccess<'_>,
        fx: &mut Effects,
    ) -> Result<(), DownReason> {
        let Some(pending) = self.pending.remove(&message.request_id) else {
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
        let wish = pending.wish;
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
        let target = read_target(message.target)?;
        let key = ChannelKey { source: self.settings.id, connection: self.connection, channel_id };
        let state = Arc::new(ChannelState::new(key));
        let group_id = message.group_channel_id;
        let channel = Channel {
            state: Arc::clone(&state),
            group_id,
            prefix: message.extranonce_prefix.as_slice().to_vec(),
            split,
            target,
            tip: None,
            generation: 0,
            future: FutureJobs::default(),
            open: OpenShares::default(),
            draining: None,
        };
        self.channels.insert(channel_id, channel);
        self.join_group(group_id, channel_id);
        fx.events.push(SourceEvent::Opened { request: wish.request, channel: state, target });
        Ok(())
    }

    fn join_group(&mut self, group_id: u32, channel_id: u32) {
        if self.groups.len() < MAX_GROUPS || self.groups.contains_key(&group_id) {
            self.groups.entry(group_id).or_default().1.push(channel_id);
        }
    }

    /// The channels that a message's `channel_id` addresses: itself, or a group's members.
    fn addressed(&self, id: u32) -> Vec<u32> {
        if self.channels.contains_key(&id) {
            return vec![id];
        }
        self.groups.get(&id).map(|(_, members)| members.clone()).unwrap_or_default()
    }

    fn on_job(
        &mut self,
        message: &sv2::mining::NewExtendedMiningJob<'_>,
        now: Now,
        fx: &mut Effects,
    ) -> Result<(), DownReason> {
        if !message.version_rolling_allowed {
            return Err(DownReason::BadJob(
                "it forbids version rolling, which Adit asked for at SetupConnection".into(),
            ));
        }
        let draft = Arc::new(Draft::read(message));
        let Some(min_ntime) = message.min_ntime else {
            if let Some(channel) = self.channels.get_mut(&message.channel_id) {
                channel.future.insert(draft);
            } else if let Some((future, _)) = self.groups.get_mut(&message.channel_id) {
                future.insert(draft);
            } else {
                self.stray_answers += 1;
            }
            return Ok(());
        };
        let ids = self.addressed(message.channel_id);
        if ids.is_empty() {
            self.stray_answers += 1;
        }
        let mut ready: Option<(Tip, usize, ReadyJob)> = None;
        for id in ids {
            let channel = self.channels.get_mut(&id).expect("addressed channels exist");
            let Some(tip) = channel.tip else {
                return Err(protocol("NewExtendedMiningJob with min_ntime before any SetNewPrevHash"));
            };
            let tip = Tip { min_ntime, ..tip };
            publish(channel, &draft, tip, &mut ready, self.settings.ntime_slack, now, fx)?;
        }
        Ok(())
    }

    fn on_prev_hash(
        &mut self,
        message: &sv2::mining::SetNewPrevHash,
        now: Now,
        fx: &mut Effects,
    ) -> Result<(), DownReason> {
        let tip = Tip { prev_hash: message.prev_hash, nbits: message.nbits, min_ntime: message.min_ntime };
        let ids = self.addressed(message.channel_id);
        if ids.is_empty() {
            self.stray_answers += 1;
        }
        let group_draft =
            self.groups.get(&message.channel_id).and_then(|(future, _)| future.get(message.job_id));
        let mut ready: Option<(Tip, usize, ReadyJob)> = None;
        for id in ids {
            let channel = self.channels.get_mut(&id).expect("addressed channels exist");
            let draft = match &group_draft {
                Some(draft) => Some(Arc::clone(draft)),
                None => channel.future.get(message.job_id).or_else(|| {
                    self.groups.get(&channel.group_id).and_then(|(future, _)| future.get(message.job_id))
                }),
            };
            let Some(draft) = draft else {
                return Err(protocol(format!(
                    "SetNewPrevHash names job {}, which was never sent as a future job",
                    message.job_id
                )));
            };
            self.next_generation = self.next_generation.wrapping_add(1);
            channel.set_tip(tip, self.next_generation);
            publish(channel, &draft, tip, &mut ready, self.settings.ntime_slack, now, fx)?;
        }
        if let Some((future, _)) = self.groups.get_mut(&message.channel_id) {
            future.clear();
        }
        Ok(())
    }

    fn on_target(&mut self, message: &sv2::mining::SetTarget, fx: &mut Effects) -> Result<(), DownReason> {
        let target = read_target(message.maximum_target)?;
        for id in self.addressed(message.channel_id) {
            let channel = self.channels.get_mut(&id).expect("addressed channels exist");
            channel.target = target;
            fx.events.push(SourceEvent::TargetChanged { channel_id: id, target });
        }
        Ok(())
    }

    fn on_prefix(&mut self, message: &sv2::mining::SetExtranoncePrefix<'_>) -> Result<(), DownReason> {
        let Some(channel) = self.channels.get_mut(&message.channel_id) else {
            self.stray_answers += 1;
            return Ok(());
        };
        let prefix = message.extranonce_prefix.as_slice();
        if prefix.len() != channel.prefix.len() {
            // The script_sig's length stands in the coinbase prefix that the group shares (5.1.2.1).
            return Err(protocol(format!(
                "SetExtranoncePrefix changes the prefix from {} to {} bytes",
                channel.prefix.len(),
                prefix.len()
            )));
        }
        channel.prefix = prefix.to_vec();
        Ok(())
    }

    fn on_group(&mut self, message: &sv2::mining::SetGroupChannel<'_>) -> Result<(), DownReason> {
        if self.channels.contains_key(&message.group_channel_id) {
            return Err(protocol(format!("channel {} turned into a group", message.group_channel_id)));
        }
        for id in message.channel_ids.iter() {
            let Some(channel) = self.channels.get_mut(&id) else {
                self.stray_answers += 1;
                continue;
            };
            let old = std::mem::replace(&mut channel.group_id, message.group_channel_id);
            if let Some((_, members)) = self.groups.get_mut(&old) {
                members.retain(|m| *m != id);
            }
            self.join_group(message.group_channel_id, id);
        }
        self.groups.retain(|_, (_, members)| !members.is_empty());
        Ok(())
    }

    fn on_accepted(&mut self, message: &sv2::mining::SubmitSharesSuccess, now: Now, fx: &mut Effects) {
        let Some(channel) = self.channels.get_mut(&message.channel_id) else {
            self.stray_answers += 1;
            return;
        };
        self.batch_seen = self.batch_seen.max(message.new_submits_accepted_count.min(MAX_BATCH_SEEN));
        let before = channel.open.len();
        let books = &self.books;
        let excess =
            channel.open.accept(message.last_sequence_number, message.new_submits_accepted_count, |share| {
                let account = books.get(share.account);
                account.settle(share.miner.stripe(), Final::Acknowledged, share.difficulty, share.told_true);
                fx.ack_latencies.push(now.since(share.sent));
                if let Some(token) = share.token {
                    fx.answers.push((share.miner, Answer { token, end: Final::Acknowledged }));
                }
            });
        self.stray_answers += u64::from(excess);
        self.open_shares -= before - channel.open.len();
        if let Some(draining) = &mut channel.draining {
            draining.progress = now.mono;
        }
        if before != channel.open.len() {
            self.refused_in_a_row = 0;
            self.last_answer = now.mono;
            // Work that is taken is what makes a source healthy; a link alone does not.
            self.backoff.reset();
        }
    }

    fn on_refused(
        &mut self,
        message: &sv2::mining::SubmitSharesError<'_>,
        now: Now,
        fx: &mut Effects,
    ) -> Result<(), DownReason> {
        let Some(share) =
            self.channels.get_mut(&message.channel_id).and_then(|c| c.open.refuse(message.sequence_number))
        else {
            self.stray_answers += 1;
            return Ok(());
        };
        self.open_shares -= 1;
        self.last_answer = now.mono;
        let code = RefuseCode::from_wire(message.error_code.as_bytes());
        let end = Final::Refused(code);
        self.books.get(share.account).settle(share.miner.stripe(), end, share.difficulty, share.told_true);
        if let Some(token) = share.token {
            fx.answers.push((share.miner, Answer { token, end }));
        }
        // Races with a new tip are nobody's fault.
        if code != RefuseCode::StaleShare {
            self.refused_in_a_row += 1;
        }
        if self.refused_in_a_row >= REFUSED_IN_A_ROW {
            return Err(DownReason::RefusesShares(code.as_str()));
        }
        Ok(())
    }

    fn on_closed(
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

/// Puts a job on a channel and tells the router. Channels that share tip and extranonce length share the job.
fn publish(
    channel: &mut Channel,
    draft: &Draft,
    tip: Tip,
    ready: &mut Option<(Tip, usize, ReadyJob)>,
    ntime_slack: u32,
    now: Now,
    fx: &mut Effects,
) -> Result<(), DownReason> {
    if channel.draining.is_some() {
        return Ok(());
    }
    let len = channel.extranonce_len();
    let job = match ready {
        Some((t, l, job)) if *t == tip && *l == len => &*job,
        _ => {
            let job = draft.on_tip(tip, len).map_err(|e| DownReason::BadJob(e.to_string()))?;
            &ready.insert((tip, len, job)).2
        }
    };
    let feed = channel.feed(job, ntime_slack, now).map_err(|e| DownReason::BadJob(e.to_string()))?;
    fx.events.push(SourceEvent::Work(feed));
    Ok(())
}

fn end_open_shares(books: &Books, open: &mut OpenShares, fx: &mut Effects) {
    for share in open.take_all() {
        let end = Final::Unknown;
        books.get(share.account).settle(share.miner.stripe(), end, share.difficulty, share.told_true);
        if let Some(token) = share.token {
            fx.answers.push((share.miner, Answer { token, end }));
        }
    }
}

/// Reads a message. TLV fields of extensions that were not negotiated are passed over.
fn parse<'a, M: Message<'a>>(payload: &'a [u8]) -> Result<M, DownReason> {
    M::decode_with_tlvs(payload, &[]).map(|(message, _)| message).map_err(|e| protocol(e.to_string()))
}

fn protocol(what: impl Into<String>) -> DownReason {
    DownReason::Protocol(what.into())
}

fn read_target(bytes: [u8; 32]) -> Result<work::Target, DownReason> {
    let target = work::Target::from_le_bytes(bytes);
    if target == work::Target::ZERO {
        return Err(protocol("a target of zero, which no hash can meet"));
    }
    Ok(target)
}

/// A pool's text, fit for a log line: printable, at most 100 characters.
fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().filter(|c| !c.is_control()).take(100).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "the wire has 32-bit floats; the value is clamped first")]
fn as_f32(hashrate: f64) -> f32 {
    if hashrate.is_finite() { hashrate.clamp(0.0, f64::from(f32::MAX)) as f32 } else { 0.0 }
}
