//! What time brings: once a second each group is looked at.

use super::group::{
    Bound, FAR_OUTGROWN, FIRST_JOB_DEADLINE, FURTHER_CHANNEL_INTERVAL, KEPT_IDLE, OUTGROWN, OUTGROWN_GRACE,
};
use super::machine::{Output, Router, TICK};
use crate::now::Now;
use crate::source::SourceCommand;

impl Router {
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
