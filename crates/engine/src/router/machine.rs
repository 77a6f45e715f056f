//! The router's state machine.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use work::Target;
use work::hashrate::NominalHashrate;

use super::goal::{Goal, UNUSABLE_FOR};
use super::group::{
    Bound, FAR_OUTGROWN, FIRST_JOB_DEADLINE, FURTHER_CHANNEL_INTERVAL, Group, KEPT_IDLE, OUTGROWN,
    OUTGROWN_GRACE, Opening,
};
use super::moves::{Route, Seat};
use super::settings::{MinersPerChannel, RouteSettings, SourcePlan};
use crate::feed::{ChannelState, Feed, GroupMeter};
use crate::ids::{GoalId, GroupId, MinerRef, RouteId, SourceId};
use crate::now::Now;
use crate::source::{ChannelRefusal, OpenChannel, SourceCommand, SourceEvent};

/// Groups and outages are looked at this often.
const TICK: Duration = Duration::from_secs(1);
/// A channel wish that failed is repeated no sooner than this.
const REOPEN_AFTER: Duration = Duration::from_secs(2);

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
enum Purpose {
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
    standby_request: Option<u64>,
    /// No standby channel is asked for before this: the last wish failed.
    standby_retry_at: Duration,
    /// No goal has it any more, though the configuration has: since when nobody mines for it.
    pub(super) unnamed: Option<Duration>,
    /// The configuration has it no more, since then.
    pub(super) leaving: Option<Duration>,
    /// And nobody mines for it.
    pub(super) retired: bool,
    /// Groups by channel of the present connection.
    channels: HashMap<u32, GroupId, foldhash::fast::FixedState>,
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
    open_groups: Vec<GroupId>,
    requests: HashMap<u64, (SourceId, Purpose), foldhash::fast::FixedState>,
    /// For the tables of sources to come.
    pub(super) hasher: foldhash::fast::FixedState,
    next_request: u64,
    next_group: u64,
    tick_at: Duration,
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

    // ---- miners ----

    /// A miner is ready for work: it is put into a group, and gets that group's newest work if there is any.
    pub fn join(&mut self, request: &JoinRequest, now: Now) -> (GroupId, Arc<GroupMeter>, Option<Arc<Feed>>) {
        let goal = self.goal_for(request);
        let id = self.group_with_room(request, goal, now);
        let group = self.groups.get_mut(&id).expect("found or made");
        group.members += 1;
        group.idle_since = None;
        group.nominal.members_changed();
        let (meter, feed) = (Arc::clone(&group.meter), group.last_feed.clone());
        self.close_when_full(id);
        let meter = self.sit_down(request, goal, id, meter, now);
        (id, meter, feed)
    }

    /// A group of the goal with room for one more like this; made if there is none.
    pub(super) fn group_with_room(&mut self, request: &JoinRequest, goal: GoalId, now: Now) -> GroupId {
        let limit = self.limit(goal);
        let fits = |g: &Group| {
            g.goal == goal
                && g.members < g.limit
                && g.miner_id_size == request.miner_id_size
                && g.extranonce2_size == request.extranonce2_size
                && g.space == request.space
        };
        let found = if limit > 1 {
            self.open_groups.iter().rev().copied().find(|id| self.groups.get(id).is_some_and(fits))
        } else if self.is_split(request.route) {
            // It may have been here before.
            let its = |g: &&Group| fits(g) && g.identity.as_ref() == Some(&request.identity);
            self.groups.values().find(its).map(|g| g.id)
        } else {
            None
        };
        found.unwrap_or_else(|| self.make_group(request, goal, limit, now))
    }

    pub(super) fn close_when_full(&mut self, id: GroupId) {
        if self.groups.get(&id).is_some_and(|group| group.members >= group.limit) {
            self.open_groups.retain(|g| *g != id);
        }
    }

    fn make_group(&mut self, request: &JoinRequest, goal: GoalId, limit: u32, now: Now) -> GroupId {
        let id = GroupId(self.next_group);
        self.next_group += 1;
        let group = Group {
            id,
            route: request.route,
            goal,
            limit,
            members: 0,
            awaited: 0,
            awaited_hashrate: 0.0,
            idle_since: None,
            most: 0.0,
            // One miner's own channel has its own estimate.
            peak: if limit > 1 { self.goals[usize::from(goal.0)].had.now(now.mono) } else { 0.0 },
            miner_id_size: request.miner_id_size,
            extranonce2_size: request.extranonce2_size,
            space: request.space,
            identity: (limit == 1).then(|| Arc::clone(&request.identity)),
            meter: Arc::default(),
            current: None,
            opening: None,
            incoming: None,
            last_feed: None,
            sequence: 0,
            published: now.mono,
            nominal: NominalHashrate::new(0.0, now.mono),
            outgrown_since: None,
            opened_at: Duration::ZERO,
            shares_seen: (0, now.mono),
            recent_shares: 0.0,
            unserved_since: None,
            refused: None,
            incoming_since: now.mono,
        };
        self.groups.insert(id, group);
        if limit > 1 {
            self.open_groups.push(id);
        }
        id
    }

    /// The group's first estimate of hashrate stands in its meter: its channel can be opened with it.
    pub fn joined(&mut self, group: GroupId, now: Now) {
        self.bind(group, now);
    }

    /// A miner has gone. `group` is the one that it knew of; it may be on its way to another.
    pub fn leave(&mut self, miner: MinerRef, group: GroupId, now: Now) {
        let group = self.stand_up(miner, now).unwrap_or(group);
        self.one_less(group, now);
    }

    /// A group has one miner less.
    pub(super) fn one_less(&mut self, group: GroupId, now: Now) {
        let Some(g) = self.groups.get_mut(&group) else {
            return;
        };
        g.members -= 1;
        g.nominal.members_changed();
        let route = g.route;
        if g.members < g.limit && g.members + 1 == g.limit && g.limit > 1 {
            self.open_groups.push(group);
        }
        if g.members > 0 {
            return;
        }
        g.idle_since = Some(now.mono);
        let is_gone = self.goals[usize::from(g.goal.0)].gone;
        if is_gone {
            self.end_group(group, now);
        }
        if !self.comes_back(route) {
            let idle: Vec<GroupId> =
                self.groups.values().filter(|g| g.route == route && g.members == 0).map(|g| g.id).collect();
            idle.into_iter().for_each(|id| self.end_group(id, now));
            self.keep_standby(now);
        }
        self.look_at_the_leaving(now);
    }

    /// Nobody is in the group, and nobody will be.
    pub(super) fn end_group(&mut self, id: GroupId, now: Now) {
        self.open_groups.retain(|open| *open != id);
        let Some(g) = self.groups.remove(&id) else { return };
        let goal = &mut self.goals[usize::from(g.goal.0)];
        goal.work_before += g.meter.work();
        if g.limit > 1 {
            goal.had.ended(g.most, now.mono);
        }
        for bound in g.current.into_iter().chain(g.incoming) {
            self.close(&bound);
        }
        if let Some(opening) = g.opening {
            // Its answer finds no group any more and is closed then.
            debug_assert!(self.requests.contains_key(&opening.request));
        }
        self.out.push_back(Output::Ended(id));
    }

    fn limit(&self, goal: GoalId) -> u32 {
        let goal = &self.goals[usize::from(goal.0)];
        let sources = || goal.candidates.iter().map(|c| &self.sources[usize::from(c.source.0)]);
        if sources().any(|s| s.plan.declares) {
            return MinersPerChannel::All.limit();
        }
        let fixed = sources().filter_map(|s| s.plan.miners_per_channel).map(MinersPerChannel::limit).min();
        fixed.unwrap_or_else(|| {
            let names = goal.active.is_some_and(|s| self.sources[usize::from(s.0)].worker_names);
            if names { MinersPerChannel::WITH_WORKER_NAMES.limit() } else { MinersPerChannel::All.limit() }
        })
    }

    // ---- sources ----

    /// A source has told something.
    pub fn event(&mut self, source: SourceId, event: SourceEvent, now: Now) {
        match event {
            SourceEvent::Ready { worker_names } => {
                let s = &mut self.sources[usize::from(source.0)];
                s.ready = true;
                s.worker_names = worker_names;
                for goal in &mut self.goals {
                    if let Some(c) = goal.candidate(source) {
                        c.ready_since = Some(now.mono);
                        c.unusable_until = None;
                        c.unusable_why = None;
                    }
                }
                self.choose(now);
                self.keep_standby(now);
            }
            SourceEvent::Down(_) => {
                self.down(source, now);
            }
            SourceEvent::Opened { request, channel, .. } => self.opened(source, request, channel, now),
            SourceEvent::NotOpened { request, why } => self.not_opened(source, request, &why, now),
            SourceEvent::Work(feed) => self.work(source, feed, now),
            SourceEvent::TargetChanged { .. } => {
                // Holds for the next job, which carries it.
            }
            SourceEvent::Closed { channel_id, .. } => self.closed(source, channel_id, now),
        }
    }

    fn down(&mut self, source: SourceId, now: Now) {
        let s = &mut self.sources[usize::from(source.0)];
        s.ready = false;
        s.standby = None;
        s.standby_request = None;
        s.channels.clear();
        self.requests.retain(|_, (of, _)| *of != source);
        for goal in &mut self.goals {
            if let Some(c) = goal.candidate(source) {
                c.must_be_steady |= c.ready_since.take().is_some();
            }
        }
        for group in self.groups.values_mut() {
            if group.current.as_ref().is_some_and(|b| b.source() == source) {
                group.current = None;
            }
            if group.incoming.as_ref().is_some_and(|b| b.source() == source) {
                group.incoming = None;
            }
            if group.opening.as_ref().is_some_and(|o| o.source == source) {
                group.opening = None;
            }
        }
        self.choose(now);
        self.start_sources();
    }

    fn opened(&mut self, source: SourceId, request: u64, channel: Arc<ChannelState>, now: Now) {
        let channel_id = channel.key.channel_id;
        let purpose = self.requests.remove(&request).map(|(_, p)| p);
        let close = Output::Command(source, SourceCommand::Close { channel_id });
        match purpose {
            Some(Purpose::Group(id)) => {
                let wanted = self
                    .groups
                    .get_mut(&id)
                    .and_then(|g| g.opening.take_if(|o| o.request == request).map(|o| (g, o)));
                let Some((group, opening)) = wanted else {
                    self.out.push_back(close);
                    return;
                };
                let bound = Bound { channel, sized_for: opening.nominal };
                let replaced = group.incoming.replace(bound);
                group.incoming_since = now.mono;
                self.sources[usize::from(source.0)].channels.insert(channel_id, id);
                if let Some(replaced) = replaced {
                    self.close(&replaced);
                }
            }
            Some(Purpose::Standby) => {
                let s = &mut self.sources[usize::from(source.0)];
                s.standby_request = None;
                s.standby = Some(channel);
                self.keep_standby(now);
            }
            None => self.out.push_back(close),
        }
    }

    fn not_opened(&mut self, source: SourceId, request: u64, why: &ChannelRefusal, now: Now) {
        match self.requests.remove(&request).map(|(_, p)| p) {
            Some(Purpose::Group(id)) => {
                let Some(group) = self.groups.get_mut(&id) else {
                    return;
                };
                if group.opening.take_if(|o| o.request == request).is_none() {
                    return;
                }
                group.refused = Some((source, now.mono + REOPEN_AFTER));
                let goal = group.goal;
                self.blame(goal, source, &why.to_string(), now);
                self.choose(now);
            }
            Some(Purpose::Standby) => {
                let source = &mut self.sources[usize::from(source.0)];
                source.standby_request = None;
                source.standby_retry_at = now.mono + UNUSABLE_FOR;
            }
            None => {}
        }
    }

    /// A channel was opened and got no job: it is closed, and the goal looks elsewhere if that source carries
    /// none of its groups.
    fn give_up_jobless(&mut self, id: GroupId, now: Now) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        let Some(bound) = group.incoming.take() else { return };
        let source = bound.source();
        group.refused = Some((source, now.mono + REOPEN_AFTER));
        let goal = group.goal;
        self.close(&bound);
        self.blame(goal, source, "it opened a channel and sent no job", now);
        self.choose(now);
    }

    /// A source could not serve a group: the goal leaves it out for a while, unless it carries others there.
    fn blame(&mut self, goal: GoalId, source: SourceId, why: &str, now: Now) {
        let works = self
            .groups
            .values()
            .any(|g| g.goal == goal && g.current.as_ref().is_some_and(|b| b.source() == source));
        if !works && let Some(candidate) = self.goals[usize::from(goal.0)].candidate(source) {
            candidate.unusable_until = Some(now.mono + UNUSABLE_FOR);
            candidate.unusable_why = Some(why.to_owned());
        }
    }

    fn work(&mut self, source: SourceId, feed: Feed, now: Now) {
        let channel_id = feed.channel.key.channel_id;
        let Some(id) = self.sources[usize::from(source.0)].channels.get(&channel_id).copied() else {
            return; // a standby's channel: that work comes is all that matters
        };
        let Some(group) = self.groups.get_mut(&id) else {
            return;
        };
        let mut old = None;
        if group.incoming.as_ref().is_some_and(|b| b.channel.key == feed.channel.key) {
            // First work on the new channel: the group moves with this notify.
            old = group.current.take();
            group.current = group.incoming.take();
            group.outgrown_since = None;
        }
        match &mut group.current {
            Some(bound) if bound.channel.key == feed.channel.key => {
                // A job made after the pool heard of the farm's growth carries the right target.
                bound.sized_for = bound.sized_for.max(group.nominal.last_sent());
                if bound.sized_for * OUTGROWN >= group.hashrate() {
                    group.outgrown_since = None;
                }
                Self::publish(group, feed, now, &mut self.out);
            }
            _ => {}
        }
        if let Some(old) = old {
            self.close(&old);
        }
        self.bring_the_awaited(id, now);
        self.keep_standby(now);
        self.look_at_the_leaving(now);
    }

    fn publish(group: &mut Group, mut feed: Feed, now: Now, out: &mut VecDeque<Output>) {
        group.sequence += 1;
        feed.sequence = group.sequence;
        let feed = Arc::new(feed);
        group.last_feed = Some(Arc::clone(&feed));
        group.published = now.mono;
        out.push_back(Output::Publish(group.id, feed));
    }

    fn closed(&mut self, source: SourceId, channel_id: u32, now: Now) {
        let s = &mut self.sources[usize::from(source.0)];
        if s.standby.take_if(|c| c.key.channel_id == channel_id).is_some() {
            return; // asked for again at the next tick
        }
        let Some(id) = s.channels.remove(&channel_id) else {
            return;
        };
        if let Some(group) = self.groups.get_mut(&id) {
            group.current.take_if(|b| b.source() == source && b.channel_id() == channel_id);
            group.incoming.take_if(|b| b.source() == source && b.channel_id() == channel_id);
            if group.members == 0 {
                return; // ended at the next tick
            }
        }
        self.bind(id, now);
    }

    pub(super) fn close(&mut self, bound: &Bound) {
        let source = &mut self.sources[usize::from(bound.source().0)];
        if bound.channel.is_alive() && source.channels.remove(&bound.channel_id()).is_some() {
            let command = SourceCommand::Close { channel_id: bound.channel_id() };
            self.out.push_back(Output::Command(bound.source(), command));
        }
    }

    // ---- choice ----

    /// Each goal looks at its sources again; what changed is carried out.
    pub(super) fn choose(&mut self, now: Now) {
        for at in 0..self.goals.len() {
            let goal = &mut self.goals[at];
            let chosen = goal.choose(now.mono);
            if chosen == goal.active {
                continue;
            }
            let from = std::mem::replace(&mut goal.active, chosen);
            goal.forget_the_left();
            let id = goal.id;
            if !goal.gone {
                goal.switches += 1;
                self.out.push_back(Output::Switched(goal.route, id, from, chosen));
            }
            if chosen.is_some() {
                let groups: Vec<(GroupId, u32)> =
                    self.groups.values().filter(|g| g.goal == id).map(|g| (g.id, g.members)).collect();
                for (group, members) in groups {
                    if members == 0 { self.end_group(group, now) } else { self.bind(group, now) }
                }
            }
        }
        self.look_at_outages(now);
        self.start_sources();
        self.share_out(now);
        self.look_at_the_leaving(now);
    }

    /// Asks for a channel on the goal's active source, unless the group has or awaits one there.
    pub(super) fn bind(&mut self, id: GroupId, now: Now) {
        let Some(group) = self.groups.get_mut(&id) else {
            return;
        };
        let Some(active) = self.goals[usize::from(group.goal.0)].active else {
            return;
        };
        let there = |b: &Option<Bound>| b.as_ref().is_some_and(|b| b.source() == active);
        if there(&group.current)
            || there(&group.incoming)
            || group.opening.as_ref().is_some_and(|o| o.source == active)
            || group.refused.is_some_and(|(by, until)| by == active && now.mono < until)
        {
            return;
        }
        self.open(id, active, now);
    }

    fn open(&mut self, id: GroupId, source: SourceId, now: Now) {
        let plan = &self.sources[usize::from(source.0)].plan;
        let group = self.groups.get_mut(&id).expect("the caller has it");
        let configured = if group.identity.is_some() { None } else { plan.nominal_hashrate };
        let expected = group.hashrate().max(group.meter.hashrate() + group.awaited_hashrate);
        let nominal = expected.max(configured.unwrap_or(0.0));
        let request = self.next_request;
        self.next_request += 1;
        self.requests.insert(request, (source, Purpose::Group(id)));
        group.opening = Some(Opening { request, source, nominal });
        group.opened_at = now.mono;
        group.nominal.sent(nominal, now.mono);
        let wish = OpenChannel {
            request,
            user_identity: group.identity.clone().unwrap_or_else(|| Arc::clone(&plan.user_identity)),
            nominal_hashrate: nominal,
            max_target: Target::MAX,
            miner_id_size: group.miner_id_size,
            extranonce2_size: group.extranonce2_size,
            space: group.space,
            standby: false,
        };
        self.out.push_back(Output::Command(source, SourceCommand::Open(wish)));
    }

    /// Sources that are better than the active one, it itself, and the next one after it are connected.
    fn start_sources(&mut self) {
        for goal in &self.goals {
            let active = goal.candidates.iter().position(|c| Some(c.source) == goal.active);
            let wanted = active.map_or(goal.candidates.len(), |at| at + 2);
            for candidate in goal.candidates.iter().take(wanted) {
                let source = &mut self.sources[usize::from(candidate.source.0)];
                if !source.started {
                    source.started = true;
                    self.out.push_back(Output::Command(candidate.source, SourceCommand::Start));
                }
            }
        }
    }

    /// A ready source without miners keeps one channel of 0.0 H/s: pools close connections without channels,
    /// and its jobs show that it works.
    pub(super) fn keep_standby(&mut self, now: Now) {
        for at in 0..self.sources.len() {
            let id = self.sources[at].plan.id;
            let source = &mut self.sources[at];
            if !source.ready || source.leaving.is_some() {
                continue;
            }
            let used = !source.channels.is_empty();
            if used {
                if let Some(standby) = source.standby.take() {
                    let command = SourceCommand::Close { channel_id: standby.key.channel_id };
                    self.out.push_back(Output::Command(id, command));
                }
            } else if source.standby.is_none()
                && source.standby_request.is_none()
                && now.reached(source.standby_retry_at)
            {
                let request = self.next_request;
                self.next_request += 1;
                source.standby_request = Some(request);
                self.requests.insert(request, (id, Purpose::Standby));
                let wish = OpenChannel {
                    request,
                    user_identity: Arc::clone(&source.plan.user_identity),
                    nominal_hashrate: 0.0,
                    max_target: Target::MAX,
                    // Nobody mines on it: whatever the pool leaves will do.
                    miner_id_size: 1,
                    extranonce2_size: 1,
                    space: 0,
                    standby: true,
                };
                self.out.push_back(Output::Command(id, SourceCommand::Open(wish)));
            }
        }
    }

    // ---- time ----

    /// A deadline has come.
    pub fn timer(&mut self, now: Now) {
        self.choose(now);
        self.tell_outages(now);
        if !now.reached(self.tick_at) {
            return;
        }
        self.tick_at = now.mono + TICK;
        let mut further = Vec::new();
        let mut unbound = Vec::new();
        let mut jobless = Vec::new();
        let mut unserved = Vec::new();
        let mut left = Vec::new();
        let mut idle = Vec::new();
        for group in self.groups.values_mut() {
            let elapsed = now.since(group.shares_seen.1).as_secs_f64();
            group.look(now.mono);
            let route = &self.routes[usize::from(group.route.0)];
            let active = self.goals[usize::from(group.goal.0)].active;
            group.look_at_peak(route.is_split(), elapsed);
            if let Some(since) = group.idle_since.filter(|_| group.members == 0) {
                if now.since(since) >= KEPT_IDLE || group.current.is_none() && group.incoming.is_none() {
                    left.push(group.id);
                } else {
                    idle.push((group.route, since, group.id));
                }
                continue;
            }
            if group.is_given_up(active.is_some(), route.settings.outage_grace, now.mono) {
                unserved.push(group.id);
            }
            if group.incoming.is_some() && now.since(group.incoming_since) >= FIRST_JOB_DEADLINE {
                jobless.push(group.id);
            }
            let on = group.current.as_ref().map(Bound::source);
            if on != active && group.incoming.is_none() && group.opening.is_none() {
                unbound.push(group.id);
            }
            if now.since(group.published) >= route.settings.keepalive
                && let Some(mut feed) = group.last_feed.as_deref().cloned()
            {
                feed.received = now.mono;
                Self::publish(group, feed, now, &mut self.out);
            }
            let estimate = group.estimate();
            let Some(bound) = &group.current else { continue };
            if let Some(nominal_hashrate) = group.nominal.poll(|| estimate, now.mono) {
                let channel_id = bound.channel_id();
                let command = SourceCommand::Update { channel_id, nominal_hashrate };
                self.out.push_back(Output::Command(bound.source(), command));
            }
            // The interval's low end: chance alone must not open channels.
            let grown =
                estimate.low95.max(group.nominal.last_sent().min(estimate.value)) / bound.sized_for.max(1.0);
            if bound.channel.can_be_outgrown()
                && grown > OUTGROWN
                && group.opening.is_none()
                && group.incoming.is_none()
            {
                let since = *group.outgrown_since.get_or_insert(now.mono);
                let waited = now.since(since) >= OUTGROWN_GRACE || grown > FAR_OUTGROWN;
                if waited && now.since(group.opened_at) >= FURTHER_CHANNEL_INTERVAL {
                    further.push((group.id, bound.source()));
                }
            } else {
                group.outgrown_since = None;
            }
        }
        self.too_many_idle(idle, &mut left);
        for id in left {
            self.end_group(id, now);
        }
        for (id, source) in further {
            self.open(id, source, now);
        }
        for id in jobless {
            self.give_up_jobless(id, now);
        }
        for id in unbound {
            self.bind(id, now);
        }
        // After what was published: the last word counts.
        self.out.extend(unserved.into_iter().map(Output::Unserved));
        self.share_out_by_time(now);
        self.keep_standby(now);
    }
}
