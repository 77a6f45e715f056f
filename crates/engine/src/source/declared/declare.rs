//! The way of a job: given to miners, declared, set, acknowledged.

use std::sync::Arc;
use std::time::Duration;

use work::coinbase::{Coinbase, pay_first};
use work::{Target, Template};

use super::job::{CustomJob, Stage};
use super::{Declared, DeclaredEffects, SET_CUSTOM_JOB_DEADLINE, TIP_RACE};
use crate::books::UnsentReason;
use crate::feed::Feed;
use crate::now::Now;
use crate::source::event::{CustomJobAnswer, DownReason, SourceEvent};
use crate::source::jds::{Declaration, DeclareFailure, JdsState};
use crate::source::ready_job::{Place, ReadyJob};

/// The wait before a job is tried again, doubled with each try.
const RETRY: Duration = Duration::from_millis(250);
/// How often it is doubled.
const RETRY_DOUBLED: u8 = 3;

impl Declared {
    /// Gives the present template to a channel's miners at once; its declaration follows.
    pub(super) fn begin(&mut self, channel_id: u32, now: Now, fx: &mut DeclaredEffects) {
        let (Some(template), Some(channel)) = (self.template.clone(), self.pool.custom_channel(channel_id))
        else {
            return;
        };
        let id = self.jobs.next_id();
        let made = self.coinbase(&template, channel.extranonce_len()).and_then(|coinbase| {
            let ready = ReadyJob::new(template.job(id, &coinbase).map_err(|error| error.to_string())?);
            let place = Place {
                state: channel.state,
                generation: channel.generation,
                prefix: channel.prefix,
                split: channel.split,
                tag: channel.tag,
                target: channel.target,
                ntime_slack: self.ntime_slack,
                active_since: work::Seconds(self.tip_since.as_secs()),
            };
            let feed = ready.feed(place, now).map_err(|error| error.to_string())?;
            Ok((coinbase, ready, feed))
        });
        let (coinbase, ready, feed) = match made {
            Ok(made) => made,
            Err(why) => {
                self.fall(DownReason::BadTemplate(why), now, fx);
                return;
            }
        };
        self.give(feed.clone(), id, fx);
        let forgotten = self.jobs.push(CustomJob {
            id,
            channel_id,
            template,
            coinbase: Arc::new(coinbase),
            ready,
            told: feed.job.source_target,
            feed,
            stage: Stage::Waiting { until: Duration::ZERO },
            tries: 0,
            stale_tries: 0,
            renewed: false,
            began: now.mono,
            held: Vec::new(),
        });
        if let Some(forgotten) = forgotten {
            self.jds.forget(u64::from(forgotten.id));
            Self::end_shares(forgotten.held, UnsentReason::StaleInQueue, fx);
        }
    }

    /// The coinbase of a template: the pool's payout gets what the farm's own outputs leave.
    fn coinbase(&self, template: &Template, extranonce_len: usize) -> Result<Coinbase, String> {
        let outputs = self.outputs.as_deref().ok_or("the pool has named no outputs")?.to_vec();
        let extra = self.extra_outputs.iter().fold(0_u64, |sum, output| sum.saturating_add(output.value));
        let value = template.coinbase.value_remaining.saturating_sub(extra);
        let mut outputs = pay_first(outputs, value).map_err(|error| error.to_string())?;
        outputs.extend_from_slice(&self.extra_outputs);
        let extranonce_len = u8::try_from(extranonce_len).map_err(|_| "the extranonce is too long")?;
        template.coinbase(&self.tag, extranonce_len, &outputs).map_err(|error| error.to_string())
    }

    /// Every channel works on the present template. One that only adds fees waits until it can be declared, for its
    /// transactions, for a token and for the answers to what was declared before: what miners find for it before may never be paid.
    pub(super) fn catch_up(&mut self, now: Now, fx: &mut DeclaredEffects) {
        let Some(template) = &self.template else { return };
        let (origin, tip) = (Arc::clone(&template.origin), template.prev_hash);
        let is_whole = !self.full_template || template.transactions.is_some();
        let can_be_declared = is_whole && self.jds.can_declare();
        for channel_id in self.pool.custom_channels() {
            let newest = self.jobs.iter().rev().find(|job| job.channel_id == channel_id);
            let newest = newest.filter(|job| job.stage != Stage::Over);
            let has = newest.is_some_and(|job| {
                Arc::ptr_eq(&job.template.origin, &origin)
                    || !can_be_declared && job.template.prev_hash == tip
            });
            if !has && self.up {
                self.begin(channel_id, now, fx);
            }
        }
        self.advance(now, fx);
    }

    /// Something has come that the present template may have waited for.
    pub(super) fn go_on(&mut self, now: Now, fx: &mut DeclaredEffects) {
        let room = self.room();
        // The pool may have come to want outputs that the present template has no room for: one with more was asked for.
        let fits = self.template.as_ref().is_some_and(|template| template.constraints.hold(room));
        if self.up && fits && self.jds.state() == JdsState::Ready {
            self.catch_up(now, fx);
        } else {
            self.advance(now, fx);
        }
    }

    /// Declares what waits for it, as far as there are tokens and transactions.
    pub(super) fn advance(&mut self, now: Now, fx: &mut DeclaredEffects) {
        if !self.up {
            return;
        }
        let due = self.jobs.ids(|job| matches!(job.stage, Stage::Waiting { until } if now.reached(until)));
        // What they wait for from now on is told when it comes.
        due.iter().for_each(|id| self.wait(*id, Duration::ZERO));
        for id in due {
            let Some(job) = self.jobs.get_mut(id) else { continue };
            if !self.full_template {
                let Some(token) = self.jds.take_token(now, &mut fx.jds) else { return };
                self.set_custom_job(id, &token, now, fx);
                continue;
            }
            let Some(transactions) = job.template.transactions.clone() else { continue };
            let declaration = Declaration {
                number: u64::from(id),
                version: job.template.version,
                coinbase: Arc::clone(&job.coinbase),
                transactions,
                excess_data: Arc::default(),
            };
            if !declaration.fits() {
                self.fall(
                    DownReason::JobRefused("the template is too large to be declared".to_owned()),
                    now,
                    fx,
                );
                return;
            }
            if !self.jds.declare(declaration, now, &mut fx.jds) {
                return;
            }
            job.stage = Stage::Declaring;
        }
    }

    pub(super) fn on_declared(&mut self, number: u64, token: &[u8], now: Now, fx: &mut DeclaredEffects) {
        if let Some(id) = self.declaring(number) {
            self.set_custom_job(id, token, now, fx);
        }
    }

    pub(super) fn on_not_declared(
        &mut self,
        number: u64,
        why: &DeclareFailure,
        now: Now,
        fx: &mut DeclaredEffects,
    ) {
        let Some(id) = self.declaring(number) else { return };
        match why {
            DeclareFailure::Refused { .. } if why.is_stale_tip() => self.stale(id, now),
            DeclareFailure::Refused { code, .. } if code == sv2::error_code::INVALID_MINING_JOB_TOKEN => {
                self.renew_token(id, why.to_string(), now, fx);
            }
            DeclareFailure::Refused { .. } => self.refuse(id, why.to_string(), now, fx),
            DeclareFailure::Silent => self.fall(DownReason::Silent("DeclareMiningJob"), now, fx),
            // What follows is decided when the connection's end is told.
            DeclareFailure::Lost => self.wait(id, Duration::ZERO),
        }
    }

    /// The job that a declarator server's answer is for, if anybody still waits for it.
    fn declaring(&self, number: u64) -> Option<u32> {
        let job = self.jobs.get(u32::try_from(number).ok()?)?;
        (job.stage == Stage::Declaring).then_some(job.id)
    }

    fn set_custom_job(&mut self, id: u32, token: &[u8], now: Now, fx: &mut DeclaredEffects) {
        let request_id = self.pool.request_id();
        let Some(job) = self.jobs.get_mut(id) else { return };
        let (template, coinbase) = (&job.template, &job.coinbase);
        let outputs = coinbase.output_list();
        let (Ok(mining_job_token), Ok(coinbase_prefix), Ok(coinbase_tx_outputs), Ok(merkle_path)) = (
            token.try_into(),
            coinbase.script_sig_head().try_into(),
            (&*outputs).try_into(),
            sv2::Seq0255::from_slice(&template.merkle_path),
        ) else {
            debug_assert!(false, "a job within the bounds of work::Job fits its message");
            job.stage = Stage::Over;
            return;
        };
        let message = sv2::mining::SetCustomMiningJob {
            channel_id: job.channel_id,
            request_id,
            mining_job_token,
            version: template.version,
            prev_hash: template.prev_hash,
            min_ntime: template.min_ntime,
            nbits: template.nbits,
            coinbase_tx_version: coinbase.tx_version(),
            coinbase_prefix,
            coinbase_tx_input_n_sequence: coinbase.input_sequence(),
            coinbase_tx_outputs,
            coinbase_tx_locktime: coinbase.locktime(),
            merkle_path,
        };
        sv2::write_frame(&message, &mut fx.pool.frames);
        job.stage = Stage::Setting { request_id, deadline: now.mono + SET_CUSTOM_JOB_DEADLINE };
    }

    pub(super) fn on_custom_job(&mut self, answer: CustomJobAnswer, now: Now, fx: &mut DeclaredEffects) {
        let CustomJobAnswer { channel_id, request_id, answer } = answer;
        let asked = |job: &&CustomJob| job.channel_id == channel_id && job.request() == Some(request_id);
        let Some(id) = self.jobs.iter().find(asked).map(|job| job.id) else { return };
        match answer {
            Ok(job_id) => self.acknowledge(id, job_id, now, fx),
            Err(_) if !self.is_on_tip(id) => {
                self.end_held(id, UnsentReason::JobRefused, false, fx);
                if let Some(job) = self.jobs.get_mut(id) {
                    job.stage = Stage::Over;
                }
            }
            Err(code) if code == sv2::error_code::STALE_CHAIN_TIP => self.stale(id, now),
            Err(code) => {
                let why = format!("SetCustomMiningJob.Error {code}");
                if code == sv2::error_code::INVALID_MINING_JOB_TOKEN {
                    self.renew_token(id, why, now, fx);
                } else {
                    self.refuse(id, why, now, fx);
                }
            }
        }
    }

    fn acknowledge(&mut self, id: u32, job_id: u32, now: Now, fx: &mut DeclaredEffects) {
        let on_tip = self.is_on_tip(id);
        let Some(job) = self.jobs.get_mut(id) else { return };
        let target = self.pool.channel_target(job.channel_id).unwrap_or(job.feed.job.source_target);
        job.stage = Stage::Acknowledged { job_id, target };
        self.acknowledged += 1;
        fx.acknowledged_after.push(now.since(job.began));
        let channel_id = job.channel_id;
        let harder = is_harder(target, job.told);
        if on_tip {
            if let Some(channel) = self.channels.get_mut(&channel_id) {
                channel.acknowledged = true;
            }
            self.backoff.reset();
        }
        self.release(id, now, fx);
        // Miners learn of a target that became harder meanwhile: what they would find for the old one does not count.
        let newest = self.jobs.iter().rev().find(|job| job.channel_id == channel_id);
        if harder && on_tip && newest.is_some_and(|job| job.id == id) {
            self.back_to_acknowledged(channel_id, now, fx);
        }
    }

    /// The miners of a channel go on with its newest acknowledged job on the present tip.
    pub(super) fn back_to_acknowledged(&mut self, channel_id: u32, now: Now, fx: &mut DeclaredEffects) {
        let Some(tip) = self.template.as_ref().map(|template| template.prev_hash) else { return };
        let Some(channel) = self.pool.custom_channel(channel_id) else { return };
        let newest = self.jobs.iter_mut().rev().find(|job| {
            job.channel_id == channel_id
                && job.template.prev_hash == tip
                && matches!(job.stage, Stage::Acknowledged { .. })
        });
        let Some(job) = newest else { return };
        let Stage::Acknowledged { target, .. } = job.stage else { return };
        let prefix = job.feed.job.extranonce_prefix().to_vec();
        let place = Place {
            state: channel.state,
            generation: channel.generation,
            prefix: &prefix,
            split: channel.split,
            tag: channel.tag,
            target,
            ntime_slack: self.ntime_slack,
            active_since: work::Seconds(self.tip_since.as_secs()),
        };
        // It was a job once, and a target of zero is refused when it comes.
        if let Ok(feed) = job.ready.feed(place, now) {
            job.feed = feed.clone();
            let id = job.id;
            self.give(feed, id, fx);
        }
    }

    /// A channel's miners go on with this job.
    fn give(&mut self, feed: Feed, id: u32, fx: &mut DeclaredEffects) {
        if let Some(channel) = self.channels.get_mut(&feed.channel.key.channel_id) {
            channel.mined = Some(id);
        }
        fx.pool.events.push(SourceEvent::Work(feed));
    }

    /// The lease has changed: miners are given the job that they are on once more, with its tag. The extranonce is no part of
    /// what is declared, so nothing is declared anew, and a share of either is the job's.
    pub(super) fn on_tag(&mut self, now: Now, fx: &mut DeclaredEffects) {
        for channel_id in self.pool.custom_channels() {
            let Some(id) = self.channels.get(&channel_id).and_then(|channel| channel.mined) else { continue };
            let Some(channel) = self.pool.custom_channel(channel_id) else { continue };
            let filler = channel.split.filler_of(channel.tag);
            let Some(job) = self.jobs.get_mut(id) else { continue };
            if let Some(feed) = job.feed.with_filler(filler.as_slice(), now) {
                job.feed = feed.clone();
                fx.pool.events.push(SourceEvent::Work(feed));
            }
        }
    }

    /// The other side's node is on another tip than ours: it will come round, or we will.
    fn stale(&mut self, id: u32, now: Now) {
        self.refused += 1;
        let Some(job) = self.jobs.get_mut(id) else { return };
        let wait = RETRY * (1 << job.stale_tries.min(RETRY_DOUBLED));
        job.stale_tries = job.stale_tries.saturating_add(1);
        self.wait(id, now.mono + wait);
    }

    /// A job was refused. Within a moment after a change of tip the other side may have mixed the two up.
    fn refuse(&mut self, id: u32, why: String, now: Now, fx: &mut DeclaredEffects) {
        self.refused += 1;
        let racing = now.since(self.tip_since) <= TIP_RACE;
        match self.jobs.get_mut(id) {
            Some(job) if racing && job.tries == 0 => {
                job.tries += 1;
                self.wait(id, now.mono + RETRY);
            }
            _ => self.fall(DownReason::JobRefused(why), now, fx),
        }
    }

    /// The other side does not know the job's token any more: too old, or its connection has ended. It is nobody's fault
    /// once, and says nothing of the job: that is declared again with a new one.
    fn renew_token(&mut self, id: u32, why: String, now: Now, fx: &mut DeclaredEffects) {
        match self.jobs.get_mut(id) {
            Some(job) if !job.renewed => {
                job.renewed = true;
                self.refused += 1;
                self.jds.renew_tokens(now, &mut fx.jds);
                self.wait(id, Duration::ZERO);
                self.advance(now, fx);
            }
            _ => self.refuse(id, why, now, fx),
        }
    }

    fn wait(&mut self, id: u32, until: Duration) {
        if let Some(job) = self.jobs.get_mut(id) {
            job.stage = Stage::Waiting { until };
        }
    }

    /// Nothing comes of a job, though its channel has one that was acknowledged: its miners go on with that.
    pub(super) fn give_up(&mut self, id: u32, now: Now, fx: &mut DeclaredEffects) {
        self.end_held(id, UnsentReason::JobRefused, false, fx);
        let Some(job) = self.jobs.get_mut(id) else { return };
        job.stage = Stage::Over;
        let channel_id = job.channel_id;
        let newest = self.jobs.iter().rev().find(|job| job.channel_id == channel_id);
        if newest.is_some_and(|job| job.id == id) {
            self.back_to_acknowledged(channel_id, now, fx);
        }
    }

    pub(super) fn is_on_tip(&self, id: u32) -> bool {
        let tip = self.template.as_ref().map(|template| template.prev_hash);
        self.jobs.get(id).is_some_and(|job| Some(job.template.prev_hash) == tip)
    }

    /// The pool has changed a channel's extranonce prefix: jobs that it has not taken yet would be hashed with another one
    /// than it will judge them by.
    pub(super) fn on_prefix(&mut self, channel_id: u32, now: Now, fx: &mut DeclaredEffects) {
        let open = self.jobs.ids(|job| job.channel_id == channel_id && job.stage.is_open());
        for id in &open {
            self.end_held(*id, UnsentReason::PrefixChanged, false, fx);
            self.jds.forget(u64::from(*id));
            if let Some(job) = self.jobs.get_mut(*id) {
                job.stage = Stage::Over;
            }
        }
        if !open.is_empty() && self.up {
            self.begin(channel_id, now, fx);
            self.advance(now, fx);
        }
    }
}

/// Fewer hashes meet `target` than `other`.
pub(super) fn is_harder(target: Target, other: Target) -> bool {
    target != other && target.harder(other) == target
}
