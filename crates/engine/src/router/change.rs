//! Sources and goals that come, go and change while miners mine.
//!
//! Ids are given out once and never again: what was counted for one stays its own, and what is still under way finds it.

use std::time::Duration;

use super::goal::{Candidate, GONE_WITHIN, Goal, Leaving};
use super::group::Group;
use super::machine::{Output, Router, Source};
use super::settings::{GoalSettings, RouteSettings, SourcePlan};
use crate::ids::{GoalId, GroupId, RouteId, SourceId};
use crate::now::Now;
use crate::source::SourceCommand;

/// A group that got no channel elsewhere is taken from a source that was taken out after as long as this, whatever it
/// then does without.
const TAKEN_AFTER: Duration = GONE_WITHIN.saturating_add(Duration::from_secs(30));

/// A source that no goal has is stopped so long after the last group has left it: its shares are answered by then.
const STOPPED_AFTER: Duration = Duration::from_secs(20);

/// A source that the configuration has no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Which.
    pub source: SourceId,
    /// The one that has its name from now on.
    pub successor: Option<SourceId>,
}

/// What is to be otherwise from now on.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Sources that come, with the next ids.
    pub sources: Vec<SourcePlan>,
    /// Routes, each with all goals that it is to have: those that it has by their ids, and those that come with the next
    /// ids, in the order in which they stand here.
    pub routes: Vec<RouteSettings>,
    /// Sources that no goal has any more.
    pub removed: Vec<Removed>,
}

impl Router {
    /// Puts a change in force. Nobody is disconnected: miners that have to go elsewhere go when there is a job for them.
    ///
    /// # Panics
    /// If a new id is not the next one: whoever makes them counts as this does.
    pub fn change(&mut self, change: Change, now: Now) {
        for plan in change.sources {
            assert_eq!(usize::from(plan.id.0), self.sources.len(), "source ids are positions");
            self.sources.push(Source::new(plan, self.hasher.clone()));
        }
        for route in &change.routes {
            self.change_route(route, &change.removed, now);
        }
        for removed in &change.removed {
            let source = &mut self.sources[usize::from(removed.source.0)];
            source.leaving.get_or_insert(now.mono);
            if let Some(standby) = source.standby.take() {
                let close = SourceCommand::Close { channel_id: standby.key.channel_id };
                self.out.push_back(Output::Command(removed.source, close));
            }
        }
        for at in 0..self.sources.len() {
            let id = self.sources[at].plan.id;
            let named = self.goals.iter().any(|goal| !goal.gone && goal.settings.sources.contains(&id));
            self.sources[at].unnamed = (!named && self.sources[at].leaving.is_none()).then_some(now.mono);
        }
        self.choose(now);
        self.keep_standby(now);
    }

    /// Whether a goal has the source, be it for as long only as there is nothing else.
    fn is_named(&self, source: SourceId) -> bool {
        self.goals.iter().flat_map(|goal| &goal.candidates).any(|candidate| candidate.source == source)
    }

    fn change_route(&mut self, fresh: &RouteSettings, removed: &[Removed], now: Now) {
        let at = usize::from(fresh.id.0);
        let (return_after, id) = (fresh.return_after, fresh.id);
        let route = &mut self.routes[at].settings;
        route.return_after = return_after;
        route.outage_grace = fresh.outage_grace;
        route.keepalive = fresh.keepalive;
        for goal in &fresh.goals {
            if usize::from(goal.id.0) == self.goals.len() {
                self.add_goal(goal, fresh, now);
            } else {
                self.renew_goal(goal, return_after, removed, now);
            }
        }
        let stays = |goal: GoalId| fresh.goals.iter().any(|of| of.id == goal);
        let leave: Vec<GoalId> = self
            .goals
            .iter()
            .filter(|goal| goal.route == id && !goal.gone && !stays(goal.id))
            .map(|goal| goal.id)
            .collect();
        leave.into_iter().for_each(|goal| self.remove_goal(at, goal, now));
    }

    fn add_goal(&mut self, settings: &GoalSettings, route: &RouteSettings, now: Now) {
        let mut goal = Goal::new(settings.clone(), route, now.mono);
        goal.candidates = settings.sources.iter().map(|source| self.candidate(*source, now)).collect();
        self.goals.push(goal);
        let route = &mut self.routes[usize::from(route.id.0)];
        route.settings.goals.push(settings.clone());
        debug_assert!(route.is_split(), "a route that gets goals shares its miners out");
        if let Some(share_out) = &mut route.share_out {
            share_out.add(settings.share, now.mono);
        }
    }

    /// What a goal knows of a source that it did not have.
    fn candidate(&self, source: SourceId, now: Now) -> Candidate {
        let elsewhere = self.goals.iter().flat_map(|goal| &goal.candidates).find(|c| c.source == source);
        let ready = self.sources[usize::from(source.0)].ready.then_some(now.mono);
        let ready_since = elsewhere.map_or(ready, |other| other.ready_since);
        Candidate { ready_since, ..Candidate::new(source) }
    }

    fn renew_goal(&mut self, settings: &GoalSettings, return_after: Duration, removed: &[Removed], now: Now) {
        let at = usize::from(settings.id.0);
        let known = |goal: &Goal, source: SourceId| {
            goal.candidates.iter().find(|c| c.source == source && c.leaving.is_none()).cloned()
        };
        let mut candidates: Vec<Candidate> = settings
            .sources
            .iter()
            .map(|source| known(&self.goals[at], *source).unwrap_or_else(|| self.candidate(*source, now)))
            .collect();
        let goal = &mut self.goals[at];
        // What it mines for goes on until there is something else.
        let stays = goal.candidates.iter().find(|c| Some(c.source) == goal.active);
        if let Some(stays) = stays.filter(|c| !settings.sources.contains(&c.source)) {
            let successor = removed.iter().find(|removed| removed.source == stays.source);
            let leaving =
                Leaving { since: now.mono, successor: successor.and_then(|removed| removed.successor) };
            candidates.push(Candidate { leaving: stays.leaving.or(Some(leaving)), ..stays.clone() });
        }
        goal.candidates = candidates;
        goal.return_after = return_after;
        let came_back = std::mem::take(&mut goal.gone);
        let changed = came_back || goal.settings.share != settings.share;
        let route = &mut self.routes[usize::from(goal.route.0)];
        let place = route.place_of(settings.id);
        if let Some(of) = route.settings.goals.get_mut(place) {
            of.clone_from(settings);
        }
        if let Some(share_out) = route.share_out.as_mut().filter(|_| changed) {
            share_out.change(place, settings.share);
        }
        goal.settings.clone_from(settings);
    }

    fn remove_goal(&mut self, route: usize, id: GoalId, now: Now) {
        let goal = &mut self.goals[usize::from(id.0)];
        goal.gone = true;
        goal.candidates.clear();
        let place = self.routes[route].place_of(id);
        if let Some(share_out) = &mut self.routes[route].share_out {
            share_out.remove(place, now.mono);
        }
        let idle = |group: &&Group| group.goal == id && group.members == 0;
        let idle: Vec<GroupId> = self.groups.values().filter(idle).map(|group| group.id).collect();
        idle.into_iter().for_each(|group| self.end_group(group, now));
    }

    /// Workers are bound to other goals from now on: the goal that one of a route is bound to, by its name.
    pub fn bind_workers(&mut self, goal_of: impl Fn(RouteId, &str) -> Option<GoalId>) {
        for (miner, seat) in &mut self.seats {
            let (route, bound) = (seat.request.route, goal_of(seat.request.route, &seat.request.identity));
            if bound == seat.request.goal {
                continue;
            }
            seat.request.goal = bound;
            let route = &mut self.routes[usize::from(route.0)];
            let place = bound.map(|goal| route.place_of(goal));
            if let Some(share_out) = &mut route.share_out {
                share_out.bind(*miner, place);
            }
        }
    }

    /// Sources that were taken out are let go when nobody mines for them any more, and those that no goal has are stopped.
    pub(super) fn look_at_the_leaving(&mut self, now: Now) {
        for at in 0..self.sources.len() {
            let source = &self.sources[at];
            let leaves = source.leaving.filter(|_| !source.retired);
            let id = source.plan.id;
            let idle = source.unnamed.filter(|_| source.started);
            if leaves.or(idle).is_none() || self.is_named(id) {
                continue;
            }
            let there = |group: &Group| {
                let on = group.current.iter().chain(&group.incoming).any(|bound| bound.source() == id);
                on || group.opening.as_ref().is_some_and(|opening| opening.source == id)
            };
            let groups: Vec<GroupId> =
                self.groups.values().filter(|group| there(group)).map(|group| group.id).collect();
            if let Some(since) = leaves {
                if !groups.is_empty() && now.since(since) < TAKEN_AFTER {
                    continue;
                }
                groups.into_iter().for_each(|group| self.take_from(group, id));
                self.sources[at].retired = true;
                self.out.push_back(Output::Retired(id));
            } else if !groups.is_empty() {
                self.sources[at].unnamed = Some(now.mono);
            } else if idle.is_some_and(|since| now.since(since) >= STOPPED_AFTER) {
                self.sources[at].started = false;
                self.out.push_back(Output::Command(id, SourceCommand::Stop));
            }
        }
    }

    fn take_from(&mut self, group: GroupId, source: SourceId) {
        let Some(group) = self.groups.get_mut(&group) else { return };
        group.opening.take_if(|opening| opening.source == source);
        let current = group.current.take_if(|bound| bound.source() == source);
        let incoming = group.incoming.take_if(|bound| bound.source() == source);
        current.into_iter().chain(incoming).for_each(|bound| self.close(&bound));
    }
}
