//! Row 12: the whole farm at once.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use integration_tests::certificate::Certificate;
use integration_tests::dev_pool::DevPool;
use integration_tests::folder::Folder;
use integration_tests::proxy::{Settings, authority};
use integration_tests::wanderers::{Wanderers, Way};
use integration_tests::{promise, wait};
use lab::load::{self, Mode, Options, Sv2Options};
use lab::sv1_miner::ServerAddress;

use crate::PATIENCE;
use crate::farm::{FAST, Farm};

/// Miners that come by TLS, and as many by Noise; over how long they come.
const BY_TLS: usize = 10_000;
const OVER: Duration = Duration::from_secs(10);
/// Miners.
const MINERS: usize = 8_000;
/// Times that all of them come, and go.
const ROUNDS: usize = 3;

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn a_farm_that_comes_at_once_again_and_again_gets_work_and_leaves_nothing_behind() {
    let folder = Folder::new();
    let a = DevPool::start("pool-a", folder.path(), &FAST);
    let farm = Farm::start(folder, &a.url());
    let (base, files) = (farm.adit.resident(), farm.adit.process().open_files());
    let mut after = Vec::new();
    for round in 1..=ROUNDS {
        let cpu = farm.adit.process().cpu();
        let server = ServerAddress { host: "127.0.0.1".to_owned(), port: farm.adit.port() };
        let mut options = Options::new(server, MINERS, 0.0);
        options.mode = Mode::Idle;
        options.duration = Duration::from_millis(500);
        options.user = "farm.storm".to_owned();
        options.observe_pid = Some(farm.adit.id());
        let report = load::run(options, Arc::new(AtomicBool::new(false))).expect("the load runs");
        let connect = &report.connect;
        assert_eq!(
            (connect.with_work, connect.failed, connect.closed_later),
            (MINERS as u64, 0, 0),
            "{connect:?}"
        );
        let cpu = farm.adit.process().cpu().saturating_sub(cpu);
        wait::until_so("all have left", PATIENCE, || farm.adit.connections() <= 2.0);
        wait::until_so("files are given back", PATIENCE, || farm.adit.process().open_files() <= files + 8);
        let per_miner = report.server.as_ref().and_then(|server| server.rss_bytes_per_connection);
        after.push(farm.adit.resident());
        promise::figure(
            "12",
            &format!(
                "round {round}: {MINERS} at once, all with work after {:.2} s, {:.2} s CPU, {:.0} bytes of memory each, {} kB more \
                 than at the start when all had left",
                connect.seconds_to_all,
                cpu.as_secs_f64(),
                per_miner.unwrap_or_default(),
                after[round - 1].saturating_sub(base) / 1024
            ),
        );
    }
    // Those of the farm close when the answers to what was sent on them have had their time.
    wait::until_so("channels are given back", PATIENCE, || {
        farm.adit.source("a")["channels"].as_u64().is_some_and(|channels| channels <= 2)
    });
    assert_eq!(farm.adit.source("a")["reconnects_total"], 0, "the pool never closed the link");
    // What one round leaves the next one uses: nothing grows from round to round.
    let growth = after[ROUNDS - 1].saturating_sub(after[0]);
    assert!(growth < 24 * 1024 * 1024, "{after:?}");
    farm.wait_acknowledged("a", 5);
    let rest = farm.finish(40);
    promise::figure(
        "12",
        &format!("{ROUNDS} rounds: {} kB more after the last than after the first; {rest}", growth / 1024),
    );
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn ten_thousand_come_back_by_tls_in_ten_seconds_and_all_have_work() {
    let folder = Folder::new();
    let a = DevPool::start("pool-a", folder.path(), &FAST);
    let certificate = Certificate::new(folder.path());
    let settings = Settings::for_cpus().listener(&certificate.lines());
    let farm = Farm::start_with(folder, &a.url(), settings, "a");
    let (base, cpu) = (farm.adit.resident(), farm.adit.process().cpu());
    let way = Way { port: farm.adit.port(), apart: OVER, tls: Some(certificate.client()) };
    let began = std::time::Instant::now();
    let miners = Wanderers::start(&way, BY_TLS, OVER);
    let mut said = Vec::new();
    for round in ["came", "came back"] {
        if round != "came" {
            miners.leave();
            wait::until_so("they have left", PATIENCE, || miners.with_work() < BY_TLS / 2);
        }
        let began = std::time::Instant::now();
        wait::until_so("all have work", PATIENCE, || miners.with_work() == BY_TLS);
        said.push(format!("{round}: all with work {:.2} s after", began.elapsed().as_secs_f64()));
        if round == "came" {
            let each = (farm.adit.resident().saturating_sub(base)) / BY_TLS as u64;
            said.push(format!("{each} bytes of memory each"));
        }
    }
    let cpu = farm.adit.process().cpu().saturating_sub(cpu);
    let services = miners.services();
    let (middle, slowest) = (services[services.len() / 2], services[services.len() - 1]);
    let closed = farm.adit.closed("tls") + farm.adit.closed("setup_deadline");
    let took = began.elapsed();
    drop(miners);
    wait::until_so("all have left", PATIENCE, || farm.adit.connections() <= 2.0);
    farm.wait_acknowledged("a", 5);
    let rest = farm.finish(200);
    promise::figure(
        "12",
        &format!(
            "{BY_TLS} by TLS over {OVER:?}, twice, {took:.1?} in all: {}; from connecting to work {:.1?} in the middle, {:.1?} for \
             the slowest of {}; {:.2} s CPU; {closed} given up by their deadlines; {rest}",
            said.join(", "),
            middle,
            slowest,
            services.len(),
            cpu.as_secs_f64(),
        ),
    );
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn ten_thousand_come_back_by_noise_in_ten_seconds_and_all_have_work() {
    let folder = Folder::new();
    let a = DevPool::start("pool-a", folder.path(), &FAST);
    let farm = Farm::start_with(folder, &a.url(), Settings::for_cpus().sv2_miners(), "a");
    for standard in [false, true] {
        let cpu = farm.adit.process().cpu();
        let server = ServerAddress { host: "127.0.0.1".to_owned(), port: farm.adit.port() };
        let mut options = Options::new(server, BY_TLS, 0.0);
        options.sv2 = Some(Sv2Options { authority: Some(authority().public()), standard });
        options.mode = Mode::Idle;
        options.duration = Duration::from_millis(500);
        (options.connect_over, options.storms) = (OVER, 1);
        options.user = "farm.storm".to_owned();
        options.observe_pid = Some(farm.adit.id());
        let report = load::run(options, Arc::new(AtomicBool::new(false))).expect("the load runs");
        let (connect, storm) = (&report.connect, &report.storms[0]);
        let failure = &connect.first_failure;
        assert_eq!((connect.with_work, connect.failed), (BY_TLS as u64, 0), "{failure:?}");
        assert_eq!((storm.with_work, storm.failed), (BY_TLS as u64, 0), "{failure:?}");
        assert_eq!(connect.closed_later, 0, "{failure:?}");
        let cpu = farm.adit.process().cpu().saturating_sub(cpu);
        assert!(storm.seconds_to_all < (OVER + PATIENCE).as_secs_f64(), "{storm:?}");
        wait::until_so("all have left", PATIENCE, || farm.adit.connections() <= 2.0);
        let channel = if standard { "a standard" } else { "an extended" };
        // Those that come later use memory of those before them.
        let per_miner = report.server.as_ref().and_then(|server| server.rss_bytes_per_connection);
        let memory =
            per_miner.filter(|_| !standard).map(|bytes| format!("; {bytes:.0} bytes of memory each"));
        promise::figure(
            "12",
            &format!(
                "{BY_TLS} by Noise over {OVER:?}, {channel} channel each, twice: all with work {:.2} s after the last was due, \
                 {:.2} s after the last was due to be back; from connecting to work {:.0} ms in the middle, {:.0} ms for 99 of \
                 100, {:.0} ms for the slowest; {:.2} s CPU, {:.2} s of the load generator{}",
                connect.seconds_to_all - OVER.as_secs_f64(),
                storm.seconds_to_all - OVER.as_secs_f64(),
                storm.first_job_ms.p50,
                storm.first_job_ms.p99,
                storm.first_job_ms.max,
                cpu.as_secs_f64(),
                report.own.cpu_connecting_seconds,
                memory.unwrap_or_default(),
            ),
        );
    }
    farm.wait_acknowledged("a", 5);
    let rest = farm.finish(200);
    promise::figure("12", &format!("after them: {rest}"));
}
