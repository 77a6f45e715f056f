//! Miners come and go: which group they are in.

use std::sync::Arc;
use std::time::Duration;

use work::hashrate::NominalHashrate;

use super::group::Group;
use super::machine::{JoinRequest, Output, Router};
use super::settings::MinersPerChannel;
use crate::feed::{Feed, GroupMeter};
use crate::ids::{GoalId, GroupId, MinerRef};
use crate::now::Now;

impl Router {
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

    pub(super) fn make_group(
        &mut self,
        request: &JoinRequest,
        goal: GoalId,
        limit: u32,
        now: Now,
    ) -> GroupId {
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

    pub(super) fn limit(&self, goal: GoalId) -> u32 {
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
}
