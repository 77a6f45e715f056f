//! SIGHUP: listeners that come, go and move, while miners mine.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use lab::load::{Options, Report};
use rustix::process::Signal;

use crate::adit::{Adit, PATIENCE, own_port};
use crate::client::Client;

/// Miners that are not to notice anything.
const MINERS: usize = 500;

fn listener(name: &str, listen: &str, more: &str) -> String {
    format!(
        "[listener.{name}]\nlisten = \"{listen}\"\ndifficulty_start = 1e-6\ndifficulty_min = 1e-6\nvardiff = false\n{more}\n"
    )
}

fn settings(listeners: &[(&str, &str, &str)], limits: &str, pool: &str) -> String {
    let tables: String = listeners.iter().map(|(name, listen, more)| listener(name, listen, more)).collect();
    let names: Vec<String> = listeners.iter().map(|(name, ..)| format!("\"{name}\"")).collect();
    format!(
        "version = 1\n{tables}[source.pool]\nurl = \"{pool}\"\nuser_identity = \"farm\"\nnominal_hashrate = \"1 MH/s\"\n\
         [route.main]\nlisteners = [{}]\nsources = [\"pool\"]\n[http]\nlisten = \"127.0.0.1:0\"\n[limits]\n{limits}\n",
        names.join(", ")
    )
}

/// A port that is free now.
fn free() -> String {
    own_port().local_addr().expect("bound").to_string()
}

/// Where a listener is, as the status has it.
fn at(adit: &Adit, name: &str) -> Option<SocketAddr> {
    let status = adit.status();
    let listeners = status["listeners"].as_array().expect("listeners");
    let listener = listeners.iter().find(|listener| listener["name"] == name)?;
    Some(listener["address"].as_str()?.parse().expect("an address"))
}

fn reload(adit: &mut Adit, settings: &str) {
    let before = adit.log().matches("good and in force").count();
    adit.write(settings);
    adit.signal(Signal::HUP);
    adit.until("it is in force", |adit| adit.log().matches("good and in force").count() > before);
}

fn is_refused(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_err()
}

/// Miners that bring shares until they are told to stop.
fn load(address: SocketAddr, stop: &Arc<AtomicBool>) -> std::thread::JoinHandle<Report> {
    let mut options = Options::new(address.to_string().parse().expect("an address"), MINERS, 400.0);
    options.duration = Duration::from_secs(3_600);
    options.threads = 1;
    options.user = "farm.load".to_owned();
    let stop = Arc::clone(stop);
    std::thread::spawn(move || lab::load::run(options, stop).expect("it runs"))
}

#[test]
fn a_listener_comes_and_another_goes_while_five_hundred_mine_and_none_of_them_notices() {
    let (a, b, c) = (free(), free(), free());
    let mut url = String::new();
    let mut adit = Adit::start_with(1, "", |pools| {
        url.clone_from(&pools[0]);
        settings(&[("a", &a, ""), ("c", &c, "")], "", &pools[0])
    });
    let stop = Arc::new(AtomicBool::new(false));
    let load = load(a.parse().expect("an address"), &stop);
    adit.until("they mine", |adit| adit.metric("adit_miners listener=\"a\" authorised") >= 500.0);
    let mut of_c = Client::mining(c.parse().expect("an address"), "farm.c");
    assert_eq!(of_c.mine(), Some(true));
    assert_eq!(at(&adit, "b"), None);

    reload(&mut adit, &settings(&[("a", &a, ""), ("b", &b, "")], "", &url));
    let log = adit.log();
    let line = log.lines().rfind(|line| line.contains("good and in force")).expect("the line");
    for what in ["listener.b (new)", "listener.c (taken out)", "route.main"] {
        assert!(line.contains(what), "{what}: {line}");
    }
    adit.until("nobody comes to one that was taken out", |_| is_refused(c.parse().expect("an address")));
    adit.until("b is shown", |adit| at(adit, "b") == Some(b.parse().expect("an address")));
    let mut of_b = Client::mining(b.parse().expect("an address"), "farm.b");
    for _ in 0..5 {
        assert_eq!((of_b.mine(), of_c.mine()), (Some(true), Some(true)), "who is there stays");
    }
    adit.until("b is counted", |adit| adit.metric("adit_shares_total listener=\"b\"") >= 5.0);
    assert!(at(&adit, "c").is_some(), "shown as long as its miners are");
    drop(of_c);
    adit.until("nothing is left of it", |adit| at(adit, "c").is_none());
    assert!(
        adit.metric("adit_miners listener=\"c\"") + adit.metric("adit_shares_total listener=\"c\"") < 0.5
    );

    // It comes back, and goes on counting.
    reload(&mut adit, &settings(&[("a", &a, ""), ("b", &b, ""), ("c", &c, "")], "", &url));
    adit.until("what it had is counted", |adit| adit.metric("adit_shares_total listener=\"c\"") >= 6.0);
    let mut of_c = Client::mining(c.parse().expect("an address"), "farm.c");
    assert_eq!(of_c.mine(), Some(true));

    adit.until("they have brought many", |adit| adit.metric("adit_shares_total listener=\"a\"") > 2_000.0);
    stop.store(true, Relaxed);
    let report = load.join().expect("no panic");
    println!("{:?} {:?}", report.connect, report.shares);
    assert_eq!((report.connect.failed, report.connect.closed_later), (0, 0));
    assert_eq!(report.shares.accepted, report.shares.submitted, "{:?}", report.shares.rejected);
    assert!(report.shares.submitted > 1_000);
    assert!(adit.count("adit_books_balanced") == 1);
    adit.signal(Signal::TERM);
    assert_eq!(adit.wait().code(), Some(0), "{}", adit.log());
}

#[test]
fn a_port_that_cannot_be_had_refuses_the_whole_file() {
    let a = free();
    let taken = own_port();
    let taken = (taken.local_addr().expect("bound").to_string(), taken);
    let mut url = String::new();
    let mut adit = Adit::start_with(1, "", |pools| {
        url.clone_from(&pools[0]);
        settings(&[("a", &a, "")], "setup = \"10s\"", &pools[0])
    });
    adit.write(&settings(
        &[("a", &a, "max_connections = 1"), ("b", &taken.0, "")],
        "max_connections = 50",
        &url,
    ));
    adit.signal(Signal::HUP);
    adit.wait_for_log("the configuration is refused");
    // In a line of its own.
    adit.wait_for_log(&format!("cannot listen on {} (listener.b)", taken.0));
    assert!(adit.metric("adit_limit_max connections") > 50.0, "nothing else was taken over");
    assert_eq!(at(&adit, "b"), None);
    let _two = [(); 2].map(|()| Client::mining(a.parse().expect("an address"), "farm.a"));
    drop(taken.1);
    reload(&mut adit, &settings(&[("a", &a, ""), ("b", &taken.0, "")], "", &url));
    assert_eq!(Client::mining(taken.0.parse().expect("an address"), "farm.b").mine(), Some(true));
}

#[test]
fn one_with_another_address_moves_one_with_another_name_keeps_its_port_and_a_drain_ends() {
    let (here, there, side) = (free(), free(), free());
    let mut url = String::new();
    let mut adit = Adit::start_with(1, "", |pools| {
        url.clone_from(&pools[0]);
        settings(&[("main", &here, ""), ("side", &side, "")], "", &pools[0])
    });
    let [here_at, there_at, side_at] =
        [&here, &there, &side].map(|a| a.parse::<SocketAddr>().expect("an address"));
    let mut before = Client::mining(here_at, "farm.before");

    reload(&mut adit, &settings(&[("main", &there, "extranonce2_size = 6"), ("side", &side, "")], "", &url));
    adit.until("it is shown there", |adit| at(adit, "main") == Some(there_at));
    adit.until("nobody is here any more", |_| is_refused(here_at));
    let mut after = Client::mining(there_at, "farm.after");
    assert_eq!((before.extranonce2_size, after.extranonce2_size), (4, 6), "from then on");
    assert_eq!((before.mine(), after.mine()), (Some(true), Some(true)));
    adit.until("it is one listener", |adit| adit.metric("adit_miners listener=\"main\" authorised") == 2.0);

    // The port changes hands without a moment in which it is closed.
    let mut of_side = Client::mining(side_at, "farm.side");
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    let knocking = std::thread::spawn(move || {
        let mut knocks = 0;
        while !told.load(Relaxed) {
            assert!(!is_refused(side_at), "knock {knocks}");
            knocks += 1;
            std::thread::sleep(Duration::from_millis(1));
        }
        knocks
    });
    reload(
        &mut adit,
        &settings(
            &[("main", &there, "extranonce2_size = 6"), ("yard", &side, "")],
            // Time for what comes until it is over.
            "drain_removed = \"10s\"",
            &url,
        ),
    );
    let taken_out = Instant::now();
    let mut of_yard = Client::mining(side_at, "farm.yard");
    assert_eq!((of_side.mine(), of_yard.mine()), (Some(true), Some(true)));
    stop.store(true, Relaxed);
    assert!(knocking.join().expect("nobody was refused") > 0);
    of_side.read_to_end();
    assert!(taken_out.elapsed() < PATIENCE);
    assert!(of_side.messages.iter().any(|text| text.contains("this port of Adit is closed")));
    adit.wait_for_log("its listener was taken out of the configuration");
    assert_eq!((of_yard.mine(), before.mine()), (Some(true), Some(true)));
    adit.until("it is gone", |adit| at(adit, "side").is_none());
    adit.signal(Signal::TERM);
    assert_eq!(adit.wait().code(), Some(0), "{}", adit.log());
}
