//! A connection of SV2 miners: set-up, any number of channels, jobs down, shares up (specification, section 5).
//!
//! A plain state machine: the caller decrypts frames and calls [`Sv2Miner::frame`] for each and [`Sv2Miner::flush`]
//! after the last; joins the channels that [`Sv2Miner::wants_to_join`] names; gives the newest [`Feed`] of each group
//! to [`Sv2Miner::feed`]; calls [`Sv2Miner::timer`] at [`Sv2Miner::deadline`]; and encrypts what [`Sv2Io::out`] holds.
//!
//! A channel's extranonce is the miner's number at Adit and what it rolls itself, and stays as it is whatever the
//! upstream does: upstream's own prefix stands at the end of each job's `coinbase_tx_prefix`. So all channels of a
//! connection have an extranonce of one size, and those that get the same work are one group.

pub(super) mod accepted;
mod channel;
mod group;
mod jobs;
pub(super) mod open;
pub(super) mod setup;
pub(super) mod shares;
mod update;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use sv2::extensions::UserIdentity;
use sv2::mining::{self, CloseChannel, SubmitSharesExtended, SubmitSharesStandard};
use sv2::{
    AnyMessage, CommonMessage, ExtensionsMessage, FrameHeader, Message, MiningMessage, Str0255, write_frame,
};
use work::MinerId;

use super::jdc::JdcSetup;
use super::policy::{CloseReason, ListenerPolicy, MinerIdSource};
use super::standing::WorkerStanding;
use super::strikes::Strikes;
use super::worker::NamedWorkers;
use crate::books::{AccountKey, Books, Final, RejectReason};
use crate::ids::{GroupId, MinerRef, RouteId, SourceId};
use crate::now::{Now, earliest};
use crate::share::ShareSink;
use channel::Channel;
use group::Group;
use open::Pending;
use setup::Setup;

pub use open::JoinWish;

/// The longest payload that a miner may send. The longest message that one has a reason to send has some hundred bytes.
pub const MAX_PAYLOAD: usize = 64 * 1024;
/// Channels that one connection may have.
pub const MAX_CHANNELS: usize = 4_096;

/// What the state machine works with during one call.
pub struct Sv2Io<'a> {
    /// The time.
    pub now: Now,
    /// Frames for the miner are appended here.
    pub out: &'a mut BytesMut,
    /// Takes good shares.
    pub shares: &'a mut dyn ShareSink,
    /// Gives miner ids.
    pub ids: &'a mut dyn MinerIdSource,
}

/// A channel that has ended: what it leaves behind.
#[derive(Clone, Debug)]
pub struct LeftChannel {
    /// The id that was allocated, to be given back.
    pub miner_id: MinerId,
    /// Who it was to the router and the group that it has left, if it had joined one.
    pub place: Option<(MinerRef, GroupId)>,
    /// Who mined.
    pub identity: Arc<str>,
    /// The difficulty that vardiff had learnt, to be remembered for the worker's next channel.
    pub learnt: Option<f64>,
}

/// See the module.
#[derive(Debug)]
pub struct Sv2Miner {
    policy: Arc<ListenerPolicy>,
    books: Arc<Books>,
    me: MinerRef,
    setup: Setup,
    /// By id, which go up.
    channels: Vec<Channel>,
    groups: Vec<Group>,
    /// Channels that were asked for and have no place yet, oldest first.
    pending: VecDeque<Pending>,
    left: Vec<LeftChannel>,
    /// Ids of channels and groups; never given twice.
    next_channel_id: u32,
    /// Jobs are numbered through the connection, so that those of a group have one id on all of its channels.
    next_job_id: u32,
    /// Channels with accepted shares that the miner has not been told of.
    unflushed: Vec<u32>,
    /// The route of the next channel that joins.
    next_route: RouteId,
    /// Workers whose names came with shares (extension 0x0002).
    names: Option<Box<NamedWorkers>>,
    strikes: Strikes,
    /// The most channels that there were at a time.
    most_channels: usize,
    since: Duration,
    last_share: Duration,
    /// No channel's timer is due before this.
    look_at: Duration,
    waiting: VecDeque<shares::Waiting>,
    next_token: u32,
    refused: u64,
    names_cut: usize,
}

impl Sv2Miner {
    /// A connection that has just been encrypted.
    #[must_use]
    pub fn new(policy: Arc<ListenerPolicy>, books: Arc<Books>, me: MinerRef, now: Now) -> Self {
        Self {
            next_route: policy.route,
            policy,
            books,
            me,
            setup: Setup::default(),
            channels: Vec::new(),
            groups: Vec::new(),
            pending: VecDeque::new(),
            left: Vec::new(),
            next_channel_id: 0,
            next_job_id: 0,
            unflushed: Vec::new(),
            names: None,
            strikes: Strikes::default(),
            most_channels: 0,
            since: now.mono,
            last_share: now.mono,
            look_at: Duration::MAX,
            waiting: VecDeque::new(),
            next_token: 0,
            refused: 0,
            names_cut: 0,
        }
    }

    /// Takes one frame.
    ///
    /// # Errors
    /// Why the connection is to be closed, after `io.out` was written.
    pub fn frame(
        &mut self,
        header: &FrameHeader,
        payload: &[u8],
        io: &mut Sv2Io<'_>,
    ) -> Result<(), CloseReason> {
        // Nearly all frames are shares.
        if header.extension_type == 0 && self.setup.is_done() {
            match header.msg_type {
                SubmitSharesExtended::MSG_TYPE => return self.submit_extended(payload, io),
                SubmitSharesStandard::MSG_TYPE => return self.submit_standard(payload, io),
                _ => {}
            }
        }
        if self.strikes.request_of(self.most_channels, io.now.mono) {
            return Err(CloseReason::Flood);
        }
        let message = match AnyMessage::decode_lenient(header, payload, self.setup.extensions()) {
            Ok((message, _)) => message,
            // Section 3.4.1: what is not known is ignored.
            Err(sv2::DecodeError::UnknownExtension { .. } | sv2::DecodeError::UnknownMessageType { .. }) => {
                return Ok(());
            }
            Err(_) => return Err(CloseReason::Garbage),
        };
        match message {
            AnyMessage::Common(CommonMessage::SetupConnection(setup)) if !self.setup.is_done() => {
                self.set_up(&setup, io)
            }
            _ if !self.setup.is_done() => Err(CloseReason::Garbage),
            AnyMessage::Extensions(ExtensionsMessage::RequestExtensions(request)) => {
                self.request_extensions(&request, io);
                Ok(())
            }
            AnyMessage::Mining(message) => self.mining(&message, io),
            _ => self.out_of_place(),
        }
    }

    fn mining(&mut self, message: &MiningMessage<'_>, io: &mut Sv2Io<'_>) -> Result<(), CloseReason> {
        match message {
            MiningMessage::OpenStandardMiningChannel(open) => self.open_standard(open, io),
            MiningMessage::OpenExtendedMiningChannel(open) => self.open_extended(open, io),
            MiningMessage::UpdateChannel(update) => self.update(update, io),
            MiningMessage::CloseChannel(close) => self.close(close.channel_id, io),
            MiningMessage::SetCustomMiningJob(job) => {
                let (channel_id, request_id) = (job.channel_id, job.request_id);
                let error_code = Str0255::truncated(sv2::error_code::JD_NOT_SUPPORTED);
                write_frame(&mining::SetCustomMiningJobError { channel_id, request_id, error_code }, io.out);
            }
            _ => return self.out_of_place(),
        }
        Ok(())
    }

    /// A message that must not come now, or not from a miner.
    fn out_of_place(&mut self) -> Result<(), CloseReason> {
        if self.strikes.bad_line() { Err(CloseReason::Garbage) } else { Ok(()) }
    }

    /// `SetupConnection` was answered with its `Success`.
    #[must_use]
    pub fn is_set_up(&self) -> bool {
        self.setup.is_done()
    }

    /// What this connection is instead of miners': it was not answered, and no frame after its `SetupConnection` is to
    /// be given to this machine.
    #[must_use]
    pub fn hand_over(&self) -> Option<JdcSetup> {
        self.setup.hand_over
    }

    /// It has a channel.
    #[must_use]
    pub fn is_mining(&self) -> bool {
        !self.channels.is_empty()
    }

    /// Channels that are open.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels.len()
    }

    /// Hashes per second of all channels, as vardiff estimates them.
    #[must_use]
    pub fn hashrate(&self) -> f64 {
        self.channels.iter().map(|channel| channel.mining.metered).sum()
    }

    /// The difficulties that the channels were told last.
    pub fn difficulties(&self) -> impl Iterator<Item = f64> + '_ {
        self.channels.iter().map(|channel| channel.mining.told).filter(|told| *told > 0.0)
    }

    /// Everybody who mines over this connection: one for each channel.
    pub fn each_worker(&self, tell: &mut dyn FnMut(WorkerStanding)) {
        for channel in &self.channels {
            tell(WorkerStanding {
                name: Arc::clone(&channel.worker.name),
                route: channel.route,
                source: channel.mining.feed.as_ref().map(|feed| feed.source()),
                standard: channel.kind == channel::Kind::Standard,
                since: channel.since,
                difficulty: channel.mining.told,
                // Where shares name their workers, a channel's estimate is all of theirs.
                hashrate: self.names.is_none().then_some(channel.mining.metered),
            });
        }
    }

    /// What it said that it is, once: for whoever keeps it.
    #[must_use]
    pub fn take_user_agent(&mut self) -> Option<Box<str>> {
        self.setup.device.take()
    }

    /// When the last good share came; when the miner connected, before the first.
    #[must_use]
    pub fn last_share(&self) -> Duration {
        self.last_share
    }

    /// Channels that were refused since the last call.
    pub fn take_refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused)
    }

    /// Worker names too long for extension 0x0002, which go up cut, since the last call.
    pub fn take_names_cut(&mut self) -> usize {
        std::mem::take(&mut self.names_cut)
    }

    /// The channels that have ended since the last call.
    pub fn take_left(&mut self) -> Vec<LeftChannel> {
        std::mem::take(&mut self.left)
    }

    /// From the next job on the channels' difficulties are `factor` times what vardiff wishes: see
    /// [`Sv1Miner::relieve`](super::Sv1Miner::relieve).
    pub fn relieve(&mut self, factor: f64) {
        if self.policy.vardiff_enabled {
            for channel in &mut self.channels {
                channel.mining.relief = factor.max(1.0);
            }
        }
    }

    /// When [`Sv2Miner::timer`] is to be called.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        if !self.setup.is_done() {
            return Some(self.since + self.policy.setup_deadline);
        }
        let look = Some(self.look_at).filter(|at| *at < Duration::MAX);
        earliest(self.idle_deadline(), look)
    }

    /// A connection that says that nothing mines behind it (a proxy's standby) owes no shares.
    fn idle_deadline(&self) -> Option<Duration> {
        let standby = !self.channels.is_empty() && self.channels.iter().all(Channel::is_standby);
        (!standby).then_some(self.last_share + self.policy.idle_deadline)
    }

    /// A deadline has come.
    ///
    /// # Errors
    /// Why the connection is to be closed.
    pub fn timer(&mut self, io: &mut Sv2Io<'_>) -> Result<(), CloseReason> {
        if !self.setup.is_done() {
            let over = io.now.reached(self.since + self.policy.setup_deadline);
            return if over { Err(CloseReason::SetupDeadline) } else { Ok(()) };
        }
        if self.idle_deadline().is_some_and(|deadline| io.now.reached(deadline)) {
            return Err(CloseReason::Idle);
        }
        if io.now.reached(self.look_at) {
            for at in 0..self.channels.len() {
                self.channel_timer(at, io);
            }
            let policy = &*self.policy;
            let next = self.channels.iter().filter_map(|channel| channel.deadline(policy)).min();
            self.look_at = next.unwrap_or(Duration::MAX);
        }
        Ok(())
    }

    /// Adit closes the connection: says so on every channel.
    pub fn tell(&self, reason: &str, out: &mut BytesMut) {
        let reason_code = Str0255::truncated(reason);
        for channel in &self.channels {
            write_frame(&CloseChannel { channel_id: channel.id, reason_code }, out);
        }
    }

    /// The connection has ended: takes its channels out of their groups' sums. What they leave behind is to be taken
    /// with [`Sv2Miner::take_left`].
    pub fn ended(&mut self) {
        for mut channel in std::mem::take(&mut self.channels) {
            channel.mining.ended();
            self.left.push(channel.into_left());
        }
        self.left.extend(self.pending.drain(..).map(Pending::into_left));
        self.groups.clear();
    }

    /// Where a channel stands in the list.
    fn find(&self, channel_id: u32) -> Option<usize> {
        self.channels.binary_search_by_key(&channel_id, |channel| channel.id).ok()
    }

    fn take_channel_id(&mut self) -> u32 {
        self.next_channel_id = self.next_channel_id.wrapping_add(1);
        self.next_channel_id
    }

    /// Something of a channel changed that its timers depend on.
    fn rearm(&mut self, at: usize) {
        if let Some(deadline) = self.channels.get(at).and_then(|channel| channel.deadline(&self.policy)) {
            self.look_at = self.look_at.min(deadline);
        }
    }

    /// The route that the next channel takes, where it is not the listener's: its shares are counted there.
    pub fn take_route(&mut self, route: RouteId) {
        self.next_route = route;
    }

    /// The account of this listener's shares on a source, by a route.
    fn key(&self, route: RouteId, source: Option<SourceId>) -> AccountKey {
        AccountKey { listener: self.policy.id.0, route: route.0, source: source.map(|source| source.0) }
    }

    /// Counts a rejected share: for the worker that it named, if that is known; for its channel's, or the first one's
    /// where it has none; for nobody where there is no channel.
    fn count_rejected(
        &mut self,
        place: Option<(usize, Option<SourceId>)>,
        name: Option<&UserIdentity<'_>>,
        why: RejectReason,
    ) {
        let (at, source) = place.unwrap_or((0, None));
        let route = place.and_then(|(at, _)| self.channels.get(at)).map_or(self.policy.route, |c| c.route);
        let key = self.key(route, source);
        let end = Final::Rejected(why);
        let named = name.and_then(|name| self.names.as_mut()?.find(name));
        match named.or_else(|| self.channels.get_mut(at).map(|channel| &mut channel.worker)) {
            Some(worker) => worker.tally(&self.books, key).settle_at_once(self.me, end, 0.0, false),
            None => self.books.tally(&Arc::from(""), key).settle_at_once(self.me, end, 0.0, false),
        }
    }
}

#[cfg(test)]
mod tests;
