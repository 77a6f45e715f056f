//! A job that was declared: the whole block but for extranonce, time, nonce and rolled version bits.

use std::fmt;
use std::sync::Arc;

use bitcoin::block::{Header, Version};
use bitcoin::hashes::Hash;
use bitcoin::{Block, BlockHash, CompactTarget, Transaction, TxMerkleNode, TxOut};
use sv2::error_code;
use template::dev_chain::{MAX_BLOCK_WEIGHT, fold_merkle_path, merkle_path_of_coinbase};

use super::coinbase::{BadOutputs, check_outputs, check_script, read};
use super::{JdsOptions, Refused};
use crate::dev_pool::work::PoolWork;

/// How the output script of a witness commitment begins (BIP 141).
const COMMITMENT: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];

/// See the module.
pub(in crate::dev_pool) struct DeclaredJob {
    /// Header version, before rolling.
    pub(in crate::dev_pool) version: u32,
    /// The tip that it was declared on.
    pub(in crate::dev_pool) prev_hash: BlockHash,
    pub(in crate::dev_pool) nbits: CompactTarget,
    /// With an extranonce of zeros.
    pub(in crate::dev_pool) coinbase: Transaction,
    /// From the deepest step up, internal byte order.
    pub(in crate::dev_pool) merkle_path: Vec<[u8; 32]>,
    transactions: Vec<Arc<Transaction>>,
    coinbase_tx_prefix: Vec<u8>,
    coinbase_tx_suffix: Vec<u8>,
    extranonce_size: usize,
}

/// What is declared, less its transactions.
#[derive(Debug)]
pub(super) struct Proposal {
    pub(super) version: u32,
    pub(super) coinbase_tx_prefix: Vec<u8>,
    pub(super) coinbase_tx_suffix: Vec<u8>,
    /// What the coinbase must have.
    pub(super) demanded: Arc<[TxOut]>,
    pub(super) extranonce_size: usize,
}

/// What a miner chose, of which a block is made.
#[derive(Clone, Copy, Debug)]
pub(in crate::dev_pool) struct Solved<'a> {
    pub(in crate::dev_pool) version: u32,
    pub(in crate::dev_pool) ntime: u32,
    pub(in crate::dev_pool) nonce: u32,
    /// The whole extranonce, prefix included.
    pub(in crate::dev_pool) extranonce: &'a [u8],
}

impl Proposal {
    /// What can be judged before the transactions are known.
    pub(super) fn check(&self, work: &PoolWork) -> Result<Transaction, Refused> {
        let coinbase = read(&self.coinbase_tx_prefix, &self.coinbase_tx_suffix, self.extranonce_size)?;
        check_script(&coinbase, work.job.template.height)?;
        Ok(coinbase)
    }

    /// Judges the whole block. `allowed_value` is what its coinbase may claim, where that is known.
    pub(super) fn judge(
        self,
        transactions: Vec<Arc<Transaction>>,
        allowed_value: Option<u64>,
        work: &PoolWork,
        options: &JdsOptions,
    ) -> Result<DeclaredJob, Refused> {
        let coinbase = self.check(work)?;
        let outputs = check_outputs(&coinbase.output, &self.demanded, options.whole_reward, allowed_value);
        outputs.map_err(|bad| match bad {
            BadOutputs::Payout(why) => Refused::new(error_code::INVALID_COINBASE_TX, why),
            BadOutputs::Value(why) => Refused::new(error_code::INVALID_JOB, why),
        })?;
        let template = &work.job.template;
        let txids: Vec<[u8; 32]> =
            transactions.iter().map(|transaction| transaction.compute_txid().to_byte_array()).collect();
        let job = DeclaredJob {
            version: self.version,
            prev_hash: template.prev_hash,
            nbits: template.nbits,
            merkle_path: merkle_path_of_coinbase(&txids),
            coinbase,
            transactions,
            coinbase_tx_prefix: self.coinbase_tx_prefix,
            coinbase_tx_suffix: self.coinbase_tx_suffix,
            extranonce_size: self.extranonce_size,
        };
        job.check()?;
        Ok(job)
    }
}

impl fmt::Debug for DeclaredJob {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("DeclaredJob").field("prev_hash", &self.prev_hash).finish_non_exhaustive()
    }
}

impl DeclaredJob {
    /// What a node would say of the block.
    fn check(&self) -> Result<(), Refused> {
        let invalid = |why: &str| Err(Refused::new(error_code::INVALID_JOB, why));
        let zeros = vec![0; self.extranonce_size];
        let Some(block) =
            self.block(&Solved { version: self.version, ntime: 0, nonce: 0, extranonce: &zeros })
        else {
            return invalid("the coinbase does not decode");
        };
        let weight = block.weight().to_wu();
        if weight > MAX_BLOCK_WEIGHT {
            return invalid(&format!("weight {weight} is above {MAX_BLOCK_WEIGHT}"));
        }
        if block.txdata.iter().skip(1).any(Transaction::is_coinbase) {
            return invalid("a second coinbase");
        }
        if !block.check_merkle_root() {
            return invalid("merkle root does not match the transactions");
        }
        let coinbase = &block.txdata[0];
        let commits =
            coinbase.output.iter().any(|output| output.script_pubkey.as_bytes().starts_with(&COMMITMENT));
        let witness = &coinbase.input[0].witness;
        let reserved = witness.len() == 1 && witness.nth(0).is_some_and(|value| value.len() == 32);
        if !block.check_witness_commitment() || (commits && !reserved) {
            return invalid("witness commitment is missing or wrong (BIP 141)");
        }
        Ok(())
    }

    /// The block that a miner has found; `None` if its extranonce has another length.
    pub(in crate::dev_pool) fn block(&self, solved: &Solved<'_>) -> Option<Block> {
        if solved.extranonce.len() != self.extranonce_size {
            return None;
        }
        let bytes = [&*self.coinbase_tx_prefix, solved.extranonce, &*self.coinbase_tx_suffix].concat();
        let coinbase: Transaction = bitcoin::consensus::deserialize(&bytes).ok()?;
        let root = fold_merkle_path(coinbase.compute_txid().to_byte_array(), &self.merkle_path);
        let header = Header {
            version: Version::from_consensus(solved.version.cast_signed()),
            prev_blockhash: self.prev_hash,
            merkle_root: TxMerkleNode::from_byte_array(root),
            time: solved.ntime,
            bits: self.nbits,
            nonce: solved.nonce,
        };
        let others = self.transactions.iter().map(|transaction| Transaction::clone(transaction));
        Some(Block { header, txdata: std::iter::once(coinbase).chain(others).collect() })
    }
}
