//! Up and down: what must be there for the source to be ready, what takes it down, and when it is tried again.

use std::sync::Arc;
use std::time::Duration;

use work::coinbase::Output;
use work::{CoinbaseConstraints, Template, TemplateTransaction};

use super::job::{Given, Stage};
use super::{Declared, DeclaredEffects, DeclaredState, LEAST_ROOM};
use crate::books::UnsentReason;
use crate::now::Now;
use crate::source::event::{DownReason, SourceCommand, SourceEvent};
use crate::source::jds::JdsState;
use crate::source::status::SourceState;

impl Declared {
    /// Where the source stands, in the words of all sources.
    pub(super) fn source_state(&self) -> SourceState {
        match self.state() {
            DeclaredState::Off => SourceState::Off,
            DeclaredState::Resting { until } => SourceState::Waiting { until },
            DeclaredState::NoPool => self.pool.status().state,
            DeclaredState::NoDeclarator => SourceState::AwaitingDeclarator,
            DeclaredState::NoTemplate => SourceState::AwaitingTemplate,
            DeclaredState::Ready | DeclaredState::Declaring | DeclaredState::Acknowledged => {
                SourceState::Ready
            }
        }
    }

    pub(super) fn state(&self) -> DeclaredState {
        if !self.wanted {
            return DeclaredState::Off;
        }
        if let Some(until) = self.resting {
            return DeclaredState::Resting { until };
        }
        if !self.up {
            return match () {
                () if !self.pool.is_ready() => DeclaredState::NoPool,
                () if !self.jds.has_token() => DeclaredState::NoDeclarator,
                () => DeclaredState::NoTemplate,
            };
        }
        if self.channels.is_empty() {
            DeclaredState::Ready
        } else if self.channels.values().all(|channel| channel.acknowledged) {
            DeclaredState::Acknowledged
        } else {
            DeclaredState::Declaring
        }
    }

    /// What the coinbase's further outputs take.
    pub(super) fn room(&self) -> CoinbaseConstraints {
        let pools: &[Output] = self.outputs.as_deref().unwrap_or_default();
        let all: Vec<Output> = pools.iter().chain(&self.extra_outputs).cloned().collect();
        let room = CoinbaseConstraints::of(&all);
        if self.outputs.is_none() { room.max(LEAST_ROOM) } else { room }
    }

    /// A template: on a new tip, or a better one on the same.
    pub fn template(&mut self, template: Arc<Template>, now: Now, fx: &mut DeclaredEffects) {
        // The smallest time is the same for all templates of a tip, whichever provider they come from: the reference pool
        // takes all earlier jobs of a tip for stale when it changes.
        let same_tip = self.template.as_ref().filter(|last| last.prev_hash == template.prev_hash);
        let another_tip = same_tip.is_none();
        let min_ntime = same_tip.map_or(template.min_ntime, |last| last.min_ntime);
        let template = Given::new(template, min_ntime);
        let fits = template.constraints.hold(self.room());
        if !fits && !another_tip {
            // One with more room was asked for.
            return;
        }
        self.template = Some(template);
        if another_tip {
            self.tip_since = now.mono;
            self.leave_tip(now, fx);
        }
        if !self.up {
            self.rise(now, fx);
        } else if !fits {
            let why = "the template leaves too little room for the pool's outputs".to_owned();
            self.fall(DownReason::BadTemplate(why), now, fx);
        } else if self.jds.state() == JdsState::Ready {
            self.catch_up(now, fx);
        } else if another_tip {
            let why = DownReason::NoDeclarator(self.jds_last_down.to_string());
            self.fall(why, now, fx);
        }
        // Else the job that was acknowledged goes on, until the server is back.
    }

    /// The transactions of a template that came without.
    pub fn transactions(
        &mut self,
        of: &Arc<Template>,
        transactions: &Arc<[TemplateTransaction]>,
        now: Now,
        fx: &mut DeclaredEffects,
    ) {
        let known = self.template.iter_mut().chain(self.jobs.iter_mut().map(|job| &mut job.template));
        let mut whole: Option<Given> = None;
        for given in known.filter(|given| Arc::ptr_eq(&given.origin, of) && given.transactions.is_none()) {
            // One value, however many jobs have it.
            *given = whole.get_or_insert_with(|| given.with(Arc::clone(transactions))).clone();
        }
        self.go_on(now, fx);
    }

    /// There are no templates any more.
    pub fn templates_lost(&mut self, why: &str, now: Now, fx: &mut DeclaredEffects) {
        if self.template.take().is_some() && self.up {
            self.fall(DownReason::NoTemplates(why.to_owned()), now, fx);
        }
    }

    /// The tip has changed: shares on the old one are stale, what is in flight for it is not waited for.
    fn leave_tip(&mut self, now: Now, fx: &mut DeclaredEffects) {
        self.pool.new_generations();
        for channel in self.channels.values_mut() {
            // Tips that follow each other faster than the pool acknowledges jobs begin no new time.
            if std::mem::take(&mut channel.acknowledged) {
                channel.since = now.mono;
            }
        }
        for id in self.jobs.ids(|job| job.stage.is_open()) {
            let blocks = self.end_held(id, UnsentReason::StaleInQueue, true, fx);
            self.jds.forget(u64::from(id));
            if let Some(job) = self.jobs.get_mut(id) {
                // A block is worth asking for, though its tip is gone: it may be ours.
                let asked = matches!(job.stage, Stage::Setting { .. }) && blocks;
                if !asked {
                    job.stage = Stage::Over;
                }
            }
            if self.jobs.get(id).is_some_and(|job| job.stage == Stage::Over) {
                self.end_held(id, UnsentReason::StaleInQueue, false, fx);
            }
        }
    }

    /// All that is needed is there: the router is told.
    pub(super) fn rise(&mut self, now: Now, fx: &mut DeclaredEffects) {
        let room = self.room();
        let has_template = self.template.as_ref().is_some_and(|template| template.constraints.hold(room));
        let rested = self.resting.is_none_or(|until| now.reached(until));
        if self.up
            || !self.wanted
            || !rested
            || !self.pool.is_ready()
            || !self.jds.has_token()
            || !has_template
        {
            return;
        }
        self.resting = None;
        self.up = true;
        self.since = now.mono;
        let worker_names = self.pool.has_worker_names();
        fx.pool.events.push(SourceEvent::Ready { worker_names });
    }

    /// Declaring does not work: the route is to take its next source. Shares of acknowledged jobs are taken for as long
    /// as miners may still send them.
    pub(super) fn fall(&mut self, why: DownReason, now: Now, fx: &mut DeclaredEffects) {
        let wait = match &why {
            // Not the pool's fault: over when there are templates again.
            DownReason::NoTemplates(_) => Duration::ZERO,
            // A job that is acknowledged is no sign that it is better now; shares that are taken are.
            DownReason::RefusesShares(_) => self.pool.next_wait(),
            _ => self.backoff.next_wait(),
        };
        self.end_open_jobs(UnsentReason::JobRefused, fx);
        self.channels.clear();
        for channel_id in self.pool.custom_channels() {
            self.pool.command(SourceCommand::Close { channel_id }, now, &mut fx.pool);
        }
        self.up = false;
        self.resting = Some(now.mono + wait);
        self.last_down = why.clone();
        self.since = now.mono;
        fx.pool.events.push(SourceEvent::Down(why));
    }

    /// Nothing comes of the jobs that were not acknowledged.
    pub(super) fn end_open_jobs(&mut self, why: UnsentReason, fx: &mut DeclaredEffects) {
        for id in self.jobs.ids(|job| job.stage.is_open()) {
            self.end_held(id, why, false, fx);
            self.jds.forget(u64::from(id));
            if let Some(job) = self.jobs.get_mut(id) {
                job.stage = Stage::Over;
            }
        }
    }

    /// Nothing can come of jobs any more whose channel has gone: closed by the pool, or drained.
    pub(super) fn leave_closed_channels(&mut self, fx: &mut DeclaredEffects) {
        for id in self.jobs.ids(|job| job.stage.is_open()) {
            let Some(job) = self.jobs.get_mut(id) else { continue };
            if self.pool.channel_target(job.channel_id).is_none() {
                job.stage = Stage::Over;
                self.end_held(id, UnsentReason::NoSource, false, fx);
                self.jds.forget(u64::from(id));
            }
        }
    }

    /// The pool wants other outputs in coinbases.
    pub(super) fn on_outputs(&mut self, outputs: Arc<[Output]>, now: Now, fx: &mut DeclaredEffects) {
        let had = self.outputs.replace(outputs).is_some();
        fx.constraints = Some(self.room());
        if !self.up || !had {
            // The token that came with them says the rest.
            return;
        }
        // Jobs that pay as before will not be taken any more.
        let room = self.room();
        self.end_open_jobs(UnsentReason::JobRefused, fx);
        if self.template.as_ref().is_some_and(|template| template.constraints.hold(room)) {
            for channel_id in self.pool.custom_channels() {
                self.begin(channel_id, now, fx);
            }
            self.advance(now, fx);
        }
    }

    /// Without its server, a job that was acknowledged can be mined on until the tip changes; nothing else can.
    pub(super) fn on_jds_down(&mut self, why: &DownReason, now: Now, fx: &mut DeclaredEffects) {
        self.jds_last_down = why.clone();
        if !self.up {
            return;
        }
        if self.channels.values().any(|channel| !channel.acknowledged) {
            self.fall(DownReason::NoDeclarator(why.to_string()), now, fx);
            return;
        }
        self.end_open_jobs(UnsentReason::JobRefused, fx);
        for channel_id in self.pool.custom_channels() {
            self.back_to_acknowledged(channel_id, now, fx);
        }
    }
}
