//! Row 24: no answer, at each step of declaring.

use std::time::Duration;

use lab::dev_pool::JdsFaults;

use super::farm::{DECLARED, Farm, POOL};

/// A declaration's deadline and the pool's for the custom job are 5 s each; then the route's next source has work at once.
/// On an idle machine.
const LEFT_AFTER: Duration = Duration::from_secs(9);

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn a_declaration_without_answer_costs_its_deadline_and_the_pools_own_jobs_take_over() {
    let steps: [(&str, JdsFaults); 3] = [
        ("DeclareMiningJob", JdsFaults { silent_declaration: true, ..JdsFaults::default() }),
        (
            "ProvideMissingTransactions.Success",
            JdsFaults { silent_missing_transactions: true, ..JdsFaults::default() },
        ),
        ("SetCustomMiningJob", JdsFaults { silent_custom_job: true, ..JdsFaults::default() }),
    ];
    std::thread::scope(|scope| {
        let tests = steps.map(|(step, faults)| scope.spawn(move || silent_at(step, faults)));
        for test in tests {
            test.join().expect("each step's promise is kept");
        }
    });
}

fn silent_at(step: &str, faults: JdsFaults) {
    let farm = Farm::start(|_| ());
    let at = farm.faults(faults);
    let tip = farm.pool.new_tip();
    let waited_for = if step == "SetCustomMiningJob" { step } else { "DeclareMiningJob" };
    let why = farm.wait_left(waited_for);
    let left_after = at.elapsed();
    assert_eq!(why, format!("no answer to {waited_for} in time"), "{step}");
    farm.wait_acknowledged(POOL);
    // Not from the fault on: a template whose transactions the pool knows is declared all the same.
    let pause = farm.longest_pause();
    let limit = LEFT_AFTER + farm.stalls.grace();
    assert!(pause < limit, "{step}: {pause:?} of {limit:?} on work that nobody pays");
    assert_eq!(farm.pool.tip().hash, tip.hash, "no share was a block");
    farm.heal();
    farm.wait_declared();
    let books = farm.finish("24", &format!("no answer to {step}: left after {left_after:.1?} ({why})"));
    // What miners found meanwhile was told to nobody, and is said so.
    assert!(books.unsent > 0, "{step}: {books}");
    assert_eq!((books.refused - books.refused_stale, books.unknown), (0, 0), "{step}: {books}");
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn a_server_that_is_silent_before_any_declaration_leaves_miners_on_the_acknowledged_job_until_the_tip_changes()
 {
    let steps: [(&str, JdsFaults); 2] = [
        ("SetupConnection", JdsFaults { silent_setup: true, ..JdsFaults::default() }),
        ("AllocateMiningJobToken", JdsFaults { silent_token: true, ..JdsFaults::default() }),
    ];
    std::thread::scope(|scope| {
        let tests = steps.map(|(step, faults)| scope.spawn(move || silent_before(step, faults)));
        for test in tests {
            test.join().expect("each step's promise is kept");
        }
    });
}

fn silent_before(step: &str, faults: JdsFaults) {
    let farm = Farm::start(|_| ());
    let switches = farm.switches();
    let at = farm.faults(faults);
    if step == "SetupConnection" {
        farm.pool.disconnect_jds();
    }
    let shown = format!("no answer to {step} in time");
    farm.until("the reason is shown", |farm| (farm.declaration()["jds_last_down"] == shown).then_some(()));
    let shown_after = at.elapsed();
    let limit = Duration::from_secs(16) + farm.stalls.grace();
    assert!(shown_after < limit, "{step}: {shown_after:?} of {limit:?}");
    // The tip is the same: its acknowledged job is paid for.
    assert_eq!((farm.adit.active().as_deref(), farm.switches()), (Some(DECLARED), switches), "{step}");
    farm.wait_acknowledged(DECLARED);
    farm.pool.new_tip();
    let why = farm.wait_left(&shown);
    assert_eq!(why, format!("no job declarator server: {shown}"), "{step}");
    farm.wait_acknowledged(POOL);
    farm.heal();
    farm.wait_declared();
    let books = farm.finish("24", &format!("no answer to {step}: shown after {shown_after:.1?}"));
    assert_eq!((books.refused - books.refused_stale, books.unknown), (0, 0), "{step}: {books}");
}
