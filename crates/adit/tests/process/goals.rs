//! Routes whose work is shared out, changed while miners mine.

use rustix::process::Signal;

use crate::adit::Adit;
use crate::client::Client;

/// So many miners.
const MINERS: usize = 20;

/// Two pools, a goal each; no work for the friend's.
fn start() -> Adit {
    Adit::start_with(2, "", |pools| {
        format!(
            "version = 1\n[listener.main]\nlisten = \"127.0.0.1:0\"\ndifficulty_start = 1e-6\ndifficulty_min = 1e-6\n\
             vardiff = false\n[http]\nlisten = \"127.0.0.1:0\"\n\
             [source.ours]\nurl = \"{}\"\nuser_identity = \"farm\"\nnominal_hashrate = \"1 MH/s\"\n\
             [source.friends]\nurl = \"{}\"\nuser_identity = \"farm\"\nnominal_hashrate = \"1 MH/s\"\n\
             [route.main]\nlisteners = [\"main\"]\n\
             [goal.ours]\nroute = \"main\"\nsources = [\"ours\"]\nweight = 1\n\
             [goal.friend]\nroute = \"main\"\nsources = [\"friends\"]\nweight = 0\n",
            pools[0], pools[1]
        )
    })
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
    adit.until("both pools are there", |adit| adit.metric("adit_route_source_active") == 2.0);
    mine_until_all_for(&mut adit, &mut miners, "ours");

    let refused = adit.patch(r#"{"goals": {"friend": {"weight": -1}, "ours": {"weight": 5}}}"#);
    assert!(refused.starts_with("HTTP/1.1 422") && refused.contains("goals.friend.weight"), "{refused}");
    assert_eq!(adit.metric("adit_goal_weight goal=\"ours\""), 1.0, "nothing has changed");

    let answer = adit.patch(r#"{"goals": {"friend": {"weight": 1}, "ours": {"weight": 0}}}"#);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    mine_until_all_for(&mut adit, &mut miners, "friend");
    assert!(adit.metric("adit_shares_total source=\"friends\" acknowledged") > 0.0);

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
