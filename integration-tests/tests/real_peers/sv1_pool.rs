//! A foreign pool that speaks Stratum V1, `para pool` over Bitcoin Core, with little and with much room for Adit.

use integration_tests::block_notifier::BlockNotifier;
use integration_tests::folder::Folder;
use integration_tests::miners::CpuMiner;
use integration_tests::node::{Chain, Node};
use integration_tests::para_pool::ParaPool;
use integration_tests::proxy::{Adit, Settings};
use integration_tests::{promise, wait};

use crate::PATIENCE;

/// A worker's name that `para pool` takes on a signet: an address (of BIP 173's examples), a dot, a worker.
const WORKER: &str = "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx.farm";

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn an_sv1_pool_that_leaves_two_four_or_eight_bytes_takes_shares_and_blocks() {
    for (size, listener) in [
        (2, "extranonce1_size = 1\nextranonce2_size = 1\nmax_connections = 100\n"),
        (4, "extranonce1_size = 2\nextranonce2_size = 2\nmax_connections = 10000\n"),
        (8, ""),
    ] {
        mine(size, listener);
    }
}

fn mine(size: usize, listener: &str) {
    let folder = Folder::new();
    let node = Node::start(Chain::Signet, folder.path());
    let notifier = BlockNotifier::start();
    notifier.beside(&node, || {
        let pool = ParaPool::start(&node, &notifier, folder.path(), size);
        let worker = format!("user_identity = \"{WORKER}\"\n");
        let settings = Settings::for_cpus().listener(listener).source("pool", &pool.url(), &worker);
        let adit = Adit::start_ready(folder.path(), &settings);
        let (height, tip) = (node.height(), node.best_block_hash());

        let miners: Vec<CpuMiner> =
            (0..2).map(|n| CpuMiner::start(adit.port(), &format!("farm.{n}"), 2_000_000.0)).collect();
        wait::until_so("blocks and shares are taken", PATIENCE, || {
            let books = adit.books();
            node.height() > height && books.acknowledged >= 20 && books.blocks > 0
        });
        let extranonces: Vec<String> = miners.into_iter().map(|miner| miner.stop().extranonce1).collect();
        let books = adit.settled(PATIENCE);

        let grown = node.height() - height;
        assert!(grown >= 1 && node.best_block_hash() != tip);
        assert!(books.balance(), "{books}");
        assert_eq!(books.unknown, 0, "{books}\n{}", pool.log());
        // A share may cross a new tip, and nothing else may be wrong with one.
        assert!(books.refused <= books.acknowledged / 10, "{books}\n{}", pool.log());
        // The miners have stopped and nobody else makes blocks: the tip was found through Adit, in a miner's own space.
        let script = coinbase(&node, node.height());
        assert!(
            extranonces.iter().any(|of| !of.is_empty() && script.contains(of.as_str())),
            "the tip's coinbase {script} is of one of {extranonces:?}"
        );
        adit.stop();
        promise::kept(
            "a foreign SV1 pool takes shares, and a block found through Adit is the node's tip",
            &format!(
                "para pool leaves {size} bytes; getbestblockhash {tip} -> {}; the chain grew by {grown}; {books}",
                node.best_block_hash()
            ),
        );
    });
}

/// The script of the coinbase of a block.
fn coinbase(node: &Node, height: u64) -> String {
    let block = node.block(height);
    block["tx"][0]["vin"][0]["coinbase"].as_str().unwrap_or_default().to_owned()
}
