//! A simulated SV2 pool: an independent model of the server's side of the mining protocol, with its own record of
//! what it sent and its own truth of what it credits.

mod connection;
mod custom;
mod jds;
pub(super) mod job;
mod shares;

use std::collections::BTreeMap;

use bytes::BytesMut;

use super::checks::{LATELY, STORM};
use super::faults::FaultKind;
use super::link::LinkId;
use super::plan::{EASIEST, PoolPlan};
use super::rng::Rng;
use super::tally::{Message, Tally};
use super::time::{Micros, SECOND, unix};
pub(super) use connection::PoolConnection;
pub(super) use custom::PrefixGiven;
use jds::Jds;
use job::{JobTag, NetTip};

/// What is wrong with a pool at the moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Mood {
    pub(super) refuses_connections: bool,
    pub(super) silent_handshake: bool,
    pub(super) silent_setup: bool,
    pub(super) silent_extensions: bool,
    pub(super) silent_open: bool,
    pub(super) silent_job: bool,
    pub(super) setup_refused: bool,
    pub(super) open_refused: bool,
    pub(super) small_extranonce: bool,
    pub(super) unauthenticated: bool,
    pub(super) update_refused: bool,
    pub(super) refuse_all: Option<&'static str>,
    pub(super) never_ack: bool,
    pub(super) late_acks: bool,
    pub(super) large_batches: bool,
    pub(super) late_errors: bool,
    pub(super) does_not_read: bool,
    pub(super) late_tips: bool,
    /// The network finds a block at this step of a declaration.
    pub(super) tip_at: Option<FaultKind>,
    pub(super) custom_stale: bool,
    pub(super) custom_refused: bool,
    pub(super) custom_silent: bool,
    pub(super) prefix_first: bool,
    pub(super) target_first: bool,
}

/// What the pool knows about the shares that it received.
#[derive(Clone, Debug, Default)]
pub(super) struct Truth {
    pub(super) received: u64,
    pub(super) accepted: u64,
    pub(super) accepted_work: f64,
    pub(super) refused: BTreeMap<&'static str, u64>,
    /// Refusals that are the simulated pool's own doing.
    pub(super) refused_by_mood: u64,
    /// Refusals that came after acknowledgements of later shares.
    pub(super) late_errors: u64,
    /// Answers for shares that nobody sent.
    pub(super) strays: u64,
    /// Shares for channels that the pool had closed.
    pub(super) orphans: u64,
    pub(super) blocks: u64,
    /// Blocks that came on an old tip.
    pub(super) late_blocks: u64,
}

impl Truth {
    pub(super) fn refused_sum(&self) -> u64 {
        self.refused.values().sum()
    }
}

/// Something that a pool will do later.
#[derive(Clone, Debug)]
pub(super) enum PoolTimer {
    /// A new template.
    Template,
    /// Bytes go out on a connection.
    Say { connection: u32, bytes: Vec<u8> },
    /// An incomplete batch is answered.
    Flush { connection: u32, channel: u32 },
    /// SetTarget for a channel.
    Retarget { connection: u32, channel: u32 },
    /// Bytes of the declarator server go out.
    JdsSay { link: LinkId, bytes: Vec<u8> },
}

/// What a pool wants done.
#[derive(Debug)]
pub(super) enum PoolAct {
    Later(Micros, PoolTimer),
    Close(LinkId),
    /// A share was a block.
    Block,
    /// The network finds a block just now, as this fault wants it.
    TipNow(FaultKind),
    /// A share was judged.
    Judged {
        hash: [u8; 32],
        taken: bool,
    },
    /// A share that no honest proxy forwards.
    Complain(String),
    /// A block-level share came, whatever became of it.
    BlockSeen {
        tag: JobTag,
        nonce: u32,
    },
}

/// What a pool works with during one call.
pub(super) struct PoolIo<'a> {
    pub(super) now: Micros,
    pub(super) rng: &'a mut Rng,
    pub(super) tally: &'a mut Tally,
    pub(super) acts: &'a mut Vec<PoolAct>,
}

/// A job that became active on a channel, for whoever wants to check what a miner was given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given {
    pub(super) difficulty: f64,
    pub(super) authenticated: bool,
    pub(super) tip: NetTip,
    pub(super) min_ntime: u32,
    /// When it was made active.
    pub(super) at: Micros,
}

#[derive(Debug)]
pub(super) struct Pool {
    pub(super) index: usize,
    pub(super) plan: PoolPlan,
    pub(super) mood: Mood,
    pub(super) connections: Vec<PoolConnection>,
    pub(super) next_connection: u32,
    pub(super) tip: NetTip,
    pub(super) tip_since: Micros,
    /// The place of its tip among all.
    pub(super) tip_place: u32,
    /// When each tip came.
    pub(super) tip_times: Vec<Micros>,
    pub(super) truth: Truth,
    /// Every job that ever became active, by tag and prefix.
    pub(super) given: BTreeMap<(u32, u32, Vec<u8>), Given>,
    /// Every prefix of a channel that custom jobs were set on.
    pub(super) prefixes: BTreeMap<Vec<u8>, PrefixGiven>,
    pub(super) jds: Jds,
    /// Connections that are gone, and since when.
    pub(super) ended: BTreeMap<u32, Micros>,
    /// Pools whose every fault is over since then.
    pub(super) well_since: Option<Micros>,
    /// Faults that are on.
    pub(super) ill: u32,
}

impl Pool {
    pub(super) fn new(index: usize, plan: PoolPlan, tip: NetTip) -> Self {
        Self {
            index,
            plan,
            mood: Mood::default(),
            connections: Vec::new(),
            next_connection: 0,
            tip,
            tip_since: 0,
            tip_place: 0,
            tip_times: Vec::new(),
            truth: Truth::default(),
            given: BTreeMap::new(),
            prefixes: BTreeMap::new(),
            jds: Jds::default(),
            ended: BTreeMap::new(),
            well_since: Some(0),
            ill: 0,
        }
    }

    /// Whether somebody vouches for it.
    pub(super) fn is_authenticated(&self) -> bool {
        !self.plan.insecure && !self.mood.unauthenticated
    }

    /// A TCP connection stands and hands were shaken.
    pub(super) fn accept(&mut self, link: LinkId) -> u32 {
        self.next_connection += 1;
        let number = self.next_connection;
        let authenticated = self.is_authenticated();
        let extranonce_size = if self.mood.small_extranonce { 2 } else { self.plan.extranonce_size };
        self.connections.push(PoolConnection::new(number, link, authenticated, extranonce_size));
        number
    }

    pub(super) fn by_link(&mut self, link: LinkId) -> Option<&mut PoolConnection> {
        self.connections.iter_mut().find(|c| c.link == link)
    }

    /// The connection is gone.
    pub(super) fn forget(&mut self, link: LinkId, now: Micros) {
        self.jds.connections.retain(|c| c.link != link);
        if let Some(at) = self.connections.iter().position(|c| c.link == link) {
            let gone = self.connections.remove(at);
            self.ended.insert(gone.number, now);
        }
    }

    /// Bytes came.
    pub(super) fn input(&mut self, link: LinkId, bytes: &[u8], io: &mut PoolIo<'_>) {
        let Some(at) = self.connections.iter().position(|c| c.link == link) else {
            return;
        };
        self.connections[at].input.extend_from_slice(bytes);
        let input = std::mem::take(&mut self.connections[at].input);
        let mut rest = input.as_slice();
        while let Some((header, payload, after)) = sv2::FrameHeader::split(rest) {
            rest = after;
            self.frame(at, &header, payload, io);
        }
        self.connections[at].input = rest.to_vec();
    }

    fn frame(&mut self, at: usize, header: &sv2::FrameHeader, payload: &[u8], io: &mut PoolIo<'_>) {
        match sv2::AnyMessage::decode_lenient(header, payload, &[sv2::extensions::WORKER_HASHRATE_TRACKING]) {
            Ok((message, tlvs)) => {
                if header.channel_msg != message.channel_msg() {
                    io.acts.push(PoolAct::Complain(format!("{}: wrong channel_msg bit", message.name())));
                }
                self.message(at, &message, &tlvs, io);
            }
            Err(error) => io.acts.push(PoolAct::Complain(format!("Adit sent what is no SV2: {error}"))),
        }
    }

    /// Something that was to be done later.
    pub(super) fn timer(&mut self, timer: PoolTimer, io: &mut PoolIo<'_>) {
        match timer {
            PoolTimer::Template => {
                for at in 0..self.connections.len() {
                    self.send_job(at, None, io);
                    if self.plan.announces || io.rng.chance(0.1) {
                        self.announce(at, io);
                    }
                }
                let every = self.plan.template_every;
                let next = io.now + io.rng.range(every / 2, every + every / 2);
                io.acts.push(PoolAct::Later(next, PoolTimer::Template));
            }
            PoolTimer::Say { connection, bytes } => {
                if let Some(c) = self.connections.iter_mut().find(|c| c.number == connection) {
                    c.out.extend_from_slice(&bytes);
                }
            }
            PoolTimer::JdsSay { link, bytes } => {
                if let Some(c) = self.jds.connections.iter_mut().find(|c| c.link == link) {
                    c.out.extend_from_slice(&bytes);
                }
            }
            PoolTimer::Flush { connection, channel } => self.flush(connection, channel, io),
            PoolTimer::Retarget { connection, channel } => {
                if let Some(at) = self.connections.iter().position(|c| c.number == connection) {
                    self.set_target(at, channel, 1.0, io);
                }
            }
        }
    }

    /// The network has a new tip.
    pub(super) fn new_tip(&mut self, tip: NetTip, io: &mut PoolIo<'_>) {
        self.tip = tip;
        self.tip_since = io.now;
        self.tip_times.push(io.now);
        for at in 0..self.connections.len() {
            self.send_tip(at, io);
        }
    }

    /// When tips last came so fast that nothing could be acknowledged between them.
    pub(super) fn last_storm(&self) -> Option<Micros> {
        let storm = self.tip_times.windows(STORM).rev().find(|tips| tips[STORM - 1] < tips[0] + LATELY)?;
        storm.last().copied()
    }

    /// The difficulty that gives a channel of this hashrate the pool's share rate.
    fn difficulty_for(&self, hashrate: f64) -> f64 {
        let ideal = hashrate * 60.0 / self.plan.shares_per_minute / 4_294_967_296.0;
        ideal.clamp(EASIEST, 1e-6)
    }

    /// Least time of a header on the present tip.
    fn min_ntime(&self) -> u32 {
        unix(self.tip_since)
    }
}

/// Appends a message to what goes out.
fn say<'a, M: sv2::Message<'a>>(out: &mut BytesMut, message: &M, kind: Message, tally: &mut Tally) {
    tally.message(kind);
    sv2::write_frame(message, out);
}

/// Text that is known to fit.
fn text(text: &str) -> sv2::Str0255<'_> {
    sv2::Str0255::truncated(text)
}

/// Late answers come within this.
const LATE: Micros = 8 * SECOND;
