//! SIGHUP: what it changes for those who come from then on, while nobody who is there notices.

use std::net::{SocketAddr, TcpStream};

use rustix::process::Signal;

use crate::adit::{Adit, own_port};
use crate::client::Client;

/// Difficulties are rounded a little.
fn is_about(difficulty: f64, expected: f64) -> bool {
    (difficulty / expected - 1.0).abs() < 0.01
}

#[test]
fn other_settings_of_listeners_limits_firmware_and_log_hold_for_whoever_comes_then() {
    let mut adit = Adit::start("setup = \"10s\"", "");
    let mut before = Client::mining(adit.miners(), "farm.before");
    assert_eq!(before.mine(), Some(true));
    assert!(is_about(before.difficulty(), 1e-6), "{}", before.difficulty());

    adit.rewrite_all(&[
        (
            "difficulty_start = 1e-6",
            "difficulty_start = 4e-6\nmax_connections = 2\nidentity = [\"* = hall.*\"]",
        ),
        (
            "setup = \"10s\"",
            "setup = \"11s\"\nshutdown_grace = \"3s\"\nmax_connections = 50\n[log]\nformat = \"json\"\n\
             [firmware.odd]\nuser_agents = [\"odd/*\"]\ndifficulty_min = 8e-6",
        ),
    ]);
    adit.signal(Signal::HUP);
    adit.wait_for_log("the configuration is good and in force");
    let log = adit.log();
    let line = log.lines().find(|line| line.contains("good and in force")).expect("the line");
    assert!(line.starts_with('{'), "lines are objects from now on: {line}");
    for key in [
        "listener.main.difficulty_start",
        "listener.main.max_connections",
        "listener.main.identity",
        "firmware.odd.difficulty_min",
        "limits.setup",
        "limits.shutdown_grace",
        "limits.max_connections",
        "log.format",
    ] {
        assert!(line.contains(key), "{key}: {line}");
    }
    adit.until("the cap is shown", |adit| adit.metric("adit_limit_max connections") == 50.0);

    assert_eq!(before.mine(), Some(true), "it is as it was");
    assert!(is_about(before.difficulty(), 1e-6), "{}", before.difficulty());
    let mut after = Client::mining(adit.miners(), "farm.after");
    assert!(is_about(after.difficulty(), 4e-6), "{}", after.difficulty());
    assert_eq!(after.mine(), Some(true));
    // The cap counts those who were there before it.
    let mut third = Client::connect(adit.miners(), "farm.third");
    third.read_to_end();
    drop(after);
    // The listener's own count goes down in its own time.
    let mut odd = None;
    adit.until("there is a place", |adit| {
        odd = Client::let_in(adit.miners(), "farm.odd", "\"odd/1\"");
        odd.is_some()
    });
    let odd = odd.expect("it was let in");
    assert!(is_about(odd.difficulty(), 8e-6), "{}", odd.difficulty());
    adit.signal(Signal::TERM);
    assert_eq!(adit.wait().code(), Some(0), "{}", adit.log());
}

#[test]
fn http_moves_and_what_it_shows_changes_at_once() {
    let mut adit = Adit::start("setup = \"10s\"", "");
    let mut miner = Client::mining(adit.miners(), "farm.rig");
    assert_eq!(miner.mine(), Some(true));
    assert!(adit.metric("sv1_clients_total") < 0.5, "not asked for");
    let there = own_port();
    let address: SocketAddr = there.local_addr().expect("bound");
    let changes = format!(
        "[http]\nlisten = \"{address}\"\nworker_series = 5\nworker_series_allow = [\"farm.rig\"]\ncompatible_metrics = true"
    );
    let changes = [
        ("[http]\nlisten = \"127.0.0.1:0\"", changes.as_str()),
        ("setup = \"10s\"", "setup = \"10s\"\nworkers_max = 7"),
    ];
    adit.rewrite_all(&changes);
    adit.signal(Signal::HUP);
    adit.wait_for_log("the configuration is refused");
    // In a line of its own.
    adit.wait_for_log(&format!("cannot listen on {address} (http)"));
    assert!(adit.metric("adit_limit_max workers") > 7.0);

    drop(there);
    let before = adit.http();
    // Whoever is connected stays: Prometheus keeps its connection.
    let kept = TcpStream::connect(before).expect("it serves");
    adit.signal(Signal::HUP);
    adit.wait_for_log("the configuration is good and in force");
    adit.ask_at(address);
    adit.until("it moves", |_| TcpStream::connect(before).is_err());
    adit.until("the limit holds", |adit| adit.metric("adit_limit_max workers") == 7.0);
    adit.until("the worker has series", |adit| adit.metric("adit_worker_connections farm.rig") == 1.0);
    adit.until("they are asked for", |adit| adit.metric("sv1_clients_total") == 1.0);
    drop(kept);
    assert_eq!(miner.mine(), Some(true));
    adit.signal(Signal::TERM);
    assert_eq!(adit.wait().code(), Some(0), "{}", adit.log());
}
