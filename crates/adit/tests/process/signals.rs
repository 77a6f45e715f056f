//! RELIABILITY row 29: SIGTERM, SIGINT twice, SIGHUP with a good and a bad configuration, SIGPIPE.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::adit::Adit;
use crate::client::Client;

#[test]
fn sigterm_closes_miners_settles_shares_and_ends_in_time() {
    let mut adit = Adit::start("shutdown_grace = \"20s\"", "");
    let mut miner = Client::mining(adit.miners(), "farm.one");
    for _ in 0..10 {
        assert_eq!(miner.mine(), Some(true));
    }
    let began = Instant::now();
    adit.signal(Signal::TERM);
    miner.read_to_end();
    assert_eq!(adit.wait().code(), Some(0), "{}", adit.log());
    assert!(began.elapsed() < Duration::from_secs(21), "grace and a second: {:?}", began.elapsed());
    assert!(miner.messages.iter().any(|text| text.contains("shutting down")), "{:?}", miner.messages);
    let log = adit.log();
    let end = log.lines().find(|line| line.contains("stopped")).expect("its last words");
    let submitted = format!("submitted={} ", 10 + miner.stale);
    assert!(end.contains(&submitted) && end.contains("pending=0"), "{end}");
}

#[test]
fn a_second_sigint_ends_it_at_once() {
    // Miners are closed a minute apart: the end by itself takes much longer than the test.
    let mut adit = Adit::start("shutdown_grace = \"600s\"\ndrain_spread = \"600s\"\nsetup = \"600s\"", "");
    let miners: Vec<Client> = (0..10).map(|_| Client::connect(adit.miners(), "farm.slow")).collect();
    adit.until("all are there", |adit| adit.metric("adit_limit_used connections") >= 10.0);
    adit.signal(Signal::INT);
    adit.wait_for_log("stopping");
    adit.signal(Signal::INT);
    assert_eq!(adit.wait().code(), Some(130), "{}", adit.log());
    drop(miners);
}

#[test]
fn sighup_takes_a_good_configuration_refuses_a_bad_one_and_sigpipe_does_nothing() {
    let mut adit = Adit::start("accept_rate = 1234", "");
    let mut miner = Client::mining(adit.miners(), "farm.one");

    adit.rewrite("accept_rate = 1234", "acept_rate = 99");
    adit.signal(Signal::HUP);
    adit.wait_for_log("the old one stays in force");
    adit.wait_for_log("did you mean accept_rate?");
    adit.until("it is counted", |adit| adit.metric("config_reload_refused") == 1.0);

    adit.signal(Signal::PIPE);
    assert_eq!(miner.mine(), Some(true), "miners notice nothing");

    assert!(!adit.log().contains("DEBUG"));
    adit.rewrite("accept_rate = 1234", "accept_rate = 4321\nlookup = \"9s\"\n[log]\nlevel = \"debug\"");
    adit.signal(Signal::HUP);
    adit.wait_for_log("start Adit anew to apply the rest");
    let log = adit.log();
    let line = log.lines().find(|line| line.contains("start Adit anew")).expect("the line");
    let (taken, left) = line.split_once("restart_for").expect("what is left");
    assert!(taken.contains("log.level") && taken.contains("limits.accept_rate"), "{line}");
    assert!(left.contains("limits.lookup") && !left.contains("accept_rate"), "{line}");
    adit.until("it is counted", |adit| adit.metric("config_reloaded") == 1.0);
    drop(Client::mining(adit.miners(), "farm.two"));
    adit.wait_for_log("DEBUG");

    assert_eq!(miner.mine(), Some(true), "and still miners notice nothing");
    adit.signal(Signal::TERM);
    assert_eq!(adit.wait().code(), Some(0), "{}", adit.log());
}
