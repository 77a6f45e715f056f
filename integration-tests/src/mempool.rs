//! Transactions for templates that are not empty.

use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, TxIn, TxOut, Txid, consensus};
use serde_json::{Value, json};

use crate::node::{Chain, Node};

/// Blocks until a coinbase can be spent, and one more.
const MATURE: u64 = 101;
/// What each transaction pays, satoshi.
const FEE: u64 = 10_000;
/// Bytes of the script of each transaction's second output: the whole transaction takes some 300.
const BALLAST: usize = 220;

/// Fills the mempools of nodes on one regtest chain with this many transactions of some 300 bytes that do not depend on
/// each other. The chain grows by 102 blocks for it.
///
/// # Panics
/// When a node is on another chain, or refuses.
pub fn fill(nodes: &[&Node], count: u32) {
    let Some(first) = nodes.first() else { return };
    assert_eq!(first.chain(), Chain::Regtest, "anybody's coins are standard nowhere else");
    let anyone = ScriptBuf::from_bytes(vec![0x51]);
    let height = first.height() + 1;
    let made = first.ask("generatetodescriptor", &json!([MATURE, "raw(51)"]));
    let hashes: Vec<Value> = made.as_array().into_iter().flatten().map(|hash| json!([hash, 0])).collect();
    let blocks: Vec<Value> =
        first.ask_all("getblock", &hashes).into_iter().map(|block| json!([block])).collect();
    for node in nodes.iter().skip(1) {
        let refused = node.ask_all("submitblock", &blocks);
        assert!(refused.iter().all(Value::is_null), "the other nodes take the blocks: {refused:?}");
    }
    let coinbase = &first.block(height)["tx"][0];
    let txid: Txid = coinbase["txid"].as_str().expect("a txid").parse().expect("a txid");
    let btc = coinbase["vout"][0]["value"].as_f64().expect("an amount");
    let reward = Amount::from_btc(btc).expect("an amount").to_sat();

    let each = Amount::from_sat((reward - 10 * FEE) / u64::from(count));
    let coin = TxOut { value: each, script_pubkey: anyone.clone() };
    let split = spend(OutPoint::new(txid, 0), vec![coin; usize::try_from(count).expect("a count")]);
    let split_hex = consensus::encode::serialize_hex(&split);
    let block = first.ask("generateblock", &json!(["raw(51)", [split_hex], false]));
    nodes.iter().for_each(|node| node.submit(block["hex"].as_str().expect("a block")));
    let mut ballast = vec![0x6a];
    ballast.resize(BALLAST, 0x51);
    let whole = split.compute_txid();
    let transactions = (0..).zip(&split.output).map(|(vout, coin)| {
        let rest = TxOut { value: coin.value - Amount::from_sat(FEE), script_pubkey: anyone.clone() };
        let ballast = TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::from_bytes(ballast.clone()) };
        let transaction = spend(OutPoint::new(whole, vout), vec![rest, ballast]);
        // Whatever it pays for its size.
        json!([consensus::encode::serialize_hex(&transaction), 0])
    });
    let transactions: Vec<Value> = transactions.collect();
    for node in nodes {
        let _ = node.ask_all("sendrawtransaction", &transactions);
    }
    for node in nodes {
        let held = node.ask("getmempoolinfo", &json!([]));
        assert_eq!(held["size"].as_u64(), Some(u64::from(count)), "the mempool holds them: {held}");
    }
}

/// A coin that anybody may spend.
fn spend(coin: OutPoint, output: Vec<TxOut>) -> Transaction {
    Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: vec![TxIn { previous_output: coin, ..TxIn::default() }],
        output,
    }
}
