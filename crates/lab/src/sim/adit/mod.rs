//! The code around the engine's machines, as the product has it, over simulated links: one router, a task per source,
//! a task per connection, and the queues between them. Each turn of a task does what one round of the product's loop
//! does.

mod connection;
mod corrupt;
mod router;
mod source;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use engine::books::Books;
use engine::miner::{ListenerPolicy, MinerIdSource, Sv1Miner};
use engine::router::{JoinRequest, Router};
use engine::source::{Effects, SourceCommand, SourceEvent, Sv2Pool};
use engine::{Answer, Feed, GroupId, GroupMeter, MinerRef, OutgoingShare, RouteId, SourceId};
use work::{Epoch, MinerId, MinerIds, MinerIdsLimits};

use super::link::LinkId;
use super::planted::PlantedBug;
use super::time::Micros;
use super::witness::{MinerLedger, SourceLedger};
pub(super) use connection::Closing;

/// Shares taken from the queue at once.
const BATCH: usize = 256;
/// Messages that the router takes at once.
const ROUTER_BATCH: usize = 512;
/// Commands that wait for a source.
const COMMANDS: usize = 65_536;
/// Shares that are blocks have a queue of their own.
const SOLUTIONS: usize = 1_024;

/// A message for the router's task.
pub(super) enum RouterMessage {
    Join { connection: usize, request: JoinRequest, hashrate: f64 },
    Leave { connection: usize, group: GroupId },
    Source(SourceId, SourceEvent),
    Drain(&'static str),
}

/// A miner's place.
pub(super) struct Joined {
    group: GroupId,
    meter: Arc<GroupMeter>,
    feed: Option<Arc<Feed>>,
}

/// What a connection has to know of its group.
#[derive(Default)]
pub(super) struct News {
    feed: Option<Arc<Feed>>,
    farewell: Option<&'static str>,
    changed: Option<Micros>,
}

/// A group's newest, and who wants to know.
struct Cell {
    route: RouteId,
    feed: Option<Arc<Feed>>,
    farewell: Option<&'static str>,
    members: Vec<usize>,
}

/// A miner's connection.
pub(super) struct Connection {
    me: MinerRef,
    pub(super) link: LinkId,
    /// Who is at the other end.
    pub(super) miner: usize,
    pub(super) machine: Sv1Miner,
    lines: sv1::LineReader,
    outbox: Vec<u8>,
    stalled_since: Option<Micros>,
    group: Option<GroupId>,
    news: News,
    /// Waits for the router since.
    joining: Option<Micros>,
    place: Option<Option<Joined>>,
    answers: VecDeque<Answer>,
    queued: bool,
    armed: Micros,
    pub(super) opened_at: Micros,
    /// What extranonce1 was told.
    told_id: Option<MinerId>,
}

/// What becomes of an attempt to connect.
pub(super) enum Dialled {
    Link(LinkId),
    NoConnection(&'static str),
    NoHandshake(&'static str),
}

/// A source's task.
pub(super) struct SourceTask {
    pub(super) machine: Sv2Pool,
    fx: Effects,
    commands: VecDeque<SourceCommand>,
    pub(super) shares: VecDeque<OutgoingShare>,
    pub(super) solutions: VecDeque<OutgoingShare>,
    pub(super) link: Option<LinkId>,
    input: Vec<u8>,
    outbox: Vec<u8>,
    stalled_since: Option<Micros>,
    /// An attempt to connect is under way.
    pub(super) dialling: bool,
    pub(super) dials: u32,
    dialled: Option<Dialled>,
    pub(super) redirect: Option<(String, u16)>,
    queued: bool,
    armed: Micros,
    /// Tips heard of, by their hash.
    tips: u64,
    last_tips: VecDeque<[u8; 32]>,
    pub(super) ledger: SourceLedger,
    /// Said by its events.
    pub(super) ready: bool,
    /// The newest generation of each channel, for the planted mistakes.
    generations: BTreeMap<u32, u32>,
    /// Blocks that the machine was given and that have not been seen to leave.
    leaving: Vec<u32>,
}

/// Miner ids of the process.
pub(super) struct Ids {
    ids: MinerIds<()>,
    size: u8,
    planted: Option<PlantedBug>,
    given: u64,
}

impl MinerIdSource for Ids {
    fn allocate(&mut self, _size: u8) -> Option<MinerId> {
        self.given += 1;
        if super::planted::is_planted(self.planted, PlantedBug::IdReuse) && self.given % 5 == 0 {
            return MinerId::from_bytes(&[7; 4][..usize::from(self.size)]).ok();
        }
        self.ids.allocate().ok()
    }
}

impl Ids {
    fn new(size: u8, start: u32, seed: u64, planted: Option<PlantedBug>) -> Self {
        Self { ids: MinerIds::new(size, start, seed, MinerIdsLimits::default()), size, planted, given: 0 }
    }

    /// A miner has gone: its id rests until no job of its time is alive.
    fn release(&mut self, id: MinerId, tips: u64) {
        self.ids.release(id, Epoch(tips), None);
        self.ids.expire(Epoch(tips.saturating_sub(2)));
    }

    pub(super) fn live(&self) -> usize {
        self.ids.live()
    }
}

/// Adit, as far as it is simulated.
pub(super) struct Adit {
    pub(super) router: Router,
    messages: VecDeque<RouterMessage>,
    router_queued: bool,
    router_armed: Micros,
    cells: BTreeMap<GroupId, Cell>,
    pub(super) sources: Vec<SourceTask>,
    pub(super) connections: Vec<Option<Box<Connection>>>,
    pub(super) live: usize,
    mailboxes: BTreeMap<MinerRef, usize>,
    pub(super) books: Arc<Books>,
    pub(super) policy: Arc<ListenerPolicy>,
    pub(super) ids: Ids,
    memory: BTreeMap<Arc<str>, f64>,
    next_miner: u64,
    pub(super) draining: bool,
    pub(super) share_queue: usize,
    outbox: usize,
    pub(super) miners_ledger: MinerLedger,
    /// Groups that began and did not end.
    pub(super) groups: usize,
    pub(super) clock_error: i64,
    pub(super) longest_fanout: Micros,
    pub(super) outage_told: bool,
    /// When a source was last mined for.
    pub(super) active_at: Micros,
    pub(super) closed: BTreeMap<&'static str, u64>,
}
