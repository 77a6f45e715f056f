//! Pools that come, go and become others at SIGHUP, while miners mine.

use lab::dev_pool::DevPoolOptions;
use rustix::process::Signal;
use serde_json::Value;

use crate::adit::Adit;
use crate::client::Client;

/// So many miners.
const MINERS: usize = 50;

/// Pools that want shares every second, and leave so many bytes of extranonce each.
fn pools(rooms: &[u8]) -> Vec<DevPoolOptions> {
    let pool = |room: &u8| DevPoolOptions {
        shares_per_minute: 6_000.0,
        extranonce_size: *room,
        ..DevPoolOptions::default()
    };
    rooms.iter().map(pool).collect()
}

/// A source's table.
fn source(name: &str, url: &str, user: &str) -> String {
    format!("[source.{name}]\nurl = \"{url}\"\nuser_identity = \"{user}\"\nnominal_hashrate = \"1 MH/s\"\n")
}

/// A configuration with these tables beside the listener's and HTTP's.
fn settings(rest: &str) -> String {
    format!(
        "version = 1\n[listener.main]\nlisten = \"127.0.0.1:0\"\ndifficulty_start = 1e-6\ndifficulty_min = 1e-6\n\
         vardiff = false\n[http]\nlisten = \"127.0.0.1:0\"\n{rest}"
    )
}

/// A route with one list of sources.
fn route(sources: &str) -> String {
    format!("[route.main]\nlisteners = [\"main\"]\nreturn_after = \"1s\"\nsources = [{sources}]\n")
}

fn farm(adit: &Adit) -> Vec<Client> {
    (0..MINERS).map(|n| Client::mining(adit.miners(), &format!("farm.rig{n}"))).collect()
}

/// Takes a configuration over. Every miner goes on finding shares until it mines for `source`.
fn reload(adit: &mut Adit, settings: &str, miners: &mut [Client], source: &str) {
    let before = takings_over(adit);
    adit.write(settings);
    adit.signal(Signal::HUP);
    adit.until("it is taken over, and said", |adit| {
        mine(miners);
        takings_over(adit) > before
    });
    mine_for(adit, miners, source);
}

/// How often the log says that a configuration is in force: after everything else that it says of it.
fn takings_over(adit: &Adit) -> usize {
    adit.log().matches("SIGHUP: the configuration is good").count()
}

fn mine(miners: &mut [Client]) {
    for miner in miners {
        assert_eq!(miner.mine(), Some(true), "{:?}", miner.refusals);
    }
}

fn acknowledged(adit: &Adit, source: &str) -> u64 {
    books(adit, source)["acknowledged"].as_u64().expect("a number")
}

/// A source on the status page; it is listed once.
fn listed(adit: &Adit, source: &str) -> Value {
    let status = adit.status();
    let sources = status["sources"].as_array().expect("sources");
    let mut of_name = sources.iter().filter(|of| of["name"] == source);
    let found = of_name.next().expect("it is listed").clone();
    assert!(of_name.next().is_none(), "{source} is listed once");
    found
}

fn state(adit: &Adit, source: &str) -> String {
    listed(adit, source)["state"].as_str().expect("a word").to_owned()
}

fn books(adit: &Adit, source: &str) -> Value {
    listed(adit, source)["books"].clone()
}

fn mine_for(adit: &mut Adit, miners: &mut [Client], source: &str) {
    adit.until(&format!("the route mines for {source}"), |adit| {
        mine(miners);
        adit.status()["routes"][0]["active"] == source
    });
    let submitted = |adit: &Adit| books(adit, source)["submitted"].as_u64().expect("a number");
    let before = submitted(adit);
    adit.until(&format!("all mine for {source}"), |adit| {
        mine(miners);
        submitted(adit) >= before + 2 * miners.len() as u64
    });
    adit.until(&format!("{source} acknowledges some"), |adit| {
        mine(miners);
        acknowledged(adit, source) > 0
    });
}

/// Nobody noticed: no miner was closed, no share rejected or lost, and each pool has counted what Adit has.
fn finish(mut adit: Adit, miners: Vec<Client>, by_pool: &[(usize, &str)]) {
    assert_eq!(adit.metric("adit_miner_closed_total"), 0.0, "nobody was disconnected");
    let stale: u64 = miners.iter().map(|miner| miner.stale).sum();
    assert_eq!((stale, adit.metric("adit_shares_total state=\"rejected\"")), (0, 0.0));
    // Both at once: what is still on its way to a pool when one is asked is counted by the time that the other is.
    adit.until("every share has its final state, and each pool has counted what Adit has", |adit| {
        let same =
            |(at, source): &(usize, &str)| acknowledged(adit, source) == adit.pool(*at).stats().accepted;
        adit.metric("adit_shares_open") == 0.0 && by_pool.iter().all(same)
    });
    for state in ["unsent", "refused", "unknown"] {
        assert_eq!(adit.metric(&format!("adit_shares_total state=\"{state}\"")), 0.0, "{state}");
    }
    drop(miners);
    adit.signal(Signal::TERM);
    assert_eq!(adit.wait().code(), Some(0), "{}", adit.log());
}

#[test]
fn pools_come_become_others_and_go_and_nobody_is_disconnected() {
    let mut urls = Vec::new();
    let mut adit = Adit::start_before(pools(&[16, 16]), "", |pools| {
        urls = pools.to_vec();
        settings(&(source("a", &pools[0], "farm") + &route("\"a\"")))
    });
    let mut miners = farm(&adit);
    mine_for(&mut adit, &mut miners, "a");

    // One comes, and is preferred.
    let both = source("a", &urls[0], "farm") + &source("b", &urls[1], "farm");
    reload(&mut adit, &settings(&(both + &route("\"b\", \"a\""))), &mut miners, "b");
    let log = adit.log();
    let line = log.lines().rfind(|line| line.contains("SIGHUP")).expect("the line");
    assert!(line.contains("source.b (new), route.main"), "{line}");
    assert!(!line.contains("start Adit anew"), "{line}");

    // The other goes.
    let b = source("b", &urls[1], "farm");
    reload(&mut adit, &settings(&(b + &route("\"b\""))), &mut miners, "b");
    adit.until("it has left", |adit| state(adit, "a") == "removed");
    adit.until("its connection is ended", |adit| adit.pool(0).stats().connections == 0);

    // It comes back, and takes the work at once when the one that was left goes.
    let a = source("a", &urls[0], "farm");
    reload(&mut adit, &settings(&(a + &route("\"a\""))), &mut miners, "a");
    adit.until("it has left", |adit| state(adit, "b") == "removed");

    // It becomes another: under the same name, for another account.
    let a = source("a", &urls[0], "somebody-else");
    reload(&mut adit, &settings(&(a + &route("\"a\""))), &mut miners, "a");
    adit.until("only the new connection is left", |adit| adit.pool(0).stats().connections == 1);
    assert_eq!(state(&adit, "a"), "ready");
    finish(adit, miners, &[(0, "a"), (1, "b")]);
}

#[test]
fn goals_come_and_go_with_their_pools() {
    let goal = |name: &str, source: &str, weight: u32| {
        format!("[goal.{name}]\nroute = \"main\"\nsources = [\"{source}\"]\nweight = {weight}\n")
    };
    let head = "[route.main]\nlisteners = [\"main\"]\n";
    let mut urls = Vec::new();
    let mut adit = Adit::start_before(pools(&[16, 16]), "", |pools| {
        urls = pools.to_vec();
        settings(&(source("a", &pools[0], "farm") + head + &goal("ours", "a", 1)))
    });
    let mut miners = farm(&adit);
    mine_for(&mut adit, &mut miners, "a");
    let both = source("a", &urls[0], "farm") + &source("b", &urls[1], "farm") + head;

    // All work goes to one that was not there.
    let rest = both + &goal("ours", "a", 0) + &goal("friend", "b", 1);
    let before = takings_over(&adit);
    adit.write(&settings(&rest));
    adit.signal(Signal::HUP);
    let miners_of = |adit: &Adit, goal: &str| adit.metric(&format!("adit_goal_miners goal=\"{goal}\""));
    adit.until("all mine for the friend", |adit| {
        mine(&mut miners);
        miners_of(adit, "friend") == MINERS as f64
    });
    adit.until("it is taken over, and said", |adit| takings_over(adit) > before);
    adit.until("it is counted", |adit| adit.metric("config_reloaded") == 1.0);
    let answer = adit.patch(r#"{"goals": {"friend": {"weight": 3}}}"#);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    // It goes again, and its pool with it.
    let rest = source("a", &urls[0], "farm") + head + &goal("ours", "a", 1);
    adit.write(&settings(&rest));
    adit.signal(Signal::HUP);
    adit.until("all are back", |adit| {
        mine(&mut miners);
        miners_of(adit, "ours") == MINERS as f64 && state(adit, "b") == "removed"
    });
    let answer = adit.patch(r#"{"goals": {"friend": {"weight": 3}}}"#);
    assert!(answer.starts_with("HTTP/1.1 422") && answer.contains("no such goal"), "{answer}");
    finish(adit, miners, &[(0, "a"), (1, "b")]);
}

#[test]
fn a_pool_that_leaves_too_little_is_refused_and_one_that_cannot_be_reached_is_not() {
    let mut urls = Vec::new();
    let mut adit = Adit::start_before(pools(&[16, 4]), "", |pools| {
        urls = pools.to_vec();
        settings(&(source("a", &pools[0], "farm") + &route("\"a\"")))
    });
    let mut miners = farm(&adit);
    mine_for(&mut adit, &mut miners, "a");

    // Four bytes are too few for the listener's four and four; and nothing else of the file is taken over either.
    let small = source("a", &urls[0], "farm") + &source("small", &urls[1], "farm");
    let level = "[log]\nlevel = \"debug\"\n";
    adit.write(&settings(&(small + &route("\"a\", \"small\"") + level)));
    adit.signal(Signal::HUP);
    adit.until("it is refused", |adit| {
        mine(&mut miners);
        adit.metric("config_reload_refused") == 1.0
    });
    // It is said after it is counted.
    adit.wait_for_log("source.small: no channel for miners of listener.main");
    adit.wait_for_log("4 + 4 bytes");
    assert!(!adit.log().contains("DEBUG"), "{}", adit.log());
    assert!(adit.status()["sources"].as_array().is_some_and(|sources| sources.len() == 1));

    // Nobody is there: it may come.
    let dead = urls[1].replace(&port(&urls[1]), "127.0.0.1:1/");
    let both = source("a", &urls[0], "farm") + &source("dead", &dead, "farm");
    reload(&mut adit, &settings(&(both + &route("\"dead\", \"a\""))), &mut miners, "a");
    assert!(adit.log().contains("it is taken all the same"), "{}", adit.log());
    assert_eq!(adit.pool(1).stats().accepted, 0);
    finish(adit, miners, &[(0, "a")]);
}

/// The address in a pool's URL, with the slash behind it.
fn port(url: &str) -> String {
    let rest = url.split("://").nth(1).expect("an address");
    format!("{}/", rest.split('/').next().expect("an address"))
}

#[test]
fn who_may_connect_is_changed_for_those_who_come() {
    let with = |lines: &str, pool: &str| {
        let text = settings(&(source("a", pool, "farm") + &route("\"a\"")));
        text.replace("vardiff = false\n", &format!("vardiff = false\n{lines}"))
    };
    let mut url = String::new();
    let mut adit = Adit::start_before(pools(&[16]), "", |pools| {
        url.clone_from(&pools[0]);
        with("", &pools[0])
    });
    let mut miners = farm(&adit);
    reload(&mut adit, &with("deny = [\"127.0.0.0/8\"]\n", &url), &mut miners, "a");
    assert!(adit.log().contains("who may connect to listener.main"), "{}", adit.log());
    assert!(!adit.log().contains("start Adit anew"), "{}", adit.log());
    assert!(Client::connect(adit.miners(), "farm.late").read().is_none(), "it is closed");
    adit.until("it is counted", |adit| adit.metric("connection_denied") == 1.0);
    reload(&mut adit, &with("", &url), &mut miners, "a");
    miners.push(Client::mining(adit.miners(), "farm.late"));
    finish(adit, miners, &[(0, "a")]);
}
