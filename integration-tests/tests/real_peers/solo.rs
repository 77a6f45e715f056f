//! Solo mining through the released program on a real node: what miners find is the farm's, and is never lost.

use std::path::Path;
use std::time::Instant;

use integration_tests::folder::Folder;
use integration_tests::miners::CpuMiner;
use integration_tests::node::{Chain, Node};
use integration_tests::proxy::{Adit, PAYOUT, Settings};
use integration_tests::{promise, wait};
use serde_json::json;

use crate::PATIENCE;
use crate::core_ipc::{spend, start_node};

/// What is written into blocks.
const SIGNATURE: &str = "/adit solo/";
/// Every second hash is a block on regtest.
const FEW_HASHES: f64 = 8.0;
/// A block in seconds on the test signet.
const SOME_HASHES: f64 = 1_500_000.0;

fn solo(settings: Settings, folder: &Folder) -> Settings {
    settings.solo("own", &["node"], folder.path(), &format!("signature = {SIGNATURE:?}\n"))
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn miners_on_templates_by_ipc_make_the_nodes_blocks_with_its_transactions() {
    let folder = Folder::new();
    let node = start_node(&folder);
    let settings = solo(Settings::for_cpus().templates_by_ipc("node", &node), &folder);
    mine_a_transaction(&node, &settings, &folder, "IPC");
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn miners_on_templates_by_rpc_make_the_nodes_blocks_with_its_transactions() {
    let folder = Folder::new();
    let node = start_node(&folder);
    let settings = solo(Settings::for_cpus().templates_by_rpc("node", &node), &folder);
    mine_a_transaction(&node, &settings, &folder, "RPC");
}

/// No pool at all: a transaction in the mempool is in a block that pays the farm, and everything found is accounted for.
fn mine_a_transaction(node: &Node, settings: &Settings, folder: &Folder, way: &str) {
    let txid = spend(node, 1, 50_000);
    let adit = Adit::start_ready(folder.path(), settings);
    let height = node.height();
    let began = Instant::now();
    let miner = CpuMiner::start(adit.port(), "farm.solo", FEW_HASHES);
    wait::until_so("three blocks are on top", PATIENCE, || node.height() >= height + 3);
    let three_after = began.elapsed();
    let own = miner.stop();
    let books = adit.settled(PATIENCE);

    let first = node.block(height + 1);
    assert_eq!(first["tx"][1]["txid"], txid.as_str(), "the transaction is in the first block: {first}");
    let signature: String = SIGNATURE.bytes().map(|byte| format!("{byte:02x}")).collect();
    for at in height + 1..=node.height() {
        let block = node.block(at);
        let coinbase = &block["tx"][0];
        let script = coinbase["vin"][0]["coinbase"].as_str().expect("a coinbase");
        assert!(
            script.contains(&signature) && script.contains(&own.extranonce1),
            "block {at} is ours: {script}"
        );
        assert_eq!(coinbase["vout"][0]["scriptPubKey"]["address"], PAYOUT);
    }
    let grown = node.height() - height;
    assert_eq!(
        books.acknowledged, books.blocks,
        "each share that the node was told of is a block it has: {books}"
    );
    assert_eq!((books.refused, books.unknown, books.told_true_lost), (0, 0, 0), "{books}");
    assert!(books.blocks >= grown, "{} blocks, the chain grew by {grown}", books.blocks);
    wait::until_so("each is with the node, and none waits", PATIENCE, || {
        let blocks = adit.status()["blocks"].clone();
        blocks["taken_total"] == books.blocks && blocks["waiting_on_disk"] == 0
    });
    wait::until_so("there is work on the next", PATIENCE, || {
        let template = adit.status()["templates"][0].clone();
        template["up"] == true && template["height"] == node.height() + 1
    });
    assert_eq!(adit.source("own")["kind"], "solo");
    adit.stop();
    promise::kept(
        &format!("solo mining on templates by {way}"),
        &format!(
            "the chain grew by {grown} blocks of ours, three in {three_after:?}, transaction {txid} in the first; \
             getbestblockhash {}; {books}",
            node.best_block_hash()
        ),
    );
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn a_node_that_comes_after_adit_is_waited_for_and_said_to_be_missing() {
    let folder = Folder::new();
    let mut node = Node::start(Chain::Signet, folder.path());
    node.stop();
    let settings = solo(Settings::for_cpus().templates_by_ipc("node", &node), &folder);
    let mut adit = Adit::start(folder.path(), &settings);
    let reason = wait::until("it says what is missing", PATIENCE, || {
        let (code, body) = adit.readiness();
        let text = body.to_string();
        (code == 503 && text.contains("own: no templates: node: ")).then_some(text)
    });
    assert_eq!(adit.status()["templates"][0]["up"], false);
    let miner = CpuMiner::start(adit.port(), "farm.early", SOME_HASHES);
    node.start_again();
    let began = Instant::now();
    adit.wait_ready();
    let ready_after = began.elapsed();
    adit.wait_books("shares of the miner that came before the node", PATIENCE, |books| books.submitted > 0);
    let own = miner.stop();
    assert_eq!(own.connections, 1, "the early miner stayed");
    adit.stop();
    promise::kept(
        "a node that comes after Adit",
        &format!("ready {ready_after:?} after the node answered; before, /readyz said {reason}"),
    );
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn blocks_found_while_the_node_is_dead_are_its_tip_when_it_is_back() {
    let folder = Folder::new();
    let mut node = Node::start(Chain::Signet, folder.path());
    let settings = solo(Settings::for_cpus().templates_by_ipc("node", &node), &folder);
    let adit = Adit::start_ready(folder.path(), &settings);
    let miner = CpuMiner::start(adit.port(), "farm.steady", SOME_HASHES);
    wait::until_so("a first block", PATIENCE, || taken(&adit) > 0);
    node.save();
    node.kill();
    let died = Instant::now();
    let (height, hash) = wait::until("a block on disk", PATIENCE, || waiting(folder.path()));
    let found_after = died.elapsed();
    wait::until_so("it is counted", PATIENCE, || {
        adit.status()["blocks"]["waiting_on_disk"].as_u64() >= Some(1)
    });

    node.start_again();
    let began = Instant::now();
    wait::until_so("the block is handed in", PATIENCE, || knows(&node, &hash));
    let taken_after = began.elapsed();
    wait::until_so("no file waits", PATIENCE, || waiting(folder.path()).is_none());
    wait::until_so("mining goes on", PATIENCE, || node.height() > height);
    assert!(is_ours(&node, height), "the chain has a block of the dead time");
    let own = miner.stop();
    assert_eq!(own.connections, 1, "the miner stayed connected");
    let books = adit.settled(PATIENCE);
    assert_eq!(books.acknowledged, books.blocks, "{books}");
    adit.stop();
    promise::kept(
        "a block found while the node is dead",
        &format!(
            "block {hash} found {found_after:?} after kill -9, taken {taken_after:?} after the node answered again; {books}"
        ),
    );
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn a_block_outlives_node_and_adit_and_brings_those_that_the_node_has_lost() {
    let folder = Folder::new();
    let mut node = Node::start(Chain::Signet, folder.path());
    let settings = solo(Settings::for_cpus().templates_by_ipc("node", &node), &folder);
    let mut adit = Adit::start_ready(folder.path(), &settings);
    let miner = CpuMiner::start(adit.port(), "farm.unlucky", SOME_HASHES);
    wait::until_so("a first block", PATIENCE, || taken(&adit) > 0);
    node.save();
    // What the node takes from now on is not on its disk.
    let saved = node.height();
    wait::until_so("work on a further block", PATIENCE, || {
        let next = adit.status()["templates"][0]["height"].as_u64();
        next > Some(saved + 1)
    });
    node.kill();
    let (height, hash) = wait::until("a block on disk", PATIENCE, || waiting(folder.path()));
    adit.signal("KILL");
    let _ = adit.wait_end(PATIENCE);
    drop(miner);

    // Adit first: the node is not there yet.
    let adit = Adit::start(folder.path(), &settings);
    node.start_again();
    let began = Instant::now();
    let kept = node.height();
    wait::until_so("the block of the earlier run is handed in", PATIENCE, || knows(&node, &hash));
    let after = began.elapsed();
    // A node knows a block before it has it in its chain.
    wait::until_so("it is in the chain", PATIENCE, || node.height() >= height);
    assert!(is_ours(&node, height));
    wait::until_so("no file waits", PATIENCE, || waiting(folder.path()).is_none());
    adit.stop();
    promise::kept(
        "a block outlives node and Adit",
        &format!(
            "both were killed; block {hash} of height {height} is in the chain {after:?} after the node answered again, \
             which it did at height {kept}"
        ),
    );
}

/// The node has this block, in its chain or, found on the same tip as another, beside it.
fn knows(node: &Node, hash: &str) -> bool {
    node.try_ask("getblockheader", &json!([hash])).is_ok()
}

/// The block at this height pays the farm.
fn is_ours(node: &Node, height: u64) -> bool {
    node.block(height)["tx"][0]["vout"][0]["scriptPubKey"]["address"] == PAYOUT
}

fn taken(adit: &Adit) -> u64 {
    adit.status()["blocks"]["taken_total"].as_u64().expect("a count")
}

/// Height and hash of a block that waits for a node, by the name of its file.
fn waiting(folder: &Path) -> Option<(u64, String)> {
    let entries = std::fs::read_dir(folder.join("state/blocks")).ok()?;
    let mut names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.find_map(|name| {
        let (height, hash) = name.strip_suffix(".block")?.rsplit_once('-')?;
        Some((height.parse().ok()?, hash.to_owned()))
    })
}
