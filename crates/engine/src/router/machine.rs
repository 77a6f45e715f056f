//! The router's state machine.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;

use super::goal::Goal;
use super::group::Group;
use super::moves::{Route, Seat};
use super::settings::{RouteSettings, SourcePlan};
use crate::feed::{ChannelState, Feed, GroupMeter};
use crate::ids::{GoalId, GroupId, MinerRef, RouteId, SourceId};
use crate::now::Now;
use crate::source::SourceCommand;

/// Groups and outages are looked at this often.
pub(super) const TICK: Duration = Duration::from_secs(1);
/// A channel wish that failed is repeated no sooner than this.
pub(super) const REOPEN_AFTER: Duration = Duration::from_secs(2);

/// A miner that is ready for work.
#[derive(Clone, Debug)]
pub struct JoinRequest {
    /// Who it is.
    pub miner: MinerRef,
    /// The route of its listener.
    pub route: RouteId,
    /// The goal that it is bound to; else it is shared out.
    pub goal: Option<GoalId>,
    /// Its hashrate, hashes per second, as far as can be guessed.
    pub hashrate: f64,
    /// Its worker's name.
    pub identity: Arc<str>,
    /// Bytes of miner id in its extranonce.
    pub miner_id_size: u8,
    /// Bytes of extranonce2.
    pub extranonce2_size: u8,
    /// The space of its miner id: miners of different spaces share no channel, on no source.
    pub space: u8,
}

/// What the router wants done.
#[derive(Clone, Debug)]
pub enum Output {
    /// New work for a group's miners.
    Publish(GroupId, Arc<Feed>),
    /// The miner is in another group from now on: it is measured there, and this is its newest work.
    Moved(MinerRef, Place),
    /// The group has no miners left.
    Ended(GroupId),
    /// For a source.
    Command(SourceId, SourceCommand),
    /// The route has had no source for longer than its grace: its miners are to be told and closed.
    OutageTold(RouteId),
    /// The route has a source again.
    OutageOver(RouteId),
    /// The group's source has no channel for it, while it has for others, for longer than the route's grace: its miners are
    /// to be told and closed.
    Unserved(GroupId),
    /// A route's goal mines for another source now: from, to.
    Switched(RouteId, GoalId, Option<SourceId>, Option<SourceId>),
    /// No miner mines for this source any more, nor ever will: it may end when its shares are answered.
    Retired(SourceId),
}

/// A miner's place among the groups.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its group.
    pub group: GroupId,
    /// Where its hashrate and its shares are counted.
    pub meter: Arc<GroupMeter>,
    /// The newest work, if there is any.
    pub feed: Option<Arc<Feed>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Group(GroupId),
    Standby,
}

#[derive(Debug)]
pub(super) struct Source {
    pub(super) plan: SourcePlan,
    pub(super) started: bool,
    pub(super) ready: bool,
    pub(super) worker_names: bool,
    pub(super) standby: Option<Arc<ChannelState>>,
    pub(super) standby_request: Option<u64>,
    /// No standby channel is asked for before this: the last wish failed.
    pub(super) standby_retry_at: Duration,
    /// No goal has it any more, though the configuration has: since when nobody mines for it.
    pub(super) unnamed: Option<Duration>,
    /// The configuration has it no more, since then.
    pub(super) leaving: Option<Duration>,
    /// And nobody mines for it.
    pub(super) retired: bool,
    /// Groups by channel of the present connection.
    pub(super) channels: HashMap<u32, GroupId, foldhash::fast::FixedState>,
}

impl Source {
    pub(super) fn new(plan: SourcePlan, hasher: foldhash::fast::FixedState) -> Self {
        Self {
            plan,
            started: false,
            ready: false,
            worker_names: false,
            standby: None,
            standby_request: None,
            standby_retry_at: Duration::ZERO,
            unnamed: None,
            leaving: None,
            retired: false,
            channels: HashMap::with_hasher(hasher),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Router {
    pub(super) routes: Vec<Route>,
    /// Of all routes.
    pub(super) goals: Vec<Goal>,
    /// The miners of routes with several goals.
    pub(super) seats: HashMap<MinerRef, Seat, foldhash::fast::FixedState>,
    pub(super) sources: Vec<Source>,
    pub(super) groups: HashMap<GroupId, Group, foldhash::fast::FixedState>,
    /// Groups with room, newest last; entries may be outdated.
    pub(super) open_groups: Vec<GroupId>,
    pub(super) requests: HashMap<u64, (SourceId, Purpose), foldhash::fast::FixedState>,
    /// For the tables of sources to come.
    pub(super) hasher: foldhash::fast::FixedState,
    pub(super) next_request: u64,
    pub(super) next_group: u64,
    pub(super) tick_at: Duration,
    pub(super) out: VecDeque<Output>,
}

impl Router {
    /// A router over these sources (in the order of their ids) and routes (in the order of theirs).
    ///
    /// # Panics
    /// If an id is not the position of its entry: the configuration makes them so.
    #[must_use]
    pub fn new(sources: Vec<SourcePlan>, routes: Vec<RouteSettings>, seed: u64, now: Now) -> Self {
        let hasher = foldhash::fast::FixedState::with_seed(seed);
        assert!(
            sources.iter().enumerate().all(|(n, s)| usize::from(s.id.0) == n),
            "source ids are positions"
        );
        assert!(routes.iter().enumerate().all(|(n, r)| usize::from(r.id.0) == n), "route ids are positions");
        let goals = routes.iter().flat_map(|route| route.goals.iter().map(move |goal| (route, goal)));
        let mut goals: Vec<Goal> =
            goals.map(|(route, goal)| Goal::new(goal.clone(), route, now.mono)).collect();
        assert!(goals.iter().enumerate().all(|(n, g)| usize::from(g.id.0) == n), "goal ids are positions");
        let routes: Vec<Route> = routes.into_iter().map(|r| Route::new(r, seed, now.mono)).collect();
        for plan in sources.iter().filter(|plan| plan.declares) {
            let candidates = goals.iter_mut().filter_map(|goal| goal.candidate(plan.id));
            candidates.for_each(|candidate| candidate.must_be_steady = false);
        }
        let mut router = Self {
            routes,
            goals,
            seats: HashMap::with_hasher(hasher.clone()),
            sources: sources.into_iter().map(|plan| Source::new(plan, hasher.clone())).collect(),
            groups: HashMap::with_hasher(hasher.clone()),
            open_groups: Vec::new(),
            requests: HashMap::with_hasher(hasher.clone()),
            hasher,
            next_request: 0,
            next_group: 0,
            tick_at: now.mono + TICK,
            out: VecDeque::new(),
        };
        router.start_sources();
        router
    }

    /// What to do next; call until there is nothing.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When [`Router::timer`] is to be called.
    #[must_use]
    pub fn deadline(&self, now: Now) -> Duration {
        let choices = self.goals.iter().filter_map(|goal| goal.deadline(now.mono));
        let outages = self.routes.iter().filter_map(|route| route.deadline(now.mono));
        choices.chain(outages).min().unwrap_or(Duration::MAX).min(self.tick_at)
    }
}
