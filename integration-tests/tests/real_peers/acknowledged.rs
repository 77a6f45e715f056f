//! Shares of our own and of a foreign miner reach the pool, are acknowledged, and every book agrees.

use std::time::Instant;

use integration_tests::folder::Folder;
use integration_tests::miners::{CpuMiner, ParaMiner};
use integration_tests::node::{Chain, Node};
use integration_tests::pool::{Pool, PoolSettings};
use integration_tests::promise;
use integration_tests::proxy::{Adit, Settings};
use integration_tests::stalls::Stalls;
use integration_tests::sv1_client::Sv1Client;

use crate::{PARA_USER, PATIENCE};

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn shares_are_acknowledged_one_by_one() {
    shares_are_acknowledged(1, 600.0, 100);
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn shares_are_acknowledged_by_tens() {
    shares_are_acknowledged(10, 600.0, 100);
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn shares_are_acknowledged_by_thousands() {
    shares_are_acknowledged(1000, 6000.0, 1000);
}

/// No CPU finds a block on this chain, so that the pool answers full batches and nothing else.
fn shares_are_acknowledged(share_batch_size: u32, shares_per_minute: f64, enough: u64) {
    let folder = Folder::new();
    let node = Node::start(Chain::Mainnet, folder.path());
    let pool_settings = PoolSettings { share_batch_size, shares_per_minute, ..PoolSettings::default() };
    let pool = Pool::start("pool-a", &node, folder.path(), &pool_settings);
    let settings = Settings::for_cpus().source("pool", &pool.url(), "nominal_hashrate = 1000000\n");
    let adit = Adit::start_ready(folder.path(), &settings);

    let stalls = Stalls::watch();
    let ours = CpuMiner::start(adit.port(), "farm.ours", 500_000.0);
    let para = ParaMiner::start(adit.port(), PARA_USER, 500_000, folder.path());
    adit.wait_books("shares are acknowledged", PATIENCE, |books| {
        let each = ours.books().accepted > 0 && para.shares().accepted > 0;
        each && books.acknowledged >= enough
    });
    // The channel stays for whoever stays: some seconds after the last miner it closes, and what is open is unknown.
    let began = Instant::now();
    let stays = Sv1Client::connect(adit.port(), "farm.watcher");
    let _ = stays.wait_job("", began, PATIENCE);
    let (foreign, own) = (para.stop(), ours.stop());
    let books = adit.settled(PATIENCE);
    let pool_says = pool.wait_shares("it has dealt with what is open, too", |says| {
        says.accepted >= books.acknowledged + books.pending
    });

    assert_eq!(books.acknowledged + books.pending, pool_says.accepted, "what the pool took: {books}");
    assert_eq!(books.refused, pool_says.refused_total(), "what the pool refused: {books}");
    assert_eq!(books.acknowledged, pool_says.acknowledgements * u64::from(share_batch_size), "{books}");
    assert!(books.pending < u64::from(share_batch_size), "only a batch that is not full is open: {books}");
    assert_eq!((books.unsent, books.unknown, books.refused, books.told_true_lost), (0, 0, 0, 0), "{books}");
    // What each was told adds up to what Adit counted. The last answer may have met a closed connection, or several
    // on a machine that was slow with them.
    let told = own.accepted + foreign.accepted;
    let cut = own.unanswered + 1 + stalls.meanwhile(shares_per_minute / 60.0);
    let good = books.submitted - books.rejected;
    assert!((told..=told + cut).contains(&good), "{good} good shares, {told} told so: {books}");
    assert_eq!((own.connections, own.extranonce1_changes), (1, 0));
    let rejections = adit.rejections();
    drop(stays);
    adit.stop();
    promise::kept(
        &format!(
            "the pool acknowledges shares of our miner and of para (share_batch_size {share_batch_size})"
        ),
        &format!(
            "{books}; {rejections:?}; the pool says {} accepted in {} acknowledgements, {} refused; ours was told true {} times, \
             para {} times",
            pool_says.accepted,
            pool_says.acknowledgements,
            pool_says.refused_total(),
            own.accepted,
            foreign.accepted
        ),
    );
}
