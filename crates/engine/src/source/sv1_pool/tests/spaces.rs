//! The same miner ids in several spaces, over the router, an SV1 pool with several connections and a source that gives each
//! channel a prefix of its own: whatever comes and goes, nobody searches what another does.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::feed::ChannelState;
use crate::ids::{ChannelKey, GoalId, GroupId, RouteId};
use crate::router::{GoalSettings, JoinRequest, Output, RouteSettings, Router, Share, SourcePlan, Term};

/// Ids of a space.
const IDS: u8 = 2;
const SPACES: u8 = 4;
/// The SV1 pool's place and the other's: the test's pool has the id 2.
const OLD: SourceId = SourceId(2);
const NEW: SourceId = SourceId(1);

#[derive(Clone, Debug)]
enum Action {
    Join,
    Leave(prop::sample::Index),
    Pass(u64),
    OldDown,
    LaneDown(prop::sample::Index),
    NewDown,
    NewUp,
    Job(u8),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => Just(Action::Join),
        3 => any::<prop::sample::Index>().prop_map(Action::Leave),
        4 => (1u64..40).prop_map(Action::Pass),
        1 => Just(Action::OldDown),
        2 => any::<prop::sample::Index>().prop_map(Action::LaneDown),
        1 => Just(Action::NewDown),
        1 => Just(Action::NewUp),
        1 => (0u8..4).prop_map(Action::Job),
    ]
}

struct Miner {
    me: MinerRef,
    id: (u8, u8),
    group: GroupId,
    feed: Option<Arc<Feed>>,
}

struct World {
    old: Test,
    /// Connections of the SV1 pool that have stood, for an extranonce1 of each one's own.
    lanes: u32,
    router: Router,
    /// A job for the other source's channels.
    sample: Feed,
    new_up: bool,
    connection: u32,
    next_channel: u32,
    groups: BTreeMap<GroupId, Option<Arc<Feed>>>,
    miners: Vec<Miner>,
    next_miner: u64,
    /// Groups that were given up.
    unserved: BTreeSet<GroupId>,
}

impl World {
    fn new(connections_max: usize, outage_grace: u64) -> Self {
        let mut other = Test::new();
        other.ready(8);
        let sample = other.feed(1);
        let old = Test::with(|settings| settings.connections_max = connections_max);
        let plan = |id: u16| SourcePlan {
            id: SourceId(id),
            user_identity: "farm.1".into(),
            nominal_hashrate: None,
            miners_per_channel: None,
            declares: false,
        };
        let goal = |id: u16, sources: Vec<SourceId>| GoalSettings {
            id: GoalId(id),
            share: Share { weight: 1.0, hashrate_max: None },
            term: Term::default(),
            sources,
        };
        let route = RouteSettings {
            id: RouteId(0),
            goals: vec![goal(0, vec![OLD, NEW]), goal(1, vec![NEW, OLD])],
            return_after: Duration::from_secs(20),
            outage_grace: Duration::from_secs(outage_grace),
            keepalive: Duration::from_secs(30),
        };
        let router = Router::new((0..3).map(plan).collect(), vec![route], 5, old.now);
        Self {
            old,
            lanes: 0,
            router,
            sample,
            new_up: false,
            connection: 0,
            next_channel: 0,
            groups: BTreeMap::new(),
            miners: Vec::new(),
            next_miner: 0,
            unserved: BTreeSet::new(),
        }
    }

    fn act(&mut self, action: &Action) {
        let now = self.old.now;
        match action {
            Action::Join => self.join(),
            Action::Leave(at) if !self.miners.is_empty() => {
                let miner = self.miners.swap_remove(at.index(self.miners.len()));
                self.router.leave(miner.me, miner.group, now);
            }
            Action::Pass(seconds) => {
                for _ in 0..*seconds {
                    self.old.now.mono += Duration::from_secs(1);
                    self.old.now.unix += 1;
                    let now = self.old.now;
                    self.old.pool.timer(now, &mut self.old.fx);
                    self.router.timer(now);
                    self.settle();
                }
            }
            Action::OldDown => {
                while let Some(lane) = self.old.pool.lanes.keys().next().copied() {
                    self.lane_down(lane);
                }
            }
            Action::LaneDown(at) if !self.old.pool.lanes.is_empty() => {
                let lanes: Vec<u32> = self.old.pool.lanes.keys().copied().collect();
                self.lane_down(lanes[at.index(lanes.len())]);
            }
            Action::NewDown if self.new_up => {
                self.new_up = false;
                let down = SourceEvent::Down(DownReason::Lost("gone".into()));
                self.router.event(NEW, down, now);
            }
            Action::NewUp if !self.new_up => {
                (self.new_up, self.connection) = (true, self.connection + 1);
                self.router.event(NEW, SourceEvent::Ready { worker_names: false }, now);
            }
            Action::Job(tip) => {
                let lanes: Vec<u32> = self.old.pool.lanes.keys().copied().collect();
                lanes.into_iter().for_each(|lane| self.old.notify(lane, "later", *tip, true));
            }
            Action::Leave(_) | Action::LaneDown(_) | Action::NewDown | Action::NewUp => {}
        }
        self.settle();
    }

    fn lane_down(&mut self, lane: u32) {
        let now = self.old.now;
        self.old.pool.disconnected(lane, DownReason::Lost("gone".into()), now, &mut self.old.fx);
    }

    fn join(&mut self) {
        let taken: BTreeSet<(u8, u8)> = self.miners.iter().map(|miner| miner.id).collect();
        let all = (0..SPACES).flat_map(|space| (0..IDS).map(move |id| (space, id)));
        let Some(id) = all.into_iter().find(|id| !taken.contains(id)) else { return };
        let me = MinerRef(self.next_miner);
        self.next_miner += 1;
        let request = JoinRequest {
            miner: me,
            route: RouteId(0),
            goal: None,
            hashrate: 1e12,
            identity: "rig".into(),
            miner_id_size: 2,
            extranonce2_size: 4,
            space: id.0,
        };
        let now = self.old.now;
        let (group, meter, feed) = self.router.join(&request, now);
        meter.shift_hashrate(1e12);
        self.groups.entry(group).or_insert_with(|| feed.clone());
        self.miners.push(Miner { me, id, group, feed });
        self.router.joined(group, now);
    }

    /// Until nobody has anything to say.
    fn settle(&mut self) {
        loop {
            let mut quiet = true;
            while let Some(lane) = self.old.pool.to_dial() {
                quiet = false;
                self.old.pool.connected(lane, self.old.now, &mut self.old.fx);
                self.lanes += 1;
                let extranonce1 = format!("{:06x}", self.lanes);
                self.old.set_up_as(lane, 8, &extranonce1);
            }
            for event in self.old.events() {
                quiet = false;
                self.router.event(OLD, event, self.old.now);
            }
            while let Some(output) = self.router.poll() {
                quiet = false;
                self.carry_out(output);
            }
            self.old.fx.lines.clear();
            self.old.fx.hang_up.clear();
            if quiet {
                break;
            }
        }
        self.nobody_searches_what_another_does();
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Publish(group, feed) => {
                self.groups.insert(group, Some(Arc::clone(&feed)));
                let members = self.miners.iter_mut().filter(|miner| miner.group == group);
                members.for_each(|miner| miner.feed = Some(Arc::clone(&feed)));
            }
            Output::Moved(me, place) => {
                if let Some(miner) = self.miners.iter_mut().find(|miner| miner.me == me) {
                    miner.group = place.group;
                    miner.feed = place.feed.or(miner.feed.take());
                }
            }
            Output::Unserved(group) => drop(self.unserved.insert(group)),
            Output::Ended(group) => drop(self.groups.remove(&group)),
            Output::Command(OLD, command) => {
                self.old.pool.command(command, self.old.now, &mut self.old.fx);
            }
            Output::Command(NEW, SourceCommand::Open(wish)) if self.new_up => self.open(&wish),
            _ => {}
        }
    }

    fn open(&mut self, wish: &OpenChannel) {
        self.next_channel += 1;
        let key = ChannelKey { source: NEW, connection: self.connection, channel_id: self.next_channel };
        let channel = Arc::new(ChannelState::new(key));
        let feed = Feed { channel: Arc::clone(&channel), ..self.sample.clone() };
        let target = feed.job.source_target;
        let opened = SourceEvent::Opened { request: wish.request, channel, target };
        self.router.event(NEW, opened, self.old.now);
        self.router.event(NEW, SourceEvent::Work(feed), self.old.now);
    }

    /// What a miner searches: on an SV1 pool all channels of a connection are one space.
    fn nobody_searches_what_another_does(&self) {
        let mut searched = BTreeSet::new();
        for miner in &self.miners {
            let Some(feed) = &miner.feed else { continue };
            let key = feed.channel.key;
            let channel = (key.source == NEW).then_some(key.channel_id);
            let what = (key.source, key.connection, channel, miner.id.1);
            assert!(searched.insert(what), "two miners with id {} on {key:?}", miner.id.1);
        }
    }

    fn without_work(&self) -> usize {
        self.miners.iter().filter(|miner| miner.feed.is_none()).count()
    }
}

#[test]
fn whom_the_pool_has_no_connection_for_is_given_up_after_the_grace_and_the_others_are_not() {
    let mut world = World::new(1, 300);
    world.settle();
    (0..6).for_each(|_| world.act(&Action::Join));
    world.act(&Action::Pass(299));
    assert_eq!(world.unserved, BTreeSet::new());
    world.act(&Action::Pass(10));
    let (without, with): (Vec<&Miner>, Vec<&Miner>) =
        world.miners.iter().partition(|miner| world.unserved.contains(&miner.group));
    assert!(with.iter().all(|miner| miner.feed.is_some()) && !with.is_empty());
    assert!(without.iter().all(|miner| miner.feed.is_none()) && !without.is_empty());
    // The other source takes all of them.
    world.act(&Action::NewUp);
    world.act(&Action::OldDown);
    world.act(&Action::Pass(30));
    assert_eq!(world.without_work(), 0);
}

proptest! {
    #[test]
    fn nobody_searches_what_another_does_whatever_comes_and_goes(
        actions in prop::collection::vec(action(), 1..60),
        connections in 1usize..6,
    ) {
        let mut world = World::new(connections, 100_000);
        world.settle();
        for action in &actions {
            world.act(action);
        }
        // With room for all spaces everybody has work in the end.
        world.act(&Action::NewUp);
        world.act(&Action::Pass(60));
        if connections >= usize::from(SPACES) {
            prop_assert_eq!(world.without_work(), 0);
        }
    }
}
