//! Two Adits behind HAProxy: one is drained and stopped, its miners come back on the other.

use std::time::{Duration, Instant};

use integration_tests::dev_pool::DevPool;
use integration_tests::folder::Folder;
use integration_tests::haproxy::Haproxy;
use integration_tests::miners::CpuMiner;
use integration_tests::proxy::{Adit, Books, Settings};
use integration_tests::wanderers::{Wanderers, Way};
use integration_tests::{promise, wait};

use crate::PATIENCE;

/// Miners that only watch.
const WATCHERS: usize = 500;
/// Miners that hash, each so fast.
const HASHING: usize = 6;
const HASHRATE: f64 = 50_000.0;
/// How long the Adit that goes leaves its miners alone, and then takes to close them.
const DELAY: Duration = Duration::from_secs(10);
const SPREAD: Duration = Duration::from_secs(5);

/// Two Adits of one pool behind HAProxy, and miners that watch. In the order in which they end.
struct Edge {
    watchers: Wanderers,
    haproxy: Haproxy,
    one: Adit,
    two: Adit,
    _pool: DevPool,
    _folder: Folder,
}

impl Edge {
    fn start() -> Self {
        let folder = Folder::new();
        let pool =
            DevPool::start("pool", folder.path(), &["--shares-per-minute", "600", "--share-batch-size", "5"]);
        let start = |name: &str| {
            let own = folder.path().join(name);
            std::fs::create_dir(&own).expect("the test's folder can be written");
            let settings = Settings::for_cpus()
                .listener("proxy_protocol_from = [\"127.0.0.1\"]\n")
                .limits(&format!(
                    "drain_delay = {}\ndrain_spread = {}\nshutdown_grace = \"10s\"\n",
                    DELAY.as_secs(),
                    SPREAD.as_secs()
                ))
                .source("pool", &pool.url(), "nominal_hashrate = 300000\n");
            Adit::start_ready(&own, &settings)
        };
        let (one, two) = (start("one"), start("two"));
        let haproxy = Haproxy::start(folder.path(), [&one, &two]);
        let way = Way { port: haproxy.port(), apart: Duration::from_millis(500), tls: None };
        let watchers = Wanderers::start(&way, WATCHERS, Duration::from_secs(2));
        wait::until_so("all have work", PATIENCE, || watchers.with_work() == WATCHERS);
        Self { watchers, haproxy, one, two, _pool: pool, _folder: folder }
    }
}

fn miners_of(adit: &Adit) -> f64 {
    adit.connections()
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn miners_of_an_adit_that_dies_come_back_on_the_other() {
    let Edge { watchers, haproxy, one, two, _pool, _folder } = Edge::start();
    let at_one = miners_of(&one);
    assert!(at_one >= WATCHERS as f64 / 3.0, "spread over both: {at_one}");
    // Killed.
    drop(one);
    wait::until_so("all have work again", PATIENCE, || {
        watchers.with_work() == WATCHERS && miners_of(&two) == WATCHERS as f64
    });
    let outages = watchers.outages();
    assert!(outages.len() as f64 >= at_one, "{} of {at_one}", outages.len());
    let (middle, longest) =
        (outages[outages.len() / 2].as_secs_f64(), outages[outages.len() - 1].as_secs_f64());
    assert!(longest < 15.0, "the longest was {longest} s without work");
    drop((watchers, haproxy));
    two.stop();
    promise::kept(
        "an Adit behind HAProxy dies, its miners come back on the other",
        &format!("{at_one} miners without work for {middle:.2} s in the middle, {longest:.2} s at most"),
    );
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn miners_of_an_adit_that_is_drained_come_back_on_the_other() {
    let Edge { watchers, haproxy, mut one, two, _pool, _folder } = Edge::start();
    let miners: Vec<CpuMiner> =
        (0..HASHING).map(|n| CpuMiner::start(haproxy.port(), &format!("farm.{n}"), HASHRATE)).collect();
    let all = (WATCHERS + HASHING) as f64;
    wait::until_so("all are there", PATIENCE, || miners_of(&one) + miners_of(&two) == all);
    let (at_one, at_two) = (miners_of(&one), miners_of(&two));
    assert!(at_one >= all / 3.0 && at_two >= all / 3.0, "spread over both: {at_one} and {at_two}");
    one.wait_books("both have shares", PATIENCE, |books| books.acknowledged >= 20);
    two.wait_books("both have shares", PATIENCE, |books| books.acknowledged >= 20);

    let began = Instant::now();
    one.signal("TERM");
    wait::until_so("it says that it is not ready long before it closes any", DELAY, || {
        one.readiness().0 == 503
    });
    let unready = began.elapsed();
    // Whoever comes now is sent to the other one, as soon as HAProxy has looked.
    assert_eq!(watchers.outages(), Vec::<Duration>::new(), "nobody is closed yet");
    let status = one.wait_end(DELAY + SPREAD + Duration::from_secs(30));
    let ended = began.elapsed();
    assert!(status.success(), "{status}");
    wait::until_so("all have work again", PATIENCE, || {
        watchers.with_work() == WATCHERS && miners_of(&two) == all
    });
    let outages = watchers.outages();
    assert!(outages.len() as f64 >= at_one - HASHING as f64, "those of the first one: {}", outages.len());
    assert!(
        outages.len() as f64 <= at_one,
        "nobody twice, and nobody of the second: {} of {at_one}",
        outages.len()
    );
    let (middle, longest) =
        (outages[outages.len() / 2].as_secs_f64(), outages[outages.len() - 1].as_secs_f64());
    assert!(longest < 10.0, "the longest was {longest} s without work");

    let log = one.log();
    let last = log.lines().rev().find(|line| line.contains("stopped")).expect("its last words");
    let last = &last[last.find("submitted").unwrap_or(0)..];
    assert!(last.contains("pending=0") && last.contains("unknown=0"), "every share is settled: {last}");
    // The pool is told of the watchers' hashrate as a guess, and wants few shares of those who hash.
    let good = |books: &Books| books.submitted - books.rejected;
    let before = good(&two.books());
    two.wait_books("the other goes on with all", PATIENCE, |books| good(books) >= before + 50);
    drop(watchers);
    let before = two.books().acknowledged;
    two.wait_books("the pool takes theirs", PATIENCE, |books| books.acknowledged >= before + 50);
    let own: Vec<_> = miners.into_iter().map(CpuMiner::stop).collect();
    let lost: u64 = own.iter().map(|books| books.unanswered).sum();
    let books = two.settled(PATIENCE);
    two.stop();
    promise::kept(
        "an Adit behind HAProxy is drained and stopped, its miners come back on the other",
        &format!(
            "{at_one} and {at_two} miners; /readyz no after {unready:.1?}, ended after {ended:.1?} (delay {DELAY:?}, spread \
             {SPREAD:?}); {} miners without work for {:.2} s in the middle, {:.2} s at most, of which they themselves waited \
             0.5 to 1 s before they came back; shares without an answer: {lost}; of the one: {last}; of the other: {books}",
            outages.len(),
            middle,
            longest,
        ),
    );
}
