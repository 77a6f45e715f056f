//! What the pool says by itself: jobs, parents, targets, prefixes, late acknowledgements.

use std::sync::Arc;
use std::time::Instant;

use bitcoin::hashes::Hash;
use bytes::BytesMut;
use sv2::mining::{NewExtendedMiningJob, NewMiningJob, SetExtranoncePrefix, SetNewPrevHash, SetTarget};
use sv2::{B032, B064K, Seq0255, write_frame};

use super::Client;
use crate::dev_pool::channel::Channel;
use crate::dev_pool::work::PoolWork;

impl Client {
    /// New work: a job for all channels, after a new tip as a future job with its SetNewPrevHash.
    pub(in crate::dev_pool) fn on_work(&mut self, work: Arc<PoolWork>, out: &mut BytesMut) {
        if work.job.id == self.work.job.id {
            return;
        }
        let new_tip = work.tip_number != self.work.tip_number;
        if new_tip {
            self.first_job_on_tip = work.job.id;
            self.jobs.clear();
            self.channels.values_mut().for_each(|channel| channel.new_tip(work.job.id));
            if let Some(custom) = &mut self.custom {
                custom.new_tip();
            }
        }
        self.jobs.push_back(Arc::clone(&work.job));
        while self.jobs.len() > self.shared.options.max_past_jobs + 1 {
            self.jobs.pop_front();
        }
        self.work = work;
        self.broadcast(new_tip, out);
    }

    fn broadcast(&self, future: bool, out: &mut BytesMut) {
        if self.channels.is_empty() || self.custom.is_some() {
            return;
        }
        let group =
            self.group_id.filter(|_| self.shared.options.group_channels && !self.requires_standard_jobs);
        if let Some(group_id) = group {
            self.send_extended_job(group_id, future, out);
            if future {
                self.send_prev_hash(group_id, out);
            }
            return;
        }
        for channel in self.channels.values() {
            self.send_job(channel, future, out);
            if future {
                self.send_prev_hash(channel.id, out);
            }
        }
    }

    /// A channel's first job, as the reference sends it: a future job and its activation.
    pub(super) fn send_first_job(&self, channel_id: u32, out: &mut BytesMut) {
        if self.custom.is_some() {
            return;
        }
        self.send_job(&self.channels[&channel_id], true, out);
        self.send_prev_hash(channel_id, out);
    }

    fn send_job(&self, channel: &Channel, future: bool, out: &mut BytesMut) {
        if !channel.is_standard {
            return self.send_extended_job(channel.id, future, out);
        }
        let job = &self.work.job;
        let prefix = channel.prefixes.at(job.id).map_or(&[][..], Vec::as_slice);
        write_frame(
            &NewMiningJob {
                channel_id: channel.id,
                job_id: job.id,
                min_ntime: (!future).then_some(job.min_ntime),
                version: job.template.version,
                merkle_root: job.merkle_root(prefix, &[]),
            },
            out,
        );
    }

    fn send_extended_job(&self, channel_id: u32, future: bool, out: &mut BytesMut) {
        let job = &self.work.job;
        // A coinbase and its path are far below these limits.
        let (prefix, suffix) = (B064K::new(&job.coinbase_tx_prefix), B064K::new(&job.coinbase_tx_suffix));
        write_frame(
            &NewExtendedMiningJob {
                channel_id,
                job_id: job.id,
                min_ntime: (!future).then_some(job.min_ntime),
                version: job.template.version,
                version_rolling_allowed: self.shared.options.version_rolling,
                merkle_path: Seq0255::from_slice(&job.template.merkle_path).unwrap_or_default(),
                coinbase_tx_prefix: prefix.unwrap_or_default(),
                coinbase_tx_suffix: suffix.unwrap_or_default(),
            },
            out,
        );
    }

    fn send_prev_hash(&self, channel_id: u32, out: &mut BytesMut) {
        let job = &self.work.job;
        write_frame(
            &SetNewPrevHash {
                channel_id,
                job_id: job.id,
                prev_hash: job.template.prev_hash.to_byte_array(),
                min_ntime: job.min_ntime,
                nbits: job.template.nbits.to_consensus(),
            },
            out,
        );
    }

    /// Acknowledges old batches and fits targets.
    pub(in crate::dev_pool) fn on_tick(&mut self, now: Instant, out: &mut BytesMut) {
        let options = &self.shared.options;
        let last_job = self.work.job.id;
        for channel in self.channels.values_mut() {
            let success = options.acknowledge_after.and_then(|age| channel.acknowledge_older(age, now));
            if let Some(success) = success {
                self.shared.stats.acknowledged(success.new_submits_accepted_count);
                write_frame(&success, out);
            }
            let fitted =
                options.vardiff_interval.and_then(|every| channel.fit(options, every, last_job, now));
            if let Some(target) = fitted {
                write_frame(&SetTarget { channel_id: channel.id, maximum_target: target.to_le_bytes() }, out);
            }
        }
    }

    /// Gives every channel another extranonce prefix, if that was ordered.
    pub(in crate::dev_pool) fn on_rotations(&mut self, rotations: u64, out: &mut BytesMut) {
        if std::mem::replace(&mut self.rotations, rotations) == rotations {
            return;
        }
        let all: Vec<u32> = self.channels.keys().copied().collect();
        self.change_prefixes(&all, out);
    }

    /// Gives channels another extranonce prefix for jobs to come.
    pub(super) fn change_prefixes(&mut self, channel_ids: &[u32], out: &mut BytesMut) {
        let first_job = self.work.job.id.saturating_add(1);
        for channel_id in channel_ids {
            // Without prefixes left the old one stays.
            let (Some(channel), Some(mut prefix)) =
                (self.channels.get_mut(channel_id), self.shared.next_prefix())
            else {
                return;
            };
            prefix.resize(channel.prefixes.latest().len(), 0);
            let message = SetExtranoncePrefix {
                channel_id: channel.id,
                extranonce_prefix: B032::new(&prefix).unwrap_or_default(),
            };
            write_frame(&message, out);
            channel.prefixes.change(first_job, prefix);
        }
    }
}
