//! What the router asks sources for, as their pools hear it.

use std::sync::Arc;
use std::time::Duration;

use super::{GoalSettings, JoinRequest, Output, RouteSettings, Router, SourcePlan};
use crate::source::{SourceCommand, SourceEvent};
use crate::{GoalId, GroupId, GroupMeter, MinerRef, Now, RouteId, SourceId};

const MINER: f64 = 1e12;

struct Farm {
    router: Router,
    now: Duration,
    miners: Vec<(GroupId, Arc<GroupMeter>)>,
}

impl Farm {
    fn new() -> Self {
        let source = SourcePlan {
            id: SourceId(0),
            user_identity: Arc::from("farm"),
            nominal_hashrate: None,
            miners_per_channel: None,
            declares: false,
        };
        let route = RouteSettings {
            id: RouteId(0),
            goals: vec![GoalSettings::whole(GoalId(0), vec![SourceId(0)])],
            return_after: Duration::from_secs(30),
            outage_grace: Duration::from_secs(5),
            keepalive: Duration::from_secs(30),
        };
        let now = Duration::ZERO;
        let mut farm =
            Self { router: Router::new(vec![source], vec![route], 1, at(now)), now, miners: Vec::new() };
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

    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now += Duration::from_secs(1);
            self.router.timer(at(self.now));
        }
    }

    fn join(&mut self, miners: u64) {
        for miner in 0..miners {
            let request = JoinRequest {
                miner: MinerRef(miner),
                route: RouteId(0),
                goal: None,
                hashrate: MINER,
                identity: Arc::from("farm.rig"),
                space: 0,
                miner_id_size: 4,
                extranonce2_size: 4,
            };
            let (group, meter, _) = self.router.join(&request, at(self.now));
            meter.shift_hashrate(MINER);
            self.router.joined(group, at(self.now));
            self.miners.push((group, meter));
        }
    }

    fn leave(&mut self) {
        for (miner, (group, meter)) in std::mem::take(&mut self.miners).into_iter().enumerate() {
            meter.shift_hashrate(-MINER);
            self.router.leave(MinerRef(miner as u64), group, at(self.now));
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
