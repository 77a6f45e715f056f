//! Row 30: few open files, little memory, and less than its miners would take.

use std::process::Command;
use std::time::{Duration, Instant};

use integration_tests::dev_pool::DevPool;
use integration_tests::folder::Folder;
use integration_tests::proxy::{Adit, Settings};
use integration_tests::stalls::Stalls;
use integration_tests::stranger::Stranger;
use integration_tests::sv1_client::Sv1Client;
use integration_tests::{promise, wait};

use crate::PATIENCE;
use crate::farm::{FAST, Farm};

/// Open files that Adit may have.
const FILES: usize = 256;
/// Bytes of address space for its data.
const DATA: &str = "268435456";
/// Connections that come.
const STRANGERS: usize = 400;
/// How long it is watched at its limit.
const WATCHED: Duration = Duration::from_secs(3);

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn with_few_files_it_takes_as_many_miners_as_leave_a_reserve() {
    let folder = Folder::new();
    let a = DevPool::start("pool-a", folder.path(), &FAST);
    let mut settings = Settings::for_cpus().limits("setup = \"3s\"\n");
    settings.starter = words(&["prlimit", &format!("--nofile={FILES}:{FILES}")]);
    let farm = Farm::start_with(folder, &a.url(), settings, "a");
    let strangers: Vec<Stranger> = (0..STRANGERS).map(|_| Stranger::connect(farm.adit.port())).collect();
    let half = FILES as f64 / 2.0;
    wait::until_so("it takes as many as it may", PATIENCE, || farm.adit.connections() >= half);
    let busy = busy_while(&farm, "it stays within its files", || {
        farm.adit.connections() <= half && farm.adit.process().open_files() < FILES
    });
    farm.wait_acknowledged("a", 5);
    drop(strangers);
    wait::until_so("they have left", PATIENCE, || farm.adit.connections() <= 2.0);
    let rest = farm.finish(60);
    promise::figure(
        "30",
        &format!(
            "{FILES} files, {STRANGERS} connections: {half} taken, {:.0} % of a core meanwhile; {rest}",
            busy * 100.0
        ),
    );
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn without_a_file_left_it_rests_and_goes_on() {
    let folder = Folder::new();
    let a = DevPool::start("pool-a", folder.path(), &FAST);
    let farm = Farm::start(folder, &a.url());
    // Under way, so that no limit of Adit's own was fitted to it.
    let allow = |files: usize| {
        let id = farm.adit.id().to_string();
        let set = Command::new("prlimit").args(["--pid", &id, &format!("--nofile={files}:")]).status();
        assert!(set.is_ok_and(|status| status.success()), "prlimit (of util-linux) sets the limit");
    };
    let room = farm.adit.process().open_files() + 10;
    allow(room);
    let strangers: Vec<Stranger> = (0..STRANGERS).map(|_| Stranger::connect(farm.adit.port())).collect();
    wait::until_so("no file is left", PATIENCE, || farm.adit.log().contains("cannot accept"));
    let lines = farm.adit.log().lines().count();
    let busy = busy_while(&farm, "it takes no more", || farm.adit.process().open_files() < STRANGERS);
    let lines = farm.adit.log().lines().count() - lines;
    assert!(lines <= 30, "{lines} lines of log in {WATCHED:?}");
    allow(20_000);
    // However many of them were closed meanwhile, for being silent.
    wait::until_so("all are taken in the end", PATIENCE, || {
        farm.adit.metric("adit_miner_connections_total", &[]) >= STRANGERS as f64 + 2.0
    });
    drop(strangers);
    wait::until_so("they have left", PATIENCE, || farm.adit.connections() <= 2.0);
    farm.wait_acknowledged("a", 5);
    let rest = farm.finish(60);
    promise::figure(
        "30",
        &format!(
            "no file left, {STRANGERS} connections waiting: {:.0} % of a core, {lines} lines of log in {WATCHED:?}, all taken when \
             there were files; {rest}",
            busy * 100.0
        ),
    );
}

/// The part of a core that Adit takes while this stays so.
fn busy_while(farm: &Farm, what: &str, so: impl FnMut() -> bool) -> f64 {
    let (cpu, began) = (farm.adit.process().cpu(), Instant::now());
    wait::stays_so(what, WATCHED, so);
    let busy = farm.adit.process().cpu().saturating_sub(cpu).as_secs_f64() / began.elapsed().as_secs_f64();
    assert!(busy < 0.5, "it spins: {busy} of a core");
    busy
}

/// Somebody who subscribes and authorises, and brings nothing.
fn subscribed(port: u16) -> Stranger {
    let mut stranger = Stranger::connect(port);
    let both = "{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n{\"id\":2,\"method\":\"mining.authorize\",\
                \"params\":[\"farm.many\",\"x\"]}\n";
    assert!(stranger.send(both.as_bytes()));
    stranger
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn with_little_memory_it_serves_as_many_as_it_is_made_for() {
    let folder = Folder::new();
    let a = DevPool::start("pool-a", folder.path(), &FAST);
    let mut settings = Settings::for_cpus();
    settings.starter = words(&["prlimit", &format!("--data={DATA}:{DATA}")]);
    let farm = Farm::start_with(folder, &a.url(), settings, "a");
    let strangers: Vec<Stranger> = (0..2_000).map(|_| subscribed(farm.adit.port())).collect();
    wait::until_so("all mine", PATIENCE, || {
        farm.adit.metric("adit_miners", &["state=\"authorised\""]) >= strangers.len() as f64
    });
    let resident = farm.adit.resident();
    farm.wait_acknowledged("a", 5);
    drop(strangers);
    wait::until_so("all have left", PATIENCE, || farm.adit.connections() <= 2.0);
    let rest = farm.finish(20);
    promise::figure("30", &format!("256 MB for data, 2,000 miners: {} kB resident; {rest}", resident / 1024));
}

/// Miners that bring nothing, and then a line without an end each.
const HOGS: usize = 1_000;
/// Bytes of such a line: a little less than a line may have.
const HALF_LINE: usize = 15_000;
/// Memory that they may take while they behave, bytes: more than they do.
const ROOM: u64 = 6_000_000;

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn when_memory_runs_out_those_without_hashrate_go_and_whoever_mines_stays() {
    let folder = Folder::new();
    let a = DevPool::start("pool-a", folder.path(), &FAST);
    // What it takes without any miner, on this machine.
    let alone = Adit::start_ready(folder.path(), &Settings::for_cpus().source("a", &a.url(), ""));
    let alone_bytes = alone.resident();
    alone.stop();
    let budget = (alone_bytes + ROOM) * 10 / 8;
    let settings = Settings::for_cpus().limits(&format!("memory = {budget}\n"));
    let farm = Farm::start_with(folder, &a.url(), settings, "a");
    let mut hogs: Vec<Stranger> = (0..HOGS).map(|_| subscribed(farm.adit.port())).collect();
    wait::until_so("all mine", PATIENCE, || {
        farm.adit.metric("adit_miners", &["state=\"authorised\""]) >= HOGS as f64 + 2.0
    });
    let on = |rung: &str| farm.adit.metric("adit_overload", &[&format!("rung=\"{rung}\"")]) > 0.0;
    assert!(
        !on("stop_accepting"),
        "as many as there is memory for: {} of {budget} bytes",
        farm.adit.resident()
    );

    // A few at a time, so that Adit sees each before the next come.
    let stalls = Stalls::watch();
    let (half_line, mut most, mut sent) = (vec![b'x'; HALF_LINE], 0, 0);
    for some in hogs.chunks_mut(20) {
        if on("shed") {
            break;
        }
        let (seen, at) = (farm.adit.metric("adit_limit_used", &["limit=\"memory\""]), Instant::now());
        sent += some.iter_mut().filter_map(|hog| hog.send(&half_line).then_some(1)).sum::<u32>();
        // Memory that it had already need not grow.
        wait::until_so("it is seen", PATIENCE, || {
            let sees = farm.adit.metric("adit_limit_used", &["limit=\"memory\""]);
            sees > seen || at.elapsed() > Duration::from_secs(1) + stalls.grace()
        });
        most = most.max(farm.adit.resident());
    }
    wait::until_so("some are sent away", PATIENCE, || farm.adit.closed("overload") >= HOGS as f64 / 50.0);
    most = most.max(farm.adit.resident());
    assert!(most <= budget, "{most} of {budget} bytes");
    // Fewer miners than there were: nobody else comes in.
    let outside = Stranger::connect(farm.adit.port());
    let there = farm.adit.connections();
    farm.wait_acknowledged("a", 5);
    assert!(farm.adit.connections() <= there, "one more was taken");
    let gone = farm.adit.closed("overload");
    drop((hogs, outside));
    wait::until_so("they have left", PATIENCE, || farm.adit.connections() <= 2.0);
    drop(Sv1Client::connect(farm.adit.port(), "farm.later"));
    farm.wait_acknowledged("a", 5);
    let rest = farm.finish_with_who_mines(40);
    promise::figure(
        "30",
        &format!(
            "a budget of {} kB of which Adit alone takes {}: {HOGS} miners, {sent} of them with half a line of {HALF_LINE} bytes: {gone} \
             sent away, none of them mining, at most {} kB resident, the next miner is taken when they have left; {rest}",
            budget / 1024,
            alone_bytes / 1024,
            most / 1024
        ),
    );
}
