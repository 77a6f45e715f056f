//! The reference job declarator client, `jd_client_sv2`, declares coinbases to our own pool over a real node: the only
//! foreign peer there is for that mode, since the reference pool does not serve it. Its miners come through the reference
//! translator.
//!
//! `jd_client_sv2` 0.6.0 makes no custom job of a template that comes with a new tip: it leaves the outputs at 0 satoshi
//! there, and drops the job. It does make one of a better template on the same tip, so each job here has a transaction that
//! came later.

use integration_tests::dev_pool::DevPool;
use integration_tests::folder::Folder;
use integration_tests::jd_client::{JdClient, JdClientSettings, JdMode};
use integration_tests::miners::CpuMiner;
use integration_tests::node::Node;
use integration_tests::pool::hex;
use integration_tests::sv1_client::Sv1Client;
use integration_tests::translator::Translator;
use integration_tests::{promise, wait};
use serde_json::json;

use super::own_pool::ARGS;
use crate::PATIENCE;
use crate::core_ipc::{spend, start_node};

/// Every second hash is a block.
const HASHRATE: f64 = 8.0;
/// Shares a minute of each channel.
const SHARES: f64 = 60.0;
/// What the client writes into coinbases.
const SIGNATURE: &str = "jdc";
/// Jobs that are declared and solved.
const JOBS: usize = 4;

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn the_reference_client_declares_coinbases_to_our_pool_and_its_blocks_are_the_nodes() {
    let folder = Folder::new();
    let node = start_node(&folder);
    let mut pool = DevPool::new("pool", folder.path(), &ARGS).with_declarator().following_by_ipc(&node);
    pool.run();
    let client = JdClient::start(folder.path(), &node, &settings(&pool));
    let translator = Translator::start_behind(folder.path(), &client, HASHRATE, SHARES);
    // Keeps the channel open while nobody hashes.
    let watcher = Sv1Client::connect(translator.port(), "farm.watcher");

    let mut blocks: Vec<String> = Vec::new();
    for height in 1..=JOBS as u64 {
        let taken = custom_jobs(&pool);
        let txid = spend(&node, height, 50_000);
        wait::until_so("a custom job is taken", PATIENCE, || custom_jobs(&pool) > taken);
        let miner = CpuMiner::start(translator.port(), "farm.ours", HASHRATE);
        let hash = wait::until("a block of an acknowledged job is found", PATIENCE, || {
            found(&pool).into_iter().find(|hash| !blocks.contains(hash))
        });
        drop(miner);
        let block = wait::until("the block is in the chain", PATIENCE, || in_chain(&node, &hash));
        let coinbase = &block["tx"][0];
        let script = coinbase["vin"][0]["coinbase"].as_str().expect("a coinbase");
        assert!(script.contains(&hex(SIGNATURE.as_bytes())), "the client's job: {script}");
        assert_eq!(coinbase["vout"][0]["scriptPubKey"]["hex"], "51", "the pool's payout: {coinbase}");
        assert_eq!(block["tx"][1]["txid"], txid.as_str(), "{block}");
        blocks.push(hash);
    }
    let acknowledged = wait::until("each share of a declared job is acknowledged", PATIENCE, || {
        let log = client.process().log();
        Some(log.matches("Received: SubmitSharesSuccess").count()).filter(|count| *count >= JOBS)
    });
    let log = client.process().log();
    assert!(!log.to_lowercase().contains("fallback"), "nothing drove the client away: {log}");
    assert_eq!(pool.log().matches("custom job refused").count(), 0, "{}", pool.log());
    drop(watcher);
    promise::kept(
        "jd_client_sv2 declares coinbases to our own pool over a real node",
        &format!(
            "{} custom jobs taken, none refused; {acknowledged} acknowledgements; {} blocks in the chain, the last {}",
            custom_jobs(&pool),
            blocks.len(),
            blocks[JOBS - 1]
        ),
    );
    pool.stop();
}

fn settings(pool: &DevPool) -> JdClientSettings {
    let at = |port| ("127.0.0.1".to_owned(), port);
    JdClientSettings {
        mode: JdMode::CoinbaseOnly,
        pool: at(pool.port()),
        jds: at(pool.jds_port()),
        key: pool.key().to_owned(),
        user_identity: "farm".to_owned(),
        shares_per_minute: SHARES,
        share_batch_size: 1,
        lives: 1,
        log: "info",
    }
}

/// Custom jobs that the pool has taken.
fn custom_jobs(pool: &DevPool) -> usize {
    pool.log().matches("custom job taken").count()
}

/// Blocks that the pool was told of by a share, and cannot hand in itself.
fn found(pool: &DevPool) -> Vec<String> {
    let log = pool.log();
    let lines = log.lines().filter(|line| line.contains("a block was found that its client has to spread"));
    let hash = |line: &str| Some(line.split_once("hash=")?.1.split_whitespace().next()?.to_owned());
    lines.filter_map(hash).collect()
}

/// A block, with its transactions, if it is in the chain.
fn in_chain(node: &Node, hash: &str) -> Option<serde_json::Value> {
    let block = node.try_ask("getblock", &json!([hash, 2])).ok()?;
    (block["confirmations"].as_i64() > Some(0)).then_some(block)
}
