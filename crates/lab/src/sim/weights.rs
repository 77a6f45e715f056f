//! Farms whose work is shared out among goals: the product's router and its share-out against miners whose true
//! hashrates only the simulator knows. Light enough for a thousand farms: no bytes, a step is a second, a miner's
//! shares are as many as chance brings in it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use engine::router::{GoalSettings, JoinRequest, Output, RouteSettings, Router, Share, SourcePlan, Term};
use engine::source::{DownReason, SourceCommand, SourceEvent};
use engine::{ChannelKey, ChannelState, Feed, GoalId, GroupId, GroupMeter, MinerRef, Now, RouteId, SourceId};
use work::hashrate::HASHES_PER_DIFFICULTY;
use work::{ChannelTerms, Job, JobParts, Target};

use super::rng::Rng;

/// Shares that a miner's difficulty aims at.
const SHARES_PER_SECOND: f64 = 1.0 / 3.0;
/// The estimate that a miner's meter shows forgets with this time.
const ESTIMATE: f64 = 120.0;
const HOUR: u32 = 3_600;

/// The weights of goals, one after the other, in percent.
pub const WEIGHTS: [&[f64]; 3] = [&[50.0, 50.0], &[90.0, 10.0], &[70.0, 20.0, 10.0]];

/// One simulated farm.
#[derive(Clone, Debug)]
pub struct Farm {
    /// Miners.
    pub miners: usize,
    /// The goals' weights.
    pub weights: Vec<f64>,
    /// Sources come and go, and so do miners.
    pub unsteady: bool,
    /// Seed of everything else: sizes, arrivals, outages.
    pub seed: u64,
}

impl Farm {
    /// The farm of a seed: sizes 1, 2, 7, 200 and, once in fifty, 5,000.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        let miners = if seed % 50 == 49 { 5_000 } else { [1, 2, 7, 200][(seed % 4) as usize] };
        let weights = WEIGHTS[(seed / 4 % 3) as usize];
        Self { miners, weights: weights.into(), unsteady: seed / 12 % 2 == 1, seed }
    }
}

/// What came of a farm's hour.
#[derive(Clone, Debug)]
pub struct WeightsReport {
    /// The farm.
    pub farm: Farm,
    /// By goal: the part of the work that it should have had, and that it had by the miners' true hashrates.
    pub parts: Vec<(f64, f64)>,
    /// By goal: work measured from shares less the true one, in standard deviations.
    pub deviations: Vec<f64>,
    /// Moves for each miner and hour.
    pub moves: f64,
    /// The most moves in a minute, for each miner; moves away from a lost source aside.
    pub most_moves: f64,
}

impl WeightsReport {
    /// How far the worst goal's part is from what it should be, in parts of the whole.
    #[must_use]
    pub fn worst(&self) -> f64 {
        self.parts.iter().map(|(wanted, had)| (wanted - had).abs()).fold(0.0, f64::max)
    }

    /// The same in parts of what that goal should have.
    #[must_use]
    pub fn worst_relative(&self) -> f64 {
        let relative = self.parts.iter().map(|(wanted, had)| (wanted - had).abs() / wanted.max(1e-9));
        relative.fold(0.0, f64::max)
    }

    /// The worst deviation of what was measured.
    #[must_use]
    pub fn deviation(&self) -> f64 {
        self.deviations.iter().map(|d| d.abs()).fold(0.0, f64::max)
    }
}

struct Miner {
    hashrate: f64,
    /// Difficulty of its shares.
    difficulty: f64,
    group: GroupId,
    goal: usize,
    meter: Arc<GroupMeter>,
    metered: f64,
    there: bool,
}

struct World {
    now: Duration,
    rng: Rng,
    router: Router,
    miners: Vec<Miner>,
    up: Vec<bool>,
    goal_of: BTreeMap<GroupId, usize>,
    channels: u32,
    /// Channels whose first job is due.
    fresh: Vec<(SourceId, Arc<ChannelState>)>,
    jobs: Vec<Arc<work::ChannelJob>>,
    notify: Arc<sv1::notify::NotifyParts>,
    moves: u64,
}

impl World {
    fn engine_now(&self) -> Now {
        Now { mono: self.now, unix: 1_700_000_000 + u32::try_from(self.now.as_secs()).unwrap_or(0) }
    }

    fn settle(&mut self) {
        let now = self.engine_now();
        while let Some(output) = self.router.poll() {
            match output {
                Output::Command(source, SourceCommand::Start) => {
                    self.up[usize::from(source.0)] = true;
                    self.router.event(source, SourceEvent::Ready { worker_names: false }, now);
                }
                Output::Command(source, SourceCommand::Open(wish)) if self.up[usize::from(source.0)] => {
                    self.channels += 1;
                    let key = ChannelKey { source, connection: 1, channel_id: self.channels };
                    let channel = Arc::new(ChannelState::new(key));
                    self.fresh.push((source, Arc::clone(&channel)));
                    let opened = SourceEvent::Opened { request: wish.request, channel, target: Target::MAX };
                    self.router.event(source, opened, now);
                }
                Output::Moved(miner, place) => {
                    self.moves += 1;
                    let goal = self.goal(place.group);
                    let miner = &mut self.miners[usize::try_from(miner.0).unwrap_or(0)];
                    (miner.group, miner.goal) = (place.group, goal);
                    miner.meter.shift_hashrate(-miner.metered);
                    place.meter.shift_hashrate(miner.metered);
                    miner.meter = place.meter;
                }
                _ => {}
            }
        }
    }

    fn goal(&mut self, group: GroupId) -> usize {
        let found = self.router.goal_of(group).map_or(0, |goal| usize::from(goal.0));
        *self.goal_of.entry(group).or_insert(found)
    }

    /// First jobs arrive.
    fn work(&mut self) {
        let now = self.engine_now();
        for (source, channel) in std::mem::take(&mut self.fresh) {
            if !self.up[usize::from(source.0)] {
                continue;
            }
            let feed = Feed {
                sequence: 0,
                channel,
                generation: 0,
                job: Arc::clone(&self.jobs[usize::from(source.0)]),
                notify: Arc::clone(&self.notify),
                received: self.now,
            };
            self.router.event(source, SourceEvent::Work(feed), now);
        }
        self.settle();
    }

    fn join(&mut self, at: usize) {
        let now = self.engine_now();
        let guess = self.miners[at].hashrate * (0.3 + 2.0 * self.rng.unit());
        let request = JoinRequest {
            miner: MinerRef(at as u64),
            route: RouteId(0),
            goal: None,
            hashrate: guess,
            identity: Arc::from("farm.rig"),
            miner_id_size: 4,
            extranonce2_size: 4,
            space: 0,
        };
        let (group, meter, _) = self.router.join(&request, now);
        meter.shift_hashrate(guess);
        self.router.joined(group, now);
        let goal = self.goal(group);
        let miner = &mut self.miners[at];
        (miner.group, miner.meter, miner.metered, miner.there) = (group, meter, guess, true);
        miner.goal = goal;
        self.settle();
    }

    fn leave(&mut self, at: usize) {
        let now = self.engine_now();
        let miner = &mut self.miners[at];
        miner.there = false;
        miner.meter.shift_hashrate(-miner.metered);
        self.router.leave(MinerRef(at as u64), miner.group, now);
        self.settle();
    }

    /// A second of a miner's work: its hashes, and what its shares add to the variance of what is measured.
    fn mine(&mut self, at: usize) -> (f64, f64) {
        let shares = self.rng.poisson(SHARES_PER_SECOND * self.miners[at].hashrate / self.miners[at].aim());
        let miner = &mut self.miners[at];
        for _ in 0..shares {
            miner.meter.count_share(miner.difficulty);
        }
        let share = miner.difficulty * HASHES_PER_DIFFICULTY;
        let seen = f64::from(shares) * share;
        let estimate = miner.metered + (seen - miner.metered) / ESTIMATE;
        miner.meter.shift_hashrate(estimate - miner.metered);
        miner.metered = estimate;
        (miner.hashrate, miner.hashrate * share)
    }

    fn set_up(&mut self, source: usize, up: bool) {
        let now = self.engine_now();
        self.up[source] = up;
        let id = SourceId(u16::try_from(source).unwrap_or(0));
        let event = if up {
            SourceEvent::Ready { worker_names: false }
        } else {
            SourceEvent::Down(DownReason::Connect("gone".to_owned()))
        };
        self.router.event(id, event, now);
        self.settle();
    }
}

impl Miner {
    /// The hashrate that its difficulty is right for.
    fn aim(&self) -> f64 {
        self.difficulty * HASHES_PER_DIFFICULTY * SHARES_PER_SECOND
    }
}

fn job(source: u16) -> Arc<work::ChannelJob> {
    let prefix = [&[2, 0, 0, 0, 1][..], &[0; 32], &[0xff; 4], &[12], &[3, 1, 2, 3]].concat();
    let suffix = [&[0xff; 4][..], &[1], &[0; 8], &[1, 0x51], &[0; 4]].concat();
    let parts = JobParts {
        id: 1,
        version: 0x2000_0000,
        version_rolling_allowed: true,
        prev_hash: [7; 32],
        nbits: 0x1d00_ffff,
        min_ntime: 1_700_000_000,
        merkle_path: Box::default(),
        coinbase_tx_prefix: prefix.into(),
        coinbase_tx_suffix: suffix.into(),
    };
    let terms = ChannelTerms {
        source: work::SourceId(source),
        generation: 0,
        extranonce_prefix: &[],
        filler: &[],
        source_target: Target::MAX,
        ntime_slack: 600,
        received_at: work::Seconds(0),
    };
    let job = Job::new(parts, 8).map(Arc::new).expect("a good job");
    Arc::new(work::ChannelJob::new(job, terms).expect("a good job"))
}

fn world(farm: &Farm) -> World {
    let mut rng = Rng::new(farm.seed);
    let ids = || (0..farm.weights.len()).filter_map(|n| u16::try_from(n).ok());
    let plan = |id: u16| SourcePlan {
        id: SourceId(id),
        user_identity: Arc::from("farm"),
        nominal_hashrate: None,
        miners_per_channel: None,
        declares: false,
    };
    let goal = |(id, weight): (u16, &f64)| GoalSettings {
        id: GoalId(id),
        share: Share { weight: *weight, hashrate_max: None },
        term: Term::default(),
        sources: vec![SourceId(id)],
    };
    let route = RouteSettings {
        id: RouteId(0),
        goals: ids().zip(&farm.weights).map(goal).collect(),
        return_after: Duration::from_secs(60),
        outage_grace: Duration::from_secs(600),
        keepalive: Duration::from_secs(30),
        grows: false,
    };
    let now = Duration::from_secs(1);
    let start = Now { mono: now, unix: 1_700_000_001 };
    let router = Router::new(ids().map(plan).collect(), vec![route], rng.next(), start);
    let miners = (0..farm.miners).map(|_| {
        // From a hobbyist's to a hall of containers behind one proxy: two orders of magnitude.
        let hashrate = 1e13 * 10f64.powf(2.0 * rng.unit());
        Miner {
            hashrate,
            difficulty: hashrate / SHARES_PER_SECOND / HASHES_PER_DIFFICULTY * (0.7 + 0.6 * rng.unit()),
            group: GroupId(u64::MAX),
            goal: 0,
            meter: Arc::default(),
            metered: 0.0,
            there: false,
        }
    });
    let miners = miners.collect();
    World {
        now,
        router,
        miners,
        up: vec![false; farm.weights.len()],
        goal_of: BTreeMap::new(),
        channels: 0,
        fresh: Vec::new(),
        jobs: ids().map(job).collect(),
        notify: Arc::new(sv1::notify::render_job(&[7; 32], &[], &[], &[], 0x2000_0000, 0x1d00_ffff)),
        moves: 0,
        rng,
    }
}

/// Lets a farm mine for an hour.
#[must_use]
pub fn weigh(farm: &Farm) -> WeightsReport {
    let mut world = world(farm);
    world.settle();
    let goals = farm.weights.len();
    let (mut wanted, mut had, mut variance) = (vec![0.0; goals], vec![0.0; goals], vec![0.0; goals]);
    let mut back_at = vec![0; goals];
    let (mut minute, mut most, mut lost) = (0, 0, false);
    for at in 0..farm.miners {
        world.join(at);
    }
    for second in 0..HOUR {
        world.now += Duration::from_secs(1);
        if second % 60 == 0 {
            if !lost {
                most = most.max(world.moves - minute);
            }
            (minute, lost) = (world.moves, false);
        }
        if farm.unsteady {
            for (goal, back_at) in back_at.iter_mut().enumerate() {
                // Every twenty minutes a source goes for some minutes.
                if world.up[goal] && world.rng.unit() < 1.0 / 1_200.0 {
                    *back_at = second + 30 + u32::try_from(world.rng.below(400)).unwrap_or(0);
                    world.set_up(goal, false);
                    lost = true;
                } else if !world.up[goal] && second >= *back_at {
                    world.set_up(goal, true);
                    lost = true;
                }
            }
            // Every ten seconds a miner of a farm of 200 and more goes, or one comes back.
            let at = world.rng.index(farm.miners);
            if farm.miners >= 200 && second % 10 == 0 {
                if world.miners[at].there { world.leave(at) } else { world.join(at) }
            }
        }
        world.work();
        let now = world.engine_now();
        if now.reached(world.router.deadline(now)) {
            world.router.timer(now);
            world.settle();
            world.work();
        }
        let present: f64 = (0..goals).filter(|g| world.up[*g]).map(|g| farm.weights[g]).sum();
        for at in 0..farm.miners {
            if !world.miners[at].there || present == 0.0 {
                continue;
            }
            let goal = world.miners[at].goal;
            if !world.up[goal] {
                continue;
            }
            let (hashes, spread) = world.mine(at);
            had[goal] += hashes;
            variance[goal] += spread;
            for goal in (0..goals).filter(|g| world.up[*g]) {
                wanted[goal] += hashes * farm.weights[goal] / present;
            }
        }
    }
    let total: f64 = had.iter().sum();
    let ids = (0..goals).map(|goal| GoalId(u16::try_from(goal).unwrap_or(0)));
    let measured = ids.map(|goal| world.router.work_of(goal));
    let deviations =
        measured.zip(&had).zip(&variance).map(|((seen, had), v)| (seen - had) / v.sqrt().max(1.0));
    WeightsReport {
        farm: farm.clone(),
        deviations: deviations.collect(),
        parts: wanted.iter().zip(&had).map(|(wanted, had)| (wanted / total, had / total)).collect(),
        moves: world.moves as f64 / farm.miners as f64,
        most_moves: most as f64 / farm.miners as f64,
    }
}
