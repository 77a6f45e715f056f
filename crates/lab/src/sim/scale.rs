//! Up to a million miners in memory: what one costs, and that cost grows with their number and no faster.
//!
//! The machines are the product's; there are no links and no faults, since what is measured is the core. Miners
//! connect, get work, hear of tips and submit a share each on every tip.

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::books::{Books, UnsentReason};
use engine::miner::{Io, ListenerPolicy, MinerIdSource, ReplyMode, Sv1Miner};
use engine::router::{
    GoalSettings, JoinRequest, MinersPerChannel, Output, RouteSettings, Router, SourcePlan,
};
use engine::source::{Effects, LinkSecurity, SourceCommand, SourceSettings, Sv2Pool};
use engine::{Feed, GoalId, ListenerId, MinerRef, OutgoingShare, RouteId, ShareSink, SourceId};
use work::{MinerId, MinerIds, MinerIdsLimits};

use super::link::LinkId;
use super::plan::{EASIEST, Extensions, PoolPlan};
use super::pool::job::{NetTip, VERSION_MASK};
use super::pool::{Pool, PoolAct, PoolIo};
use super::rng::Rng;
use super::tally::Tally;
use super::time::{MILLI, Micros, SECOND, engine_now};
use crate::pow::{HeaderHasher, Target};
use crate::sv1_wire::{NotifiedJob, ServerLine, read_server_line};

/// Tips that the miners hear of.
const TIPS: usize = 3;
/// Difficulty of the miners: a handful of hashes a share.
const DIFFICULTY: f64 = 4.0 * EASIEST;

/// What a farm of so many miners cost.
#[derive(Clone, Copy, Debug)]
pub struct ScaleReport {
    /// Miners.
    pub miners: usize,
    /// Resident bytes for each, subscribed and with a job. `None` where memory cannot be read.
    pub bytes_idle: Option<f64>,
    /// The same after tips and shares.
    pub bytes_worked: Option<f64>,
    /// Time to set a miner up: its lines read and answered, its place found, its first job written.
    pub connect: Duration,
    /// Time to give one miner a job.
    pub notify: Duration,
    /// Time to judge and answer a share (finding it is not counted).
    pub share: Duration,
    /// Shares submitted.
    pub shares: u64,
    /// Shares that met the pool's target and were acknowledged by it.
    pub acknowledged: u64,
    /// Jobs written.
    pub notifies: u64,
}

struct Queue(Vec<OutgoingShare>);

impl ShareSink for Queue {
    fn forward(&mut self, share: OutgoingShare) -> Result<(), UnsentReason> {
        self.0.push(share);
        Ok(())
    }
}

struct Ids(MinerIds<()>);

impl MinerIdSource for Ids {
    fn allocate(&mut self, _size: u8) -> Option<MinerId> {
        self.0.allocate().ok()
    }
}

/// Adit's upstream side with one pool, without links between them.
struct Farm {
    now: Micros,
    rng: Rng,
    tally: Tally,
    router: Router,
    source: Sv2Pool,
    fx: Effects,
    pool: Pool,
    link: LinkId,
    published: Option<Arc<Feed>>,
}

impl Farm {
    /// Lets commands, frames and events flow until nothing moves.
    fn settle(&mut self) {
        let now = engine_now(self.now, 0);
        loop {
            let mut moved = false;
            while let Some(output) = self.router.poll() {
                moved = true;
                match output {
                    Output::Command(_, command) => {
                        let start = matches!(command, SourceCommand::Start);
                        self.source.command(command, now, &mut self.fx);
                        if start && self.source.wants_connection() {
                            self.pool.accept(self.link);
                            self.source.connected(LinkSecurity::Authenticated, now, &mut self.fx);
                        }
                    }
                    Output::Publish(_, feed) => self.published = Some(feed),
                    _ => {}
                }
            }
            let frames = self.fx.frames.split();
            if !frames.is_empty() {
                moved = true;
                let link = self.link;
                self.with_pool(|pool, io| pool.input(link, &frames, io));
            }
            let said = self.pool.by_link(self.link).map(|c| c.out.split()).unwrap_or_default();
            let mut rest = &said[..];
            while let Some((header, payload, after)) = sv2::FrameHeader::split(rest) {
                moved = true;
                rest = after;
                self.source.frame(&header, payload, now, &mut self.fx);
            }
            self.fx.ack_latencies.clear();
            let id = self.source.id();
            for event in self.fx.events.drain(..) {
                moved = true;
                self.router.event(id, event, now);
            }
            if !moved {
                return;
            }
        }
    }

    fn with_pool(&mut self, act: impl FnOnce(&mut Pool, &mut PoolIo<'_>)) {
        let mut acts: Vec<PoolAct> = Vec::new();
        let mut io = PoolIo { now: self.now, rng: &mut self.rng, tally: &mut self.tally, acts: &mut acts };
        act(&mut self.pool, &mut io);
    }
}

fn farm(miners: usize) -> Farm {
    let mut rng = Rng::new(miners as u64);
    let plan = PoolPlan {
        work_selection: false,
        sv1: false,
        grouped: true,
        extranonce_size: 8,
        prefix_len: 8,
        batch: 1,
        ack_timer: None,
        ack_delay: 0,
        shares_per_minute: 20.0,
        extensions: Extensions::Nothing,
        template_every: 30 * SECOND,
        announces: false,
        retarget_after: 0,
        insecure: false,
        unsettled_max: None,
        nominal_hashrate: None,
        miners_per_channel: None,
        link: super::link::LinkManner { latency: MILLI, jitter: 0, cut: 0.0, window: usize::MAX },
    };
    let settings = SourceSettings {
        id: SourceId(0),
        host: "pool.example".into(),
        port: 3333,
        insecure: false,
        worker_names: false,
        tlv_byte_order: sv2::TlvByteOrder::BigEndian,
        ntime_slack: 600,
        unsettled_max: None,
        work_selection: false,
        payout: None,
        tag_room: 0,
    };
    let hashrate = miners as f64 * DIFFICULTY * 4_294_967_296.0 / 3.0;
    let sources = vec![SourcePlan {
        id: SourceId(0),
        user_identity: Arc::from("farm"),
        nominal_hashrate: Some(hashrate),
        miners_per_channel: Some(MinersPerChannel::All),
        declares: false,
    }];
    let routes = vec![RouteSettings {
        id: RouteId(0),
        goals: vec![GoalSettings::whole(GoalId(0), vec![SourceId(0)])],
        return_after: Duration::from_secs(60),
        outage_grace: Duration::from_secs(600),
        keepalive: Duration::from_secs(30),
        grows: false,
    }];
    let tip = NetTip { hash: rng.hash(), height: 800_000 };
    Farm {
        now: SECOND,
        router: Router::new(sources, routes, 1, engine_now(0, 0)),
        source: Sv2Pool::new(settings, 2),
        fx: Effects::default(),
        pool: Pool::new(0, plan, tip),
        link: LinkId(0),
        published: None,
        tally: Tally::default(),
        rng,
    }
}

/// Runs a farm of so many miners and says what it cost.
#[must_use]
pub fn scale(miners: usize) -> ScaleReport {
    let books = Arc::new(Books::default());
    let mut farm = farm(miners);
    let policy = Arc::new(ListenerPolicy {
        id: ListenerId(0),
        route: RouteId(0),
        extranonce1_size: 4,
        extranonce2_size: 4,
        vardiff: work::vardiff::Settings { shares_per_minute: 20.0, min: DIFFICULTY, max: DIFFICULTY },
        vardiff_enabled: true,
        difficulty_start: DIFFICULTY,
        version_mask: VERSION_MASK,
        sv2_version_mask: VERSION_MASK,
        reply: ReplyMode::Local,
        setup_deadline: Duration::from_secs(10),
        idle_deadline: Duration::from_secs(7200),
        identity: Vec::new(),
        declarators: false,
        hash_seed: 3,
        retargets: Arc::default(),
        firmware: Arc::default(),
    });
    let mut ids = Ids(MinerIds::new(4, 0, 4, MinerIdsLimits::default()));
    let mut queue = Queue(Vec::new());
    let mut out = Vec::with_capacity(4096);
    farm.settle();

    let before = resident();
    let mut machines: Vec<Sv1Miner> = Vec::with_capacity(miners);
    let began = Instant::now();
    for n in 0..miners {
        let now = engine_now(farm.now, 0);
        let mut machine = Sv1Miner::new(Arc::clone(&policy), Arc::clone(&books), MinerRef(n as u64), now);
        out.clear();
        let mut io = Io { now, out: &mut out, shares: &mut queue, ids: &mut ids };
        let authorize =
            format!("{{\"id\":3,\"method\":\"mining.authorize\",\"params\":[\"farm.{n}\",\"x\"]}}");
        let configure = br#"{"id":1,"method":"mining.configure","params":[["version-rolling"],{"version-rolling.mask":"1fffe000","version-rolling.min-bit-count":2}]}"#;
        let subscribe = br#"{"id":2,"method":"mining.subscribe","params":["sim/1.0"]}"#;
        for line in [&configure[..], &subscribe[..], authorize.as_bytes()] {
            // A refusal shows in the report: the miner has no job then.
            let _ = machine.line(line, &mut io);
        }
        let hashrate = machine.first_hashrate();
        let request = JoinRequest {
            miner: MinerRef(n as u64),
            route: RouteId(0),
            goal: None,
            hashrate,
            identity: machine.identity().cloned().unwrap_or_default(),
            miner_id_size: 4,
            extranonce2_size: 4,
            space: 0,
        };
        let (group, meter, feed) = farm.router.join(&request, now);
        meter.shift_hashrate(hashrate);
        farm.router.joined(group, now);
        machine.joined(meter, hashrate, feed, &mut io);
        machines.push(machine);
        if n == 0 {
            farm.settle();
        }
    }
    farm.settle();
    let mut report = ScaleReport {
        miners,
        bytes_idle: None,
        bytes_worked: None,
        connect: began.elapsed() / u32::try_from(miners.max(1)).unwrap_or(u32::MAX),
        notify: Duration::ZERO,
        share: Duration::ZERO,
        shares: 0,
        acknowledged: 0,
        notifies: 0,
    };
    let per_miner = |after: Option<u64>| Some((after?.saturating_sub(before?)) as f64 / miners.max(1) as f64);
    report.bytes_idle = per_miner(resident());
    let (mut notify, mut share) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..TIPS {
        farm.now += 10 * SECOND;
        let tip = NetTip { hash: farm.rng.hash(), height: farm.pool.tip.height + 1 };
        farm.with_pool(|pool, io| pool.new_tip(tip, io));
        farm.settle();
        let Some(feed) = farm.published.clone() else { continue };
        let mut job = None;
        for machine in &mut machines {
            let now = engine_now(farm.now, 0);
            out.clear();
            let began = Instant::now();
            let mut io = Io { now, out: &mut out, shares: &mut queue, ids: &mut ids };
            machine.feed(&feed, &mut io);
            notify += began.elapsed();
            report.notifies += 1;
            let Some(line) = submit(machine, &mut job, &out, report.shares) else { continue };
            out.clear();
            let began = Instant::now();
            let mut io = Io { now, out: &mut out, shares: &mut queue, ids: &mut ids };
            let _ = machine.line(&line, &mut io);
            share += began.elapsed();
            report.shares += 1;
        }
        let now = engine_now(farm.now, 0);
        for outgoing in queue.0.drain(..) {
            farm.source.share(&outgoing, now, &mut farm.fx);
        }
        farm.settle();
    }
    let count = |n: u64| u32::try_from(n.max(1)).unwrap_or(u32::MAX);
    report.notify = notify / count(report.notifies);
    report.share = share / count(report.shares);
    report.bytes_worked = per_miner(resident());
    report.acknowledged = books.totals().acknowledged;
    report
}

/// A share of the job that was just written, as a line. The job is read once; only its id and the miner's own bytes
/// differ.
fn submit(machine: &Sv1Miner, job: &mut Option<NotifiedJob>, out: &[u8], n: u64) -> Option<Vec<u8>> {
    let line = out
        .split(|byte| *byte == b'\n')
        .find(|line| line.windows(13).any(|part| part == b"mining.notify"))?;
    if job.is_none()
        && let Ok(ServerLine::Notify(read)) = read_server_line(line)
    {
        *job = Some(*read);
    }
    let job = job.as_ref()?;
    let text = std::str::from_utf8(line).ok()?;
    let id = text.split_once("\"params\":[\"")?.1.split('"').next()?;
    let miner_id = machine.miner_id()?;
    let header = job.header(miner_id.as_bytes(), &[0, 0, 0, 1]);
    let hasher = HeaderHasher::new(&header);
    let target = Target::from_difficulty(DIFFICULTY);
    let nonce = (0..u32::MAX).find(|nonce| hasher.hash(*nonce).meets(&target))?;
    let line = format!(
        "{{\"id\":{},\"method\":\"mining.submit\",\"params\":[\"\",\"{id}\",\"00000001\",\"{:08x}\",\"{nonce:08x}\"]}}",
        n + 10,
        job.ntime
    );
    Some(line.into_bytes())
}

/// Resident memory of this process.
fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096)
}
