//! Row 22: the farm's own node: gone while miners mine, back, not there at the start, on other tips all the time.

use std::time::{Duration, Instant};

use lab::dev_pool::JdsFaults;

use super::farm::{DECLARED, Farm, POOL, SHARES_A_SECOND};

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn a_node_that_goes_is_left_for_the_pools_own_jobs_and_used_again_when_it_is_back() {
    let mut farm = Farm::start(|_| ());
    let at = farm.faults(JdsFaults::default());
    farm.node.kill();
    let why = farm.wait_left("no templates: ");
    let left_after = at.elapsed();
    assert!(why.starts_with("no templates: "), "{why}");
    farm.wait_acknowledged(POOL);
    let pause = farm.longest_pause();
    // What its tip was is no longer so when it is back.
    farm.pool.new_tip();
    farm.wait_acknowledged(POOL);
    farm.node.run();
    let back = Instant::now();
    farm.wait_declared();
    let back_after = back.elapsed();
    let figures = format!(
        "node killed: left after {left_after:.1?} ({why}), {pause:.1?} without a share; back {back_after:.1?} after it"
    );
    let books = farm.finish("22", &figures);
    assert_eq!((books.refused - books.refused_stale, books.unknown), (0, 0), "{books}");
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn a_node_that_is_not_there_at_the_start_is_waited_for_while_the_pools_own_jobs_are_mined() {
    let mut farm = Farm::begin(|_| (), false);
    farm.faults(JdsFaults::default());
    farm.wait_acknowledged(POOL);
    assert_eq!(farm.adit.active().as_deref(), Some(POOL));
    // Pool and server may be there a little later.
    farm.until("a template is all that lacks", |farm| {
        (farm.declaration()["state"] == "no_template").then_some(())
    });
    let source = farm.adit.route()["sources"][0].clone();
    assert_eq!((&source["name"], &source["usable"]), (&DECLARED.into(), &false.into()), "{source}");
    let reason = source["reason"].clone();
    farm.node.run();
    let at = Instant::now();
    farm.wait_declared();
    let after = at.elapsed();
    let books = farm.finish(
        "22",
        &format!("no node at the start (shown as {reason}): declared {after:.1?} after it came"),
    );
    assert_eq!((books.refused - books.refused_stale, books.unknown), (0, 0), "{books}");
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn tips_that_change_all_the_time_leave_no_share_on_an_old_one() {
    let farm = Farm::start(|_| ());
    let (switches, began) = (farm.switches(), farm.faults(JdsFaults::default()));
    let mut tips = 0;
    // Each at once when the job of the one before has come, two in a row, a branch that is replaced.
    for round in 0..30 {
        let at = Instant::now();
        match round % 3 {
            0 => drop(farm.pool.new_tip()),
            1 => {
                farm.pool.new_tip();
                farm.pool.new_tip();
            }
            _ => drop(farm.pool.reorganise(2).expect("the chain is long enough")),
        }
        tips += 1;
        farm.until("a job of the new tip has come", |farm| {
            farm.client
                .heard()
                .iter()
                .rev()
                .any(|heard| heard.at >= at && heard.coinbase().is_some())
                .then_some(())
        });
    }
    let span = began.elapsed();
    farm.wait_declared();
    let limit = Duration::from_secs(10) + farm.stalls.grace();
    assert!(farm.longest_pause() < limit, "{:?} of {limit:?}", farm.longest_pause());
    let switched = farm.switches() - switches;
    let figures = format!("{tips} changes of tip in {span:.1?}: {switched} changes of source");
    let late = 2 + farm.stalls.meanwhile(SHARES_A_SECOND);
    let books = farm.finish("22", &figures);
    assert_eq!(books.unknown, 0, "{books}");
    // The pool hears of its tip before the farm does: what is on its way then is too late.
    assert!(books.refused <= late * tips, "{books}");
}
