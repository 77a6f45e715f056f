//! Templates from Bitcoin Core by IPC: new tips, better templates, blocks that become the tip, crossed interfaces.

#![expect(clippy::panic, reason = "what is not as expected ends the test, with its reason")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bitcoin::hashes::Hash as _;
use integration_tests::folder::Folder;
use integration_tests::node::{Chain, Node};
use integration_tests::promise;
use serde_json::json;
use template::core_ipc::{CoreIpcSettings, Schema, start};
use template::{ProviderEvent, ProviderHandle, Solution, Submitted};
use tokio::runtime::Runtime;
use work::coinbase::{Coinbase, Output};
use work::{Header, Template, TemplateTransaction, merkle, sha256d};

use crate::PATIENCE;

pub(crate) const EXTRANONCE: [u8; 12] = [7; 12];

/// A provider and what it told last.
pub(crate) struct Listener {
    pub(crate) runtime: Runtime,
    pub(crate) handle: ProviderHandle,
}

impl Listener {
    fn start(node: &Node, schema: Option<Schema>, fee_threshold: u64) -> Self {
        let settings = CoreIpcSettings {
            path: node.ipc_socket(),
            schema,
            fee_threshold,
            min_interval: Duration::from_millis(100),
            cooldown: false,
        };
        Self::of(start(settings).expect("the provider starts"))
    }

    pub(crate) fn of(handle: ProviderHandle) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { runtime, handle }
    }

    pub(crate) fn next(&mut self) -> ProviderEvent {
        let Self { runtime, handle } = self;
        let event = runtime.block_on(async { tokio::time::timeout(PATIENCE, handle.events.recv()).await });
        event.expect("the provider tells something in time").expect("the provider lives")
    }

    /// The next template that is as asked for, with its transactions.
    pub(crate) fn template(
        &mut self,
        so: impl Fn(&Template) -> bool,
    ) -> (Arc<Template>, Arc<[TemplateTransaction]>) {
        let mut found = None;
        loop {
            match (self.next(), &found) {
                (ProviderEvent::Template(template), _) if so(&template) => match &template.transactions {
                    // One without any is whole at once.
                    Some(transactions) => return (Arc::clone(&template), Arc::clone(transactions)),
                    None => found = Some(template),
                },
                (ProviderEvent::Transactions { template_id, transactions }, Some(template))
                    if template.template_id == template_id =>
                {
                    return (Arc::clone(template), transactions);
                }
                (ProviderEvent::Down { why, .. }, _) => panic!("the provider is down: {why}"),
                _ => {}
            }
        }
    }
}

/// Hashes until it is a block.
pub(crate) fn mine(template: &Template) -> (Header, Coinbase) {
    let payout = Output { value: template.coinbase.value_remaining, script_pubkey: vec![0x51].into() };
    let length = u8::try_from(EXTRANONCE.len()).expect("short");
    let coinbase = template.coinbase(b"\x04Adit", length, &[payout]).expect("a coinbase");
    let job = template.job(1, &coinbase).expect("a job");
    let halves = [&*job.coinbase_tx_prefix, &EXTRANONCE, &*job.coinbase_tx_suffix].concat();
    let merkle_root = merkle::root(sha256d::hash(&halves), &job.merkle_path);
    let header = |nonce| Header {
        version: job.version,
        prev_hash: job.prev_hash,
        merkle_root,
        ntime: job.min_ntime,
        nbits: job.nbits,
        nonce,
    };
    let found = (0..u32::MAX).map(header).find(|header| header.hash().meets(&job.network_target));
    (found.expect("a block within all nonces"), coinbase)
}

pub(crate) fn display(hash: [u8; 32]) -> String {
    bitcoin::BlockHash::from_byte_array(hash).to_string()
}

/// A chain whose first coinbase can be spent.
pub(crate) fn start_node(folder: &Folder) -> Node {
    let node = Node::start(Chain::Regtest, folder.path());
    node.rpc("generatetodescriptor", &json!([110, "raw(51)", 1_000_000]));
    node
}

/// Puts a transaction into the node's mempool that spends the coinbase at `height` and leaves `fee`.
pub(crate) fn spend(node: &Node, height: u64, fee: u64) -> String {
    let block = node.block(height);
    let coinbase = &block["tx"][0];
    let value = coinbase["vout"][0]["value"].as_f64().expect("a value");
    let value = bitcoin::Amount::from_btc(value).expect("an amount");
    let transaction = bitcoin::Transaction {
        version: bitcoin::transaction::Version::TWO,
        lock_time: bitcoin::absolute::LockTime::ZERO,
        input: vec![bitcoin::TxIn {
            previous_output: bitcoin::OutPoint {
                txid: coinbase["txid"].as_str().expect("a txid").parse().expect("a txid"),
                vout: 0,
            },
            ..bitcoin::TxIn::default()
        }],
        output: vec![bitcoin::TxOut {
            value: value - bitcoin::Amount::from_sat(fee),
            // Long enough that the node takes the transaction for one (65 bytes without witness).
            script_pubkey: bitcoin::ScriptBuf::from_bytes(vec![0x51; 30]),
        }],
    };
    let hex = bitcoin::consensus::encode::serialize_hex(&transaction);
    node.ask("sendrawtransaction", &json!([hex, 0])).as_str().expect("a txid").to_owned()
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn a_block_from_a_template_by_ipc_becomes_the_tip_with_its_transactions() {
    let folder = Folder::new();
    let node = start_node(&folder);
    let mut listener = Listener::start(&node, None, 1_000);
    let (first, none) = listener.template(|_| true);
    assert_eq!(display(first.prev_hash), node.best_block_hash());
    assert!(none.is_empty(), "the mempool is empty");

    // Fees above the threshold make a better template of the same tip, with the same smallest time.
    let began = Instant::now();
    let txid = spend(&node, 1, 50_000);
    let (better, transactions) = listener.template(|template| template.prev_hash == first.prev_hash);
    let better_after = began.elapsed();
    assert_eq!(better.min_ntime, first.min_ntime);
    assert_eq!(better.coinbase.value_remaining, first.coinbase.value_remaining + 50_000);
    let [only] = &*transactions else { panic!("{} transactions instead of 1", transactions.len()) };
    assert_eq!(display(only.txid), txid);

    // A solution by submitSolution.
    let (header, coinbase) = mine(&better);
    let whole = coinbase.transaction(&EXTRANONCE).expect("the coinbase");
    let solution = Solution { template_id: better.template_id, header, coinbase: whole };
    let began = Instant::now();
    let orders = listener.handle.orders.clone();
    assert_eq!(listener.runtime.block_on(orders.submit(solution)), Submitted::Taken);
    let taken_after = began.elapsed();
    assert_eq!(node.best_block_hash(), display(header.hash().to_bytes()));
    let block = node.block(node.height());
    assert_eq!(block["tx"][1]["txid"], txid.as_str(), "the transaction is in the block");
    let (next, _) = listener.template(|template| template.prev_hash == header.hash().to_bytes());
    let tip_after = began.elapsed();

    // A whole block by submitBlock, of a template that is superseded meanwhile.
    spend(&node, 2, 70_000);
    let (with_fees, transactions) = listener.template(|template| {
        template.prev_hash == next.prev_hash
            && template.coinbase.value_remaining > next.coinbase.value_remaining
    });
    let mut filled = Template::clone(&with_fees);
    filled.transactions = Some(transactions);
    let (header, coinbase) = mine(&filled);
    let block = filled.block(&header, &coinbase, &EXTRANONCE).expect("a block");
    assert_eq!(listener.runtime.block_on(orders.submit_block(block.into())), Submitted::Taken);
    assert_eq!(node.best_block_hash(), display(header.hash().to_bytes()));
    promise::kept(
        "templates by IPC",
        &format!(
            "a better template {better_after:?} after its transaction, a solution taken in {taken_after:?}, the next \
             tip's template {tip_after:?} after it was handed in"
        ),
    );
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn on_a_test_chains_old_tip_the_template_that_the_node_makes_every_second_is_told_once() {
    /// The node makes three in this time.
    const WATCHED: Duration = Duration::from_millis(3_500);
    let folder = Folder::new();
    // Its tip is the genesis block, of 2011: after 20 minutes a test chain's node gives a new template every second.
    let node = Node::start(Chain::Regtest, folder.path());
    let mut listener = Listener::start(&node, None, 1_000);
    let (first, _) = listener.template(|_| true);
    let Listener { runtime, handle } = &mut listener;
    let more = runtime.block_on(async { tokio::time::timeout(WATCHED, handle.events.recv()).await });
    assert!(more.is_err(), "the same again: {more:?}");
    node.rpc("generatetodescriptor", &json!([1, "raw(51)", 1_000_000]));
    let (next, _) = listener.template(|template| template.prev_hash != first.prev_hash);
    assert_eq!(display(next.prev_hash), node.best_block_hash(), "a new tip is told all the same");
    promise::kept("a template that is no better is no job", &format!("one template in {WATCHED:?}"));
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn a_crossed_interface_is_found_out_before_any_work_is_handed_out() {
    let folder = Folder::new();
    let node = start_node(&folder);
    let mut listener = Listener::start(&node, Some(Schema::V30), 1_000);
    let ProviderEvent::Down { why, .. } = listener.next() else {
        panic!("a crossed interface is used");
    };
    promise::kept("a crossed IPC interface gives no work", &why);
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn a_node_that_comes_later_and_one_that_restarts_are_found() {
    let folder = Folder::new();
    let mut node = start_node(&folder);
    let mut listener = Listener::start(&node, None, 1_000);
    let (first, _) = listener.template(|_| true);
    node.restart();
    loop {
        match listener.next() {
            ProviderEvent::Down { .. } => break,
            ProviderEvent::Template(_) | ProviderEvent::Transactions { .. } | ProviderEvent::Up { .. } => {}
        }
    }
    let began = Instant::now();
    let mut downs = 0;
    let again = loop {
        match listener.next() {
            ProviderEvent::Template(template) => break template,
            ProviderEvent::Down { .. } => downs += 1,
            ProviderEvent::Transactions { .. } | ProviderEvent::Up { .. } => {}
        }
    };
    assert_eq!(again.prev_hash, first.prev_hash);
    promise::kept(
        "a node that restarts is found again",
        &format!("templates {:?} after its end was noticed, {downs} tries in vain", began.elapsed()),
    );
}
