//! The rules a block must keep to be taken: Bitcoin's, as far as they do not need a coin database.

use bitcoin::{Amount, Block, CompactTarget, Target};

use super::error::BlockRejected;
use super::template::{MAX_SCRIPT_SIG, height_push};

/// What a coinbase may claim besides fees. It does not halve.
pub const SUBSIDY: Amount = Amount::from_int_btc(50);

/// Consensus limit of a block's weight.
pub const MAX_BLOCK_WEIGHT: u64 = 4_000_000;

/// How far a header's time may be ahead of the clock, seconds.
pub const MAX_FUTURE_BLOCK_TIME: u32 = 7_200;

/// How the output script of a witness commitment begins (BIP 141).
pub(super) const COMMITMENT: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];

/// Fewest bytes that consensus allows in a coinbase's input script.
const MIN_SCRIPT_SIG: usize = 2;

/// What a block is judged by besides its own contents.
pub(super) struct Rules {
    pub(super) height: u32,
    pub(super) nbits: CompactTarget,
    pub(super) target: Target,
    /// Median time past of the parent.
    pub(super) after: u32,
    pub(super) now: u32,
    /// What the coinbase may claim: subsidy and fees, satoshi.
    pub(super) allowed_value: u64,
}

/// Judges a block whose parent is known. The cheap rules that most bad blocks break come first.
pub(super) fn check(block: &Block, rules: &Rules) -> Result<(), BlockRejected> {
    let header = &block.header;
    if header.bits != rules.nbits {
        return Err(BlockRejected::WrongBits {
            got: header.bits.to_consensus(),
            expected: rules.nbits.to_consensus(),
        });
    }
    header
        .validate_pow(rules.target)
        .map_err(|_| BlockRejected::HighHash { hash: block.block_hash(), target: rules.target })?;
    if header.time <= rules.after {
        return Err(BlockRejected::TimeTooOld { got: header.time, after: rules.after });
    }
    let latest = rules.now.saturating_add(MAX_FUTURE_BLOCK_TIME);
    if header.time > latest {
        return Err(BlockRejected::TimeTooNew { got: header.time, latest });
    }
    check_coinbase(block, rules)?;
    let weight = block.weight().to_wu();
    if weight > MAX_BLOCK_WEIGHT {
        return Err(BlockRejected::TooHeavy { got: weight });
    }
    if !block.check_merkle_root() {
        return Err(BlockRejected::MerkleRoot);
    }
    // Doubling the tail of the transactions does not change the merkle root (CVE-2012-2459).
    let mut ids: Vec<_> = block.txdata.iter().map(bitcoin::Transaction::compute_txid).collect();
    ids.sort_unstable();
    if ids.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(BlockRejected::DuplicateTransaction);
    }
    // The crate takes any block without witnesses; a node also wants the reserved value wherever there is
    // a commitment.
    let coinbase = &block.txdata[0];
    let commits =
        coinbase.output.iter().any(|output| output.script_pubkey.as_bytes().starts_with(&COMMITMENT));
    let witness = &coinbase.input[0].witness;
    let reserved = witness.len() == 1 && witness.nth(0).is_some_and(|value| value.len() == 32);
    if !block.check_witness_commitment() || (commits && !reserved) {
        return Err(BlockRejected::WitnessCommitment);
    }
    Ok(())
}

fn check_coinbase(block: &Block, rules: &Rules) -> Result<(), BlockRejected> {
    let Some((coinbase, others)) = block.txdata.split_first() else {
        return Err(BlockRejected::CoinbasePosition);
    };
    if !coinbase.is_coinbase() || others.iter().any(bitcoin::Transaction::is_coinbase) {
        return Err(BlockRejected::CoinbasePosition);
    }
    let script_sig = coinbase.input[0].script_sig.as_bytes();
    if !(MIN_SCRIPT_SIG..=MAX_SCRIPT_SIG).contains(&script_sig.len()) {
        return Err(BlockRejected::CoinbaseScriptSize { got: script_sig.len() });
    }
    if !script_sig.starts_with(height_push(rules.height).as_bytes()) {
        return Err(BlockRejected::CoinbaseHeight { expected: rules.height });
    }
    let claimed = coinbase.output.iter().fold(0_u64, |sum, output| sum.saturating_add(output.value.to_sat()));
    if claimed > rules.allowed_value {
        return Err(BlockRejected::CoinbaseValue { got: claimed, allowed: rules.allowed_value });
    }
    Ok(())
}
