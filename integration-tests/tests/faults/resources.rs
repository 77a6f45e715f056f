//! Row 30: few open files, little memory.

use std::process::Command;
use std::time::{Duration, Instant};

use integration_tests::dev_pool::DevPool;
use integration_tests::folder::Folder;
use integration_tests::proxy::Settings;
use integration_tests::stranger::Stranger;
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
    wait::until_so("all are taken in the end", PATIENCE, || {
        farm.adit.connections() >= STRANGERS as f64 + 2.0
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

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn with_little_memory_it_serves_as_many_as_it_is_made_for() {
    let folder = Folder::new();
    let a = DevPool::start("pool-a", folder.path(), &FAST);
    let mut settings = Settings::for_cpus();
    settings.starter = words(&["prlimit", &format!("--data={DATA}:{DATA}")]);
    let farm = Farm::start_with(folder, &a.url(), settings, "a");
    let strangers: Vec<Stranger> = (0..2_000)
        .map(|_| {
            let mut stranger = Stranger::connect(farm.adit.port());
            let both = "{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n{\"id\":2,\"method\":\"mining.authorize\",\
                        \"params\":[\"farm.many\",\"x\"]}\n";
            assert!(stranger.send(both.as_bytes()));
            stranger
        })
        .collect();
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
