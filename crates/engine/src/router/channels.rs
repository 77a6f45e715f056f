//! What sources tell: channels that open and close, and the work on them.

use std::collections::VecDeque;
use std::sync::Arc;

use super::goal::UNUSABLE_FOR;
use super::group::{Bound, Group, OUTGROWN};
use super::machine::{Output, Purpose, REOPEN_AFTER, Router};
use crate::feed::{ChannelState, Feed};
use crate::ids::{GoalId, GroupId, SourceId};
use crate::now::Now;
use crate::source::{ChannelRefusal, SourceCommand, SourceEvent};

impl Router {
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

    pub(super) fn down(&mut self, source: SourceId, now: Now) {
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

    pub(super) fn opened(&mut self, source: SourceId, request: u64, channel: Arc<ChannelState>, now: Now) {
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

    pub(super) fn not_opened(&mut self, source: SourceId, request: u64, why: &ChannelRefusal, now: Now) {
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
    pub(super) fn give_up_jobless(&mut self, id: GroupId, now: Now) {
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
    pub(super) fn blame(&mut self, goal: GoalId, source: SourceId, why: &str, now: Now) {
        let works = self
            .groups
            .values()
            .any(|g| g.goal == goal && g.current.as_ref().is_some_and(|b| b.source() == source));
        if !works && let Some(candidate) = self.goals[usize::from(goal.0)].candidate(source) {
            candidate.unusable_until = Some(now.mono + UNUSABLE_FOR);
            candidate.unusable_why = Some(why.to_owned());
        }
    }

    pub(super) fn work(&mut self, source: SourceId, feed: Feed, now: Now) {
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

    pub(super) fn publish(group: &mut Group, mut feed: Feed, now: Now, out: &mut VecDeque<Output>) {
        group.sequence += 1;
        feed.sequence = group.sequence;
        let feed = Arc::new(feed);
        group.last_feed = Some(Arc::clone(&feed));
        group.published = now.mono;
        out.push_back(Output::Publish(group.id, feed));
    }

    pub(super) fn closed(&mut self, source: SourceId, channel_id: u32, now: Now) {
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
}
