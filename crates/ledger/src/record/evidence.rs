//! Evidence: shares with all that it takes to hash them again.

use std::collections::HashMap;
use std::sync::Arc;

use work::{Header, merkle, sha256d};

use super::kind;
use super::sums::Names;
use super::threshold::Thresholds;
use crate::coding::{Cursor, Encoder};
use crate::frame::write_record;
use crate::rows::RowKey;

/// A job that shares refer to. Its header's merkle root is that of `coinbase_prefix | extranonce | coinbase_suffix`, the
/// extranonce being the share's, and `merkle_path`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Job {
    /// The source that it came from.
    pub source: Box<str>,
    /// The header's version, before rolling.
    pub version: u32,
    /// The tip that it builds on, internal order.
    pub prev_hash: [u8; 32],
    /// The network's target in compact form.
    pub nbits: u32,
    /// The smallest `ntime`.
    pub min_ntime: u32,
    /// How many of the extranonce's first bytes the source fixed; nothing in a ledger from before this was kept.
    pub prefix_length: Option<u8>,
    /// The coinbase up to the extranonce, without BIP 141's fields.
    pub coinbase_prefix: Box<[u8]>,
    /// The coinbase after the extranonce.
    pub coinbase_suffix: Box<[u8]>,
    /// The coinbase's merkle path, deepest first, internal order.
    pub merkle_path: Box<[[u8; 32]]>,
}

/// A share that is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    /// When it came, Unix milliseconds.
    pub at_ms: u64,
    /// Whose it is.
    pub key: Arc<RowKey>,
    /// The job.
    pub job: Arc<Job>,
    /// Everything between the coinbase's halves: the upstream's prefix, filler, the miner's own number, and what the miner
    /// chose.
    pub extranonce: Vec<u8>,
    /// The header's time.
    pub ntime: u32,
    /// The header's nonce.
    pub nonce: u32,
    /// The header's version, rolled.
    pub version: u32,
    /// The difficulty that the miner was told.
    pub difficulty: f64,
    /// When it came, shares of this worker were kept if they were worth this difficulty, which was set before.
    pub keep: f64,
}

/// What one segment has numbered so far.
#[derive(Debug, Default)]
pub(crate) struct EvidenceEncoder {
    jobs: HashMap<Arc<Job>, u64>,
    keys: HashMap<Arc<RowKey>, u64>,
}

impl EvidenceEncoder {
    /// Encodes a share, before it its job and its key if the segment has not had them.
    pub(crate) fn share(&mut self, to: &mut Vec<u8>, share: &Share) {
        let next = self.jobs.len() as u64;
        let job = *self.jobs.entry(Arc::clone(&share.job)).or_insert_with(|| {
            write_record(to, &encode_job(&share.job));
            next
        });
        let key = number_of(to, &mut self.keys, &share.key);
        let mut record = Encoder::default();
        record.byte(kind::SHARE);
        record.number(share.at_ms);
        record.number(key);
        record.number(job);
        record.string(&share.extranonce);
        for number in [share.ntime, share.nonce, share.version] {
            record.fixed(number);
        }
        record.float(share.difficulty);
        record.float(share.keep);
        write_record(to, &record.bytes);
    }

    /// Encodes what held for miners.
    pub(crate) fn thresholds(&mut self, to: &mut Vec<u8>, thresholds: &Thresholds) {
        super::threshold::encode(to, &mut self.keys, thresholds);
    }
}

/// The number that a key has in this segment; it is given one if it has none.
pub(super) fn number_of(to: &mut Vec<u8>, keys: &mut HashMap<Arc<RowKey>, u64>, key: &Arc<RowKey>) -> u64 {
    let next = keys.len() as u64;
    *keys.entry(Arc::clone(key)).or_insert_with(|| {
        let mut record = Encoder::default();
        record.byte(kind::KEYS);
        record.number(1);
        for name in [&key.worker, &key.listener, &key.route, &key.source] {
            record.text(name);
        }
        write_record(to, &record.bytes);
        next
    })
}

fn encode_job(job: &Job) -> Vec<u8> {
    let mut record = Encoder::default();
    record.byte(kind::JOB);
    record.text(&job.source);
    record.fixed(job.version);
    record.raw(&job.prev_hash);
    record.fixed(job.nbits);
    record.fixed(job.min_ntime);
    record.string(&job.coinbase_prefix);
    record.string(&job.coinbase_suffix);
    record.number(job.merkle_path.len() as u64);
    job.merkle_path.iter().for_each(|node| record.raw(node));
    // Who does not know it passes over what follows the path.
    if let Some(length) = job.prefix_length {
        record.byte(length);
    }
    record.bytes
}

impl Job {
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        let mut job = Self {
            source: cursor.text()?.into(),
            version: cursor.fixed()?,
            prev_hash: cursor.array()?,
            nbits: cursor.fixed()?,
            min_ntime: cursor.fixed()?,
            prefix_length: None,
            coinbase_prefix: cursor.string()?.into(),
            coinbase_suffix: cursor.string()?.into(),
            merkle_path: (0..cursor.length()?).map(|_| cursor.array()).collect::<Option<_>>()?,
        };
        job.prefix_length = cursor.byte();
        Some(job)
    }
}

impl Share {
    /// The header that was hashed.
    #[must_use]
    pub fn header(&self) -> Header {
        let Job { coinbase_prefix, coinbase_suffix, merkle_path, .. } = &*self.job;
        let coinbase = [&coinbase_prefix[..], &self.extranonce, coinbase_suffix].concat();
        Header {
            version: self.version,
            prev_hash: self.job.prev_hash,
            merkle_root: merkle::root(sha256d::hash(&coinbase), merkle_path),
            ntime: self.ntime,
            nbits: self.job.nbits,
            nonce: self.nonce,
        }
    }

    /// The number, within its segment, of the job that a record of a share refers to.
    pub(crate) fn job_number(record: &[u8]) -> Option<u64> {
        let mut cursor = Cursor::new(record);
        (cursor.byte()? == kind::SHARE).then_some(())?;
        let (_at_ms, _key) = (cursor.number()?, cursor.number()?);
        cursor.number()
    }

    pub(super) fn read(cursor: &mut Cursor<'_>, names: &Names, jobs: &[Arc<Job>]) -> Option<Self> {
        Some(Self {
            at_ms: cursor.number()?,
            key: Arc::clone(names.key(cursor.number()?)?),
            job: Arc::clone(jobs.get(usize::try_from(cursor.number()?).ok()?)?),
            extranonce: cursor.string()?.to_vec(),
            ntime: cursor.fixed()?,
            nonce: cursor.fixed()?,
            version: cursor.fixed()?,
            difficulty: cursor.float()?,
            keep: cursor.float()?,
        })
    }
}
