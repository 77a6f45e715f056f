//! Which source each goal mines for, and the channels that are asked for because of it.

use std::sync::Arc;

use work::Target;

use super::group::{Bound, Opening};
use super::machine::{Output, Purpose, Router};
use crate::ids::{GroupId, SourceId};
use crate::now::Now;
use crate::source::{OpenChannel, SourceCommand};

impl Router {
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

    pub(super) fn open(&mut self, id: GroupId, source: SourceId, now: Now) {
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
    pub(super) fn start_sources(&mut self) {
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
}
