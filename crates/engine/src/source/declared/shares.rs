//! Shares of custom jobs: out if the pool has acknowledged the job, held while it has not; blocks first of all.

use work::Target;

use super::declare::is_harder;
use super::job::Stage;
use super::{Declared, DeclaredEffects, HELD_AT_MOST};
use crate::books::{Final, UnsentReason};
use crate::now::Now;
use crate::share::OutgoingShare;
use crate::source::jds::PushedSolution;
use crate::source::solo::FoundBlock;

impl Declared {
    /// Takes a share. The books have it as `pending` already.
    pub fn share(&mut self, share: &OutgoingShare, now: Now, fx: &mut DeclaredEffects) {
        if share.is_block {
            self.hand_out(share, fx);
        }
        let tip = self.template.as_ref().map(|template| template.prev_hash);
        let held = self.jobs.held();
        let job = self.jobs.get_mut(share.job_id);
        let Some(job) = job.filter(|job| job.feed.channel.key == share.channel) else {
            return unsent(share, UnsentReason::NoSource, fx);
        };
        let stale = Some(job.template.prev_hash) != tip && !share.is_block;
        match job.stage {
            Stage::Acknowledged { job_id, target } => self.send(share, job_id, target, now, fx),
            Stage::Over if stale => unsent(share, UnsentReason::StaleInQueue, fx),
            Stage::Over => unsent(share, UnsentReason::JobRefused, fx),
            _ if stale => unsent(share, UnsentReason::StaleInQueue, fx),
            _ if held >= HELD_AT_MOST => unsent(share, UnsentReason::QueueFull, fx),
            Stage::Waiting { .. } | Stage::Declaring | Stage::Setting { .. } => {
                job.held.push(share.clone());
                share.tally.hold(share.miner);
            }
        }
    }

    /// To the pool, if the share meets the target that the job was taken with.
    fn send(
        &mut self,
        share: &OutgoingShare,
        job_id: u32,
        target: Target,
        now: Now,
        fx: &mut DeclaredEffects,
    ) {
        let told = self.jobs.get(share.job_id).map(|job| (job.told, &job.feed.job));
        // Hashed once more only where the target has changed under it.
        let easier = told.is_some_and(|(told, job)| {
            is_harder(target, told)
                && !share.is_block
                && job
                    .header_of(share.extranonce.as_slice(), share.version, share.ntime, share.nonce)
                    .is_none_or(|header| !header.hash().meets(&target))
        });
        if easier {
            return share.end(Final::Local, &mut fx.pool.answers);
        }
        if told.is_some_and(|(told, _)| told != target) {
            // The pool credits the target that it took the job with, not the one that miners were first told.
            let credited = OutgoingShare { difficulty: target.difficulty().get(), ..share.clone() };
            return self.pool.share_as(&credited, job_id, now, &mut fx.pool);
        }
        self.pool.share_as(share, job_id, now, &mut fx.pool);
    }

    /// The pool has taken the job: its shares go out.
    pub(super) fn release(&mut self, id: u32, now: Now, fx: &mut DeclaredEffects) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        let Stage::Acknowledged { job_id, target } = job.stage else { return };
        for share in std::mem::take(&mut job.held) {
            share.tally.release(share.miner);
            self.send(&share, job_id, target, now, fx);
        }
    }

    /// Nothing comes of a job's held shares; with `but_blocks`, blocks stay. Gives whether any stays.
    pub(super) fn end_held(
        &mut self,
        id: u32,
        why: UnsentReason,
        but_blocks: bool,
        fx: &mut DeclaredEffects,
    ) -> bool {
        let Some(job) = self.jobs.get_mut(id) else { return false };
        let (stay, end): (Vec<_>, Vec<_>) =
            std::mem::take(&mut job.held).into_iter().partition(|share| but_blocks && share.is_block);
        let stays = !stay.is_empty();
        job.held = stay;
        Self::end_shares(end, why, fx);
        stays
    }

    pub(super) fn end_shares(held: Vec<OutgoingShare>, why: UnsentReason, fx: &mut DeclaredEffects) {
        for share in held {
            share.tally.release(share.miner);
            unsent(&share, why, fx);
        }
    }

    /// A block goes out whole, whatever has become of its job.
    fn hand_out(&mut self, share: &OutgoingShare, fx: &mut DeclaredEffects) {
        let Some(job) = self.jobs.get(share.job_id).filter(|job| job.feed.channel.key == share.channel)
        else {
            return;
        };
        let told = &job.feed.job;
        let extranonce = share.extranonce.as_slice();
        let Some(header) = told.header_of(extranonce, share.version, share.ntime, share.nonce) else {
            return;
        };
        let extranonce = [told.extranonce_prefix(), share.extranonce.as_slice()].concat();
        let Some(coinbase) = job.coinbase.transaction(&extranonce) else { return };
        self.next_block += 1;
        let (number, template) = (self.next_block, std::sync::Arc::clone(&job.template.origin));
        fx.blocks.push(FoundBlock { number, template, header, coinbase });
        if self.full_template {
            self.jds.push_solution(&PushedSolution { header, extranonce }, &mut fx.jds);
        }
    }
}

fn unsent(share: &OutgoingShare, why: UnsentReason, fx: &mut DeclaredEffects) {
    share.end(Final::Unsent(why), &mut fx.pool.answers);
}
