//! Row 8: headers that promise much, and nothing after them. From pools; from miners, lines without an end.

use integration_tests::dev_pool::DevPool;
use integration_tests::folder::Folder;
use integration_tests::proxy::{Adit, Settings};
use integration_tests::stalling_pool::StallingPool;
use integration_tests::stranger::Stranger;
use integration_tests::{promise, wait};

use crate::PATIENCE;
use crate::farm::{FAST, Farm, NOMINAL};

/// Memory that a thousand stalled headers may cost.
const GROWTH_MAX: u64 = 10 * 1024 * 1024;
/// Pools: one less than there may be sources, and the last one is well.
const POOLS: usize = 990;
/// Nearly all of them.
const NEARLY_ALL: f64 = 0.95 * POOLS as f64;
/// Miners.
const MINERS: usize = 1_000;

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn a_thousand_headers_of_pools_without_a_payload_cost_no_memory() {
    let folder = Folder::new();
    let well = DevPool::start("pool-well", folder.path(), &FAST);
    let hostile = StallingPool::start();
    let mut settings = Settings::for_cpus();
    for number in 0..POOLS {
        settings = settings.source(&format!("hostile-{number}"), &hostile.url(), "");
    }
    let mut adit = Adit::start(folder.path(), &settings.source("well", &well.url(), NOMINAL));
    adit.wait_ready();
    assert_eq!(adit.active().as_deref(), Some("well"), "the hostile ones keep nobody from a well one");
    let waiting = || adit.metric("adit_source_state", &["state=\"setting_up\"", "source=\"hostile-"]);
    wait::until_so("nearly all hostile pools are set up with", PATIENCE, || waiting() >= NEARLY_ALL);
    let before = adit.resident();
    let took = hostile.send_headers(60_000);
    assert!(took as f64 >= NEARLY_ALL, "{took}");
    // Twice what the status page is behind at most: every header was read, and is stalled.
    let mut most = before;
    let mut looks = 0;
    wait::until_so("the headers are waited for", PATIENCE, || {
        most = most.max(adit.resident());
        looks += 1;
        looks >= 50
    });
    let stalled = waiting();
    let growth = most.saturating_sub(before);
    // Then each is given up with its reason, and tried again.
    let links = hostile.links();
    wait::until_so("they are given up and tried again", PATIENCE, || hostile.links() > links + POOLS / 2);
    wait::until_so("each says why", PATIENCE, || {
        adit.log().matches("no answer to SetupConnection in time").count() >= POOLS / 2
    });
    assert_eq!(adit.active().as_deref(), Some("well"));
    assert!(growth <= GROWTH_MAX, "{growth} bytes for {stalled} stalled headers");
    promise::figure(
        "8",
        &format!("{stalled} headers of 60,000 bytes from pools, stalled: {} kB of memory", growth / 1024),
    );
    adit.stop();
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn a_thousand_lines_of_miners_without_an_end_cost_no_memory() {
    let folder = Folder::new();
    let a = DevPool::start("pool-a", folder.path(), &FAST);
    let settings = Settings::for_cpus().limits("setup = \"8s\"\n");
    let farm = Farm::start_with(folder, &a.url(), settings, "a");
    let (before, files) = (farm.adit.resident(), farm.adit.process().open_files());
    let stalled: Vec<Stranger> = (0..MINERS)
        .map(|_| {
            let mut stranger = Stranger::connect(farm.adit.port());
            assert!(stranger.send(b"{\"id\": 1, \"method\": \"mining.subscribe\", \"params\": [\""));
            stranger
        })
        .collect();
    wait::until_so("all are connected", PATIENCE, || farm.adit.connections() >= MINERS as f64 + 2.0);
    let growth = farm.adit.resident().saturating_sub(before);
    farm.wait_acknowledged("a", 5);
    wait::until_so("all are closed", PATIENCE, || farm.adit.closed("setup_deadline") >= MINERS as f64);
    drop(stalled);
    wait::until_so("files are given back", PATIENCE, || farm.adit.process().open_files() <= files + 8);
    assert!(growth <= GROWTH_MAX, "{growth} bytes for {MINERS} stalled lines");
    // A line for each second of closing at most.
    let rest = farm.finish(60);
    promise::figure(
        "8",
        &format!("{MINERS} lines of miners, stalled: {} kB of memory; {rest}", growth / 1024),
    );
}
