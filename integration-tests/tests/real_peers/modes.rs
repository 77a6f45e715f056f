//! Aggregated or one channel for each miner; worker names.

use integration_tests::folder::Folder;
use integration_tests::miners::CpuMiner;
use integration_tests::node::{Chain, Node};
use integration_tests::pool::{Pool, PoolSettings};
use integration_tests::proxy::{Adit, Settings};
use integration_tests::spy::Spy;
use integration_tests::{promise, wait};

use crate::PATIENCE;

/// Miners of these tests.
const MINERS: usize = 4;
/// What each of them hashes a second.
const HASHRATE: f64 = 100_000.0;

fn users() -> Vec<String> {
    (0..MINERS).map(|number| format!("farm.rig{number}")).collect()
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn aggregated_miners_share_one_channel() {
    let folder = Folder::new();
    let node = Node::start(Chain::Mainnet, folder.path());
    let pool_settings = PoolSettings {
        share_batch_size: 1,
        shares_per_minute: 600.0,
        worker_names: false,
        ..PoolSettings::default()
    };
    let pool = Pool::start("pool-a", &node, folder.path(), &pool_settings);
    let settings = Settings::for_cpus().source("pool", &pool.url(), "nominal_hashrate = 400000\n");
    let adit = Adit::start_ready(folder.path(), &settings);
    let miners: Vec<CpuMiner> =
        users().iter().map(|user| CpuMiner::start(adit.port(), user, HASHRATE)).collect();
    adit.wait_books("every miner's shares are acknowledged", PATIENCE, |books| {
        books.acknowledged >= 20 && miners.iter().all(|miner| miner.books().accepted > 0)
    });
    assert_eq!(adit.source("pool")["worker_names"], false, "the pool did not take extension 0x0002");
    // The channel that was open before there were miners is closed once it cannot have open shares any more.
    let mut identities = Vec::new();
    wait::until_so("the pool has one channel, with accepted shares", PATIENCE, || {
        let channels = pool.channels();
        identities = channels.iter().map(|channel| channel.user_identity.clone()).collect();
        channels.len() == 1 && channels[0].accepted > 0
    });
    assert_eq!(identities, ["farm"], "opened as the configured account");
    let books = adit.settled_after(miners);
    let pool_says = pool.wait_shares("it has logged all", |says| says.accepted >= books.acknowledged);
    assert_eq!(books.acknowledged, pool_says.accepted, "{books}");
    adit.stop();
    promise::kept(
        &format!("{MINERS} aggregated miners share one channel"),
        &format!("identities at the pool: {identities:?}; {books}"),
    );
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn each_miner_has_a_channel_of_its_own_identity_if_told_so() {
    let folder = Folder::new();
    let node = Node::start(Chain::Mainnet, folder.path());
    let pool_settings = PoolSettings {
        share_batch_size: 1,
        shares_per_minute: 600.0,
        worker_names: true,
        ..PoolSettings::default()
    };
    let pool = Pool::start("pool-a", &node, folder.path(), &pool_settings);
    let source = "miners_per_channel = 1\nnominal_hashrate = 100000\n";
    let settings = Settings::for_cpus().source("pool", &pool.url(), source);
    let adit = Adit::start_ready(folder.path(), &settings);
    let miners: Vec<CpuMiner> =
        users().iter().map(|user| CpuMiner::start(adit.port(), user, HASHRATE)).collect();
    let mut identities = Vec::new();
    wait::until_so("each miner has a channel with accepted shares", PATIENCE, || {
        let channels = pool.channels();
        let with_shares = channels.iter().filter(|channel| channel.accepted > 0);
        identities = with_shares.map(|channel| channel.user_identity.clone()).collect();
        identities.sort();
        identities == users()
    });
    let books = adit.settled_after(miners);
    let pool_says = pool.wait_shares("it has logged all", |says| says.accepted >= books.acknowledged);
    assert_eq!(books.acknowledged, pool_says.accepted, "{books}");
    assert_eq!((books.unknown, books.refused), (0, 0), "{books}");
    adit.stop();
    promise::kept(
        "with miners_per_channel = 1 each miner has a channel with its own identity",
        &format!("identities at the pool: {identities:?}; {books}"),
    );
}

#[test]
#[ignore = "needs real peers: integration-tests/run"]
fn worker_names_reach_the_pool_with_each_share() {
    let folder = Folder::new();
    let node = Node::start(Chain::Mainnet, folder.path());
    let pool_settings = PoolSettings {
        share_batch_size: 1,
        shares_per_minute: 600.0,
        worker_names: true,
        ..PoolSettings::default()
    };
    let pool = Pool::start("pool-a", &node, folder.path(), &pool_settings);
    // The pool reads the names and keeps them to itself, so they are read on their way.
    let spy = Spy::start(pool.port(), pool.key());
    let settings = Settings::for_cpus().source("pool", &spy.url(), "nominal_hashrate = 400000\n");
    let adit = Adit::start_ready(folder.path(), &settings);
    let miners: Vec<CpuMiner> =
        users().iter().map(|user| CpuMiner::start(adit.port(), user, HASHRATE)).collect();
    let mut names = std::collections::BTreeMap::<String, u64>::new();
    wait::until_so("a share of every worker has gone up", PATIENCE, || {
        names.clear();
        spy.upward()
            .iter()
            .filter_map(|frame| frame.worker_name())
            .for_each(|name| *names.entry(name).or_default() += 1);
        names.len() >= MINERS
    });
    assert_eq!(adit.source("pool")["worker_names"], true);
    let log = pool.log();
    assert!(log.contains("Extension negotiation success"), "the pool took extension 0x0002");
    let books = adit.settled_after(miners);
    let shares: Vec<_> = spy.upward().into_iter().filter(|frame| frame.is_share()).collect();
    assert!(shares.iter().all(|share| share.worker_name().is_some()), "every share carries a name");
    assert!(names.keys().all(|name| name.contains("rig")), "{names:?}");
    let pool_says = pool.wait_shares("it has logged all", |says| says.accepted >= books.acknowledged);
    assert_eq!(books.acknowledged, pool_says.accepted, "{books}");
    assert_eq!(books.forwarded, shares.len() as u64, "{books}");
    adit.stop();
    promise::kept(
        "extension 0x0002: every share that goes up carries its worker's name, and the pool accepts it",
        &format!("{names:?}; {books}"),
    );
}
