//! Sources and goals that come and go while groups are bound: sources that answer at once, and miners that follow.

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use work::{ChannelTerms, Job, JobParts, Target};

use super::*;
use crate::feed::{ChannelState, Feed, GroupMeter};
use crate::ids::{ChannelKey, GoalId, GroupId, MinerRef, RouteId, SourceId};
use crate::now::Now;
use crate::source::{DownReason, OpenChannel, SourceCommand, SourceEvent};

type Map<K, V> = HashMap<K, V, foldhash::fast::FixedState>;

/// The router with sources around it that do at once what they are told.
struct World {
    router: Router,
    now: Now,
    /// By source: it is up.
    up: Vec<bool>,
    /// By source: it was told to start.
    started: Vec<bool>,
    /// Open channels, with their sources.
    channels: Map<(u16, u32), Arc<ChannelState>>,
    next_channel: u32,
    /// Where each miner is, as far as it was told.
    miners: Map<MinerRef, (GroupId, Arc<GroupMeter>)>,
    /// The source of each group's newest work.
    feeds: Map<GroupId, SourceId>,
    retired: Vec<SourceId>,
    told: usize,
}

fn plan(id: u16) -> SourcePlan {
    SourcePlan {
        id: SourceId(id),
        user_identity: Arc::from("farm"),
        nominal_hashrate: None,
        miners_per_channel: None,
        declares: false,
    }
}

fn goal(id: u16, sources: &[u16], weight: f64) -> GoalSettings {
    let share = Share { weight, hashrate_max: None };
    let sources = sources.iter().map(|id| SourceId(*id)).collect();
    GoalSettings { share, ..GoalSettings::whole(GoalId(id), sources) }
}

fn route(goals: Vec<GoalSettings>, grows: bool) -> RouteSettings {
    RouteSettings {
        id: RouteId(0),
        goals,
        return_after: Duration::from_secs(60),
        outage_grace: Duration::from_secs(600),
        keepalive: Duration::from_secs(30),
        grows,
    }
}

fn feed(channel: &Arc<ChannelState>, received: Duration) -> Feed {
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
        coinbase_tx_prefix: prefix.clone().into(),
        coinbase_tx_suffix: suffix.clone().into(),
    };
    let terms = ChannelTerms {
        source: work::SourceId(channel.key.source.0),
        generation: 0,
        extranonce_prefix: &[],
        filler: &[],
        source_target: Target::MAX,
        ntime_slack: 600,
        received_at: work::Seconds(0),
    };
    let job = Arc::new(Job::new(parts, 8).expect("a job"));
    Feed {
        sequence: 0,
        channel: Arc::clone(channel),
        generation: 0,
        job: Arc::new(work::ChannelJob::new(job, terms).expect("a channel's job")),
        notify: Arc::new(sv1::notify::render_job(&[7; 32], &prefix, &suffix, &[], 0x2000_0000, 0x1d00_ffff)),
        received,
    }
}

impl World {
    fn new(sources: u16, routes: RouteSettings) -> Self {
        let now = Now { mono: Duration::from_secs(1), unix: 1_700_000_001 };
        let router = Router::new((0..sources).map(plan).collect(), vec![routes], 7, now);
        let hasher = foldhash::fast::FixedState::with_seed(1);
        let mut world = Self {
            router,
            now,
            up: vec![true; usize::from(sources)],
            started: vec![false; usize::from(sources)],
            channels: Map::with_hasher(hasher.clone()),
            next_channel: 0,
            miners: Map::with_hasher(hasher.clone()),
            feeds: Map::with_hasher(hasher),
            retired: Vec::new(),
            told: 0,
        };
        world.carry_out();
        world
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.router.poll() {
            match output {
                Output::Command(source, command) => self.command(source, command),
                Output::Publish(group, feed) => {
                    assert!(!self.retired.contains(&feed.source()) || !feed.channel.is_alive());
                    self.feeds.insert(group, feed.source());
                }
                Output::Moved(miner, place) => {
                    let (_, meter) = self.miners.get_mut(&miner).expect("a miner that is there");
                    let hashrate = meter.hashrate();
                    meter.shift_hashrate(-hashrate);
                    place.meter.shift_hashrate(hashrate);
                    self.miners.insert(miner, (place.group, place.meter));
                }
                Output::Ended(group) => {
                    assert!(self.miners.values().all(|(of, _)| *of != group), "nobody is left behind");
                    self.feeds.remove(&group);
                }
                Output::OutageTold(_) => self.told += 1,
                Output::OutageOver(_) | Output::Switched(..) | Output::Unserved(_) => {}
                Output::Retired(source) => {
                    assert!(!self.retired.contains(&source), "once");
                    self.retired.push(source);
                }
            }
        }
    }

    fn command(&mut self, source: SourceId, command: SourceCommand) {
        let at = usize::from(source.0);
        match command {
            SourceCommand::Start => {
                self.started[at] = true;
                if self.up[at] {
                    self.router.event(source, SourceEvent::Ready { worker_names: false }, self.now);
                }
            }
            SourceCommand::Open(wish) => self.open(source, &wish),
            SourceCommand::Close { channel_id } => {
                if let Some(channel) = self.channels.remove(&(source.0, channel_id)) {
                    channel.end();
                }
            }
            SourceCommand::Stop => {
                self.started[at] = false;
                self.channels.retain(|(of, _), _| *of != source.0);
                self.router.event(source, SourceEvent::Down(DownReason::NotStarted), self.now);
            }
            SourceCommand::Update { .. } | SourceCommand::SetTag(_) => {}
        }
    }

    fn open(&mut self, source: SourceId, wish: &OpenChannel) {
        self.next_channel += 1;
        let key = ChannelKey { source, connection: 1, channel_id: self.next_channel };
        let channel = Arc::new(ChannelState::new(key));
        self.channels.insert((source.0, self.next_channel), Arc::clone(&channel));
        let opened =
            SourceEvent::Opened { request: wish.request, channel: Arc::clone(&channel), target: Target::MAX };
        self.router.event(source, opened, self.now);
        self.router.event(source, SourceEvent::Work(feed(&channel, self.now.mono)), self.now);
    }

    fn set_up(&mut self, source: u16, up: bool) {
        let at = usize::from(source);
        self.up[at] = up;
        if up && self.started[at] {
            self.router.event(SourceId(source), SourceEvent::Ready { worker_names: false }, self.now);
        } else if !up {
            self.channels.retain(|(of, _), channel| {
                if *of == source {
                    channel.end();
                }
                *of != source
            });
            let down = SourceEvent::Down(DownReason::Lost("gone".into()));
            self.router.event(SourceId(source), down, self.now);
        }
        self.carry_out();
    }

    fn join(&mut self, miner: u64) {
        let request = JoinRequest {
            miner: MinerRef(miner),
            route: RouteId(0),
            goal: None,
            hashrate: 1e14,
            identity: Arc::from(format!("farm.{miner}").as_str()),
            miner_id_size: 4,
            extranonce2_size: 4,
            space: 0,
        };
        let (group, meter, _) = self.router.join(&request, self.now);
        meter.shift_hashrate(1e14);
        self.miners.insert(MinerRef(miner), (group, meter));
        self.router.joined(group, self.now);
        self.carry_out();
    }

    fn leave(&mut self, miner: u64) {
        let (group, meter) = self.miners.remove(&MinerRef(miner)).expect("it is there");
        meter.shift_hashrate(-1e14);
        self.router.leave(MinerRef(miner), group, self.now);
        self.carry_out();
    }

    fn run(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now.mono += Duration::from_secs(1);
            self.now.unix += 1;
            self.router.timer(self.now);
            self.carry_out();
        }
    }

    fn change(&mut self, change: Change) {
        for _ in &change.sources {
            self.up.push(true);
            self.started.push(false);
        }
        self.router.change(change, self.now);
        self.carry_out();
    }

    /// The source that each miner mines for, by miner.
    fn mined(&self) -> Vec<u16> {
        let mut miners: Vec<_> = self.miners.iter().collect();
        miners.sort_by_key(|(miner, _)| miner.0);
        miners.into_iter().map(|(_, (group, _))| self.feeds[group].0).collect()
    }

    fn all_mine_for(&self, source: u16) {
        let mined = self.mined();
        assert!(mined.iter().all(|of| *of == source), "{mined:?}");
    }
}

fn removed(source: u16) -> Removed {
    Removed { source: SourceId(source), successor: None }
}

/// A route with one list over sources 0 and 1, of which 0 is mined for by ten miners.
fn one_list() -> World {
    let mut world = World::new(2, route(vec![goal(0, &[0, 1], 1.0)], false));
    (0..10).for_each(|miner| world.join(miner));
    world.run(2);
    world.all_mine_for(0);
    world
}

#[test]
fn a_source_that_is_taken_out_is_left_at_once_for_the_next_and_then_retires() {
    let mut world = one_list();
    let change = Change {
        routes: vec![route(vec![goal(0, &[1], 1.0)], false)],
        removed: vec![removed(0)],
        ..Change::default()
    };
    world.change(change);
    world.all_mine_for(1);
    assert_eq!(world.retired, [SourceId(0)]);
    assert!(world.channels.keys().all(|(source, _)| *source == 1), "its channels are given back");
    world.run(700);
    world.all_mine_for(1);
    assert_eq!(world.told, 0);
}

#[test]
fn a_source_that_comes_first_in_the_list_is_gone_to_when_it_has_been_steady() {
    let mut world = one_list();
    let change = Change {
        sources: vec![plan(2)],
        routes: vec![route(vec![goal(0, &[2, 0, 1], 1.0)], false)],
        ..Change::default()
    };
    world.change(change);
    world.run(58);
    world.all_mine_for(0);
    world.run(4);
    world.all_mine_for(2);
}

#[test]
fn one_that_takes_anothers_place_is_waited_for_while_that_is_mined_for_and_no_detour_is_made() {
    let mut world = one_list();
    let change = Change {
        sources: vec![plan(2)],
        routes: vec![route(vec![goal(0, &[2, 1], 1.0)], false)],
        removed: vec![Removed { source: SourceId(0), successor: Some(SourceId(2)) }],
    };
    world.up.push(false);
    world.started.push(false);
    world.router.change(change, world.now);
    world.carry_out();
    world.run(10);
    world.all_mine_for(0);
    assert_eq!(world.retired, []);
    world.set_up(2, true);
    world.all_mine_for(2);
    assert_eq!(world.retired, [SourceId(0)]);
}

#[test]
fn where_the_new_one_does_not_come_up_the_next_is_taken_and_at_last_nobody_mines_for_the_old_one() {
    for others in [&[2, 1][..], &[2]] {
        let mut world = one_list();
        let change = Change {
            sources: vec![plan(2)],
            routes: vec![route(vec![goal(0, others, 1.0)], false)],
            removed: vec![Removed { source: SourceId(0), successor: Some(SourceId(2)) }],
        };
        world.up.push(false);
        world.started.push(false);
        world.router.change(change, world.now);
        world.carry_out();
        world.run(20);
        if others.len() == 2 {
            world.all_mine_for(1);
            assert_eq!(world.retired, [SourceId(0)]);
        } else {
            world.all_mine_for(0);
            world.run(75);
            assert_eq!(world.retired, [SourceId(0)], "it was taken out");
            assert!(world.channels.is_empty(), "nor is anything left of one that no goal has");
            world.set_up(2, true);
            world.all_mine_for(2);
        }
        assert_eq!(world.told, 0, "nobody is sent away");
    }
}

#[test]
fn a_source_that_no_goal_has_is_stopped_until_one_has_it_again() {
    let mut world = one_list();
    world.change(Change { routes: vec![route(vec![goal(0, &[1], 1.0)], false)], ..Change::default() });
    // What it mines for goes on until there is another job: here at once.
    world.all_mine_for(1);
    world.run(15);
    assert_eq!(world.started, [true, true], "shares may be on their way");
    world.run(10);
    assert_eq!((world.started.as_slice(), world.retired.len()), (&[false, true][..], 0));
    world.change(Change { routes: vec![route(vec![goal(0, &[0, 1], 1.0)], false)], ..Change::default() });
    assert_eq!(world.started, [true, true]);
    world.run(65);
    world.all_mine_for(0);
}

#[test]
fn one_that_goes_down_while_it_leaves_is_forgotten() {
    let mut world = one_list();
    world.set_up(1, false);
    let routes = vec![route(vec![goal(0, &[1], 1.0)], false)];
    world.change(Change { routes, removed: vec![removed(0)], ..Change::default() });
    world.all_mine_for(0);
    world.set_up(0, false);
    assert_eq!(world.retired, [SourceId(0)]);
    // Whatever else it says is heard by nobody.
    world.set_up(0, true);
    world.run(5);
    world.set_up(1, true);
    world.all_mine_for(1);
}

/// Two goals, each with a source of its own, and forty miners.
fn two_goals() -> World {
    let mut world = World::new(2, route(vec![goal(0, &[0], 1.0), goal(1, &[1], 1.0)], true));
    (0..40).for_each(|miner| world.join(miner));
    world.run(120);
    world
}

fn part(world: &World, source: u16) -> usize {
    world.mined().iter().filter(|of| **of == source).count()
}

#[test]
fn a_goal_that_comes_gets_its_part_and_one_that_goes_gives_its_own_back_at_once() {
    let mut world = two_goals();
    assert!((15..=25).contains(&part(&world, 0)), "{}", part(&world, 0));
    let three = vec![goal(0, &[0], 1.0), goal(1, &[1], 1.0), goal(2, &[2], 2.0)];
    world.change(Change { sources: vec![plan(2)], routes: vec![route(three, true)], ..Change::default() });
    world.run(120);
    assert!((15..=25).contains(&part(&world, 2)), "{}", part(&world, 2));

    let two = vec![goal(0, &[0], 1.0), goal(2, &[2], 1.0)];
    world.change(Change { routes: vec![route(two, true)], removed: vec![removed(1)], ..Change::default() });
    world.run(2);
    assert_eq!(part(&world, 1), 0);
    assert_eq!(world.retired, [SourceId(1)]);
    assert_eq!(world.miners.len(), 40);
    let report = world.router.goal(GoalId(1));
    assert_eq!((report.miners, report.active), (0, None));

    // It comes back under its number, with another source.
    let three = vec![goal(0, &[0], 1.0), goal(1, &[3], 1.0), goal(2, &[2], 1.0)];
    world.change(Change { sources: vec![plan(3)], routes: vec![route(three, true)], ..Change::default() });
    world.run(120);
    assert!(part(&world, 3) >= 8, "{}", part(&world, 3));
    (0..40).for_each(|miner| world.leave(miner));
    world.run(2);
    assert!(world.feeds.is_empty(), "no group is left");
}

#[test]
fn of_a_route_whose_only_goal_may_get_company_miners_can_be_moved() {
    let mut world = World::new(1, route(vec![goal(0, &[0], 1.0)], true));
    (0..20).for_each(|miner| world.join(miner));
    world.run(60);
    let goals = vec![goal(0, &[0], 0.0), goal(1, &[1], 1.0)];
    world.change(Change { sources: vec![plan(1)], routes: vec![route(goals, true)], ..Change::default() });
    world.run(120);
    world.all_mine_for(1);
}

#[test]
fn workers_are_bound_anew() {
    let mut world = two_goals();
    world.router.bind_workers(|_, worker| (worker >= "farm.2").then_some(GoalId(1)));
    world.run(60);
    let mined = world.mined();
    for miner in 0..40_u64 {
        let bound = format!("farm.{miner}").as_str() >= "farm.2";
        assert!(!bound || mined[usize::try_from(miner).expect("small")] == 1, "{miner}: {mined:?}");
    }
    world.router.bind_workers(|_, _| None);
    world.run(600);
    assert!((10..=30).contains(&part(&world, 0)), "{}", part(&world, 0));
}

#[test]
fn whatever_comes_and_goes_every_miner_has_work_and_what_was_taken_out_retires() {
    // A walk by the numbers of a linear congruence: the same each time.
    for seed in 0..40_u64 {
        let mut state = seed;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut world = two_goals();
        // Goals in force with their sources.
        let mut goals: Vec<(u16, u16)> = vec![(0, 0), (1, 1)];
        let (mut next_goal, mut next_source) = (2, 2);
        let mut out = Vec::new();
        for _ in 0..12 {
            let mut change = Change::default();
            if goals.len() > 1 && random(2) == 0 {
                let at = usize::try_from(random(goals.len() as u64)).expect("small");
                let (_, source) = goals.remove(at);
                change.removed.push(removed(source));
                out.push(SourceId(source));
            }
            if random(3) > 0 {
                change.sources.push(plan(next_source));
                match random(2) {
                    0 => {
                        goals.push((next_goal, next_source));
                        next_goal += 1;
                    }
                    _ => {
                        let at = usize::try_from(random(goals.len() as u64)).expect("small");
                        let source = std::mem::replace(&mut goals[at].1, next_source);
                        let successor = Some(SourceId(next_source));
                        change.removed.push(Removed { source: SourceId(source), successor });
                        out.push(SourceId(source));
                    }
                }
                next_source += 1;
            }
            let settings = goals.iter().map(|(id, source)| goal(*id, &[*source], 1.0)).collect();
            change.routes.push(route(settings, true));
            world.change(change);
            world.run(1 + random(90));
            let mined = world.mined();
            assert_eq!(mined.len(), 40);
        }
        world.run(100);
        let mut retired = world.retired.clone();
        retired.sort_unstable();
        out.sort_unstable();
        assert_eq!(retired, out, "seed {seed}");
        let there: Vec<u16> = goals.iter().map(|(_, source)| *source).collect();
        assert!(world.mined().iter().all(|source| there.contains(source)), "seed {seed}");
        assert_eq!(world.told, 0);
    }
}
