//! SV2 miners and proxies behind Adit, in front of the reference pool.

use integration_tests::folder::Folder;
use integration_tests::miners::{CpuMiner, ParaMiner, Sv2CpuMiner};
use integration_tests::node::{Chain, Node};
use integration_tests::pool::{Pool, PoolSettings};
use integration_tests::proxy::{Adit, Settings, authority};
use integration_tests::translator::Translator;
use integration_tests::{promise, wait};
use lab::sv2_miner::SessionOptions;

use crate::{PARA_USER, PATIENCE};

/// What each miner hashes a second.
const HASHRATE: f64 = 200_000.0;

fn one_by_one() -> PoolSettings {
    PoolSettings { share_batch_size: 1, shares_per_minute: 600.0, ..PoolSettings::default() }
}

/// Miners and the translator agree on what they hash: shares come often.
fn settings(pool: &Pool) -> Settings {
    Settings::for_cpus().sv2_miners().source("pool", &pool.url(), "nominal_hashrate = 1000000\n")
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn the_reference_translator_mines_behind_adit_aggregated() {
    translator(true);
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn the_reference_translator_mines_behind_adit_with_a_channel_for_each_miner() {
    translator(false);
}

fn translator(aggregate: bool) {
    let folder = Folder::new();
    let node = Node::start(Chain::Mainnet, folder.path());
    let pool = Pool::start("pool-a", &node, folder.path(), &one_by_one());
    let adit = Adit::start_ready(folder.path(), &settings(&pool));
    let key = authority().public().to_string();
    let translator = Translator::start_behind_adit(folder.path(), &adit, &key, aggregate, HASHRATE, 600.0);
    let ours = CpuMiner::start(translator.port(), "farm.ours", HASHRATE);
    let para = ParaMiner::start(translator.port(), PARA_USER, 200_000, folder.path());
    adit.wait_books("shares are acknowledged", PATIENCE, |books| {
        ours.books().accepted > 0 && para.shares().accepted > 0 && books.acknowledged >= 50
    });
    let (foreign, own) = (para.stop(), ours.stop());
    let books = adit.settled(PATIENCE);
    let pool_says = pool.wait_shares("it has logged all", |says| says.accepted >= books.acknowledged);
    assert_eq!(books.acknowledged, pool_says.accepted, "what the pool took: {books}");
    assert_eq!((books.unsent, books.unknown, books.refused, books.told_true_lost), (0, 0, 0, 0), "{books}");
    assert_eq!(books.rejected, 0, "{:?}", adit.rejections());
    assert_eq!((own.connections, own.extranonce1_changes), (1, 0));
    adit.stop();
    let how = if aggregate { "aggregated" } else { "a channel for each miner" };
    promise::kept(
        &format!("translator_sv2 behind Adit, pool_sv2 upstream ({how})"),
        &format!(
            "{books}; the pool says {} accepted; the translator told ours true {} times, para {} times",
            pool_says.accepted, own.accepted, foreign.accepted
        ),
    );
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn standard_extended_and_group_channels_are_acknowledged_by_the_reference_pool() {
    let folder = Folder::new();
    let node = Node::start(Chain::Mainnet, folder.path());
    let pool = Pool::start("pool-a", &node, folder.path(), &one_by_one());
    let adit = Adit::start_ready(folder.path(), &settings(&pool));
    let one = |name: &str, standard, extended, standard_jobs| SessionOptions {
        standard,
        extended,
        standard_jobs,
        ..SessionOptions::new(name)
    };
    let miners = [
        ("standard", one("farm.standard", 2, 0, true)),
        ("extended", one("farm.extended", 0, 1, false)),
        ("group", one("farm.group", 2, 1, false)),
    ];
    let miners = miners.map(|(what, options)| (what, Sv2CpuMiner::start(adit.port(), options, HASHRATE)));
    adit.wait_books("every miner's shares are acknowledged", PATIENCE, |books| {
        books.acknowledged >= 60 && miners.iter().all(|(_, miner)| miner.books().accepted >= 10)
    });
    let prefixes: Vec<_> = miners.iter().map(|(_, miner)| miner.prefixes()).collect();
    let told = miners.map(|(what, miner)| (what, miner.stop()));
    let books = adit.settled(PATIENCE);
    let pool_says = pool.wait_shares("it has logged all", |says| says.accepted >= books.acknowledged);
    assert_eq!(books.acknowledged, pool_says.accepted, "what the pool took: {books}");
    assert_eq!((books.unsent, books.unknown, books.refused, books.told_true_lost), (0, 0, 0, 0), "{books}");
    let accepted: u64 = told.iter().map(|(_, stats)| stats.accepted).sum();
    assert_eq!(books.submitted - books.rejected, accepted, "what the miners were told: {books}");
    for (what, stats) in &told {
        assert_eq!((stats.open(), stats.prefix_changes, stats.closed), (0, 0, 0), "{what}: {stats:?}");
    }
    assert!(told[2].1.group_jobs <= told[2].1.jobs, "{told:?}");
    let distinct: std::collections::BTreeSet<_> = prefixes.iter().flatten().map(|p| &p[..4]).collect();
    assert_eq!(distinct.len(), 6, "each channel has an extranonce of its own");
    adit.stop();
    promise::kept(
        "standard, extended and group channels behind Adit, pool_sv2 upstream",
        &format!("{books}; told accepted: {:?}", told.map(|(what, stats)| (what, stats.accepted))),
    );
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn adit_behind_adit_in_front_of_the_reference_pool_that_fails_over() {
    let folder = Folder::new();
    let node = Node::start(Chain::Mainnet, folder.path());
    let pool = Pool::start("pool-a", &node, folder.path(), &one_by_one());
    let second = Pool::start("pool-b", &node, folder.path(), &one_by_one());
    let front = settings(&pool).source("second", &second.url(), "nominal_hashrate = 1000000\n");
    let adit = Adit::start_ready(folder.path(), &front);
    let inner = Folder::new();
    let behind = Settings::for_cpus().source("adit", &adit.sv2_url(), "nominal_hashrate = 1000000\n");
    let behind = Adit::start_ready(inner.path(), &behind);
    let sv1 = CpuMiner::start(behind.port(), "farm.sv1", HASHRATE);
    let sv2 = Sv2CpuMiner::start(adit.port(), SessionOptions::new("farm.sv2"), HASHRATE);
    adit.wait_books("shares of both are acknowledged", PATIENCE, |books| {
        books.acknowledged >= 40 && sv1.books().accepted >= 10 && sv2.books().accepted >= 10
    });
    let before = (behind.books().acknowledged, sv2.prefixes());
    drop(pool);
    wait::until_so("the second pool acknowledges shares of both", PATIENCE, || {
        second.shares().accepted >= 20 && behind.books().acknowledged >= before.0 + 10
    });
    let stats = sv2.books();
    assert_eq!((stats.prefix_changes, stats.closed), (0, 0), "{stats:?}");
    assert_eq!(sv2.prefixes(), before.1);
    let (own, told) = (sv1.stop(), sv2.stop());
    assert_eq!((own.connections, own.extranonce1_changes), (1, 0));
    let inner_books = behind.settled(PATIENCE);
    behind.stop();
    let books = adit.settled(PATIENCE);
    assert!(books.balance() && inner_books.balance());
    adit.stop();
    promise::kept(
        "Adit behind Adit, and an SV2 miner beside it, through a fail-over",
        &format!(
            "in front: {books}; behind: {inner_books}; the SV2 miner was told accepted {} times",
            told.accepted
        ),
    );
}
