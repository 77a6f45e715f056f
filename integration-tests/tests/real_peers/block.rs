//! A block that a miner finds through Adit becomes the node's tip.

use integration_tests::folder::Folder;
use integration_tests::miners::{CpuMiner, ParaMiner};
use integration_tests::node::{Chain, Node};
use integration_tests::pool::{Pool, PoolSettings};
use integration_tests::proxy::{Adit, Settings};
use integration_tests::{promise, wait};

use crate::{PARA_USER, PATIENCE};

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn a_block_found_through_adit_becomes_the_tip_of_the_node() {
    let folder = Folder::new();
    let node = Node::start(Chain::Signet, folder.path());
    let pool_settings = PoolSettings { shares_per_minute: 120.0, ..PoolSettings::default() };
    let pool = Pool::start("pool-a", &node, folder.path(), &pool_settings);
    let settings = Settings::for_cpus().source("pool", &pool.url(), "nominal_hashrate = 2000000\n");
    let adit = Adit::start_ready(folder.path(), &settings);
    let (height, tip) = (node.height(), node.best_block_hash());

    let ours = CpuMiner::start(adit.port(), "farm.ours", 4_000_000.0);
    let para = ParaMiner::start(adit.port(), PARA_USER, 4_000_000, folder.path());
    wait::until_so("a block of ours is the tip", PATIENCE, || {
        let books = ours.books();
        node.height() > height
            && (height + 1..=node.height()).any(|at| coinbase(&node, at).contains(&books.extranonce1))
    });
    let own = ours.stop();
    let foreign = para.stop();
    let books = adit.settled(PATIENCE);

    let grown = node.height() - height;
    assert_ne!(node.best_block_hash(), tip);
    let mut of_ours = 0;
    for at in height + 1..=node.height() {
        let coinbase = coinbase(&node, at);
        assert!(coinbase.contains(&pool.signature_hex()), "the pool made block {at}: {coinbase}");
        of_ours += u64::from(coinbase.contains(&own.extranonce1));
    }
    let pool_says = pool.wait_shares("it has dealt with what is open, too", |says| {
        says.accepted >= books.acknowledged + books.pending && says.blocks >= books.blocks
    });
    assert_eq!(books.blocks, pool_says.blocks, "Adit and the pool count the same blocks: {books}");
    // Two blocks on one tip are both blocks, and only one of them grows the chain.
    assert!(books.blocks >= grown && grown >= 1, "{} blocks, the chain grew by {grown}", books.blocks);
    assert_eq!(books.acknowledged + books.pending, pool_says.accepted, "{books}");
    assert_eq!(books.refused, pool_says.refused_total(), "{books}");
    adit.stop();
    promise::kept(
        "a block found through Adit becomes the node's tip",
        &format!(
            "getbestblockhash {tip} -> {}; the chain grew by {grown}, {of_ours} of it by our miner (its extranonce1 {} \
             is in the coinbase), {} blocks counted by Adit, {} by the pool; {books}; para was told true {} times",
            node.best_block_hash(),
            own.extranonce1,
            books.blocks,
            pool_says.blocks,
            foreign.accepted
        ),
    );
}

/// The script of the coinbase of a block.
fn coinbase(node: &Node, height: u64) -> String {
    let block = node.block(height);
    block["tx"][0]["vin"][0]["coinbase"].as_str().unwrap_or_default().to_owned()
}
