//! SetCustomMiningJob (5.3.18): is it a job that the pool rewards?

use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;
use bitcoin::{BlockHash, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness};
use sv2::error_code;
use sv2::mining::SetCustomMiningJob;
use template::dev_chain::{CoinbaseHalves, DevTemplate, MAX_FUTURE_BLOCK_TIME, MAX_SCRIPT_SIG};

use super::coinbase::{begins_with_height, check_outputs};
use super::{JdsOptions, TokenUse};
use crate::dev_pool::work::PoolWork;

/// The three bits that say that BIP 9 is in force.
const VERSION_TOP_BITS: u32 = 0xe000_0000;

/// A merkle path of the largest block there can be.
const MAX_MERKLE_PATH: usize = 15;

/// From here on a lock time is a time and not a height.
const LOCKTIME_THRESHOLD: u32 = 500_000_000;

/// What a custom job is judged by besides its token.
pub(in crate::dev_pool) struct CustomTerms<'a> {
    pub(in crate::dev_pool) work: &'a PoolWork,
    pub(in crate::dev_pool) options: &'a JdsOptions,
    /// The channel's whole extranonce.
    pub(in crate::dev_pool) extranonce_size: usize,
    /// Unix seconds.
    pub(in crate::dev_pool) now: u32,
}

/// Judges a custom job: what the pool needs to judge its shares, or the code of what is wrong.
pub(in crate::dev_pool) fn judge(
    job: &SetCustomMiningJob<'_>,
    token: &TokenUse,
    terms: &CustomTerms<'_>,
) -> Result<(DevTemplate, CoinbaseHalves), &'static str> {
    let tip = &terms.work.job.template;
    if let TokenUse::Unknown = token {
        return Err(error_code::INVALID_MINING_JOB_TOKEN);
    }
    if let TokenUse::NotYet = token {
        return Err(error_code::JOB_NOT_YET_VALIDATED);
    }
    if job.prev_hash != tip.prev_hash.to_byte_array() {
        return Err(error_code::STALE_CHAIN_TIP);
    }
    if job.nbits != tip.nbits.to_consensus() {
        return Err(error_code::INVALID_NBITS);
    }
    let latest = terms.now.saturating_add(MAX_FUTURE_BLOCK_TIME);
    if !(tip.min_time..=latest).contains(&job.min_ntime) {
        return Err(error_code::INVALID_MIN_NTIME);
    }
    match token {
        TokenUse::Declared(declared) => {
            // Of the same tip, or the token is about a block that can no longer be.
            if declared.prev_hash != tip.prev_hash {
                return Err(error_code::STALE_CHAIN_TIP);
            }
            if job.version != declared.version {
                return Err(error_code::INVALID_VERSION);
            }
            like_declared(job, &declared.coinbase, terms.extranonce_size)?;
            if !job.merkle_path.iter().eq(declared.merkle_path.iter().copied()) {
                return Err(error_code::INVALID_MERKLE_PATH);
            }
        }
        TokenUse::CoinbaseOnly(demanded) => {
            if job.version & VERSION_TOP_BITS != tip.version & VERSION_TOP_BITS {
                return Err(error_code::INVALID_VERSION);
            }
            by_itself(job, demanded, terms)?;
            if job.merkle_path.len() > MAX_MERKLE_PATH {
                return Err(error_code::INVALID_MERKLE_PATH);
            }
        }
        TokenUse::NotYet | TokenUse::Unknown => {}
    }
    let halves = halves(job, terms.extranonce_size)?;
    let template = DevTemplate {
        template_id: 0,
        height: tip.height,
        prev_hash: BlockHash::from_byte_array(job.prev_hash),
        version: job.version,
        header_timestamp: job.min_ntime,
        min_time: tip.min_time,
        nbits: tip.nbits,
        target: tip.target,
        coinbase_prefix: job.coinbase_prefix.as_slice().to_vec(),
        coinbase_tx_value_remaining: 0,
        coinbase_tx_outputs: Vec::new(),
        merkle_path: job.merkle_path.iter().collect(),
        transactions: [].into(),
    };
    Ok((template, halves))
}

/// The coinbase must be the declared one, field by field.
fn like_declared(
    job: &SetCustomMiningJob<'_>,
    coinbase: &Transaction,
    extranonce_size: usize,
) -> Result<(), &'static str> {
    if job.coinbase_tx_version != coinbase.version.0.cast_unsigned() {
        return Err(error_code::INVALID_COINBASE_TX_VERSION);
    }
    let (head, script) = (job.coinbase_prefix.as_slice(), coinbase.input[0].script_sig.as_bytes());
    if !script.starts_with(head) || script.len() != head.len() + extranonce_size {
        return Err(error_code::INVALID_COINBASE_PREFIX);
    }
    if job.coinbase_tx_input_n_sequence != coinbase.input[0].sequence.0 {
        return Err(error_code::INVALID_COINBASE_TX_INPUT_N_SEQUENCE);
    }
    if job.coinbase_tx_outputs.as_slice() != bitcoin::consensus::serialize(&coinbase.output) {
        return Err(error_code::INVALID_COINBASE_TX_OUTPUTS);
    }
    if job.coinbase_tx_locktime != coinbase.lock_time.to_consensus_u32() {
        return Err(error_code::INVALID_COINBASE_TX_LOCKTIME);
    }
    Ok(())
}

/// The coinbase of a job that nobody was shown: as far as it can be judged alone.
fn by_itself(
    job: &SetCustomMiningJob<'_>,
    demanded: &[TxOut],
    terms: &CustomTerms<'_>,
) -> Result<(), &'static str> {
    let height = terms.work.job.template.height;
    if !begins_with_height(job.coinbase_prefix.as_slice(), height) {
        return Err(error_code::INVALID_COINBASE_PREFIX);
    }
    let outputs: Vec<TxOut> = bitcoin::consensus::deserialize(job.coinbase_tx_outputs.as_slice())
        .map_err(|_| error_code::INVALID_COINBASE_TX_OUTPUTS)?;
    check_outputs(&outputs, demanded, terms.options.whole_reward, None)
        .map_err(|_| error_code::INVALID_COINBASE_TX_OUTPUTS)?;
    // A block takes no transaction whose lock time is still to come.
    let (locktime, is_final) = (job.coinbase_tx_locktime, job.coinbase_tx_input_n_sequence == u32::MAX);
    let reached = if locktime < LOCKTIME_THRESHOLD { locktime < height } else { locktime < job.min_ntime };
    if !(locktime == 0 || is_final || reached) {
        return Err(error_code::INVALID_COINBASE_TX_LOCKTIME);
    }
    Ok(())
}

/// The coinbase without BIP 141's fields, cut where the extranonce goes.
fn halves(job: &SetCustomMiningJob<'_>, extranonce_size: usize) -> Result<CoinbaseHalves, &'static str> {
    let head = job.coinbase_prefix.as_slice();
    let script_size = head.len() + extranonce_size;
    if !(2..=MAX_SCRIPT_SIG).contains(&script_size) {
        return Err(error_code::INVALID_COINBASE_TX);
    }
    let mut script = head.to_vec();
    script.resize(script_size, 0);
    let coinbase = Transaction {
        version: Version(job.coinbase_tx_version.cast_signed()),
        lock_time: LockTime::from_consensus(job.coinbase_tx_locktime),
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig: ScriptBuf::from_bytes(script),
            sequence: Sequence(job.coinbase_tx_input_n_sequence),
            witness: Witness::new(),
        }],
        output: bitcoin::consensus::deserialize(job.coinbase_tx_outputs.as_slice())
            .map_err(|_| error_code::INVALID_COINBASE_TX_OUTPUTS)?,
    };
    let bytes = bitcoin::consensus::serialize(&coinbase);
    // version (4), input count (1), outpoint (36), script length (1, as it is below 253), script head.
    let cut = 4 + 1 + 36 + 1 + head.len();
    Ok(CoinbaseHalves { prefix: bytes[..cut].to_vec(), suffix: bytes[cut + extranonce_size..].to_vec() })
}
