//! Two nodes: the farm's, whose templates Adit declares, and the pool's, which gets blocks from it and no transactions.

use std::time::Instant;

use integration_tests::folder::Folder;
use integration_tests::miners::CpuMiner;
use integration_tests::node::{Chain, Node};
use integration_tests::pool::Pool;
use integration_tests::proxy::{Adit, Settings};
use integration_tests::sv1_client::Sv1Client;
use integration_tests::{promise, wait};
use serde_json::{Value, json};

use super::reference_pool::pool_settings;
use super::{DECLARED, POOL, Upstream, ladder, wait_active, wait_declared};
use crate::PATIENCE;
use crate::core_ipc::spend;

/// Every share is a block here: one in a second or so.
const HASHRATE: f64 = 30_000.0;

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn a_transaction_that_the_pools_node_lacks_is_provided_and_the_farms_own_node_may_come_late_and_be_killed() {
    let folder = Folder::new();
    let (theirs, port) = Node::start_for_blocks(Chain::Regtest, &folder.path().join("theirs"));
    theirs.rpc("generatetodescriptor", &json!([110, "raw(51)", 1_000_000]));
    let mut own = Node::start(Chain::Regtest, folder.path());
    own.meet(&theirs, port);
    own.stop();
    let pool = Pool::start("pool-a", &theirs, folder.path(), &pool_settings());
    let upstream = Upstream { hashrate: HASHRATE, ..Upstream::from(&pool) };
    let settings = Settings::for_cpus().templates_by_ipc("node", &own);
    let settings = ladder(settings, &upstream, folder.path(), "").route("return_after = \"1s\"\n");

    // Without the farm's node the pool's own jobs.
    let adit = Adit::start_ready(folder.path(), &settings);
    let client = Sv1Client::connect(adit.port(), "farm.watcher");
    wait_active(&adit, POOL);
    own.start_again();
    let at = Instant::now();
    own.meet(&theirs, port);
    wait_declared(&adit);
    let declared_after = at.elapsed();

    // A transaction that only the farm's node has.
    let height = own.height();
    let txid = spend(&own, 1, 50_000);
    let at = Instant::now();
    wait::until_so("the pool has asked for a transaction and got it", PATIENCE, || provided(&pool) > 0);
    let provided_after = at.elapsed();
    wait_declared(&adit);
    assert_eq!(theirs.ask("getrawmempool", &json!([])), json!([]), "the pool's node lacks it");
    let hash = mine(&adit, &own, height, &txid);
    wait::until_so("both nodes have one tip, with the block", PATIENCE, || {
        let confirmed = theirs.try_ask("getblockheader", &json!([hash])).ok();
        let confirmed = confirmed.and_then(|header| header["confirmations"].as_i64());
        confirmed > Some(0) && own.best_block_hash() == theirs.best_block_hash()
    });
    promise::figure(
        "25",
        &format!(
            "a transaction that the reference pool's node lacks: asked for and provided {} times, first {provided_after:.1?} \
             after the farm's node had it; it is in block {hash}, which both nodes have; {}",
            provided(&pool),
            adit.books()
        ),
    );

    // The farm's node is killed, and is there again.
    own.kill();
    let at = Instant::now();
    wait_active(&adit, POOL);
    let left_after = at.elapsed();
    let why = adit.source(DECLARED)["last_down"].clone();
    let before = theirs.height();
    own.start_again();
    let lost = before.saturating_sub(own.height());
    let at = Instant::now();
    own.meet(&theirs, port);
    wait_declared(&adit);
    let back_after = at.elapsed();
    let txid = spend(&own, 2, 50_000);
    let hash = mine(&adit, &own, before, &txid);
    assert_eq!((client.closed(), client.disturbances()), (None, Vec::<Value>::new()));
    let books = adit.settled(PATIENCE);
    assert_eq!((books.held, books.pending), (0, 0), "{books}");
    adit.stop();
    promise::figure(
        "22",
        &format!(
            "the farm's node absent at the start: declared {declared_after:.1?} after it was there; killed: left for the \
             pool's own jobs after {left_after:.1?} ({why}); back without its last {lost} blocks, declared {back_after:.1?} \
             after that; block {hash}; {books}"
        ),
    );
}

/// How often the pool was given transactions that it had asked for.
fn provided(pool: &Pool) -> usize {
    pool.log().matches("Received: ProvideMissingTransactionsSuccess").count()
}

/// Mines until a block above this height has the transaction; gives the block's hash.
fn mine(adit: &Adit, node: &Node, height: u64, txid: &str) -> String {
    let miner = CpuMiner::start(adit.port(), "farm.ours", HASHRATE);
    let hash = wait::until("a block with the transaction is in the chain", PATIENCE, || {
        (height + 1..=node.height()).find_map(|at| {
            let block = node.block(at);
            let has = block["tx"].as_array()?.iter().any(|tx| tx["txid"] == txid);
            has.then(|| block["hash"].as_str().map(str::to_owned))?
        })
    });
    drop(miner);
    hash
}
