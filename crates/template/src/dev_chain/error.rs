//! Why a dev chain refuses a block, an option or a request.

use bitcoin::{BlockHash, Target};
use thiserror::Error;

use super::{MAX_DUMMY_TRANSACTIONS, MAX_DUMMY_WEIGHT, MAX_HEADER_HISTORY, MIN_HEADER_HISTORY};

/// A block or solution that the chain did not take, and why.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BlockRejected {
    /// The bytes are not the consensus serialisation of what was expected.
    #[error("{what} does not decode: {error}")]
    Undecodable {
        /// What was being decoded: `block` or `coinbase`.
        what: &'static str,
        /// What the decoder said.
        error: String,
    },
    /// The template was never given out or is too old.
    #[error("template {template_id} is not known (any more)")]
    UnknownTemplate {
        /// The id that was named.
        template_id: u64,
    },
    /// The parent is not a block of this chain, or too old.
    #[error("parent {prev_hash} is not known")]
    UnknownParent {
        /// The parent that the header names.
        prev_hash: BlockHash,
    },
    /// The block was submitted before.
    #[error("block {hash} is known already")]
    Duplicate {
        /// The block.
        hash: BlockHash,
    },
    /// The header names another difficulty than the chain's.
    #[error("nbits are {got:#010x}, expected {expected:#010x}")]
    WrongBits {
        /// From the header.
        got: u32,
        /// The chain's.
        expected: u32,
    },
    /// The hash does not meet the network target.
    #[error("hash {hash} is above the network target {target:x}")]
    HighHash {
        /// Hash of the header.
        hash: BlockHash,
        /// The chain's target.
        target: Target,
    },
    /// The time is not after the median of the last eleven blocks.
    #[error("time {got} is not after {after}, the median time of the last eleven blocks")]
    TimeTooOld {
        /// From the header, Unix seconds.
        got: u32,
        /// The median time past, Unix seconds.
        after: u32,
    },
    /// The time is too far in the future.
    #[error("time {got} is later than {latest}, two hours from now")]
    TimeTooNew {
        /// From the header, Unix seconds.
        got: u32,
        /// Latest time that would be taken, Unix seconds.
        latest: u32,
    },
    /// The header's merkle root is not that of the transactions.
    #[error("merkle root does not match the transactions")]
    MerkleRoot,
    /// The same transaction stands in the block twice.
    #[error("a transaction occurs twice")]
    DuplicateTransaction,
    /// The block is heavier than consensus allows.
    #[error("weight {got} is above the limit")]
    TooHeavy {
        /// Weight units.
        got: u64,
    },
    /// There is no coinbase, it is not the first transaction, or there is more than one.
    #[error("the first transaction, and no other, must be a coinbase")]
    CoinbasePosition,
    /// The coinbase's input script is not 2 to 100 bytes long.
    #[error("coinbase input script has {got} bytes, expected 2 to 100")]
    CoinbaseScriptSize {
        /// Bytes.
        got: usize,
    },
    /// The coinbase's input script does not begin with the height (BIP 34).
    #[error("coinbase does not begin with height {expected} (BIP 34)")]
    CoinbaseHeight {
        /// Height of the block.
        expected: u32,
    },
    /// The coinbase claims more than subsidy and fees.
    #[error("coinbase claims {got} satoshi, at most {allowed} are allowed")]
    CoinbaseValue {
        /// Sum of the outputs, satoshi.
        got: u64,
        /// Subsidy and fees, satoshi.
        allowed: u64,
    },
    /// Transactions have witnesses, but the coinbase does not commit to them, or wrongly.
    #[error("witness commitment is missing or wrong (BIP 141)")]
    WitnessCommitment,
}

impl BlockRejected {
    /// A short name of the reason, in the manner of Bitcoin Core's reject reasons; for counters.
    pub fn code(&self) -> &'static str {
        match self {
            BlockRejected::Undecodable { .. } => "undecodable",
            BlockRejected::UnknownTemplate { .. } => "unknown-template",
            BlockRejected::UnknownParent { .. } => "prev-blk-not-found",
            BlockRejected::Duplicate { .. } => "duplicate",
            BlockRejected::WrongBits { .. } => "bad-diffbits",
            BlockRejected::HighHash { .. } => "high-hash",
            BlockRejected::TimeTooOld { .. } => "time-too-old",
            BlockRejected::TimeTooNew { .. } => "time-too-new",
            BlockRejected::MerkleRoot => "bad-txnmrklroot",
            BlockRejected::DuplicateTransaction => "bad-txns-duplicate",
            BlockRejected::TooHeavy { .. } => "bad-blk-weight",
            BlockRejected::CoinbasePosition => "bad-cb-multiple",
            BlockRejected::CoinbaseScriptSize { .. } => "bad-cb-length",
            BlockRejected::CoinbaseHeight { .. } => "bad-cb-height",
            BlockRejected::CoinbaseValue { .. } => "bad-cb-amount",
            BlockRejected::WitnessCommitment => "bad-witness-merkle-match",
        }
    }
}

/// A [`DevChainOptions`](super::DevChainOptions) field that makes no chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OptionsError {
    /// Too many dummy transactions.
    #[error("dummy_transactions is {got}, at most {MAX_DUMMY_TRANSACTIONS}")]
    TooManyTransactions {
        /// What was asked for.
        got: usize,
    },
    /// The dummy transactions leave no room for the rest of a block.
    #[error("the dummy transactions weigh {got}, at most {MAX_DUMMY_WEIGHT}")]
    TooHeavy {
        /// All of them, weight units.
        got: u64,
    },
    /// The header history is too short or too long.
    #[error("header_history is {got}, expected {MIN_HEADER_HISTORY} to {MAX_HEADER_HISTORY}")]
    HeaderHistory {
        /// What was asked for.
        got: usize,
    },
    /// The compact target is zero, negative, overflows or is not in canonical form.
    #[error("nbits {got:#010x} is not a usable compact target; 0x1e00ffff is an easy one")]
    Bits {
        /// What was asked for.
        got: u32,
    },
}

/// The chain does not know a block, or no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("block {hash} is not known (any more)")]
pub struct UnknownBlock {
    /// The block that was named.
    pub hash: BlockHash,
}
