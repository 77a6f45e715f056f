//! What the router tells of itself.

use work::hashrate::HASHES_PER_DIFFICULTY;

use super::machine::Router;
use super::share_out::Standing;
use crate::ids::{GoalId, GroupId, RouteId, SourceId};

/// How a goal is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GoalReport {
    /// The source that it mines for.
    pub active: Option<SourceId>,
    /// How often that has changed.
    pub switches: u64,
    /// Its weight now.
    pub weight: f64,
    /// The part of its route's work that it should have now, 0 to 1.
    pub wanted: f64,
    /// What it is owed, hashes; below zero when it had more than its part.
    pub owed: f64,
    /// Hashes per second of its miners.
    pub hashrate: f64,
    /// Its miners.
    pub miners: u64,
    /// The work that was verified for it, hashes.
    pub work: f64,
    /// The same by earlier runs of this program.
    pub earlier: f64,
    /// The most that it is to have, both together.
    pub work_max: Option<f64>,
    /// It may have work at this time: its term is open.
    pub open: bool,
    /// It never gets work again.
    pub ended: bool,
}

impl Router {
    /// The source that a route mines for: that of its first goal that has one.
    #[must_use]
    pub fn active(&self, route: RouteId) -> Option<SourceId> {
        self.goals.iter().filter(|goal| goal.route == route).find_map(|goal| goal.active)
    }

    /// How often a route's goals have changed their sources.
    #[must_use]
    pub fn switches(&self, route: RouteId) -> u64 {
        self.goals.iter().filter(|goal| goal.route == route).map(|goal| goal.switches).sum()
    }

    /// Why a route leaves a source out, if it does.
    #[must_use]
    pub fn unusable(&self, route: RouteId, source: SourceId) -> Option<&str> {
        let of_route = self.goals.iter().filter(|goal| goal.route == route);
        let mut candidates = of_route.flat_map(|goal| &goal.candidates).filter(|c| c.source == source);
        candidates.find_map(|candidate| candidate.unusable_why.as_deref())
    }

    /// Hashes per second of a route's miners, as vardiff estimates them.
    #[must_use]
    pub fn hashrate(&self, route: RouteId) -> f64 {
        self.groups.values().filter(|g| g.route == route).map(|g| g.meter.hashrate()).fold(0.0, |a, b| a + b)
    }

    /// Whether miners of the route are to be turned away: no source for longer than the grace.
    #[must_use]
    pub fn is_told(&self, route: RouteId) -> bool {
        self.routes.get(usize::from(route.0)).is_some_and(|r| r.told)
    }

    /// How many goals there are, of all routes.
    #[must_use]
    pub fn goals(&self) -> usize {
        self.goals.len()
    }

    /// Whether a route's miners may be moved from group to group.
    #[must_use]
    pub fn moves_miners(&self, route: RouteId) -> bool {
        self.is_split(route)
    }

    /// The route that a group belongs to.
    #[must_use]
    pub fn route_of(&self, group: GroupId) -> Option<RouteId> {
        self.groups.get(&group).map(|group| group.route)
    }

    /// The goal that a group belongs to.
    #[must_use]
    pub fn goal_of(&self, group: GroupId) -> Option<GoalId> {
        self.groups.get(&group).map(|group| group.goal)
    }

    /// Hashes that were verified for a goal.
    #[must_use]
    pub fn work_of(&self, goal: GoalId) -> f64 {
        let Some(of) = self.goals.get(usize::from(goal.0)) else { return 0.0 };
        let groups = self.groups.values().filter(|group| group.goal == goal);
        (of.work_before + groups.map(|group| group.meter.work()).sum::<f64>()) * HASHES_PER_DIFFICULTY
    }

    /// How a goal is doing.
    #[must_use]
    pub fn goal(&self, goal: GoalId) -> GoalReport {
        let Some(of) = self.goals.get(usize::from(goal.0)) else { return GoalReport::default() };
        let groups = || self.groups.values().filter(|group| group.goal == goal);
        let route = &self.routes[usize::from(of.route.0)];
        let standing = match &route.share_out {
            Some(share_out) => share_out.standing(route.place_of(goal)),
            None => Standing { wanted: 1.0, ..Standing::default() },
        };
        let work = self.work_of(goal);
        GoalReport {
            active: of.active,
            switches: of.switches,
            weight: of.settings.share.weight,
            wanted: standing.wanted,
            owed: standing.owed,
            hashrate: groups().map(|group| group.meter.hashrate()).sum(),
            miners: groups().map(|group| u64::from(group.members - group.awaited)).sum(),
            work,
            earlier: of.earlier,
            work_max: of.settings.term.work_max,
            open: of.settings.term.is_open(route.unix, of.earlier + work),
            ended: of.settings.term.has_ended(route.unix, of.earlier + work),
        }
    }
}
