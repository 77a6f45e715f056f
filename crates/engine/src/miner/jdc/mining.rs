//! A JDC's mining connection (specification, sections 3.6 and 5.3, `REQUIRES_WORK_SELECTION`).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use sv2::common::{PROTOCOL_VERSION, SetupConnectionSuccess};
use sv2::extensions::WORKER_HASHRATE_TRACKING;
use sv2::mining::{
    CloseChannel, OpenMiningChannelError, REQUIRES_FIXED_VERSION, SubmitSharesExtended, UpdateChannelError,
};
use sv2::{
    AnyMessage, CommonMessage, DecodeError, ExtensionsMessage, FrameHeader, Message, MiningMessage, Str0255,
    error_code, write_frame,
};

use super::channels::{Channel, Opening};
use super::jobs::PendingJob;
use super::shares::Waiting;
use super::{JdcConnection, JdcSetup, refuse_setup};
use crate::books::{AccountKey, Books};
use crate::ids::{MinerRef, RouteId, SourceId};
use crate::miner::WorkerStanding;
use crate::miner::policy::{CloseReason, ListenerPolicy};
use crate::miner::strikes::Strikes;
use crate::miner::sv2::setup::grant_extensions;
use crate::miner::worker::NamedWorkers;
use crate::now::{Now, earliest};
use crate::source::{DownReason, Effects, LinkSecurity, SourceCommand, SourceEvent, SourceSettings, Sv2Pool};

/// The longest payload that a JDC may send on it: `SetCustomMiningJob` with the longest outputs and merkle path.
const MAX_PAYLOAD: usize = 128 * 1024;

/// The way to a pool for a connection of its own.
#[derive(Clone, Debug)]
pub struct PoolWay {
    /// How the pool is used.
    pub settings: SourceSettings,
    /// Who the pool is to pay; `None`: whom the JDC says.
    pub user_identity: Option<Arc<str>>,
    /// The route that the shares are counted on.
    pub route: RouteId,
}

/// See the module.
#[derive(Debug)]
pub struct JdcMining {
    pub(super) policy: Arc<ListenerPolicy>,
    pub(super) books: Arc<Books>,
    pub(super) me: MinerRef,
    pub(super) account: AccountKey,
    pub(super) user_identity: Option<Arc<str>>,
    pub(super) ntime_slack: u32,
    pub(super) pool: Sv2Pool,
    pub(super) up: Effects,
    /// `SetupConnection.Success` was passed on.
    ready: bool,
    left: bool,
    why_down: Option<DownReason>,
    worker_names: bool,
    pub(super) names: Option<Box<NamedWorkers>>,
    /// By id, which go up.
    pub(super) channels: Vec<Channel>,
    /// Channels that the pool has not answered for.
    pub(super) opening: Vec<Opening>,
    /// Ids of channels and groups; never given twice.
    pub(super) next_channel_id: u32,
    pub(super) next_request: u64,
    /// Custom jobs that the pool has not answered for, oldest first.
    pub(super) jobs: VecDeque<PendingJob>,
    /// Shares that the pool has not answered for, oldest first.
    pub(super) waiting: VecDeque<Waiting>,
    pub(super) next_token: u32,
    pub(super) strikes: Strikes,
    pub(super) last_share: Duration,
    since: Duration,
}

impl JdcMining {
    /// A connection whose `SetupConnection` has come: it is answered when the pool has answered Adit's own. `seed` is for
    /// hashing.
    #[must_use]
    pub fn new(
        policy: Arc<ListenerPolicy>,
        books: Arc<Books>,
        me: MinerRef,
        way: PoolWay,
        seed: u64,
        now: Now,
    ) -> Self {
        let source = way.settings.id;
        let account = AccountKey { listener: policy.id.0, route: way.route.0, source: Some(source.0) };
        // Whom a job pays is for whoever selects it, and for the pool.
        let settings = SourceSettings { work_selection: true, payout: None, ..way.settings };
        let ntime_slack = settings.ntime_slack;
        let mut pool = Sv2Pool::new(settings, seed);
        let mut up = Effects::default();
        pool.command(SourceCommand::Start, now, &mut up);
        Self {
            policy,
            books,
            me,
            account,
            user_identity: way.user_identity,
            ntime_slack,
            pool,
            up,
            ready: false,
            left: false,
            why_down: None,
            worker_names: false,
            names: None,
            channels: Vec::new(),
            opening: Vec::new(),
            next_channel_id: 0,
            next_request: 0,
            jobs: VecDeque::new(),
            waiting: VecDeque::new(),
            next_token: 0,
            strikes: Strikes::default(),
            last_share: now.mono,
            since: now.mono,
        }
    }

    /// Channels that are open.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels.len()
    }

    pub(super) fn extensions(&self) -> &'static [u16] {
        if self.worker_names { &[WORKER_HASHRATE_TRACKING] } else { &[] }
    }

    fn mining(
        &mut self,
        message: &MiningMessage<'_>,
        now: Now,
        out: &mut BytesMut,
    ) -> Result<(), CloseReason> {
        match message {
            MiningMessage::OpenExtendedMiningChannel(open) => self.open(open, now, out),
            MiningMessage::OpenStandardMiningChannel(open) => {
                let code = error_code::STANDARD_CHANNELS_NOT_SUPPORTED_FOR_CUSTOM_WORK;
                refuse_channel(open.request_id, code, out);
            }
            MiningMessage::UpdateChannel(update) => self.update(update, out),
            MiningMessage::CloseChannel(close) => self.close(close.channel_id, now),
            MiningMessage::SetCustomMiningJob(job) => self.set_custom_job(job, now, out),
            _ => return if self.strikes.bad_line() { Err(CloseReason::Garbage) } else { Ok(()) },
        }
        Ok(())
    }

    /// Passes on what the pool's machine has told.
    pub(super) fn settle(&mut self, now: Now, out: &mut BytesMut) -> Result<(), CloseReason> {
        let mut down = None;
        let mut events = std::mem::take(&mut self.up.events);
        for event in events.drain(..) {
            match event {
                SourceEvent::Ready { .. } => {
                    self.ready = true;
                    let flags = if self.policy.sv2_version_mask == 0 { REQUIRES_FIXED_VERSION } else { 0 };
                    write_frame(&SetupConnectionSuccess { used_version: PROTOCOL_VERSION, flags }, out);
                }
                SourceEvent::Opened { request, channel, target } => {
                    self.opened(request, channel, target, now, out);
                }
                SourceEvent::NotOpened { request, why } => self.not_opened(request, &why, out),
                SourceEvent::TargetChanged { channel_id, target } => {
                    self.target_changed(channel_id, target, out);
                }
                SourceEvent::Closed { channel_id, reason } => self.closed_above(channel_id, &reason, out),
                SourceEvent::Down(why) => down = Some(why),
                // The pool's own jobs are not mined here.
                SourceEvent::Work(_) => {}
            }
        }
        self.up.events = events;
        for channel_id in std::mem::take(&mut self.up.new_prefixes) {
            self.prefix_changed(channel_id, out);
        }
        for answer in std::mem::take(&mut self.up.custom_jobs) {
            self.custom_job_answered(answer, now, out);
        }
        // The JDC hears of every share that is refused, and decides itself.
        self.up.refuses_shares = None;
        let mut answers = std::mem::take(&mut self.up.answers);
        for (_, answer) in answers.drain(..) {
            self.answered(answer, out);
        }
        self.up.answers = answers;
        self.flush(out);
        match down {
            Some(why) => Err(self.down(why, out)),
            None => Ok(()),
        }
    }

    fn down(&mut self, why: DownReason, out: &mut BytesMut) -> CloseReason {
        let reason = match (&why, self.ready) {
            (_, true) => CloseReason::PoolChanged,
            (DownReason::Refused(code), false) => {
                refuse_setup(JdcSetup::Mining, code, out);
                CloseReason::SetupRefused
            }
            (_, false) => {
                refuse_setup(JdcSetup::Mining, "no-source", out);
                CloseReason::NoSource
            }
        };
        self.why_down = Some(why);
        reason
    }
}

impl JdcConnection for JdcMining {
    fn wants_connection(&self) -> bool {
        self.pool.wants_connection() && self.why_down.is_none()
    }

    fn connected(&mut self, security: LinkSecurity, now: Now, out: &mut BytesMut) -> Result<(), CloseReason> {
        self.pool.connected(security, now, &mut self.up);
        self.settle(now, out)
    }

    fn disconnected(&mut self, why: DownReason, now: Now, out: &mut BytesMut) -> Result<(), CloseReason> {
        self.pool.disconnected(why, now, &mut self.up);
        self.settle(now, out)
    }

    fn hear_jdc(
        &mut self,
        header: &FrameHeader,
        payload: &[u8],
        now: Now,
        out: &mut BytesMut,
    ) -> Result<(), CloseReason> {
        // Nearly all frames are shares.
        let submit = header.extension_type == 0 && header.msg_type == SubmitSharesExtended::MSG_TYPE;
        if submit && self.ready {
            self.submit(payload, now, out)?;
            return self.settle(now, out);
        }
        if self.strikes.request_of(self.channels.len(), now.mono) {
            return Err(CloseReason::Flood);
        }
        let message = match AnyMessage::decode_lenient(header, payload, self.extensions()) {
            Ok((message, _)) => message,
            // Section 3.4.1: what is not known is ignored.
            Err(DecodeError::UnknownExtension { .. } | DecodeError::UnknownMessageType { .. }) => {
                return Ok(());
            }
            Err(_) => return Err(CloseReason::Garbage),
        };
        match message {
            AnyMessage::Common(CommonMessage::SetupConnection(_)) => return Err(CloseReason::Garbage),
            // It has to wait for the answer.
            _ if !self.ready => return Err(CloseReason::Garbage),
            AnyMessage::Extensions(ExtensionsMessage::RequestExtensions(request)) => {
                self.worker_names = grant_extensions(&request, out);
            }
            AnyMessage::Mining(message) => self.mining(&message, now, out)?,
            _ if self.strikes.bad_line() => return Err(CloseReason::Garbage),
            _ => {}
        }
        self.settle(now, out)
    }

    fn hear_upstream(
        &mut self,
        header: &FrameHeader,
        payload: &[u8],
        now: Now,
        out: &mut BytesMut,
    ) -> Result<(), CloseReason> {
        let core = header.extension_type == 0;
        if core && header.msg_type == UpdateChannelError::MSG_TYPE && self.pool.is_ready() {
            self.update_refused(payload, out);
        }
        self.pool.frame(header, payload, now, &mut self.up);
        self.settle(now, out)
    }

    fn deadline(&self) -> Option<Duration> {
        earliest(self.pool.deadline(), self.jobs.front().map(PendingJob::deadline))
    }

    fn timer(&mut self, now: Now, out: &mut BytesMut) -> Result<(), CloseReason> {
        self.pool.timer(now, &mut self.up);
        self.give_jobs_up(now, out);
        self.settle(now, out)
    }

    fn upward(&mut self) -> &mut BytesMut {
        &mut self.up.frames
    }

    fn max_payload(&self) -> usize {
        MAX_PAYLOAD
    }

    fn why_down(&self) -> Option<&DownReason> {
        self.why_down.as_ref()
    }

    fn standing(&self) -> (bool, f64, Duration) {
        let hashrate = self.channels.iter().map(|channel| channel.nominal).sum();
        (!self.channels.is_empty(), hashrate, self.last_share)
    }

    fn each_worker(&self, tell: &mut dyn FnMut(WorkerStanding)) {
        for channel in &self.channels {
            tell(WorkerStanding {
                name: Arc::clone(&channel.worker.name),
                route: RouteId(self.account.route),
                source: self.account.source.map(SourceId),
                standard: false,
                since: self.since,
                // The pool's own target is what it has.
                difficulty: 0.0,
                // What it announces is not what it delivers: that is taken from its shares.
                hashrate: None,
            });
        }
    }

    fn each_ack_latency(&mut self, tell: &mut dyn FnMut(Duration)) {
        self.up.ack_latencies.drain(..).for_each(tell);
    }

    fn tell(&self, reason: &str, out: &mut BytesMut) {
        for channel in &self.channels {
            let reason_code = Str0255::truncated(reason);
            write_frame(&CloseChannel { channel_id: channel.id, reason_code }, out);
        }
    }

    fn leave(&mut self, now: Now) {
        self.left = true;
        let channels: Vec<u32> = self.channels.iter().map(|channel| channel.id).collect();
        channels.into_iter().for_each(|id| self.close(id, now));
        if self.pool.status().open_shares == 0 || !self.pool.has_connection() {
            self.pool.command(SourceCommand::Stop, now, &mut self.up);
        }
    }

    fn is_settled(&self) -> bool {
        self.left && (!self.pool.has_connection() || self.pool.status().open_shares == 0)
    }
}

pub(super) fn refuse_channel(request_id: u32, code: &str, out: &mut BytesMut) {
    write_frame(&OpenMiningChannelError { request_id, error_code: Str0255::truncated(code) }, out);
}
