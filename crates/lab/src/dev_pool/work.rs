//! Jobs of the pool: the same for all channels but for the extranonce, and so under the same ids.

use std::fmt;
use std::sync::Arc;

use bitcoin::block::{Header, Version};
use bitcoin::hashes::{Hash, HashEngine, sha256};
use bitcoin::{BlockHash, TxMerkleNode, Txid};
use template::dev_chain::{CoinbaseHalves, CoinbaseTooLong, DevTemplate, fold_merkle_path};
use thiserror::Error;

use super::options::DevPoolOptions;

/// Why a template makes no job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WorkError {
    /// Tag and extranonce do not fit the coinbase's input script.
    #[error("{0}")]
    Coinbase(#[from] CoinbaseTooLong),
    /// 2^32 jobs were made.
    #[error("job ids are used up")]
    JobIds,
}

/// The newest job and the tip that it builds on.
#[derive(Debug)]
pub(super) struct PoolWork {
    pub(super) job: Arc<PoolJob>,
    /// Counts changes of the tip: a job of an earlier number is stale.
    pub(super) tip_number: u64,
}

/// A job.
pub(super) struct PoolJob {
    /// Counts up over the pool's life.
    pub(super) id: u32,
    pub(super) template: Arc<DevTemplate>,
    pub(super) coinbase_tx_prefix: Vec<u8>,
    pub(super) coinbase_tx_suffix: Vec<u8>,
    /// Has hashed `coinbase_tx_prefix`.
    engine: sha256::HashEngine,
    /// Smallest time of a share, Unix seconds.
    pub(super) min_ntime: u32,
}

/// What a client may choose in a share.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShareFields<'a> {
    pub(super) version: u32,
    pub(super) ntime: u32,
    pub(super) nonce: u32,
    /// Empty on a standard channel.
    pub(super) extranonce: &'a [u8],
}

impl PoolWork {
    pub(super) fn first(template: Arc<DevTemplate>, options: &DevPoolOptions) -> Result<PoolWork, WorkError> {
        Ok(PoolWork { job: Arc::new(PoolJob::new(1, template, options)?), tip_number: 1 })
    }

    pub(super) fn next(
        template: Arc<DevTemplate>,
        options: &DevPoolOptions,
        last: &PoolWork,
    ) -> Result<PoolWork, WorkError> {
        let same_tip = template.prev_hash == last.job.template.prev_hash;
        let id = last.job.id.checked_add(1).ok_or(WorkError::JobIds)?;
        Ok(PoolWork {
            job: Arc::new(PoolJob::new(id, template, options)?),
            tip_number: last.tip_number + u64::from(!same_tip),
        })
    }
}

impl fmt::Debug for PoolJob {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("PoolJob").field("id", &self.id).finish_non_exhaustive()
    }
}

impl PoolJob {
    fn new(id: u32, template: Arc<DevTemplate>, options: &DevPoolOptions) -> Result<PoolJob, WorkError> {
        let extranonce = usize::from(options.extranonce_prefix_size) + usize::from(options.extranonce_size);
        let payout = DevTemplate::anyone_can_spend();
        let halves = template.coinbase_halves(&options.coinbase_tag, extranonce, payout)?;
        Ok(PoolJob::with_coinbase(id, template, halves))
    }

    /// A job with a coinbase of somebody's own, hashed from the template's `header_timestamp` on.
    pub(super) fn with_coinbase(id: u32, template: Arc<DevTemplate>, halves: CoinbaseHalves) -> PoolJob {
        let mut engine = Txid::engine();
        engine.input(&halves.prefix);
        PoolJob {
            id,
            min_ntime: template.header_timestamp,
            template,
            coinbase_tx_prefix: halves.prefix,
            coinbase_tx_suffix: halves.suffix,
            engine,
        }
    }

    /// The merkle root under this extranonce, internal byte order.
    pub(super) fn merkle_root(&self, extranonce_prefix: &[u8], extranonce: &[u8]) -> [u8; 32] {
        let mut engine = self.engine.clone();
        engine.input(extranonce_prefix);
        engine.input(extranonce);
        engine.input(&self.coinbase_tx_suffix);
        let coinbase_txid = Txid::from_engine(engine).to_byte_array();
        fold_merkle_path(coinbase_txid, &self.template.merkle_path)
    }

    /// The header's hash.
    pub(super) fn hash(&self, extranonce_prefix: &[u8], share: &ShareFields<'_>) -> BlockHash {
        let header = Header {
            version: Version::from_consensus(share.version.cast_signed()),
            prev_blockhash: self.template.prev_hash,
            merkle_root: TxMerkleNode::from_byte_array(self.merkle_root(extranonce_prefix, share.extranonce)),
            time: share.ntime,
            bits: self.template.nbits,
            nonce: share.nonce,
        };
        header.block_hash()
    }

    /// The whole coinbase.
    pub(super) fn coinbase(&self, extranonce_prefix: &[u8], extranonce: &[u8]) -> Vec<u8> {
        [&self.coinbase_tx_prefix, extranonce_prefix, extranonce, &self.coinbase_tx_suffix].concat()
    }
}
