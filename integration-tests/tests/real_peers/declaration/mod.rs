//! Job declaration between Adit and real peers: the reference pool, the reference client, our own pool over a real node.

mod below;
mod outages;
mod own_pool;
mod reference_client;
mod reference_pool;
mod two_nodes;

use std::path::Path;

use integration_tests::dev_pool::DevPool;
use integration_tests::folder::Folder;
use integration_tests::miners::{CpuMiner, ParaMiner};
use integration_tests::node::{Chain, Node};
use integration_tests::pool::{self, Pool};
use integration_tests::proxy::{Adit, Settings};
use integration_tests::wait;

use crate::{PARA_USER, PATIENCE};

/// The source that declares, and the same pool's own jobs.
const DECLARED: &str = "declared";
const POOL: &str = "pool";
/// What our own pool writes into the coinbases of its own jobs.
const OWN_TAG: &str = "/adit dev pool/";
/// A CPU's, on the test signet: a block in seconds.
const HASHRATE: f64 = 2_000_000.0;

/// A pool with its job declarator server.
struct Upstream {
    url: String,
    jds_url: String,
    /// Stands in the coinbases of its own jobs, as hexadecimal.
    signature: String,
    /// What it is told of the miners' hashrate, hashes a second.
    hashrate: f64,
}

impl From<&Pool> for Upstream {
    fn from(pool: &Pool) -> Self {
        Self { url: pool.url(), jds_url: pool.jds_url(), signature: pool.signature_hex(), hashrate: HASHRATE }
    }
}

impl From<&DevPool> for Upstream {
    fn from(pool: &DevPool) -> Self {
        Self {
            url: pool.url(),
            jds_url: pool.jds_url(),
            signature: pool::hex(OWN_TAG.as_bytes()),
            hashrate: HASHRATE,
        }
    }
}

/// First declared jobs, then the same pool's own; `lines` are those of `[declared]`.
fn ladder(settings: Settings, pool: &Upstream, folder: &Path, lines: &str) -> Settings {
    let nominal = format!("nominal_hashrate = {:?}\n", pool.hashrate);
    settings.source(POOL, &pool.url, &nominal).declared(
        DECLARED,
        POOL,
        &pool.jds_url,
        &["node"],
        folder,
        lines,
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

/// Waits until the route mines on acknowledged jobs of ours.
fn wait_declared(adit: &Adit) {
    wait::until_so("the route mines acknowledged jobs of ours", PATIENCE, || {
        adit.active().as_deref() == Some(DECLARED)
            && adit.source(DECLARED)["declaration"]["state"] == "acknowledged"
    });
}

/// Waits until a source has acknowledged so many more shares.
fn wait_shares(adit: &Adit, source: &str, more: u64) {
    let before = adit.source_books(source).acknowledged;
    wait::until_so(&format!("{source} acknowledges shares"), PATIENCE, || {
        adit.source_books(source).acknowledged >= before + more
    });
}

/// A chain on which a CPU finds a block in seconds.
fn start_node(folder: &Folder) -> Node {
    Node::start(Chain::Signet, folder.path())
}

/// Mines declared jobs until a block of our miner is in the chain; shares are acknowledged, and each block is the farm's
/// template and pays the pool. With a foreign miner beside ours if `para`. Gives the figures.
fn mine_declared_jobs(
    settings: &Settings,
    folder: &Path,
    node: &Node,
    pool: &Upstream,
    para: bool,
) -> String {
    let adit = Adit::start(folder, settings);
    wait_active(&adit, DECLARED);
    let height = node.height();
    let ours = CpuMiner::start(adit.port(), "farm.ours", HASHRATE);
    let para = para.then(|| ParaMiner::start(adit.port(), PARA_USER, 2_000_000, folder));
    wait_acknowledged(&adit);
    adit.wait_books("shares are acknowledged", PATIENCE, |books| books.acknowledged > 20);
    wait::until_so("a block of ours is in the chain", PATIENCE * 2, || {
        let extranonce1 = ours.books().extranonce1;
        (height + 1..=node.height()).any(|at| script(node, at).contains(&extranonce1))
    });
    let own = ours.stop();
    let foreign = para.map(ParaMiner::stop);
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
        assert!(!script.contains(&pool.signature), "block {at} is not the pool's own job: {script}");
        of_ours += u64::from(script.contains(&own.extranonce1));
        // The pool's payout gets the reward, as it asked.
        let block = node.block(at);
        assert_eq!(block["tx"][0]["vout"][0]["scriptPubKey"]["hex"], "51");
    }
    assert!(of_ours > 0);
    let grown = node.height() - height;
    let acknowledged_after = template_to_ack(&adit);
    let declaration = adit.source(DECLARED)["declaration"].clone();
    let blocks = adit.status()["blocks"].clone();
    adit.stop();
    let para =
        foreign.map_or_else(String::new, |para| format!("para was told true {} times; ", para.accepted));
    format!(
        "the chain grew by {grown} blocks, {of_ours} of them by our miner; {books}; {para}a job is acknowledged \
         {acknowledged_after:.0} ms after its template on average; {declaration}; blocks {blocks}"
    )
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
