//! A pool's jobs: future ones wait, active ones go to the router as feeds.

use std::sync::Arc;

use work::LeaseTag;
use work::coinbase::PayoutError;

use super::channel::Channel;
use super::drafts::{Draft, Tip};
use super::{SourceSettings, Sv2Pool, protocol};
use crate::now::Now;
use crate::source::event::{DownReason, Effects, SourceEvent};
use crate::source::ready_job::ReadyJob;

impl Sv2Pool {
    pub(super) fn on_job(
        &mut self,
        message: &sv2::mining::NewExtendedMiningJob<'_>,
        now: Now,
        fx: &mut Effects,
    ) -> Result<(), DownReason> {
        if !message.version_rolling_allowed {
            return Err(DownReason::BadJob(
                "it forbids version rolling, which Adit asked for at SetupConnection".into(),
            ));
        }
        self.job_messages += 1;
        let draft = Arc::new(Draft::read(self.job_messages, message));
        let Some(min_ntime) = message.min_ntime else {
            self.future_job_pays(&draft, message.channel_id)?;
            if let Some(channel) = self.channels.get_mut(&message.channel_id) {
                channel.future.insert(draft);
            } else if let Some((future, _)) = self.groups.get_mut(&message.channel_id) {
                future.insert(draft);
            } else {
                self.stray_answers += 1;
            }
            return Ok(());
        };
        let ids = self.addressed(message.channel_id);
        if ids.is_empty() {
            self.stray_answers += 1;
        }
        let mut ready: Option<(Tip, usize, ReadyJob)> = None;
        for id in ids {
            let channel = self.channels.get_mut(&id).expect("addressed channels exist");
            let Some(tip) = channel.tip else {
                return Err(protocol("NewExtendedMiningJob with min_ntime before any SetNewPrevHash"));
            };
            let tip = Tip { min_ntime, ..tip };
            publish(channel, &draft, tip, &mut ready, (&self.settings, self.tag), now, fx)?;
        }
        Ok(())
    }

    /// A future job is looked at when it comes, not only when its tip does: then there would be no time to lose.
    fn future_job_pays(&self, draft: &Draft, address: u32) -> Result<(), DownReason> {
        let mut looked = None;
        for id in self.addressed(address) {
            let Some(channel) = self.channels.get(&id).filter(|channel| channel.draining.is_none()) else {
                continue;
            };
            let len = channel.extranonce_len();
            if looked != Some(len) {
                pays(&self.settings, draft, len)?;
                looked = Some(len);
            }
        }
        Ok(())
    }

    pub(super) fn on_prev_hash(
        &mut self,
        message: &sv2::mining::SetNewPrevHash,
        now: Now,
        fx: &mut Effects,
    ) -> Result<(), DownReason> {
        let tip = Tip { prev_hash: message.prev_hash, nbits: message.nbits, min_ntime: message.min_ntime };
        let ids = self.addressed(message.channel_id);
        if ids.is_empty() {
            self.stray_answers += 1;
        }
        let group_draft =
            self.groups.get(&message.channel_id).and_then(|(future, _)| future.get(message.job_id));
        let mut ready: Option<(Tip, usize, ReadyJob)> = None;
        for id in ids {
            let channel = self.channels.get_mut(&id).expect("addressed channels exist");
            let draft = match &group_draft {
                Some(draft) => Some(Arc::clone(draft)),
                None => channel.future.get(message.job_id).or_else(|| {
                    self.groups.get(&channel.group_id).and_then(|(future, _)| future.get(message.job_id))
                }),
            };
            let Some(draft) = draft else {
                return Err(protocol(format!(
                    "SetNewPrevHash names job {}, which was never sent as a future job",
                    message.job_id
                )));
            };
            self.next_generation = self.next_generation.wrapping_add(1);
            channel.set_tip(tip, self.next_generation);
            publish(channel, &draft, tip, &mut ready, (&self.settings, self.tag), now, fx)?;
            channel.forget_old_prefixes();
        }
        if let Some((future, _)) = self.groups.get_mut(&message.channel_id) {
            future.clear();
        }
        Ok(())
    }
}

/// Whether a job pays whom the configuration says, if it says so. `extranonce_len` is a channel's whole extranonce.
fn pays(settings: &SourceSettings, draft: &Draft, extranonce_len: usize) -> Result<(), DownReason> {
    let Some(rule) = &settings.payout else { return Ok(()) };
    draft.pays(rule, extranonce_len).map_err(|error| match error {
        PayoutError::Mismatch(mismatch) => DownReason::Payout(mismatch),
        PayoutError::Unsound(error) => DownReason::BadJob(error.to_string()),
    })
}

/// Puts a job on a channel and tells the router. Channels that share tip and extranonce length share the job.
fn publish(
    channel: &mut Channel,
    draft: &Draft,
    tip: Tip,
    ready: &mut Option<(Tip, usize, ReadyJob)>,
    (settings, tag): (&SourceSettings, LeaseTag),
    now: Now,
    fx: &mut Effects,
) -> Result<(), DownReason> {
    if channel.draining.is_some() {
        return Ok(());
    }
    let len = channel.extranonce_len();
    let job = match ready {
        Some((t, l, job)) if *t == tip && *l == len => &*job,
        _ => {
            pays(settings, draft, len)?;
            let job = draft.on_tip(tip, len).map_err(|e| DownReason::BadJob(e.to_string()))?;
            &ready.insert((tip, len, job)).2
        }
    };
    let feed = channel
        .feed((job, draft.number()), settings.ntime_slack, tag, now)
        .map_err(|e| DownReason::BadJob(e.to_string()))?;
    fx.events.push(SourceEvent::Work(feed));
    Ok(())
}
