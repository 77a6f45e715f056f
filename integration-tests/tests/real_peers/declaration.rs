//! Templates of the farm's own node, declared to the reference pool and its embedded job declarator server.

use std::path::Path;

use integration_tests::folder::Folder;
use integration_tests::miners::{CpuMiner, ParaMiner};
use integration_tests::node::{Chain, Node};
use integration_tests::pool::{Pool, PoolSettings};
use integration_tests::proxy::{Adit, Settings};
use integration_tests::{promise, wait};

use crate::{PARA_USER, PATIENCE};

/// The farm's name for declaring, for the pool itself, and for solo mining.
const DECLARED: &str = "declared";
const POOL: &str = "pool";

fn pool_settings() -> PoolSettings {
    PoolSettings {
        shares_per_minute: 120.0,
        share_batch_size: 1,
        declarator: true,
        ..PoolSettings::default()
    }
}

/// First declared jobs, then the same pool's own.
fn ladder(settings: Settings, pool: &Pool, folder: &Path) -> Settings {
    settings.source(POOL, &pool.url(), "nominal_hashrate = 2000000\n").declared(
        DECLARED,
        POOL,
        &pool.jds_url(),
        &["node"],
        folder,
        "",
    )
}

/// Waits until the route mines on a source.
fn wait_active(adit: &Adit, source: &str) {
    wait::until_so(&format!("the route mines on {source}"), PATIENCE, || {
        adit.active().as_deref() == Some(source)
    });
}

/// Waits until a job of ours was acknowledged.
fn wait_acknowledged(adit: &Adit) {
    wait::until_so("the pool has acknowledged a declared job", PATIENCE, || {
        adit.source(DECLARED)["declaration"]["state"] == "acknowledged"
    });
}

/// A chain whose first coinbase can be spent, on which a CPU finds a block in seconds.
fn start_node(folder: &Folder) -> Node {
    Node::start(Chain::Signet, folder.path())
}

fn mine_declared_jobs(settings: Settings, folder: &Folder, node: &Node, pool: &Pool, way: &str) {
    let settings = ladder(settings, pool, folder.path());
    let adit = Adit::start(folder.path(), &settings);
    wait_active(&adit, DECLARED);
    let height = node.height();
    let ours = CpuMiner::start(adit.port(), "farm.ours", 2_000_000.0);
    let para = ParaMiner::start(adit.port(), PARA_USER, 2_000_000, folder.path());
    wait_acknowledged(&adit);
    adit.wait_books("shares are acknowledged", PATIENCE, |books| books.acknowledged > 20);
    wait::until_so("a block of ours is the tip", PATIENCE * 2, || {
        let extranonce1 = ours.books().extranonce1;
        (height + 1..=node.height()).any(|at| script(node, at).contains(&extranonce1))
    });
    let own = ours.stop();
    let foreign = para.stop();
    let books = adit.settled(PATIENCE);

    // What was found on a tip that changed before its job was acknowledged, or before the pool had it, counts for nobody.
    let late = unsent(&adit, "stale_in_queue") + refused(&adit, "stale-share");
    assert_eq!(books.unsent + books.refused, late, "{books}\n{}", adit.log());
    assert_eq!((books.held, books.unknown), (0, 0), "{books}\n{}", adit.log());
    assert!(books.acknowledged > 20, "{books}");
    let declared = adit.source_books(DECLARED);
    assert_eq!(declared.acknowledged, books.acknowledged, "all of it on declared jobs: {books}");
    let mut of_ours = 0;
    for at in height + 1..=node.height() {
        let script = script(node, at);
        assert!(!script.contains(&pool.signature_hex()), "block {at} is not the pool's own job: {script}");
        of_ours += u64::from(script.contains(&own.extranonce1));
        // The pool's payout gets the reward, as it asked.
        let block = node.block(at);
        assert_eq!(block["tx"][0]["vout"][0]["scriptPubKey"]["hex"], "51");
    }
    assert!(of_ours > 0);
    let acknowledged_after = template_to_ack(&adit);
    let declaration = adit.source(DECLARED)["declaration"].clone();
    let status = adit.status()["blocks"].clone();
    adit.stop();
    promise::kept(
        &format!("miners behind Adit mine jobs that it declared to the reference pool, templates by {way}"),
        &format!(
            "the chain grew by {} blocks, {of_ours} of them by our miner; {books}; para was told true {} times; a job is acknowledged {acknowledged_after:.0} ms after its template on average; {declaration}; blocks {status}",
            node.height() - height,
            foreign.accepted
        ),
    );
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn declared_jobs_are_mined_and_acknowledged_and_their_blocks_are_the_nodes_templates_by_ipc() {
    let folder = Folder::new();
    let node = start_node(&folder);
    let pool = Pool::start("pool-a", &node, folder.path(), &pool_settings());
    let settings = Settings::for_cpus().templates_by_ipc("node", &node);
    mine_declared_jobs(settings, &folder, &node, &pool, "IPC");
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn declared_jobs_are_mined_and_acknowledged_and_their_blocks_are_the_nodes_templates_by_rpc() {
    let folder = Folder::new();
    let node = start_node(&folder);
    let pool = Pool::start("pool-a", &node, folder.path(), &pool_settings());
    let settings = Settings::for_cpus().templates_by_rpc("node", &node);
    mine_declared_jobs(settings, &folder, &node, &pool, "RPC");
}

fn script(node: &Node, height: u64) -> String {
    let block = node.block(height);
    block["tx"][0]["vin"][0]["coinbase"].as_str().unwrap_or_default().to_owned()
}

fn unsent(adit: &Adit, why: &str) -> u64 {
    adit.status()["books"]["unsent"][why].as_u64().unwrap_or(0)
}

fn refused(adit: &Adit, code: &str) -> u64 {
    adit.status()["books"]["refused"][code].as_u64().unwrap_or(0)
}

/// From a template to its job's acknowledgement, on average, milliseconds.
fn template_to_ack(adit: &Adit) -> f64 {
    let name = |what| format!("adit_template_to_ack_seconds_{what}");
    adit.metric(&name("sum"), &[]) / adit.metric(&name("count"), &[]).max(1.0) * 1e3
}
