//! How miners come to the goal that the share-out gives them: they leave one group and join another.

use std::sync::Arc;
use std::time::Duration;

use super::group::KEPT_BEYOND;
use super::machine::{JoinRequest, Output, Place, Router};
use super::settings::RouteSettings;
use super::share_out::{Move, Share, ShareOut};
use super::term::Term;
use crate::feed::GroupMeter;
use crate::ids::{GoalId, GroupId, MinerRef, RouteId};
use crate::now::Now;

/// A move that waits longer than this for its group's first job is given up.
const AWAITED_FOR: Duration = Duration::from_secs(30);

/// What the router knows of a route besides its goals' sources.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) settings: RouteSettings,
    /// Where there are several goals.
    pub(super) share_out: Option<ShareOut>,
    /// No goal has had a source since.
    pub(super) down_since: Option<Duration>,
    /// Miners were told of the outage.
    pub(super) told: bool,
    /// The clock's time at the last look.
    pub(super) unix: u64,
}

impl Route {
    pub(super) fn new(settings: RouteSettings, seed: u64, now: Duration) -> Self {
        let shares: Vec<Share> = settings.goals.iter().map(|goal| goal.share).collect();
        // One goal that is not always open is shared out too: the rest of the time nobody is.
        let split = settings.grows
            || shares.len() > 1
            || settings.goals.iter().any(|goal| goal.term != Term::default());
        let share_out = split.then(|| ShareOut::new(&shares, seed, now));
        Self { settings, share_out, down_since: Some(now), told: false, unix: 0 }
    }

    pub(super) fn is_split(&self) -> bool {
        self.share_out.is_some()
    }

    /// When the miners are to be told that nothing is there.
    pub(super) fn deadline(&self, now: Duration) -> Option<Duration> {
        let told = self.down_since.filter(|_| !self.told)? + self.settings.outage_grace;
        Some(told).filter(|t| *t > now)
    }

    pub(super) fn goal(&self, place: usize) -> Option<GoalId> {
        self.settings.goals.get(place).map(|goal| goal.id)
    }

    pub(super) fn place_of(&self, goal: GoalId) -> usize {
        self.settings.goals.iter().position(|g| g.id == goal).unwrap_or(0)
    }
}

/// A miner of a route with several goals.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) request: JoinRequest,
    group: GroupId,
    meter: Arc<GroupMeter>,
    /// The group that it moves to as soon as that has work, and since when.
    awaits: Option<(GroupId, Duration)>,
}

impl Router {
    pub(super) fn is_split(&self, route: RouteId) -> bool {
        self.routes.get(usize::from(route.0)).is_some_and(Route::is_split)
    }

    /// Whether a group that is empty now may have miners again soon.
    pub(super) fn comes_back(&self, route: RouteId) -> bool {
        let share_out = self.routes.get(usize::from(route.0)).and_then(|route| route.share_out.as_ref());
        share_out.is_some_and(|share_out| !share_out.is_empty())
    }

    /// Of the groups that are kept empty, those that no miner of now can come back to: a miner with a channel of its own
    /// has been in one of each goal. Miners that came under ever new names leave no more than a few behind.
    pub(super) fn too_many_idle(&self, mut idle: Vec<(RouteId, Duration, GroupId)>, left: &mut Vec<GroupId>) {
        // The longest empty go first.
        idle.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(b.2.cmp(&a.2)));
        for route in &self.routes {
            let miners = route.share_out.as_ref().map_or(0, ShareOut::miners);
            let kept = miners * route.settings.goals.len().saturating_sub(1) + KEPT_BEYOND;
            let of_route = idle.iter().filter(|(of, ..)| *of == route.settings.id);
            left.extend(of_route.skip(kept).map(|(.., group)| *group));
        }
    }

    /// The goal for a miner that comes.
    pub(super) fn goal_for(&self, request: &JoinRequest) -> GoalId {
        let route = &self.routes[usize::from(request.route.0)];
        let place = route
            .share_out
            .as_ref()
            .map_or(0, |share_out| share_out.place(request.goal.map(|goal| route.place_of(goal))));
        route.goal(place).expect("a route has goals")
    }

    /// Where a miner that has come is counted.
    pub(super) fn sit_down(
        &mut self,
        request: &JoinRequest,
        goal: GoalId,
        group: GroupId,
        meter: Arc<GroupMeter>,
        now: Now,
    ) -> Arc<GroupMeter> {
        let route = &mut self.routes[usize::from(request.route.0)];
        let (place, pinned) = (route.place_of(goal), request.goal.map(|goal| route.place_of(goal)));
        let Some(share_out) = &mut route.share_out else { return meter };
        let meter = Arc::new(GroupMeter::of_one(meter));
        share_out.join(request.miner, place, pinned, Arc::clone(&meter), request.hashrate, now.mono);
        let seat = Seat { request: request.clone(), group, meter: Arc::clone(&meter), awaits: None };
        self.seats.insert(request.miner, seat);
        meter
    }

    /// A miner has gone: which group it was in.
    pub(super) fn stand_up(&mut self, miner: MinerRef, now: Now) -> Option<GroupId> {
        self.give_up_move(miner, now);
        let seat = self.seats.remove(&miner)?;
        if let Some(share_out) = &mut self.routes[usize::from(seat.request.route.0)].share_out {
            share_out.leave(miner);
        }
        Some(seat.group)
    }

    /// Goals that come, go, begin and end, and the moves that follow at once.
    pub(super) fn share_out(&mut self, now: Now) {
        for at in 0..self.routes.len() {
            self.look_at_terms(at, now);
        }
    }

    /// A second has passed.
    pub(super) fn share_out_by_time(&mut self, now: Now) {
        for at in 0..self.routes.len() {
            self.look_at_terms(at, now);
            self.share_out_route(at, now);
        }
        let late = |seat: &Seat| seat.awaits.is_some_and(|(_, since)| now.since(since) >= AWAITED_FOR);
        let late: Vec<MinerRef> =
            self.seats.iter().filter(|(_, seat)| late(seat)).map(|(miner, _)| *miner).collect();
        for miner in late {
            self.give_up_move(miner, now);
        }
    }

    /// Says which goals may have work; those that moved because of it go at once.
    fn look_at_terms(&mut self, at: usize, now: Now) {
        let Some(route) = self.routes.get_mut(at) else { return };
        route.unix = u64::from(now.unix);
        if route.share_out.is_none() {
            return;
        }
        let mut changed = false;
        for place in 0..self.routes[at].settings.goals.len() {
            let id = self.routes[at].settings.goals[place].id;
            let goal = &self.goals[usize::from(id.0)];
            let work =
                if goal.settings.term.work_max.is_some() { goal.earlier + self.work_of(id) } else { 0.0 };
            let present = goal.active.is_some() && goal.settings.term.is_open(u64::from(now.unix), work);
            if let Some(share_out) = &mut self.routes[at].share_out
                && share_out.is_present(place) != present
            {
                share_out.set_present(place, present, now.mono);
                changed = true;
            }
        }
        if changed {
            self.share_out_route(at, now);
        }
    }

    fn share_out_route(&mut self, at: usize, now: Now) {
        let Some(share_out) = self.routes.get_mut(at).and_then(|route| route.share_out.as_mut()) else {
            return;
        };
        for Move { miner, to } in share_out.tick(now.mono) {
            let goal = self.routes[at].goal(to).expect("the share-out has the route's goals");
            self.begin_move(miner, goal, now);
        }
    }

    /// Keeps the miner a place in a group of the goal, and brings it there if that has work.
    fn begin_move(&mut self, miner: MinerRef, goal: GoalId, now: Now) {
        self.leave_the_queue(miner);
        let Some(seat) = self.seats.get(&miner) else { return };
        let (request, there) = (seat.request.clone(), self.groups.get(&seat.group));
        if there.is_some_and(|group| group.goal == goal) {
            // It was on its way to another, and is wanted where it is.
            self.settle(miner, now);
            return;
        }
        let hashrate = seat.meter.hashrate();
        let id = self.group_with_room(&request, goal, now);
        let Some(group) = self.groups.get_mut(&id) else { return };
        group.members += 1;
        group.awaited += 1;
        group.awaited_hashrate += hashrate;
        group.idle_since = None;
        let has_work = group.last_feed.is_some() && group.current.is_some();
        if let Some(seat) = self.seats.get_mut(&miner) {
            seat.awaits = Some((id, now.mono));
        }
        self.close_when_full(id);
        if has_work {
            self.bring(miner, now);
        } else {
            self.bind(id, now);
        }
    }

    /// The first job has come for a group: those that awaited it are brought there.
    pub(super) fn bring_the_awaited(&mut self, id: GroupId, now: Now) {
        if self.groups.get(&id).is_none_or(|group| group.awaited == 0 || group.current.is_none()) {
            return;
        }
        let awaiting =
            self.seats.iter().filter(|(_, seat)| seat.awaits.is_some_and(|(group, _)| group == id));
        let awaiting: Vec<MinerRef> = awaiting.map(|(miner, _)| *miner).collect();
        for miner in awaiting {
            self.bring(miner, now);
        }
    }

    /// The miner is in the group that it awaited from now on.
    fn bring(&mut self, miner: MinerRef, now: Now) {
        let Some(seat) = self.seats.get_mut(&miner) else { return };
        let Some((id, _)) = seat.awaits.take() else { return };
        let Some(group) = self.groups.get_mut(&id) else { return };
        group.awaited -= 1;
        group.awaited_hashrate =
            if group.awaited == 0 { 0.0 } else { (group.awaited_hashrate - seat.meter.hashrate()).max(0.0) };
        group.nominal.members_changed();
        let meter = Arc::new(GroupMeter::of_one(Arc::clone(&group.meter)));
        let place = Place { group: id, meter: Arc::clone(&meter), feed: group.last_feed.clone() };
        let left = std::mem::replace(&mut seat.group, id);
        seat.meter = Arc::clone(&meter);
        let route = &mut self.routes[usize::from(seat.request.route.0)];
        let at = route.place_of(group.goal);
        if let Some(share_out) = &mut route.share_out {
            share_out.moved(miner, at, meter, now.mono);
        }
        self.out.push_back(Output::Moved(miner, place));
        self.one_less(left, now);
    }

    /// The miner stays where it is.
    pub(super) fn give_up_move(&mut self, miner: MinerRef, now: Now) {
        if self.leave_the_queue(miner) {
            self.settle(miner, now);
        }
    }

    fn settle(&mut self, miner: MinerRef, now: Now) {
        let Some(seat) = self.seats.get(&miner) else { return };
        if let Some(share_out) = &mut self.routes[usize::from(seat.request.route.0)].share_out {
            share_out.not_moved(miner, now.mono);
        }
    }

    /// Gives back the place that was kept for it. True: there was one.
    fn leave_the_queue(&mut self, miner: MinerRef) -> bool {
        let Some(seat) = self.seats.get_mut(&miner) else { return false };
        let Some((id, since)) = seat.awaits.take() else { return false };
        if let Some(group) = self.groups.get_mut(&id) {
            group.awaited -= 1;
            if group.awaited == 0 {
                group.awaited_hashrate = 0.0;
            }
            self.one_less(id, Now { mono: since, unix: 0 });
        }
        true
    }

    // ---- changes while running ----

    /// Another weight, cap or term for a goal, at once.
    pub fn change_goal(&mut self, goal: GoalId, share: Share, term: Term, now: Now) {
        let Some(of) = self.goals.get_mut(usize::from(goal.0)) else { return };
        (of.settings.share, of.settings.term) = (share, term);
        let at = usize::from(of.route.0);
        let place = self.routes[at].place_of(goal);
        if let Some(share_out) = &mut self.routes[at].share_out {
            share_out.change(place, share);
        }
        self.look_at_terms(at, now);
    }

    /// Hashes that were verified for a goal by earlier runs of this program: they count against its term's bound.
    pub fn set_earlier_work(&mut self, goal: GoalId, hashes: f64) {
        if let Some(goal) = self.goals.get_mut(usize::from(goal.0)) {
            goal.earlier = hashes;
        }
    }

    // ---- outages ----

    /// A route is down when none of its goals has a source.
    pub(super) fn look_at_outages(&mut self, now: Now) {
        for route in &mut self.routes {
            let any = self.goals.iter().any(|goal| goal.route == route.settings.id && goal.active.is_some());
            if !any {
                route.down_since.get_or_insert(now.mono);
                continue;
            }
            route.down_since = None;
            if std::mem::take(&mut route.told) {
                self.out.push_back(Output::OutageOver(route.settings.id));
            }
        }
    }

    pub(super) fn tell_outages(&mut self, now: Now) {
        for route in &mut self.routes {
            if let Some(since) = route.down_since
                && !route.told
                && now.since(since) >= route.settings.outage_grace
            {
                route.told = true;
                self.out.push_back(Output::OutageTold(route.settings.id));
            }
        }
    }
}
