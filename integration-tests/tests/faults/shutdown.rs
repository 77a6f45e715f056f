//! Row 29: being told to end, once and twice, and configurations with mistakes.

use std::process::Command;
use std::time::{Duration, Instant};

use integration_tests::dev_pool::DevPool;
use integration_tests::fault_pipe::{FaultPipe, Way};
use integration_tests::folder::Folder;
use integration_tests::miners::CpuMiner;
use integration_tests::proxy::{Adit, Settings};
use integration_tests::sv1_client::Sv1Client;
use integration_tests::{peers, promise, wait};

use crate::PATIENCE;
use crate::farm::{FAST, NOMINAL};

/// What a busy machine may add to any time.
const SLACK: Duration = Duration::from_secs(10);

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn a_signal_settles_what_is_open_and_tells_the_miners() {
    for signal in ["TERM", "INT"] {
        let folder = Folder::new();
        let pool = DevPool::start("pool-a", folder.path(), &FAST);
        let settings =
            Settings::for_cpus().source("pool", &pool.url(), NOMINAL).limits("shutdown_grace = \"5s\"\n");
        let mut adit = Adit::start_ready(folder.path(), &settings);
        let client = Sv1Client::connect(adit.port(), "farm.watcher");
        let miner = CpuMiner::start(adit.port(), "farm.hashes", 200_000.0);
        adit.wait_books("shares are acknowledged", PATIENCE, |books| books.acknowledged >= 10);
        let began = Instant::now();
        adit.signal(signal);
        let status = adit.wait_end(Duration::from_secs(5 + 1) + SLACK);
        let took = began.elapsed();
        assert!(status.success(), "{status}");
        wait::until_so("the connection has ended", PATIENCE, || client.closed().is_some());
        let told = client.heard().iter().any(|heard| heard.message.to_string().contains("shutting down"));
        assert!(told, "the miners are told: {:?}", client.heard().last());
        let line = last_line(&adit, "stopped");
        assert!(line.contains("pending=0") && line.contains("unknown=0"), "all is settled: {line}");
        drop(miner);
        promise::figure(
            "29",
            &format!("SIG{signal}: ended after {took:?}; {}", &line[line.find("submitted").unwrap_or(0)..]),
        );
    }
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn the_end_waits_for_a_silent_pool_no_longer_than_the_grace_and_a_second_signal_ends_it_at_once() {
    let folder = Folder::new();
    let pool = DevPool::start("pool-a", folder.path(), &FAST);
    for (signals, limit) in [(1, Duration::from_secs(4 + 1)), (2, Duration::from_secs(1))] {
        let folder = Folder::new();
        let pipe = FaultPipe::start(pool.port(), 29);
        let settings = Settings::for_cpus()
            .source("pool", &pipe.url(&pool.url()), NOMINAL)
            .limits("shutdown_grace = \"4s\"\n");
        let mut adit = Adit::start_ready(folder.path(), &settings);
        let miner = CpuMiner::start(adit.port(), "farm.hashes", 200_000.0);
        adit.wait_books("shares are acknowledged", PATIENCE, |books| books.acknowledged >= 5);
        pipe.hold(Way::Down);
        adit.wait_books("shares are open", PATIENCE, |books| books.pending >= 5);
        let began = Instant::now();
        adit.signal("INT");
        if signals == 2 {
            wait::until_so("it stops", PATIENCE, || adit.log().contains("stopping: no new miners"));
            adit.signal("INT");
        }
        let status = adit.wait_end(limit + SLACK);
        let took = began.elapsed();
        assert_eq!(status.code(), Some(if signals == 2 { 130 } else { 0 }));
        drop(miner);
        let unsettled = if signals == 1 { last_line(&adit, "stopped") } else { String::new() };
        let unsettled = unsettled
            .split_whitespace()
            .filter(|word| word.starts_with("pending") || word.starts_with("unknown"));
        let unsettled: Vec<_> = unsettled.collect();
        promise::figure(
            "29",
            &format!(
                "{signals} x SIGINT, a pool that answers nothing, grace 4 s: ended after {took:?} {unsettled:?}"
            ),
        );
    }
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn a_configuration_with_mistakes_is_refused_before_any_port_opens() {
    let folder = Folder::new();
    let (file, port) = (folder.path().join("adit.toml"), integration_tests::http::free_port());
    let text =
        Settings::for_cpus().source("pool", "stratum2+tcp://127.0.0.1:1/none", "vardif = 1\n").toml(port, 0);
    std::fs::write(&file, text).expect("the test's folder can be written");
    let began = Instant::now();
    let output = Command::new(peers::adit()).arg("run").arg("--config").arg(&file).output();
    let output = output.expect("adit can be started");
    let took = began.elapsed();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.contains("2 errors") && said.contains("vardif") && said.contains("url"), "{said}");
    assert!(!said.contains("listening"), "{said}");
    promise::figure(
        "29",
        &format!("two mistakes in the configuration: both told, exit status 64 after {took:?}"),
    );
}

fn last_line(adit: &Adit, words: &str) -> String {
    let log = adit.log();
    let line = log.lines().rev().find(|line| line.contains(words));
    line.unwrap_or_else(|| panic!("no line with {words:?}:\n{log}")).to_owned()
}
