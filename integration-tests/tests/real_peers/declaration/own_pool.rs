//! Our own pool, `adit pool`, over a real node: its own jobs, and those that Adit declares to it in both modes.

use std::net::TcpStream;

use integration_tests::dev_pool::DevPool;
use integration_tests::folder::Folder;
use integration_tests::miners::CpuMiner;
use integration_tests::pool::hex;
use integration_tests::proxy::{Adit, Settings};
use integration_tests::{promise, wait};

use super::{HASHRATE, OWN_TAG, POOL, Upstream, ladder, mine_declared_jobs, script, start_node};
use crate::PATIENCE;

/// Shares that come often, each with an answer of its own.
pub(super) const ARGS: [&str; 4] = ["--shares-per-minute", "600", "--share-batch-size", "1"];

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn our_pool_waits_for_its_node_and_says_so_and_the_blocks_of_its_jobs_are_the_nodes() {
    let folder = Folder::new();
    let mut node = start_node(&folder);
    node.stop();
    let mut by_rpc = DevPool::new("by-rpc", folder.path(), &ARGS).following_by_rpc(&node);
    let mut pool = DevPool::new("by-ipc", folder.path(), &ARGS).following_by_ipc(&node);
    let reasons = [&mut by_rpc, &mut pool].map(|pool| {
        pool.launch();
        wait::until("it says what it waits for", PATIENCE, || {
            let log = pool.log();
            let line = log.lines().find(|line| line.contains("the node gives no templates yet"))?;
            Some(line.split_once(" why=").expect("with its reason").1.to_owned())
        })
    });
    for pool in [&by_rpc, &pool] {
        assert!(
            TcpStream::connect(("127.0.0.1", pool.port())).is_err(),
            "nobody is let wait: {}",
            pool.log()
        );
    }
    by_rpc.stop();

    node.start_again();
    pool.wait_listening();
    let settings = Settings::for_cpus().source(POOL, &pool.url(), "nominal_hashrate = 2000000\n");
    let adit = Adit::start_ready(folder.path(), &settings);
    let miner = CpuMiner::start(adit.port(), "farm.ours", HASHRATE);
    let height = node.height();
    let (at, extranonce1) =
        wait::until("a block of the pool's own jobs is in the chain", PATIENCE * 2, || {
            let extranonce1 = miner.books().extranonce1;
            let at = (height + 1..=node.height()).find(|at| script(&node, *at).contains(&extranonce1))?;
            Some((at, extranonce1))
        });
    drop(miner);
    let found = script(&node, at);
    assert!(
        found.contains(&hex(OWN_TAG.as_bytes())),
        "block {at} of {extranonce1} is the pool's job: {found}"
    );
    let books = adit.settled(PATIENCE);
    assert!(books.acknowledged > 0, "{books}");
    wait::until_so("the pool says what became of it", PATIENCE, || {
        let log = pool.log();
        log.contains("a block went to the node") && log.contains("submitted=Taken")
    });
    adit.stop();
    pool.stop();
    promise::kept(
        "our pool follows a real node",
        &format!(
            "without it: by RPC {:?}, by IPC {:?}; with it block {at} is its job's; {books}",
            reasons[0], reasons[1]
        ),
    );
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn declared_to_our_pool_over_a_real_node_both_modes_are_acknowledged_and_their_blocks_are_the_nodes() {
    let folder = Folder::new();
    let node = start_node(&folder);
    let mut pool = DevPool::new("pool", folder.path(), &ARGS).with_declarator().following_by_rpc(&node);
    pool.run();
    for (mode, way) in [("full-template", "route=\"declared-job\""), ("coinbase-only", "has to spread")] {
        let upstream = Upstream::from(&pool);
        let settings = Settings::for_cpus().templates_by_ipc("node", &node);
        let settings = ladder(settings, &upstream, folder.path(), &format!("mode = \"{mode}\"\n"));
        let figures = mine_declared_jobs(&settings, folder.path(), &node, &upstream, false);
        wait::until_so(&format!("{mode}: the pool has seen the block"), PATIENCE, || {
            pool.log().contains(way)
        });
        promise::kept(&format!("{mode} jobs, declared to our own pool over a real node"), &figures);
    }
    pool.stop();
}
