//! From what the node says of a template to [`work::Template`], and the proof that both speak the same version.

use std::sync::Arc;

use bitcoin::consensus::Decodable;
use bitcoin::hashes::Hash as _;
use bitcoin::{Block, Transaction, Weight, consensus};
use work::coinbase::{CoinbaseTemplate, Output};
use work::{
    CoinbaseConstraints, Header, Target, Template, TemplateError, TemplateParts, TemplateTransaction, merkle,
};

use super::error::IpcError;
use super::node::{Node, NodeCoinbase, NodeTemplate};

/// Reads a template without its transactions, unless it has none: all that a job needs.
pub(super) async fn head(
    node: &Node,
    of: &NodeTemplate,
    template_id: u64,
    constraints: CoinbaseConstraints,
) -> Result<Template, IpcError> {
    // One round trip for all three.
    let (header, coinbase, path) =
        tokio::try_join!(node.header(of), node.coinbase(of), node.merkle_path(of))?;
    let header = Header::from_bytes(&header);
    // Nothing beside the coinbase: nothing to wait for.
    let transactions: Option<Arc<[TemplateTransaction]>> = path.is_empty().then(|| Arc::from([]));
    let parts = TemplateParts {
        template_id,
        prev_hash: header.prev_hash,
        version: header.version,
        min_ntime: header.ntime,
        nbits: header.nbits,
        coinbase: coinbase_template(coinbase)?,
        merkle_path: Some(path.into()),
        transactions,
        constraints,
    };
    Ok(Template::new(parts)?)
}

/// Reads the template's transactions, without the coinbase.
pub(super) async fn transactions(
    node: &Node,
    of: &NodeTemplate,
) -> Result<Arc<[TemplateTransaction]>, IpcError> {
    let block = read_block(&node.block(of).await?)?;
    Ok(block.txdata.iter().skip(1).map(transaction).collect())
}

/// Proves that the node speaks this version: what the head of a template says agrees with its whole block. A crossed
/// version would read another method's answer as this one's.
///
/// # Errors
/// What does not agree, or what failed on the way.
pub(super) async fn prove(node: &Node, of: &NodeTemplate, head: &Template) -> Result<(), IpcError> {
    let crossed = |found: String| IpcError::Schema { schema: node.schema.name, found };
    let bytes = node.block(of).await?;
    let block = read_block(&bytes).map_err(|error| crossed(error.to_string()))?;
    let Some(theirs) = block.txdata.first() else {
        return Err(crossed("getBlock gives a block without transactions".to_owned()));
    };
    let (header, ours) = (block.header, &head.coinbase);
    if header.prev_blockhash.to_byte_array() != head.prev_hash || header.bits.to_consensus() != head.nbits {
        return Err(crossed("getBlockHeader and getBlock name different tips".to_owned()));
    }
    let txids: Vec<[u8; 32]> =
        block.txdata.iter().skip(1).map(|transaction| transaction.compute_txid().to_byte_array()).collect();
    if *merkle::path(&txids) != *head.merkle_path {
        return Err(crossed("the merkle path is not that of getBlock's transactions".to_owned()));
    }
    let rest = required(theirs);
    let reward: u64 = theirs.output.iter().map(|output| output.value.to_sat()).sum();
    if reward != ours.value_remaining || rest != ours.outputs {
        return Err(crossed(format!(
            "getCoinbaseTx leaves {} satoshi and wants {} outputs, getBlock's coinbase pays {reward} and has {}",
            ours.value_remaining,
            ours.outputs.len(),
            rest.len()
        )));
    }
    let input = theirs.input.first();
    let script = input.map_or(&[][..], |input| input.script_sig.as_bytes());
    if !script.starts_with(&ours.prefix) || theirs.version.0.cast_unsigned() != ours.tx_version {
        return Err(crossed("getCoinbaseTx and getBlock's coinbase begin differently".to_owned()));
    }
    if theirs.lock_time.to_consensus_u32() != ours.locktime
        || input.is_none_or(|input| input.sequence.0 != ours.input_sequence)
    {
        return Err(crossed(
            "getCoinbaseTx and getBlock's coinbase differ in sequence or lock time".to_owned(),
        ));
    }
    Ok(())
}

/// Proves that `submitSolution` is where this version has it, before a block depends on it: hands in a solution without
/// proof of work, which every node refuses, and looks at the answer. `of` is a template for this alone: the node writes the
/// solution into it.
///
/// # Errors
/// The answer is not `submitSolution`'s, or there is none.
pub(super) async fn prove_submit(node: &Node, of: &NodeTemplate) -> Result<(), IpcError> {
    let crossed = |found: String| IpcError::Schema { schema: node.schema.name, found };
    let block = read_block(&node.block(of).await?)?;
    let target = Target::from_compact(block.header.bits.to_consensus()).map_err(TemplateError::from)?;
    let root = block.compute_merkle_root();
    let (Some(coinbase), Some(root)) = (block.txdata.first(), root) else {
        return Err(crossed("getBlock gives a block without transactions".to_owned()));
    };
    // The node computes the root anew; what its header says of it before does not count.
    let mut worthless = bitcoin::block::Header { merkle_root: root, ..block.header };
    // On test chains every other nonce is a block.
    while target_met(&worthless, &target) {
        worthless.nonce = worthless.nonce.wrapping_add(1);
    }
    let version = worthless.version.to_consensus().cast_unsigned();
    let submitted = node
        .submit_solution(of, version, worthless.time, worthless.nonce, &consensus::serialize(coinbase))
        .await
        .map_err(|error| {
            crossed(format!("a solution without proof of work is not refused as one: {error}"))
        })?;
    if submitted.taken {
        return Err(crossed("it says yes to a solution without proof of work".to_owned()));
    }
    if node.schema.submit_tells_reason && submitted.reason.is_empty() {
        return Err(crossed("it refuses a solution without proof of work without a reason".to_owned()));
    }
    Ok(())
}

fn target_met(header: &bitcoin::block::Header, target: &Target) -> bool {
    let bytes = consensus::serialize(header);
    let header = bytes.first_chunk().map(Header::from_bytes);
    header.is_some_and(|header| header.hash().meets(target))
}

fn coinbase_template(coinbase: NodeCoinbase) -> Result<CoinbaseTemplate, IpcError> {
    const CALL: &str = "getCoinbaseTx";
    let bad = |got: String, expected| IpcError::Answer { call: CALL, got, expected };
    match coinbase {
        NodeCoinbase::Whole(bytes) => {
            let whole: Transaction = consensus::deserialize(&bytes)
                .map_err(|error| bad(format!("{} bytes ({error})", bytes.len()), "a transaction"))?;
            let input = whole.input.first().filter(|_| whole.is_coinbase());
            let input = input.ok_or_else(|| bad("another transaction".to_owned(), "a coinbase"))?;
            let script = input.script_sig.as_bytes();
            let prefix = first_push(script)
                .ok_or_else(|| bad(format!("a script_sig of {} bytes", script.len()), "BIP 34's height"))?;
            Ok(CoinbaseTemplate {
                tx_version: whole.version.0.cast_unsigned(),
                prefix: prefix.into(),
                input_sequence: input.sequence.0,
                value_remaining: whole.output.iter().map(|output| output.value.to_sat()).sum(),
                outputs: required(&whole),
                locktime: whole.lock_time.to_consensus_u32(),
                witness_reserved_value: input.witness.nth(0).and_then(|item| item.try_into().ok()),
            })
        }
        NodeCoinbase::Parts { version, sequence, script_sig_prefix, witness, reward, outputs, lock_time } => {
            let value_remaining = u64::try_from(reward)
                .map_err(|_| bad(format!("a reward of {reward} satoshi"), "0 or more"))?;
            let read = |bytes: &Vec<u8>| {
                consensus::deserialize(bytes)
                    .map(|found| output(&found))
                    .map_err(|error| bad(format!("{} bytes ({error})", bytes.len()), "an output"))
            };
            let witness_reserved_value = match witness.len() {
                0 => None,
                _ => Some(
                    witness
                        .as_slice()
                        .try_into()
                        .map_err(|_| bad(format!("a witness of {} bytes", witness.len()), "none or 32"))?,
                ),
            };
            Ok(CoinbaseTemplate {
                tx_version: version,
                prefix: script_sig_prefix.into(),
                input_sequence: sequence,
                value_remaining,
                outputs: outputs.iter().map(read).collect::<Result<_, _>>()?,
                locktime: lock_time,
                witness_reserved_value,
            })
        }
    }
}

/// The node's own coinbase pays the whole reward with its first output, be it nothing; the rest must be in any coinbase.
fn required(coinbase: &Transaction) -> Vec<Output> {
    coinbase.output.iter().skip(1).map(output).collect()
}

/// The height's push; Core 30 puts a dummy extranonce after it.
fn first_push(script: &[u8]) -> Option<&[u8]> {
    let length = match script.first()? {
        // OP_0 and OP_1 to OP_16
        0 | 0x51..=0x60 => 1,
        push @ 1..=8 => usize::from(*push) + 1,
        _ => return None,
    };
    script.get(..length)
}

fn read_block(bytes: &[u8]) -> Result<Block, IpcError> {
    let mut rest = bytes;
    let block = Block::consensus_decode(&mut rest).ok().filter(|_| rest.is_empty());
    let fits = |block: &Block| block.weight() <= Weight::MAX_BLOCK;
    block.filter(fits).ok_or_else(|| IpcError::Answer {
        call: "getBlock",
        got: format!("{} bytes", bytes.len()),
        expected: "a block",
    })
}

fn transaction(transaction: &Transaction) -> TemplateTransaction {
    TemplateTransaction {
        bytes: consensus::serialize(transaction).into(),
        txid: transaction.compute_txid().to_byte_array(),
        wtxid: transaction.compute_wtxid().to_byte_array(),
    }
}

fn output(output: &bitcoin::TxOut) -> Output {
    Output { value: output.value.to_sat(), script_pubkey: output.script_pubkey.to_bytes().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reward_of_nothing_is_no_output_that_must_be() {
        for reward in [0, 5_000] {
            let pays = |value, script: &[u8]| bitcoin::TxOut {
                value: bitcoin::Amount::from_sat(value),
                script_pubkey: bitcoin::ScriptBuf::from_bytes(script.to_vec()),
            };
            let whole = Transaction {
                version: bitcoin::transaction::Version::TWO,
                lock_time: bitcoin::absolute::LockTime::ZERO,
                input: vec![bitcoin::TxIn {
                    script_sig: bitcoin::ScriptBuf::from_bytes(vec![1, 17]),
                    ..bitcoin::TxIn::default()
                }],
                output: vec![pays(reward, &[0x51]), pays(0, &[0x6a])],
            };
            let read = coinbase_template(NodeCoinbase::Whole(consensus::serialize(&whole))).unwrap();
            assert_eq!(read.value_remaining, reward);
            assert_eq!(read.outputs, [Output { value: 0, script_pubkey: [0x6a].into() }]);
        }
    }

    #[test]
    fn the_height_is_the_first_push() {
        assert_eq!(first_push(&[0x51, 0]), Some(&[0x51][..]));
        assert_eq!(first_push(&[3, 1, 2, 3, 0]), Some(&[3, 1, 2, 3][..]));
        assert_eq!(first_push(&[3, 1, 2]), None);
        assert_eq!(first_push(&[0x6a]), None);
        assert_eq!(first_push(&[]), None);
    }
}
