//! A foreign pool that speaks Stratum V1, `para pool` over Bitcoin Core, with little and with much room for Adit.

use integration_tests::block_notifier::BlockNotifier;
use integration_tests::folder::Folder;
use integration_tests::miners::CpuMiner;
use integration_tests::node::{Chain, Node};
use integration_tests::para_pool::ParaPool;
use integration_tests::proxy::{Adit, Settings};
use integration_tests::stalls::Stalls;
use integration_tests::{load, promise, wait};

use crate::PATIENCE;

/// A worker's name that `para pool` takes on a signet: an address (of BIP 173's examples), a dot, a worker.
const WORKER: &str = "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx.farm";
/// What two miners find a second at the difficulty that it begins with.
const SHARES_A_SECOND: f64 = 50.0;

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn an_sv1_pool_that_leaves_two_four_or_eight_bytes_takes_shares_and_blocks() {
    // Bytes that the pool leaves, what the listener says of its sizes, and those of a miner's extranonce1.
    for (size, listener, extranonce1) in
        [(2, "", 1), (4, "", 2), (4, "extranonce1_size = 1\nmax_connections = 1000\n", 1), (8, "", 4)]
    {
        mine(size, listener, extranonce1);
    }
}

fn mine(size: usize, listener: &str, extranonce1: usize) {
    let folder = Folder::new();
    let node = Node::start(Chain::Signet, folder.path());
    let notifier = BlockNotifier::start();
    notifier.beside(&node, || {
        let pool = ParaPool::start(&node, &notifier, folder.path(), size);
        let worker = format!("user_identity = \"{WORKER}\"\n");
        let settings = Settings::for_cpus().listener(listener).source("pool", &pool.url(), &worker);
        let adit = Adit::start_ready(folder.path(), &settings);
        let (height, tip, stalls) = (node.height(), node.best_block_hash(), Stalls::watch());

        let miners: Vec<CpuMiner> =
            (0..2).map(|n| CpuMiner::start(adit.port(), &format!("farm.{n}"), 2_000_000.0)).collect();
        wait::until_so("blocks and shares are taken", PATIENCE, || {
            let books = adit.books();
            node.height() > height && books.acknowledged >= 20 && books.blocks > 0
        });
        let extranonces: Vec<String> = miners.into_iter().map(|miner| miner.stop().extranonce1).collect();
        let books = adit.settled(PATIENCE);
        assert!(extranonces.iter().all(|hex| hex.len() == 2 * extranonce1), "{extranonces:?}");

        let grown = node.height() - height;
        assert!(grown >= 1 && node.best_block_hash() != tip);
        assert!(books.balance(), "{books}");
        assert_eq!(books.unknown, 0, "{books}\n{}", pool.log());
        // A share may cross a new tip, and nothing else may be wrong with one.
        let crossed = stalls.meanwhile(SHARES_A_SECOND) * grown;
        assert!(books.refused <= books.acknowledged / 10 + crossed, "{books}\n{}", pool.log());
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
                "para pool leaves {size} bytes, a miner's extranonce1 has {extranonce1}; getbestblockhash {tip} -> {}; the chain grew by {grown}; {books}",
                node.best_block_hash()
            ),
        );
    });
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn more_miners_than_two_bytes_tell_apart_are_spread_over_connections_of_an_sv1_pool() {
    const MINERS: &str = "600";
    let folder = Folder::new();
    let node = Node::start(Chain::Signet, folder.path());
    let notifier = BlockNotifier::start();
    notifier.beside(&node, || {
        let pool = ParaPool::start(&node, &notifier, folder.path(), 2);
        let worker = format!("user_identity = \"{WORKER}\"\n");
        let settings = Settings::for_cpus().source("pool", &pool.url(), &worker);
        let adit = Adit::start_ready(folder.path(), &settings);
        let args =
            ["--miners", MINERS, "--shares-per-second", "3000", "--seconds", "20", "--connect-seconds", "2"];
        let load = load::start(&adit, &args);
        // One for each connection: 256 miners, 256 and 88.
        wait::until_so("three connections have work", PATIENCE, || adit.source("pool")["channels"] == 3);
        let report = load.report();
        let books = adit.settled(PATIENCE);
        assert_eq!(report["connect"]["with_work"], MINERS.parse::<u64>().unwrap(), "{report}");
        assert!(books.balance() && books.acknowledged > 0, "{books}");
        // The pool knows shares by their hash, wherever they come from.
        let source = adit.source("pool");
        assert_eq!(source["books"]["refused"]["duplicate-share"].as_u64().unwrap_or(0), 0, "{source}");
        let (rejected, refused) = (adit.rejections(), source["books"]["refused"].clone());
        adit.stop();
        promise::kept(
            "more miners than an SV1 pool's bytes tell apart are spread over several connections to it",
            &format!(
                "para pool leaves 2 bytes; {MINERS} miners on 3 connections; {books}; rejected {rejected:?}, refused \
                 {refused}"
            ),
        );
    });
}

/// The script of the coinbase of a block.
fn coinbase(node: &Node, height: u64) -> String {
    let block = node.block(height);
    block["tx"][0]["vin"][0]["coinbase"].as_str().unwrap_or_default().to_owned()
}
