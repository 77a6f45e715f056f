//! A block template of the dev chain and the coinbase that is built around it.

use std::sync::Arc;

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::hashes::Hash;
use bitcoin::script::PushBytesBuf;
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Target, Transaction, TxIn,
    TxMerkleNode, TxOut, Witness, WitnessMerkleNode, transaction,
};
use thiserror::Error;

use super::block_check::COMMITMENT;
use super::merkle::{fold_merkle_path, merkle_path_of_coinbase};
use super::{BLOCK_VERSION, transactions};

/// Most bytes that consensus allows in a coinbase's input script.
pub const MAX_SCRIPT_SIG: usize = 100;

/// The witness reserved value (BIP 141) of every coinbase that has one.
const WITNESS_RESERVED_VALUE: [u8; 32] = [0; 32];

/// A block to be mined, less its coinbase. Fields are named as in the Template Distribution Protocol
/// (specification, section 7).
#[derive(Clone, Debug)]
pub struct DevTemplate {
    /// Counts up over the chain's life, from 1.
    pub template_id: u64,
    /// Height of the block to be mined.
    pub height: u32,
    /// Hash of its parent.
    pub prev_hash: BlockHash,
    /// Header version; the bits of BIP 323 may be rolled.
    pub version: u32,
    /// Time to start with, Unix seconds.
    pub header_timestamp: u32,
    /// Earliest time that the chain takes, Unix seconds: one more than the median time past.
    pub min_time: u32,
    /// Network target, compact form.
    pub nbits: CompactTarget,
    /// Network target.
    pub target: Target,
    /// Begins the coinbase's input script: the height (BIP 34).
    pub coinbase_prefix: Vec<u8>,
    /// What the coinbase's own outputs may claim together, satoshi.
    pub coinbase_tx_value_remaining: u64,
    /// Outputs that the coinbase must end with: the witness commitment, if there is one.
    pub coinbase_tx_outputs: Vec<TxOut>,
    /// From the deepest step up, internal byte order.
    pub merkle_path: Vec<[u8; 32]>,
    /// The block's other transactions, in order.
    pub transactions: Arc<[Transaction]>,
}

/// What a template is made of.
pub(super) struct Parts {
    pub(super) template_id: u64,
    pub(super) height: u32,
    pub(super) prev_hash: BlockHash,
    pub(super) min_time: u32,
    pub(super) now: u32,
    pub(super) nbits: CompactTarget,
    pub(super) target: Target,
    pub(super) witness_commitment: bool,
    /// What the coinbase may claim, satoshi.
    pub(super) value: u64,
    pub(super) transactions: Arc<[Transaction]>,
}

/// A coinbase cut where the extranonce goes, without witness data (specification, section 3.7.1):
/// `prefix + extranonce + suffix` is the transaction whose double SHA-256 is its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoinbaseHalves {
    /// Up to and with what stands before the extranonce in the input script.
    pub prefix: Vec<u8>,
    /// What follows the extranonce.
    pub suffix: Vec<u8>,
}

/// The coinbase's input script would be longer than consensus allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "coinbase input script would have {got} bytes, at most {MAX_SCRIPT_SIG}: shorten the tag or the extranonce"
)]
pub struct CoinbaseTooLong {
    /// Bytes that it would have.
    pub got: usize,
}

impl DevTemplate {
    pub(super) fn new(parts: Parts) -> DevTemplate {
        let txids: Vec<[u8; 32]> =
            parts.transactions.iter().map(|tx| tx.compute_txid().to_byte_array()).collect();
        let coinbase_tx_outputs = if parts.witness_commitment {
            vec![witness_commitment_output(&parts.transactions)]
        } else {
            Vec::new()
        };
        DevTemplate {
            template_id: parts.template_id,
            height: parts.height,
            prev_hash: parts.prev_hash,
            version: BLOCK_VERSION.cast_unsigned(),
            header_timestamp: parts.now.max(parts.min_time),
            min_time: parts.min_time,
            nbits: parts.nbits,
            target: parts.target,
            coinbase_prefix: height_push(parts.height).into_bytes(),
            coinbase_tx_value_remaining: parts.value,
            coinbase_tx_outputs,
            merkle_path: merkle_path_of_coinbase(&txids),
            transactions: parts.transactions,
        }
    }

    /// The template's coinbase, cut around `extranonce_size` bytes. `tag` is pushed after the height;
    /// `payout` gets the whole reward.
    ///
    /// # Errors
    /// When height, tag and extranonce are longer than [`MAX_SCRIPT_SIG`] together.
    pub fn coinbase_halves(
        &self,
        tag: &[u8],
        extranonce_size: usize,
        payout: ScriptBuf,
    ) -> Result<CoinbaseHalves, CoinbaseTooLong> {
        let mut head = self.coinbase_prefix.clone();
        if !tag.is_empty() {
            let push = PushBytesBuf::try_from(tag.to_vec())
                .map_err(|_| CoinbaseTooLong { got: head.len() + tag.len() + extranonce_size })?;
            head.extend_from_slice(ScriptBuf::builder().push_slice(push).into_script().as_bytes());
        }
        let script_size = head.len().saturating_add(extranonce_size);
        // Consensus wants two bytes at least: a height of one byte alone would be too short.
        if !(2..=MAX_SCRIPT_SIG).contains(&script_size) {
            return Err(CoinbaseTooLong { got: script_size });
        }
        let cut_in_script = head.len();
        let mut script_sig = head;
        script_sig.resize(script_size, 0);
        let mut output = Vec::with_capacity(1 + self.coinbase_tx_outputs.len());
        output
            .push(TxOut { value: Amount::from_sat(self.coinbase_tx_value_remaining), script_pubkey: payout });
        output.extend_from_slice(&self.coinbase_tx_outputs);
        let coinbase = Transaction {
            version: transaction::Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn {
                previous_output: OutPoint::null(),
                script_sig: ScriptBuf::from_bytes(script_sig),
                sequence: Sequence::MAX,
                witness: Witness::new(),
            }],
            output,
        };
        let bytes = bitcoin::consensus::serialize(&coinbase);
        // version (4), input count (1), outpoint (36), script length (1, as it is below 253), script head.
        let cut = 4 + 1 + 36 + 1 + cut_in_script;
        Ok(CoinbaseHalves { prefix: bytes[..cut].to_vec(), suffix: bytes[cut + extranonce_size..].to_vec() })
    }

    /// The output script that needs no key, for whoever does not mind where dev coins go.
    pub fn anyone_can_spend() -> ScriptBuf {
        transactions::anyone_can_spend()
    }

    /// Puts a block together. A coinbase without a witness gets one if the template commits to witnesses.
    pub fn assemble(&self, version: u32, time: u32, nonce: u32, mut coinbase: Transaction) -> Block {
        let coinbase_txid = coinbase.compute_txid().to_byte_array();
        if !self.coinbase_tx_outputs.is_empty()
            && let Some(input) = coinbase.input.first_mut()
            && input.witness.is_empty()
        {
            input.witness.push(WITNESS_RESERVED_VALUE);
        }
        let header = Header {
            version: Version::from_consensus(version.cast_signed()),
            prev_blockhash: self.prev_hash,
            merkle_root: TxMerkleNode::from_byte_array(fold_merkle_path(coinbase_txid, &self.merkle_path)),
            time,
            bits: self.nbits,
            nonce,
        };
        let mut txdata = Vec::with_capacity(1 + self.transactions.len());
        txdata.push(coinbase);
        txdata.extend_from_slice(&self.transactions);
        Block { header, txdata }
    }
}

/// The push that BIP 34 wants at the beginning of a coinbase's input script.
pub(super) fn height_push(height: u32) -> ScriptBuf {
    ScriptBuf::builder().push_int(i64::from(height)).into_script()
}

/// BIP 141: `OP_RETURN` with the hash of the witness root and the reserved value.
fn witness_commitment_output(transactions: &[Transaction]) -> TxOut {
    // The coinbase's own witness id counts as zero.
    let leaves = std::iter::once(WitnessMerkleNode::all_zeros()).chain(
        transactions.iter().map(|tx| WitnessMerkleNode::from_byte_array(tx.compute_wtxid().to_byte_array())),
    );
    let root = bitcoin::merkle_tree::calculate_root(leaves).expect("the coinbase's leaf is always there");
    let commitment = Block::compute_witness_commitment(&root, &WITNESS_RESERVED_VALUE);
    let mut script = COMMITMENT.to_vec();
    script.extend_from_slice(commitment.as_byte_array());
    TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::from_bytes(script) }
}
