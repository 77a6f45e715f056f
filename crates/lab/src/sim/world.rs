//! The whole run: virtual time, everything that is in it, and what happens next.

use std::collections::VecDeque;

use super::adit::Adit;
use super::link::{Arrivals, End, Link, LinkId, LinkManner};
use super::miner::Miner;
use super::node::{Node, NodeTimer};
use super::plan::Plan;
use super::planted::PlantedBug;
use super::pool::{Pool, PoolTimer};
use super::rng::Rng;
use super::schedule::Schedule;
use super::tally::Tally;
use super::time::{Micros, engine_now};
use super::witness::Witness;

/// A task of Adit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    Router,
    Source(usize),
    Connection(usize),
}

/// A thread of Adit, which gives its tasks their turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thread {
    /// Router and sources.
    Upstream,
    /// Miners' connections.
    Downstream,
}

/// Something that happens.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// Bytes arrive at an end of a link.
    Arrive(LinkId, End),
    /// An end of a link learns that it is broken.
    Broken(LinkId, End),
    /// There is room to write again at an end.
    Room(LinkId, End),
    /// A thread has a turn to give.
    Turn(Thread),
    /// A task's deadline may have come.
    Timer(Task),
    /// An attempt to connect to a pool has come to its end.
    Dialled { source: usize },
    /// An attempt to connect to a declarator server has come to its end.
    JdsDialled { source: usize },
    /// A miner has luck.
    Lucky { miner: usize },
    /// Something that the farm's node does.
    Node(NodeTimer),
    /// Something that a pool wanted to do.
    Pool(usize, PoolTimer),
    /// A miner connects.
    Connect { miner: usize, attempt: u32 },
    /// A miner finds a share, if it still aims as it did.
    Find { miner: usize, aim: u32 },
    /// The network finds a block.
    Block,
    /// A pool hears of the network's tip of this height.
    Tip { pool: usize, height: u32 },
    /// A fault begins.
    Begin(usize),
    /// A fault does what it does again and again.
    Again(usize),
    /// A fault is over.
    Over(usize),
    /// The invariants that need a look now and then.
    Look,
    /// A block that a miner found must have reached its pool by now.
    BlockDue(usize),
}

impl Event {
    fn number(&self) -> u64 {
        match self {
            Self::Arrive(link, end) => 1 | u64::from(link.0) << 8 | u64::from(*end == End::Peer) << 4,
            Self::Broken(link, end) => 2 | u64::from(link.0) << 8 | u64::from(*end == End::Peer) << 4,
            Self::Room(link, end) => 3 | u64::from(link.0) << 8 | u64::from(*end == End::Peer) << 4,
            Self::Turn(_) => 4,
            Self::Timer(Task::Router) => 5,
            Self::Timer(Task::Source(n)) => 6 | (*n as u64) << 8,
            Self::Timer(Task::Connection(n)) => 7 | (*n as u64) << 8,
            Self::Dialled { source } => 8 | (*source as u64) << 8,
            Self::Pool(pool, _) => 9 | (*pool as u64) << 8,
            Self::Connect { miner, .. } => 10 | (*miner as u64) << 8,
            Self::Find { miner, .. } => 11 | (*miner as u64) << 8,
            Self::Block => 12,
            Self::Tip { pool, .. } => 13 | (*pool as u64) << 8,
            Self::Begin(n) => 14 | (*n as u64) << 8,
            Self::Again(n) => 15 | (*n as u64) << 8,
            Self::Over(n) => 16 | (*n as u64) << 8,
            Self::Look => 17,
            Self::BlockDue(n) => 18 | (*n as u64) << 8,
            Self::JdsDialled { source } => 19 | (*source as u64) << 8,
            Self::Node(_) => 20,
            Self::Lucky { miner } => 21 | (*miner as u64) << 8,
        }
    }
}

/// Whose a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Source(usize),
    /// To the declarator server of a source.
    Jds(usize),
    Miner {
        miner: usize,
        connection: usize,
    },
}

/// All links of the run.
#[derive(Default)]
pub(super) struct Links(Vec<Option<(Link, Owner)>>);

impl Links {
    pub(super) fn get(&self, id: LinkId) -> Option<&Link> {
        self.0.get(id.0 as usize)?.as_ref().map(|(link, _)| link)
    }

    pub(super) fn get_mut(&mut self, id: LinkId) -> Option<&mut Link> {
        self.0.get_mut(id.0 as usize)?.as_mut().map(|(link, _)| link)
    }

    pub(super) fn owner(&self, id: LinkId) -> Option<Owner> {
        self.0.get(id.0 as usize)?.as_ref().map(|(_, owner)| *owner)
    }

    pub(super) fn set_owner(&mut self, id: LinkId, owner: Owner) {
        if let Some(Some(link)) = self.0.get_mut(id.0 as usize) {
            link.1 = owner;
        }
    }

    /// Every link of a source or its declarator server, also those that one end has left.
    pub(super) fn of(&self, owner: Owner) -> Vec<LinkId> {
        let is_its = |slot: &Option<(Link, Owner)>| matches!(slot, Some((_, of)) if *of == owner);
        let ids = self.0.iter().enumerate().filter(|(_, slot)| is_its(slot));
        ids.map(|(n, _)| LinkId(u32::try_from(n).unwrap_or(u32::MAX))).collect()
    }

    fn add(&mut self, link: Link, owner: Owner) -> LinkId {
        self.0.push(Some((link, owner)));
        LinkId(u32::try_from(self.0.len() - 1).unwrap_or(u32::MAX))
    }

    fn remove(&mut self, id: LinkId) {
        if let Some(link) = self.0.get_mut(id.0 as usize) {
            *link = None;
        }
    }
}

/// Tasks that are ready, in the order in which they became so.
#[derive(Default)]
struct Ready {
    tasks: VecDeque<Task>,
    busy_until: Micros,
    scheduled: bool,
}

/// A block that a miner found.
#[derive(Clone, Debug)]
pub(super) struct FoundBlock {
    pub(super) miner: usize,
    /// Which of the miner's connections.
    pub(super) session: u32,
    pub(super) tag: super::pool::job::JobTag,
    /// The channel's prefix.
    pub(super) prefix: Vec<u8>,
    pub(super) nonce: u32,
    /// The header's hash, as the miner computed it.
    pub(super) hash: [u8; 32],
    pub(super) seen: bool,
    /// How often it was handed to the nodes.
    pub(super) handed_out: u32,
}

/// Told about each event.
pub type Teller = Box<dyn FnMut(&str)>;

/// See the module.
pub(super) struct World {
    pub(super) now: Micros,
    pub(super) rng: Rng,
    /// For planted mistakes, so that they do not move the rest.
    pub(super) mistakes: Rng,
    /// For the order of turns.
    turns: Rng,
    pub(super) events: Schedule<Event>,
    pub(super) links: Links,
    pub(super) adit: Adit,
    pub(super) pools: Vec<Pool>,
    pub(super) miners: Vec<Miner>,
    /// The farm's own, where jobs are declared.
    pub(super) node: Option<Node>,
    pub(super) plan: Plan,
    pub(super) planted: Option<PlantedBug>,
    pub(super) tally: Tally,
    pub(super) witness: Witness,
    pub(super) tips: Vec<super::pool::job::NetTip>,
    /// The network's tip, by its place in `tips`.
    pub(super) blocks: Vec<FoundBlock>,
    pub(super) switches: super::switching::Switches,
    upstream: Ready,
    downstream: Ready,
    pub(super) scratch: Vec<u8>,
    hash: u64,
    pub(super) handled: u64,
    pub(super) teller: Option<Teller>,
    pub(super) winding_down: bool,
}

impl World {
    pub(super) fn assemble(
        mut rng: Rng,
        plan: Plan,
        adit: Adit,
        pools: Vec<Pool>,
        miners: Vec<Miner>,
        tip: super::pool::job::NetTip,
        planted: Option<PlantedBug>,
    ) -> Self {
        let (mistakes, turns) = (rng.fork(), rng.fork());
        Self {
            now: 0,
            rng,
            mistakes,
            turns,
            events: Schedule::default(),
            links: Links::default(),
            adit,
            pools,
            miners,
            node: None,
            plan,
            planted,
            tally: Tally::default(),
            witness: Witness::default(),
            tips: vec![tip],
            blocks: Vec::new(),
            switches: super::switching::Switches::default(),
            upstream: Ready::default(),
            downstream: Ready::default(),
            scratch: Vec::with_capacity(16 * 1024),
            hash: 0xcbf2_9ce4_8422_2325,
            handled: 0,
            teller: None,
            winding_down: false,
        }
    }

    /// The time as Adit reads it.
    pub(super) fn engine_now(&self) -> engine::Now {
        engine_now(self.now, self.adit.clock_error)
    }

    pub(super) fn is_planted(&self, bug: PlantedBug) -> bool {
        super::planted::is_planted(self.planted, bug)
    }

    pub(super) fn broken(&mut self, code: &'static str, text: String) {
        self.trace(|| format!("BROKEN {code}: {text}"));
        self.witness.broken(code, self.now, text);
    }

    pub(super) fn trace(&mut self, text: impl FnOnce() -> String) {
        if let Some(teller) = &mut self.teller {
            let line = format!("{:>14.6} {}", self.now as f64 / 1e6, text());
            teller(&line);
        }
    }

    /// What happened, in one number.
    pub(super) fn event_hash(&self) -> u64 {
        self.hash
    }

    fn mix(&mut self, number: u64) {
        self.hash = (self.hash ^ number).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    }

    fn mix_bytes(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            self.mix(chunk.try_into().map(u64::from_le_bytes).unwrap_or(0));
        }
        for byte in chunks.remainder() {
            self.mix(u64::from(*byte));
        }
    }

    /// Lets time pass until `end`, or until too much is wrong.
    pub(super) fn run_until(&mut self, end: Micros) {
        while let Some(at) = self.events.next_at().filter(|at| *at <= end) {
            let Some((_, event)) = self.events.pop() else {
                break;
            };
            self.now = self.now.max(at);
            self.handled += 1;
            self.mix(at);
            self.mix(event.number());
            self.handle(event);
            if !self.witness.violations.is_empty() {
                return;
            }
        }
        self.now = self.now.max(end);
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Arrive(link, end) => {
                let now = self.now;
                if self.links.get_mut(link).is_some_and(|l| l.arrive(end, now)) {
                    self.arrived(link, end);
                }
            }
            Event::Broken(link, end) => {
                if let Some(l) = self.links.get_mut(link) {
                    l.break_at(end);
                    self.arrived(link, end);
                }
            }
            Event::Room(link, end) => self.room(link, end),
            Event::Turn(thread) => self.give_turns(thread),
            Event::Timer(task) => {
                if self.disarm(task) {
                    self.wake(task);
                }
            }
            Event::Dialled { source } => self.dialled(source),
            Event::JdsDialled { source } => self.jds_dialled(source),
            Event::Node(timer) => self.node_timer(timer),
            Event::Lucky { miner } => {
                if !self.winding_down {
                    self.with_miner(miner, Miner::find_block);
                }
            }
            Event::Pool(pool, timer) => self.pool_timer(pool, timer),
            Event::Connect { miner, attempt } => self.connect_miner(miner, attempt),
            Event::Find { miner, aim } => self.miner_finds(miner, aim),
            Event::Block => self.network_block(),
            Event::Tip { pool, height } => self.pool_hears(pool, height),
            Event::Begin(fault) => self.begin(fault),
            Event::Again(fault) => self.again(fault),
            Event::Over(fault) => self.over(fault),
            Event::Look => self.look(),
            Event::BlockDue(block) => self.block_due(block),
        }
    }

    // ---- tasks ----

    /// A task has something to do.
    pub(super) fn wake(&mut self, task: Task) {
        let queued = match task {
            Task::Router => self.adit.router_queued(),
            Task::Source(at) => self.adit.source_queued(at),
            Task::Connection(at) => match self.adit.connection_queued(at) {
                Some(queued) => queued,
                None => return,
            },
        };
        if std::mem::replace(queued, true) {
            return;
        }
        let (thread, ready) = match task {
            Task::Connection(_) => (Thread::Downstream, &mut self.downstream),
            _ => (Thread::Upstream, &mut self.upstream),
        };
        ready.tasks.push_back(task);
        if !ready.scheduled {
            ready.scheduled = true;
            let at = ready.busy_until.max(self.now);
            self.events.at(at, Event::Turn(thread));
        }
    }

    fn give_turns(&mut self, thread: Thread) {
        loop {
            let ready = match thread {
                Thread::Upstream => &mut self.upstream,
                Thread::Downstream => &mut self.downstream,
            };
            // Now and then another one than the first: the product's threads steal tasks from each other.
            let first = if ready.tasks.len() > 1 && self.turns.below(16) == 0 {
                self.turns.index(ready.tasks.len())
            } else {
                0
            };
            let Some(task) = ready.tasks.remove(first) else {
                ready.scheduled = false;
                return;
            };
            let took = match task {
                Task::Router => {
                    *self.adit.router_queued() = false;
                    self.router_turn()
                }
                Task::Source(at) => {
                    *self.adit.source_queued(at) = false;
                    self.source_turn(at)
                }
                Task::Connection(at) => match self.adit.connection_queued(at) {
                    Some(queued) => {
                        *queued = false;
                        self.connection_turn(at)
                    }
                    None => 0,
                },
            };
            let busy_until = self.now + took;
            let next = self.events.next_at().unwrap_or(Micros::MAX);
            let ready = match thread {
                Thread::Upstream => &mut self.upstream,
                Thread::Downstream => &mut self.downstream,
            };
            ready.busy_until = busy_until;
            if ready.tasks.is_empty() {
                ready.scheduled = false;
                return;
            }
            if next <= busy_until {
                self.events.at(busy_until, Event::Turn(thread));
                return;
            }
            // Nothing else happens before: no need to go through the schedule.
            self.now = busy_until;
        }
    }

    /// A task wants to be woken at a moment. Moved when it comes nearer, not when it goes away.
    pub(super) fn arm(&mut self, task: Task, at: Micros) {
        let at = at.max(self.now);
        let Some(armed) = self.adit.armed(task) else {
            return;
        };
        if at < *armed && at < Micros::MAX / 2 {
            *armed = at;
            self.events.at(at, Event::Timer(task));
        }
    }

    /// Whether a timer that rang is the one that the task waits for.
    fn disarm(&mut self, task: Task) -> bool {
        let now = self.now;
        match self.adit.armed(task) {
            Some(armed) if *armed <= now => {
                *armed = Micros::MAX;
                true
            }
            _ => false,
        }
    }

    // ---- links ----

    pub(super) fn new_link(&mut self, manner: LinkManner, owner: Owner) -> LinkId {
        self.links.add(Link::new(manner), owner)
    }

    /// Writes bytes at an end; gives how many were taken.
    pub(super) fn write_link(&mut self, id: LinkId, from: End, bytes: &[u8]) -> usize {
        if bytes.is_empty() {
            return 0;
        }
        self.mix_bytes(bytes);
        let mut arrivals = Arrivals::new();
        let (now, rng) = (self.now, &mut self.rng);
        let Some(link) = self.links.get_mut(id) else {
            return bytes.len();
        };
        let taken = link.write(from, bytes, now, rng, &mut arrivals);
        for at in arrivals {
            self.events.at(at, Event::Arrive(id, from.other()));
        }
        taken
    }

    /// An end closes the link. With the second it is gone.
    pub(super) fn close_link(&mut self, id: LinkId, from: End) {
        let mut arrivals = Arrivals::new();
        let (now, rng) = (self.now, &mut self.rng);
        let Some(link) = self.links.get_mut(id) else {
            return;
        };
        link.close(from, now, rng, &mut arrivals);
        for at in arrivals {
            self.events.at(at, Event::Arrive(id, from.other()));
        }
        if link.leave(from) {
            self.links.remove(id);
        }
    }

    /// Both ends learn, soon, that the link is broken.
    pub(super) fn reset_link(&mut self, id: LinkId) {
        let (a, b) = (self.rng.range(0, 50_000), self.rng.range(0, 50_000));
        self.events.at(self.now + a, Event::Broken(id, End::Adit));
        self.events.at(self.now + b, Event::Broken(id, End::Peer));
    }

    /// The reader of the other end made room for a writer.
    pub(super) fn room_again(&mut self, id: LinkId, writer: End) {
        self.events.at(self.now + 1_000, Event::Room(id, writer));
    }

    fn arrived(&mut self, id: LinkId, end: End) {
        match (self.links.owner(id), end) {
            (Some(Owner::Source(at) | Owner::Jds(at)), End::Adit) => self.wake(Task::Source(at)),
            (Some(Owner::Jds(at)), End::Peer) => self.jds_reads(at, id),
            (Some(Owner::Miner { connection, .. }), End::Adit) => self.wake(Task::Connection(connection)),
            (Some(Owner::Source(at)), End::Peer) => self.pool_reads(at, id),
            (Some(Owner::Miner { miner, .. }), End::Peer) => self.miner_reads(miner, id),
            (None, _) => {}
        }
    }

    fn room(&mut self, id: LinkId, writer: End) {
        match (self.links.owner(id), writer) {
            (Some(Owner::Source(at)), End::Adit) => {
                self.flush_waiting(at, id);
            }
            (Some(Owner::Miner { connection, .. }), End::Adit) => self.wake(Task::Connection(connection)),
            (Some(Owner::Jds(at)), End::Adit) => self.flush_jds(at),
            (Some(Owner::Source(at) | Owner::Jds(at)), End::Peer) => self.flush_pool(at),
            (Some(Owner::Miner { .. }) | None, _) => {}
        }
    }
}
