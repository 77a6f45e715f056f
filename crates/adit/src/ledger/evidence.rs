//! Shares on their way to the ledger, as evidence.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::SyncSender;

use engine::Evidence;
use engine::books::AccountKey;
use ledger::RowKey;
use ledger::record::{Job, Share};
use work::{ChannelJob, Extranonce};

use super::keeper::Told;
use super::names::Names;

/// Where miners' tasks put shares that are to be kept. What has no room is counted and not kept.
#[derive(Clone, Debug)]
pub struct EvidenceDoor {
    queue: SyncSender<Told>,
    lost: Arc<AtomicU64>,
}

/// A share that is to be kept.
#[derive(Debug)]
pub(super) struct KeptShare {
    at_ms: u64,
    worker: Arc<str>,
    key: AccountKey,
    job: Arc<ChannelJob>,
    extranonce: Extranonce,
    ntime: u32,
    nonce: u32,
    version: u32,
    difficulty: f64,
    keep: f64,
}

impl EvidenceDoor {
    pub(super) fn new(queue: SyncSender<Told>, lost: Arc<AtomicU64>) -> Self {
        Self { queue, lost }
    }

    /// Hands a share over. Never waits.
    pub(crate) fn keep(&self, evidence: &Evidence<'_>) {
        let share = KeptShare {
            at_ms: super::unix_ms(),
            worker: Arc::clone(evidence.tally.worker().name()),
            key: evidence.tally.key(),
            job: Arc::clone(evidence.job),
            extranonce: *evidence.extranonce,
            ntime: evidence.header.ntime,
            nonce: evidence.header.nonce,
            version: evidence.header.version,
            difficulty: evidence.difficulty,
            keep: evidence.keep_difficulty,
        };
        if self.queue.try_send(Told::Share(Box::new(share))).is_err() {
            self.lost.fetch_add(1, Relaxed);
        }
    }
}

/// Makes records of shares. What many of them have in common is made once.
#[derive(Debug, Default)]
pub(super) struct Records {
    keys: HashMap<(Arc<str>, AccountKey), Arc<RowKey>>,
    /// By the job's place in memory, which is held here and so cannot be another's, and the length of the source's prefix:
    /// a job may stand on several channels.
    jobs: HashMap<(usize, u8), (Arc<work::Job>, Arc<Job>)>,
}

/// So many jobs and names are remembered.
const REMEMBERED: usize = 4_096;

impl Records {
    pub(super) fn share(&mut self, share: &KeptShare, names: &Names) -> Share {
        if self.jobs.len() > REMEMBERED {
            self.jobs.clear();
        }
        if self.keys.len() > 16 * REMEMBERED {
            self.keys.clear();
        }
        let key = self
            .keys
            .entry((Arc::clone(&share.worker), share.key))
            .or_insert_with(|| Arc::new(names.row(&share.worker, share.key)));
        let (of, prefix) = (&share.job.job, share.job.extranonce_prefix());
        // At most 32.
        let prefix_length = u8::try_from(prefix.len()).unwrap_or(u8::MAX);
        let (_, job) = self.jobs.entry((Arc::as_ptr(of).addr(), prefix_length)).or_insert_with(|| {
            let job = Job {
                source: key.source.clone(),
                version: of.version,
                prev_hash: of.prev_hash,
                nbits: of.nbits,
                min_ntime: of.min_ntime,
                prefix_length: Some(prefix_length),
                coinbase_prefix: of.coinbase_tx_prefix.clone(),
                coinbase_suffix: of.coinbase_tx_suffix.clone(),
                merkle_path: of.merkle_path.clone(),
            };
            (Arc::clone(of), Arc::new(job))
        });
        let mut extranonce = prefix.to_vec();
        extranonce.extend_from_slice(share.extranonce.as_slice());
        Share {
            at_ms: share.at_ms,
            key: Arc::clone(key),
            job: Arc::clone(job),
            extranonce,
            ntime: share.ntime,
            nonce: share.nonce,
            version: share.version,
            difficulty: share.difficulty,
            keep: share.keep,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use engine::books::Books;
    use work::{ChannelTerms, JobParts, Seconds, SourceId, Target};

    use super::*;
    use crate::snapshot::{ListenerView, Shown};

    /// A coinbase with 20 bytes of script, the last 12 of them cut out.
    fn job() -> Arc<ChannelJob> {
        let prefix = hex::decode(format!("0200000001{}ffffffff14{}", "00".repeat(32), "03".repeat(8)));
        let parts = JobParts {
            id: 1,
            version: 0x2000_0000,
            version_rolling_allowed: true,
            prev_hash: [7; 32],
            nbits: 0x1d00_ffff,
            min_ntime: 1_700_000_000,
            merkle_path: vec![[8; 32], [9; 32]].into(),
            coinbase_tx_prefix: prefix.unwrap().into(),
            coinbase_tx_suffix: hex::decode("ffffffff0100f2052a01000000015100000000").unwrap().into(),
        };
        let terms = ChannelTerms {
            source: SourceId(0),
            generation: 1,
            extranonce_prefix: &[1, 2, 3, 4],
            filler: &[0],
            source_target: Target::DIFFICULTY_1,
            ntime_slack: 600,
            received_at: Seconds::default(),
        };
        let job = work::Job::new(parts, 12).unwrap();
        Arc::new(ChannelJob::new(Arc::new(job), terms).unwrap())
    }

    #[test]
    fn what_is_kept_hashes_as_the_share_did_and_what_has_no_room_is_counted() {
        let (queue, taken) = sync_channel(2);
        let lost = Arc::new(AtomicU64::new(0));
        let door = EvidenceDoor::new(queue, Arc::clone(&lost));
        let key = AccountKey { listener: 0, route: 0, source: None };
        let tally = Books::default().tally(&"farm.rig".into(), key);
        let job = job();
        let mut headers = Vec::new();
        for n in 0..3 {
            let rolled = [n; 7];
            let header = job.header(&[&rolled], 0x2000_e000, 1_700_000_001, n.into());
            door.keep(&Evidence {
                tally: &tally,
                job: &job,
                extranonce: &job.extranonce(&rolled).unwrap(),
                header: &header,
                difficulty: 8.0,
                keep_difficulty: 16.0,
            });
            headers.push(header);
        }
        assert_eq!(lost.load(Relaxed), 1);
        let shown = Shown::default();
        shown.lock().listeners.push(ListenerView {
            name: "hall".to_owned(),
            address: String::new(),
            figures: Arc::default(),
            retargets: Arc::default(),
            removed: false,
        });
        let names = Names::new(Arc::new(shown));
        let mut records = Records::default();
        let mut jobs = Vec::new();
        for header in &headers[..2] {
            let Told::Share(share) = taken.recv().unwrap() else { panic!("a share") };
            let record = records.share(&share, &names);
            assert_eq!(record.header().hash(), header.hash());
            assert_eq!((&*record.key.worker, &*record.key.listener), ("farm.rig", "hall"));
            assert_eq!((record.difficulty, record.keep), (8.0, 16.0));
            assert_eq!((record.job.prefix_length, &record.extranonce[..5]), (Some(4), &[1, 2, 3, 4, 0][..]));
            jobs.push(record.job);
        }
        assert!(Arc::ptr_eq(&jobs[0], &jobs[1]), "one job, made once");
    }
}
