//! Routes whose work is shared out, changed while miners mine.

use rustix::process::Signal;

use crate::adit::Adit;
use crate::client::Client;

/// So many miners.
const MINERS: usize = 200;

/// Two pools, a goal each; no work for the friend's.
fn start() -> Adit {
    start_with("weight = 1", "weight = 0")
}

/// With these keys in the two goals.
fn start_with(ours: &str, friend: &str) -> Adit {
    Adit::start_with(2, "", |pools| {
        format!(
            "version = 1\n[listener.main]\nlisten = \"127.0.0.1:0\"\ndifficulty_start = 1e-6\ndifficulty_min = 1e-6\n\
             vardiff = false\n[http]\nlisten = \"127.0.0.1:0\"\n\
             [source.ours]\nurl = \"{}\"\nuser_identity = \"farm\"\nnominal_hashrate = \"1 MH/s\"\n\
             [source.friends]\nurl = \"{}\"\nuser_identity = \"farm\"\nnominal_hashrate = \"1 MH/s\"\n\
             [route.main]\nlisteners = [\"main\"]\n\
             [goal.ours]\nroute = \"main\"\nsources = [\"ours\"]\n{ours}\n\
             [goal.friend]\nroute = \"main\"\nsources = [\"friends\"]\n{friend}\n\
             [state]\ndirectory = \"state\"\n",
            pools[0], pools[1]
        )
    })
}

/// Until then all work goes to the one that is there.
fn both_pools(adit: &mut Adit) {
    adit.until("both pools are there", |adit| adit.metric("adit_route_source_active") == 2.0);
}

/// Every miner finds shares until `goal` alone has all miners and has had work.
fn mine_until_all_for(adit: &mut Adit, miners: &mut [Client], goal: &str) {
    let label = format!("goal=\"{goal}\"");
    let before = adit.metric(&format!("adit_goal_work_hashes_total {label}"));
    adit.until(&format!("all mine for {goal}"), |adit| {
        for miner in miners.iter_mut() {
            assert_eq!(miner.mine(), Some(true), "{:?}", miner.refusals);
        }
        adit.metric(&format!("adit_goal_miners {label}")) == MINERS as f64
            && adit.metric(&format!("adit_goal_work_hashes_total {label}")) > before
    });
    // What each finds now is the goal's.
    for miner in miners {
        assert_eq!(miner.mine(), Some(true), "{:?}", miner.refusals);
    }
}

#[test]
fn weights_change_while_miners_mine_and_nobody_is_disconnected() {
    let mut adit = start();
    let mut miners: Vec<Client> =
        (0..MINERS).map(|n| Client::mining(adit.miners(), &format!("farm.rig{n}"))).collect();
    both_pools(&mut adit);
    mine_until_all_for(&mut adit, &mut miners, "ours");

    let refused = adit.patch(r#"{"goals": {"friend": {"weight": -1}, "ours": {"weight": 5}}}"#);
    assert!(refused.starts_with("HTTP/1.1 422") && refused.contains("goals.friend.weight"), "{refused}");
    assert_eq!(adit.metric("adit_goal_weight goal=\"ours\""), 1.0, "nothing has changed");

    let answer = adit.patch(r#"{"goals": {"friend": {"weight": 1}, "ours": {"weight": 0}}}"#);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    mine_until_all_for(&mut adit, &mut miners, "friend");
    // Few shares are hard enough for the pool, and it acknowledges them some time later.
    adit.until("the friend's pool acknowledges some", |adit| {
        for miner in &mut miners {
            assert_eq!(miner.mine(), Some(true), "{:?}", miner.refusals);
        }
        adit.metric("adit_shares_total source=\"friends\" acknowledged") > 0.0
    });

    // The file holds again.
    adit.rewrite("weight = 1\n", "weight = 3\n");
    adit.signal(Signal::HUP);
    mine_until_all_for(&mut adit, &mut miners, "ours");
    assert_eq!(adit.metric("adit_goal_weight goal=\"ours\""), 3.0);

    assert_eq!(adit.metric("adit_miner_closed_total"), 0.0, "nobody was disconnected");
    assert_eq!(adit.metric("adit_shares_total state=\"rejected\""), 0.0, "and nothing was rejected");
    adit.signal(Signal::TERM);
    assert_eq!(adit.wait().code(), Some(0), "{}", adit.log());
    let log = adit.log();
    let end = log.lines().find(|line| line.contains("stopped")).expect("its last words");
    assert!(end.contains("pending=0"), "{end}");
}

/// What the friend's lease says: hashes, uncertain ones, and whether it has ended.
fn lease(adit: &Adit) -> (f64, f64, bool) {
    let status = adit.status();
    let goals = status["routes"][0]["goals"].as_array().expect("goals");
    let friend = goals.iter().find(|goal| goal["name"] == "friend").expect("the friend's");
    let number = |key: &str| friend["lease"][key].as_f64().expect("a number");
    (number("work_hashes"), number("uncertain_hashes"), friend["ended"].as_bool().expect("a flag"))
}

/// A share of the difficulty in force, in hashes.
const SHARE: f64 = 1e-6 * 4_294_967_296.0;

#[test]
fn a_lease_is_exact_after_sigterm_uncertain_by_a_second_after_sigkill_and_ends_by_itself() {
    // 60 shares' worth, and all work goes there until then.
    let amount = 60.0 * SHARE;
    let mut adit = start_with("weight = 0", &format!("weight = 1\nwork_max = \"{amount:.0} H/s for 1s\""));
    both_pools(&mut adit);
    let mut miner = Client::mining(adit.miners(), "farm.one");
    for _ in 0..20 {
        assert_eq!(miner.mine(), Some(true));
    }
    adit.signal(Signal::TERM);
    miner.read_to_end();
    assert_eq!(adit.wait().code(), Some(0), "{}", adit.log());

    adit.start_again();
    let (hashes, uncertain, _) = lease(&adit);
    assert!((hashes / SHARE - 20.0).abs() < 1e-6, "20 shares, not {}", hashes / SHARE);
    assert_eq!(uncertain, 0.0, "nothing is uncertain");

    both_pools(&mut adit);
    let mut miner = Client::mining(adit.miners(), "farm.one");
    for _ in 0..10 {
        assert_eq!(miner.mine(), Some(true));
    }
    // Each share is in the journal within a second or so; what was mined in the last is what is lost at worst.
    adit.until("the journal has it", |adit| {
        let journal = ledger::Reader::open(&adit.folder().join("state/ledger")).expect("a journal");
        let mut hashes = 0.0;
        let read = journal.entries(ledger::Stream::Leases, &mut |entry| {
            if let ledger::record::Entry::Lease(lease) = entry {
                hashes = lease.hashes;
            }
        });
        read.is_ok() && (hashes / SHARE - 30.0).abs() < 1e-6
    });
    adit.signal(Signal::KILL);
    assert_eq!(adit.wait().code(), None, "killed");

    adit.start_again();
    let (hashes, uncertain, ended) = lease(&adit);
    assert!((hashes / SHARE - 30.0).abs() < 1e-6, "30 shares, not {}", hashes / SHARE);
    assert!(uncertain > 0.0 && !ended, "a second of the miner's work is uncertain: {uncertain}");
    adit.wait_for_log("a run before this one was killed");

    let mut miner = Client::mining(adit.miners(), "farm.one");
    adit.until("it has ended", |adit| {
        assert_eq!(miner.mine(), Some(true), "{:?}", miner.refusals);
        lease(adit).2 && adit.metric("adit_goal_miners goal=\"ours\"") == 1.0
    });
    let (at_end, _, _) = lease(&adit);
    for _ in 0..5 {
        assert_eq!(miner.mine(), Some(true), "the work goes on elsewhere");
    }
    // What was found on the last jobs before the end may still come.
    assert!(at_end >= amount && lease(&adit).0 <= at_end + 2.0 * SHARE, "nothing more is lent");
}
