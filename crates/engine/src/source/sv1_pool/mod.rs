//! An SV1 pool as a source: `mining.configure` (BIP 310), subscribe, authorise, jobs, shares and their answers.
//!
//! An SV1 connection is one extranonce space: the pool's `extranonce1` is the prefix, its `extranonce2` what filler, miner
//! id and the miner's own extranonce2 must fit into. The channels that the router asks for are kept here: those with one
//! split, one space of miner ids and one identity share a connection, since no two of their miners have the same id; for
//! another split, space or identity a further connection is made.
//!
//! A plain state machine: the caller connects what [`Sv1Pool::to_dial`] names, feeds lines and time in, and sends out what
//! [`Sv1Effects`] holds.

mod channels;
mod jobs;
mod lane;
mod link;
mod reconnect;
mod refusal;
mod setup;
mod shares;
mod tag;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sv1::client::ServerMessage;
use work::LeaseTag;
use work::coinbase::PayoutRule;

use channels::{Channel, Waiting};
use lane::{Lane, LaneState};

pub use reconnect::may_follow;

use super::backoff::Backoff;
use super::event::{DownReason, Effects, SourceCommand};
use super::status::{PoolStatus, SourceState, SourceStatus};
use super::sv2_pool::{protocol, shown};
use crate::ids::SourceId;
use crate::now::{Now, earliest};

/// The most connections that one source may have at a time.
pub const MAX_SV1_CONNECTIONS: usize = 256;
/// Each step of the set-up is answered within this, and the first job has come within this.
pub(super) const STEP_DEADLINE: Duration = Duration::from_secs(10);
/// A pool that knows no `mining.configure` may say nothing at all.
pub(super) const CONFIGURE_DEADLINE: Duration = Duration::from_secs(5);
/// Without a job for this long the connection is dead, whatever TCP says.
pub const JOB_SILENCE: Duration = Duration::from_secs(600);
/// A share that is not answered within this never will be.
pub(super) const ANSWER_DEADLINE: Duration = Duration::from_secs(60);
/// A connection without channels is kept for this long, and then closed if it is not the last one.
const IDLE_CONNECTION: Duration = Duration::from_secs(30);
/// Lines that are no messages, on one connection.
const MAX_BAD_LINES: u32 = 16;
/// The bound on open shares is never below this, and never above the other.
const UNSETTLED: (usize, usize) = (4096, 1 << 20);
/// What we are, to the pool.
const USER_AGENT: &str = concat!("adit/", env!("CARGO_PKG_VERSION"));

/// How an SV1 pool is to be used.
#[derive(Clone)]
pub struct Sv1Settings {
    /// Which source it is.
    pub id: SourceId,
    /// The configured host: where `client.reconnect` may lead is judged by it.
    pub host: String,
    /// Who mines, where miners share a connection.
    pub user_identity: Arc<str>,
    /// For `mining.authorize`.
    pub password: String,
    /// The version bits that miners of this source may roll: the pool must allow them all.
    pub version_mask: u32,
    /// `client.reconnect` is followed wherever it leads.
    pub allow_reconnect: bool,
    /// How far a share's ntime may run ahead of the clock, seconds.
    pub ntime_slack: u32,
    /// A fixed bound on open shares instead of the scaled one.
    pub unsettled_max: Option<usize>,
    /// Whom every job must pay.
    pub payout: Option<PayoutRule>,
    /// Connections at a time, at most [`MAX_SV1_CONNECTIONS`].
    pub connections_max: usize,
}

impl std::fmt::Debug for Sv1Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The password stays out of it.
        f.debug_struct("Sv1Settings").field("id", &self.id).field("host", &self.host).finish_non_exhaustive()
    }
}

/// What comes out of the machine; the caller empties it after each call.
#[derive(Debug, Default)]
pub struct Sv1Effects {
    /// Events, answers, latencies. Its `frames`, `hang_up` and `reconnect_to` are not used here.
    pub common: Effects,
    /// Whole lines to be sent, by connection, in order.
    pub lines: Vec<(u32, Vec<u8>)>,
    /// Connections that must end, after their lines went out.
    pub hang_up: Vec<u32>,
    /// What is for people to read.
    pub notices: Vec<Sv1Notice>,
    /// Jobs that have come, and those of them on another tip than the one before.
    pub jobs: (u32, u32),
    /// Connect here instead, next time: host and port, empty and 0 meaning the configured ones.
    pub reconnect_to: Option<(String, u16)>,
}

/// Something for people to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sv1Notice {
    /// `client.show_message`.
    Message(String),
    /// `client.reconnect` to where it must not lead; it is not followed.
    StrangeReconnect(String),
}

impl Sv1Effects {
    /// The buffer of a connection's lines.
    fn to(&mut self, lane: u32) -> &mut Vec<u8> {
        let at = self.lines.iter().position(|(of, _)| *of == lane).unwrap_or_else(|| {
            self.lines.push((lane, Vec::new()));
            self.lines.len() - 1
        });
        &mut self.lines[at].1
    }
}

/// What a pool offers, as its first connection that is set up was told.
#[derive(Clone, Debug, PartialEq)]
pub struct Sv1Offer {
    /// Bytes of the pool's `extranonce1`.
    pub extranonce1_size: usize,
    /// Bytes of `extranonce2`.
    pub extranonce2_size: usize,
    /// The version bits that may be rolled; 0: none.
    pub version_mask: u32,
    /// The difficulty of shares.
    pub difficulty: f64,
}

/// See the module.
#[derive(Debug)]
pub struct Sv1Pool {
    settings: Sv1Settings,
    state: SourceState,
    since: Duration,
    last_down: DownReason,
    backoff: Backoff,
    /// Connections, by their numbers.
    lanes: BTreeMap<u32, Lane>,
    /// Counts the connections.
    connection: u32,
    channels: BTreeMap<u32, Channel>,
    /// Wishes that wait for a connection.
    waiting: Vec<Waiting>,
    next_channel: u32,
    next_job: u32,
    next_generation: u32,
    open_shares: usize,
    refused_in_a_row: u32,
    /// Stands in the fillers.
    tag: LeaseTag,
    /// Bytes that the pool leaves, as it last said.
    offered: Option<usize>,
    /// Shares sent in the current and the last full second, for the bound on open ones.
    rate: (u64, usize, usize),
    unknown_messages: u64,
    stray_answers: u64,
}

impl Sv1Pool {
    /// A source that is off. `seed` decides jitter.
    #[must_use]
    pub fn new(settings: Sv1Settings, seed: u64) -> Self {
        Self {
            settings,
            state: SourceState::Off,
            since: Duration::ZERO,
            last_down: DownReason::NotStarted,
            backoff: Backoff::new(seed ^ 0x00ba_c0ff),
            lanes: BTreeMap::new(),
            connection: 0,
            channels: BTreeMap::new(),
            waiting: Vec::new(),
            next_channel: 0,
            next_job: 0,
            next_generation: 0,
            open_shares: 0,
            refused_in_a_row: 0,
            tag: LeaseTag::NONE,
            offered: None,
            rate: (0, 0, 0),
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

    /// What the pool offers, once it has.
    #[must_use]
    pub fn offer(&self) -> Option<Sv1Offer> {
        let lane = self.lanes.values().find(|lane| lane.is_ready())?;
        Some(Sv1Offer {
            extranonce1_size: lane.extranonce1.len(),
            extranonce2_size: lane.extranonce2_size,
            version_mask: lane.mask,
            difficulty: lane.target.difficulty().get(),
        })
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
                worker_names: false,
                unknown_messages: self.unknown_messages,
                stray_answers: self.stray_answers,
                extranonce2_size: self.offered,
            }),
            declared: None,
        }
    }

    /// A connection that the caller should make now, each named once; then [`Sv1Pool::connected`] or
    /// [`Sv1Pool::disconnected`].
    pub fn to_dial(&mut self) -> Option<u32> {
        let (number, lane) = self.lanes.iter_mut().find(|(_, lane)| lane.state == LaneState::Wanted)?;
        lane.state = LaneState::Dialling;
        Some(*number)
    }

    /// The caller should keep this connection, or go on making it.
    #[must_use]
    pub fn has(&self, lane: u32) -> bool {
        self.lanes.contains_key(&lane)
    }

    /// When [`Sv1Pool::timer`] must be called at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let waiting = match self.state {
            SourceState::Waiting { until } => Some(until),
            _ => None,
        };
        let lanes = self.lanes.values().filter_map(Lane::deadline).min();
        let drains = self.channels.values().filter_map(|channel| channel.ends).min();
        earliest(waiting, earliest(lanes, drains))
    }

    /// How many more shares may be sent now.
    #[must_use]
    pub fn room(&self) -> usize {
        self.unsettled_max().saturating_sub(self.open_shares)
    }

    /// Ten seconds of shares at the rate measured, within fixed bounds.
    fn unsettled_max(&self) -> usize {
        self.settings
            .unsettled_max
            .unwrap_or_else(|| (self.rate.1.max(self.rate.2) * 10).clamp(UNSETTLED.0, UNSETTLED.1))
    }

    fn enter(&mut self, state: SourceState, now: Now) {
        self.state = state;
        self.since = now.mono;
    }

    /// Does what the router says.
    pub fn command(&mut self, command: SourceCommand, now: Now, fx: &mut Sv1Effects) {
        match command {
            SourceCommand::Start => {
                if self.state == SourceState::Off {
                    self.begin(now);
                }
            }
            SourceCommand::Stop => {
                if self.state != SourceState::Off {
                    self.end_all(DownReason::NotStarted, now, fx);
                    self.enter(SourceState::Off, now);
                }
            }
            SourceCommand::Open(wish) => self.open(wish, now, fx),
            // The pool sees the hashrate by its shares, and sets the difficulty by itself.
            SourceCommand::Update { .. } => {}
            SourceCommand::SetTag(tag) => self.set_tag(tag, now, fx),
            SourceCommand::Close { channel_id } => self.close(channel_id, now),
        }
    }

    /// A deadline has come.
    pub fn timer(&mut self, now: Now, fx: &mut Sv1Effects) {
        if let SourceState::Waiting { until } = self.state
            && now.reached(until)
        {
            self.begin(now);
        }
        self.drain(now);
        let due = |lane: &Lane| lane.deadline().is_some_and(|deadline| now.reached(deadline));
        let lanes: Vec<u32> =
            self.lanes.iter().filter(|(_, lane)| due(lane)).map(|(number, _)| *number).collect();
        for number in lanes {
            self.lane_due(number, now, fx);
        }
    }

    /// A connection's deadline has come.
    fn lane_due(&mut self, number: u32, now: Now, fx: &mut Sv1Effects) {
        let Some(lane) = self.lanes.get(&number) else { return };
        match lane.state {
            LaneState::SettingUp { step, deadline } if now.reached(deadline) => {
                if step == lane::Step::Configure {
                    // Silence means that it does not know the method.
                    self.configured(number, 0, now, fx);
                } else {
                    self.lane_failed(number, DownReason::Silent(step.method()), now, fx);
                }
            }
            LaneState::Ready if now.reached(lane.last_job + JOB_SILENCE) => {
                self.lane_failed(number, DownReason::NoJob(JOB_SILENCE), now, fx);
            }
            LaneState::Ready if lane.idle_since.is_some_and(|at| now.reached(at + IDLE_CONNECTION)) => {
                self.lane_unused(number, now, fx);
            }
            LaneState::Ready => self.unanswered(number, now, fx),
            LaneState::Wanted | LaneState::Dialling | LaneState::SettingUp { .. } => {}
        }
    }

    /// Takes one line from the pool.
    pub fn line(&mut self, lane: u32, line: &[u8], now: Now, fx: &mut Sv1Effects) {
        if !self.lanes.get(&lane).is_some_and(Lane::is_linked) {
            return;
        }
        if let Err(why) = self.read(lane, line, now, fx) {
            self.lane_failed(lane, why, now, fx);
        }
    }

    fn read(&mut self, number: u32, line: &[u8], now: Now, fx: &mut Sv1Effects) -> Result<(), DownReason> {
        let message = match sv1::client::parse_message(line) {
            Ok(message) => message,
            Err(error @ sv1::client::ServerError::BadParam { .. }) => {
                return Err(protocol(error.to_string()));
            }
            Err(error) => {
                self.unknown_messages += 1;
                let lane = self.lanes.get_mut(&number).expect("checked by the caller");
                lane.bad_lines += 1;
                if lane.bad_lines > MAX_BAD_LINES {
                    return Err(protocol(error.to_string()));
                }
                return Ok(());
            }
        };
        let lane = self.lanes.get_mut(&number).expect("checked by the caller");
        match message {
            ServerMessage::Notify(notify) => return self.on_notify(number, &notify, now, fx),
            ServerMessage::SetDifficulty(difficulty) => return lane.set_difficulty(difficulty),
            ServerMessage::SetVersionMask(mask) => return self.on_version_mask(number, mask),
            ServerMessage::SetExtranonce { extranonce1, extranonce2_size } => {
                lane.extranonce1 = extranonce1;
                lane.extranonce2_size = extranonce2_size;
            }
            ServerMessage::Reconnect { host, port, wait } => {
                return self.on_reconnect(number, host.as_deref(), port, wait, now, fx);
            }
            ServerMessage::ShowMessage(text) => {
                fx.notices.push(Sv1Notice::Message(shown(text.as_bytes())));
            }
            ServerMessage::GetVersion { id } => sv1::client::write_version(fx.to(number), id, USER_AGENT),
            ServerMessage::Ping { id } => sv1::client::write_pong(fx.to(number), id),
            ServerMessage::Response(response) => return self.on_response(number, &response, now, fx),
            ServerMessage::Unknown { .. } => self.unknown_messages += 1,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
