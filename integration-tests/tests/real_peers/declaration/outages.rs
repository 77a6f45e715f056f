//! What is gone for a while on the way to the reference pool, and how the route goes down and up again: declared jobs, the
//! pool's own, solo.

use std::time::Instant;

use integration_tests::fault_pipe::{Cut, FaultPipe};
use integration_tests::folder::Folder;
use integration_tests::miners::CpuMiner;
use integration_tests::pool::{Pool, hex};
use integration_tests::proxy::{Adit, Settings};
use integration_tests::sv1_client::Sv1Client;
use integration_tests::{promise, wait};
use serde_json::Value;

use super::reference_pool::pool_settings;
use super::{DECLARED, POOL, Upstream, ladder, start_node, wait_active, wait_declared, wait_shares};
use crate::PATIENCE;

/// Solo mining's name in the route, and what it writes into coinbases.
const SOLO: &str = "own";
const SOLO_SIGNATURE: &str = "/adit solo/";
/// Few blocks: one in a minute or so.
const HASHRATE: f64 = 50_000.0;

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn without_the_server_the_job_goes_on_and_without_the_pool_solo_and_each_time_back_by_itself() {
    let folder = Folder::new();
    let mut node = start_node(&folder);
    let mut pool = Pool::start("pool-a", &node, folder.path(), &pool_settings());
    let pipe = FaultPipe::start(pool.jds_port(), 24);
    let upstream =
        Upstream { jds_url: pipe.url(&pool.jds_url()), hashrate: HASHRATE, ..Upstream::from(&pool) };
    let settings = Settings::for_cpus().templates_by_ipc("node", &node);
    let settings = ladder(settings, &upstream, folder.path(), "")
        .solo(SOLO, &["node"], folder.path(), &format!("signature = {SOLO_SIGNATURE:?}\n"))
        .route("return_after = \"1s\"\n");
    let adit = Adit::start_ready(folder.path(), &settings);
    let client = Sv1Client::connect(adit.port(), "farm.watcher");
    let miner = CpuMiner::start(adit.port(), "farm.hashes", HASHRATE);
    wait_declared(&adit);
    wait_shares(&adit, DECLARED, 3);

    // The server is cut off, on a tip that stays: a block of ours would end the acknowledged job's time.
    let acknowledged = wait::until("no block comes while the server is cut off", PATIENCE, || {
        let tip = node.best_block_hash();
        pipe.refuse(true);
        pipe.cut(Cut::Rst);
        wait::until_so("it is seen to be gone", PATIENCE, || {
            adit.source(DECLARED)["declaration"]["jds_up"] == false
        });
        let before = adit.source_books(DECLARED).acknowledged;
        let more = || adit.source_books(DECLARED).acknowledged - before;
        wait::until_so("shares of the job go on", PATIENCE, || more() >= 3 || node.best_block_hash() != tip);
        if node.best_block_hash() == tip && adit.active().as_deref() == Some(DECLARED) {
            return Some(more());
        }
        pipe.refuse(false);
        wait_declared(&adit);
        None
    });
    let at = Instant::now();
    node.change_tip();
    let without_server = client.wait_job(&upstream.signature, at, PATIENCE).at - at;
    wait_active(&adit, POOL);
    wait_shares(&adit, POOL, 3);
    let why = adit.source(DECLARED)["last_down"].clone();
    pipe.refuse(false);
    let at = Instant::now();
    wait_declared(&adit);
    let server_back = at.elapsed();
    wait_shares(&adit, DECLARED, 3);
    promise::figure(
        "24",
        &format!(
            "the reference pool's declarator cut off: {acknowledged} shares of the acknowledged job acknowledged without it; \
             {without_server:.1?} from the next tip to the pool's own job ({why}); declared {server_back:.1?} after it was back"
        ),
    );

    let at = pool.kill();
    let without_pool = client.wait_job(&hex(SOLO_SIGNATURE.as_bytes()), at, PATIENCE).at - at;
    wait_active(&adit, SOLO);
    pool.run();
    let at = Instant::now();
    wait_declared(&adit);
    let pool_back = at.elapsed();
    wait_shares(&adit, DECLARED, 3);

    let own = miner.stop();
    assert_eq!((own.connections, own.extranonce1_changes), (1, 0), "{own:?}");
    assert_eq!((client.closed(), client.disturbances()), (None, Vec::<Value>::new()));
    let books = adit.settled(PATIENCE);
    assert_eq!((books.held, books.pending), (0, 0), "{books}");
    let status = adit.status();
    promise::figure(
        "24",
        &format!(
            "the reference pool killed: {without_pool:.1?} to solo work; declared {pool_back:.1?} after it listened again; \
             one connection, extranonce1 unchanged; {books}; unsent {}",
            status["books"]["unsent"]
        ),
    );
    adit.stop();
}
