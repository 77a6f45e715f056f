//! What the router asks sources for, as their pools hear it.

use std::sync::Arc;
use std::time::Duration;

use super::{GoalSettings, JoinRequest, MinersPerChannel, Output, RouteSettings, Router, SourcePlan};
use crate::source::{SourceCommand, SourceEvent};
use crate::{ChannelKey, ChannelState, GoalId, GroupId, GroupMeter, MinerRef, Now, RouteId, SourceId};
use work::Target;

const MINER: f64 = 1e12;

struct Farm {
    router: Router,
    now: Duration,
    channels: u32,
    miners: Vec<(MinerRef, GroupId, Arc<GroupMeter>)>,
}

impl Farm {
    fn new() -> Self {
        Self::with(None, 1)
    }

    fn with(miners_per_channel: Option<MinersPerChannel>, goals: u16) -> Self {
        let source = SourcePlan {
            id: SourceId(0),
            user_identity: Arc::from("farm"),
            nominal_hashrate: None,
            miners_per_channel,
            declares: false,
        };
        let route = RouteSettings {
            id: RouteId(0),
            goals: (0..goals).map(|id| GoalSettings::whole(GoalId(id), vec![SourceId(0)])).collect(),
            return_after: Duration::from_secs(30),
            outage_grace: Duration::from_secs(5),
            keepalive: Duration::from_secs(30),
            grows: false,
        };
        let now = Duration::ZERO;
        let mut farm = Self {
            router: Router::new(vec![source], vec![route], 1, at(now)),
            now,
            channels: 0,
            miners: Vec::new(),
        };
        farm.router.event(SourceId(0), SourceEvent::Ready { worker_names: false }, at(now));
        farm.opened();
        farm
    }

    /// Hashes per second of the channels that were asked for since.
    fn opened(&mut self) -> Vec<f64> {
        let outputs = std::iter::from_fn(|| self.router.poll());
        let wishes = outputs.filter_map(|output| match output {
            Output::Command(_, SourceCommand::Open(wish)) => Some(wish.nominal_hashrate),
            _ => None,
        });
        wishes.filter(|nominal| *nominal > 0.0).collect()
    }

    /// The source gives the channels that were asked for.
    fn answer(&mut self) {
        while let Some(output) = self.router.poll() {
            let Output::Command(source, SourceCommand::Open(wish)) = output else { continue };
            self.channels += 1;
            let key = ChannelKey { source, connection: 1, channel_id: self.channels };
            let channel = Arc::new(ChannelState::new(key));
            let opened = SourceEvent::Opened { request: wish.request, channel, target: Target::MAX };
            self.router.event(source, opened, at(self.now));
        }
    }

    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now += Duration::from_secs(1);
            self.router.timer(at(self.now));
        }
    }

    fn join(&mut self, miners: u64) {
        self.join_as(0..miners, |_| "farm.rig".to_owned());
    }

    fn join_as(&mut self, miners: std::ops::Range<u64>, name: impl Fn(u64) -> String) {
        for miner in miners {
            let request = JoinRequest {
                miner: MinerRef(miner),
                route: RouteId(0),
                goal: None,
                hashrate: MINER,
                identity: name(miner).into(),
                space: 0,
                miner_id_size: 4,
                extranonce2_size: 4,
            };
            let (group, meter, _) = self.router.join(&request, at(self.now));
            meter.shift_hashrate(MINER);
            self.router.joined(group, at(self.now));
            self.miners.push((request.miner, group, meter));
        }
    }

    fn leave(&mut self) {
        for (miner, group, meter) in std::mem::take(&mut self.miners) {
            meter.shift_hashrate(-MINER);
            self.router.leave(miner, group, at(self.now));
        }
    }
}

fn at(mono: Duration) -> Now {
    Now { mono, unix: 1_700_000_000 }
}

#[test]
fn miners_that_come_back_together_find_a_channel_that_is_right_for_them_all() {
    let mut farm = Farm::new();
    farm.join(1_000);
    assert_eq!(farm.opened(), [MINER], "nothing is known yet of those that follow the first");
    farm.pass(3);
    farm.leave();
    farm.pass(10);
    farm.opened();
    farm.join(1_000);
    let opened = farm.opened();
    assert_eq!(opened.len(), 1, "{opened:?}");
    assert!(opened[0] > 900.0 * MINER && opened[0] < 1_001.0 * MINER, "{opened:?}");
}

#[test]
fn what_the_miners_of_an_hour_ago_did_is_forgotten() {
    let mut farm = Farm::new();
    farm.join(1_000);
    farm.pass(3);
    farm.leave();
    farm.pass(3_600);
    farm.opened();
    farm.join(1);
    let opened = farm.opened();
    assert!(opened.len() == 1 && opened[0] < 1.02 * MINER, "{opened:?}");
}

#[test]
fn a_miner_that_comes_back_alone_is_not_taken_for_the_farm_for_long() {
    let mut farm = Farm::new();
    farm.join(1_000);
    farm.pass(3);
    farm.leave();
    farm.join(1);
    farm.pass(300);
    let group = farm.router.groups.values().next().expect("its group is there");
    assert!(group.hashrate() < 1.1 * MINER, "{}", group.hashrate());
}

#[test]
fn miners_under_ever_new_names_leave_few_channels_behind() {
    let mut farm = Farm::with(Some(MinersPerChannel::One), 2);
    // One stays, so that the route goes on.
    farm.join_as(0..1, |_| "farm.stays".to_owned());
    let stays = farm.miners.pop().expect("it has joined");
    for round in 1..100 {
        farm.join_as(round * 10..round * 10 + 10, |miner| format!("farm.{miner}"));
        farm.answer();
        farm.leave();
        farm.pass(1);
        let groups = farm.router.groups.len();
        // Its own, the one that it may come back to, and the one that it is on its way to.
        assert!(groups <= 32 + 3, "{groups} groups for one miner");
    }
    farm.miners.push(stays);
    farm.leave();
}
