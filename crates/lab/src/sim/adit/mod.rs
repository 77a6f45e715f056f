//! The code around the engine's machines, as the product has it, over simulated links: one router, a task per source,
//! a task per connection, and the queues between them. Each turn of a task does what one round of the product's loop
//! does.

mod connection;
mod corrupt;
mod declared;
mod downstream;
mod machine;
mod old_pool;
mod router;
mod source;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use engine::books::Books;
use engine::miner::{ListenerPolicy, MinerIdSource};
use engine::router::{GoalSettings, JoinRequest, Place, RouteSettings, Router, Share, SourcePlan};
use engine::source::{
    Declared, DeclaredEffects, DeclaredSettings, JdsSettings, Solo, SoloSettings, SourceCommand, SourceEvent,
    SourceSettings, Sv1Pool, Sv1Settings, Sv2Pool,
};
use engine::{
    Answer, Feed, GoalId, GroupId, GroupMeter, ListenerId, MinerRef, OutgoingShare, RouteId, SourceId,
};
use work::coinbase::Output;
use work::{Epoch, MinerId, MinerIds, MinerIdsLimits};

use super::link::LinkId;
use super::node::{NodeNews, solo_outputs};
use super::plan::{EASIEST, Plan};
use super::planted::PlantedBug;
use super::pool::job::{SOLO, VERSION_MASK};
use super::rng::Rng;
use super::time::{Micros, engine_now};
use super::witness::{MinerLedger, SourceLedger};
use super::world::Task;
pub(super) use connection::Closing;
use declared::{JdsSide, Mistakes};
use downstream::Downstream;
use machine::Machine;
use old_pool::OldPool;
pub(super) use source::host_of;

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
    Join { connection: usize, request: JoinRequest },
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
    /// To another group, whose news the rest is.
    moved: Option<Place>,
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

impl Cell {
    fn new(route: RouteId, feed: Option<Arc<Feed>>) -> Self {
        Self { route, feed, farewell: None, members: Vec::new() }
    }
}

/// A miner's connection.
pub(super) struct Connection {
    me: MinerRef,
    pub(super) link: LinkId,
    /// Who is at the other end.
    pub(super) miner: usize,
    pub(super) machine: Downstream,
    lines: sv1::LineReader,
    outbox: Vec<u8>,
    stalled_since: Option<Micros>,
    /// When it last read something.
    read_at: Micros,
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
    pub(super) machine: Machine,
    fx: DeclaredEffects,
    /// From the farm's own node.
    pub(super) templates: VecDeque<NodeNews>,
    jds: JdsSide,
    mistakes: Mistakes,
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
    stands_still: bool,
    /// Timers in a row that changed nothing.
    spins: u32,
    /// What the ledger counted when the books were last held against it.
    pub(super) checked: u64,
}

/// Miner ids of the process: of one space, or of two that are filled by turns, so that the same ids are there twice.
pub(super) struct Ids {
    spaces: Vec<MinerIds<()>>,
    size: u8,
    planted: Option<PlantedBug>,
    given: u64,
}

impl MinerIdSource for Ids {
    fn allocate(&mut self, _size: u8) -> Option<MinerId> {
        self.given += 1;
        if super::planted::is_planted(self.planted, PlantedBug::IdReuse) && self.given.is_multiple_of(5) {
            return MinerId::from_bytes(&[7; 4][..usize::from(self.size)]).ok();
        }
        let at = usize::try_from(self.given).unwrap_or(0) % self.spaces.len();
        let space = u8::try_from(at).unwrap_or(0);
        Some(self.spaces[at].allocate().ok()?.in_space(space))
    }
}

impl Ids {
    fn new(size: u8, spaces: usize, (start, seed): (u32, u64), planted: Option<PlantedBug>) -> Self {
        let space = || MinerIds::new(size, start, seed, MinerIdsLimits::default());
        Self { spaces: (0..spaces).map(|_| space()).collect(), size, planted, given: 0 }
    }

    /// A miner has gone: its id rests until no job of its time is alive.
    fn release(&mut self, id: MinerId, tips: u64) {
        let Some(ids) = self.spaces.get_mut(usize::from(id.space())) else { return };
        ids.release(id, Epoch(tips), None);
        ids.expire(Epoch(tips.saturating_sub(2)));
    }

    pub(super) fn live(&self) -> usize {
        self.spaces.iter().map(MinerIds::live).sum()
    }
}

/// One goal for the whole route, or one for each pool, the even ones with another pool behind.
fn goals(plan: &Plan, preferred: Vec<SourceId>) -> Vec<GoalSettings> {
    let Some(weights) = plan.weights else {
        return vec![GoalSettings::whole(GoalId(0), preferred)];
    };
    let goal = |(at, weight): (usize, &f64)| {
        let mut sources = vec![preferred[at]];
        if at.is_multiple_of(2) {
            sources.push(preferred[(at + 1) % preferred.len()]);
        }
        GoalSettings {
            share: Share { weight: *weight, hashrate_max: None },
            ..GoalSettings::whole(GoalId(u16::try_from(at).unwrap_or(0)), sources)
        }
    };
    weights.iter().enumerate().map(goal).collect()
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
    /// How many times harder than wished miners work from their next job on.
    pub(super) relief: f64,
    pub(super) longest_fanout: Micros,
    pub(super) outage_told: bool,
    /// When a source was last mined for.
    pub(super) active_at: Micros,
    pub(super) closed: BTreeMap<&'static str, u64>,
}

impl Adit {
    /// A process that has just begun, with the seed's settings.
    pub(super) fn new(plan: &Plan, planted: Option<PlantedBug>, rng: &mut Rng) -> Self {
        let books = Arc::new(Books::default());
        let policy = ListenerPolicy {
            id: ListenerId(0),
            route: RouteId(0),
            extranonce1_size: plan.extranonce1_size,
            extranonce2_size: plan.extranonce2_size,
            vardiff: work::vardiff::Settings {
                shares_per_minute: plan.shares_per_minute,
                min: EASIEST,
                max: 1e-3,
            },
            vardiff_enabled: true,
            difficulty_start: plan.difficulty_start,
            version_mask: VERSION_MASK,
            sv2_version_mask: VERSION_MASK,
            reply: plan.reply,
            setup_deadline: Duration::from_secs(10),
            idle_deadline: plan.idle,
            identity: Vec::new(),
            declarators: false,
            hash_seed: rng.next(),
            retargets: Arc::default(),
            firmware: Arc::default(),
        };
        let source_ids: Vec<SourceId> =
            (0..plan.pools.len()).map(|n| SourceId(u16::try_from(n).unwrap_or(u16::MAX))).collect();
        let solo_id = SourceId(u16::try_from(plan.pools.len()).unwrap_or(u16::MAX));
        let mut plans: Vec<SourcePlan> = source_ids
            .iter()
            .zip(&plan.pools)
            .map(|(id, pool)| SourcePlan {
                id: *id,
                user_identity: Arc::from("farm"),
                nominal_hashrate: pool.nominal_hashrate,
                miners_per_channel: pool.miners_per_channel,
                declares: pool.work_selection,
            })
            .collect();
        let mut preferred = source_ids.clone();
        if plan.declaring.is_some() {
            preferred.push(solo_id);
            plans.push(SourcePlan {
                id: solo_id,
                user_identity: Arc::from("farm"),
                nominal_hashrate: None,
                miners_per_channel: None,
                declares: false,
            });
        }
        let route = RouteSettings {
            id: RouteId(0),
            goals: goals(plan, preferred),
            return_after: plan.return_after,
            outage_grace: plan.outage_grace,
            keepalive: plan.keepalive,
            grows: false,
        };
        let start = engine_now(0, 0);
        let mut sources: Vec<SourceTask> = source_ids
            .iter()
            .zip(&plan.pools)
            .enumerate()
            .map(|(at, (id, pool))| {
                let settings = SourceSettings {
                    id: *id,
                    host: source::host_of(at),
                    port: 3333,
                    insecure: pool.insecure,
                    worker_names: plan.worker_names,
                    tlv_byte_order: *rng
                        .pick(&[sv2::TlvByteOrder::BigEndian, sv2::TlvByteOrder::LittleEndian]),
                    ntime_slack: 600,
                    unsettled_max: pool.unsettled_max,
                    work_selection: false,
                    payout: None,
                    tag_room: plan.tag_room,
                };
                let seed = rng.next();
                if pool.sv1 {
                    let sv1 = Sv1Settings {
                        id: *id,
                        host: settings.host,
                        user_identity: Arc::from("farm"),
                        password: "x".into(),
                        version_mask: VERSION_MASK,
                        allow_reconnect: false,
                        ntime_slack: settings.ntime_slack,
                        unsettled_max: settings.unsettled_max,
                        payout: None,
                        connections_max: 16,
                    };
                    let need = u16::from(plan.extranonce1_size) + u16::from(plan.extranonce2_size);
                    let old = OldPool::new(Sv1Pool::new(sv1, seed), need);
                    return SourceTask::new(Machine::Old(Box::new(old)));
                }
                SourceTask::new(match plan.declaring.as_ref().filter(|_| pool.work_selection) {
                    None => Machine::Pool(Box::new(Sv2Pool::new(settings, seed))),
                    Some(declaring) => {
                        let settings = declared_settings(declaring, settings);
                        Machine::Declared(Box::new(Declared::new(settings, seed)))
                    }
                })
            })
            .collect();
        if plan.declaring.is_some() {
            let settings = SoloSettings {
                id: solo_id,
                outputs: solo_outputs(),
                tag: Vec::new(),
                instance: vec![SOLO, 1, 2, 3],
                ntime_slack: 600,
                tag_room: plan.tag_room,
            };
            let solo = Solo::new(settings, rng.next());
            sources.push(SourceTask::new(Machine::Solo(Box::new(solo))));
        }
        Self {
            router: Router::new(plans, vec![route], rng.next(), start),
            messages: VecDeque::new(),
            router_queued: false,
            router_armed: Micros::MAX,
            cells: BTreeMap::new(),
            sources,
            connections: Vec::new(),
            live: 0,
            mailboxes: BTreeMap::new(),
            books,
            policy: Arc::new(policy),
            ids: Ids::new(plan.extranonce1_size, plan.id_spaces, (rng.word(), rng.next()), planted),
            memory: BTreeMap::new(),
            next_miner: 0,
            draining: false,
            share_queue: plan.share_queue,
            outbox: plan.outbox,
            miners_ledger: MinerLedger::default(),
            groups: 0,
            clock_error: 0,
            relief: 1.0,
            longest_fanout: 0,
            outage_told: false,
            active_at: 0,
            closed: BTreeMap::new(),
        }
    }

    /// Two miners that search the same: on one channel, under one id; on a pool that speaks SV1 all channels of a
    /// connection are one.
    pub(super) fn searched_twice(&self, plan: &Plan) -> Option<String> {
        let mut searched = BTreeMap::new();
        for c in self.connections.iter().flatten() {
            let feed = c.group.and_then(|group| self.cells.get(&group)?.feed.as_ref());
            let (Some(feed), Some(id)) = (feed, c.machine.miner_id()) else { continue };
            let key = feed.channel.key;
            let sv1 = plan.pools.get(usize::from(key.source.0)).is_some_and(|pool| pool.sv1);
            let what = (key.source, key.connection, (!sv1).then_some(key.channel_id), id.as_bytes().to_vec());
            if let Some(other) = searched.insert(what, c.miner) {
                return Some(format!("miners {other} and {} have the id {id:?} on {key:?}", c.miner));
            }
        }
        None
    }

    pub(super) fn router_queued(&mut self) -> &mut bool {
        &mut self.router_queued
    }

    pub(super) fn source_queued(&mut self, at: usize) -> &mut bool {
        &mut self.sources[at].queued
    }

    /// `None`: the connection is gone.
    pub(super) fn connection_queued(&mut self, at: usize) -> Option<&mut bool> {
        self.connections.get_mut(at)?.as_mut().map(|c| &mut c.queued)
    }

    /// When a task's timer rings.
    pub(super) fn armed(&mut self, task: Task) -> Option<&mut Micros> {
        match task {
            Task::Router => Some(&mut self.router_armed),
            Task::Source(at) => Some(&mut self.sources[at].armed),
            Task::Connection(at) => self.connections.get_mut(at)?.as_mut().map(|c| &mut c.armed),
        }
    }

    /// The sources' tasks take no shares, as if their thread had too much to do.
    pub(super) fn sources_stand_still(&mut self, still: bool) {
        self.sources.iter_mut().for_each(|source| source.stands_still = still);
    }

    /// Whether the router has heard of everything.
    pub(super) fn is_router_idle(&self) -> bool {
        self.messages.is_empty()
    }

    /// Whether the route is without a source since long enough to tell the miners so.
    pub(super) fn grace(&self, plan: &Plan) -> Micros {
        super::time::micros(plan.outage_grace)
    }
}

impl Connection {
    /// It waits for its place, or is about to.
    pub(super) fn is_joining(&self) -> bool {
        self.joining.is_some() || self.machine.wants_to_join()
    }
}

impl SourceTask {
    fn new(machine: Machine) -> Self {
        let mut ledger = SourceLedger::default();
        ledger.is_custom = machine.declared().is_some();
        Self {
            machine,
            fx: DeclaredEffects::default(),
            templates: VecDeque::new(),
            jds: JdsSide::default(),
            mistakes: Mistakes::default(),
            commands: VecDeque::new(),
            shares: VecDeque::new(),
            solutions: VecDeque::new(),
            link: None,
            input: Vec::new(),
            outbox: Vec::new(),
            stalled_since: None,
            dialling: false,
            dials: 0,
            dialled: None,
            redirect: None,
            queued: false,
            armed: Micros::MAX,
            tips: 0,
            last_tips: VecDeque::new(),
            ledger,
            ready: false,
            generations: BTreeMap::new(),
            leaving: Vec::new(),
            stands_still: false,
            spins: 0,
            checked: 0,
        }
    }

    /// Shares that may be taken from the queue now.
    fn room(&self) -> usize {
        if self.stands_still || self.outbox.len() >= source::OUTBOX_FULL {
            0
        } else {
            self.machine.room().min(BATCH)
        }
    }

    /// A command for the machine.
    pub(super) fn tell(&mut self, command: SourceCommand) {
        self.commands.push_back(command);
    }

    /// Shares that wait.
    pub(super) fn queue_len(&self) -> usize {
        self.shares.len() + self.solutions.len()
    }
}

fn declared_settings(declaring: &super::plan::Declaring, pool: SourceSettings) -> DeclaredSettings {
    let own = |value: u64| Output { value, script_pubkey: [&[0, 20][..], &[0x55; 20]].concat().into() };
    let jds = JdsSettings {
        host: pool.host.clone(),
        port: 3334,
        user_identifier: Arc::from("farm"),
        insecure: false,
        full_template: declaring.full_template,
    };
    let extra_outputs = declaring.own_output.map(own).into_iter().collect();
    DeclaredSettings { pool, jds, tag: Vec::new(), extra_outputs }
}
