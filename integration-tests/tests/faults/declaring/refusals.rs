//! Rows 24 and 27: the server or the pool says no, to a job or to the shares of one that it took.

use std::time::Duration;

use lab::dev_pool::JdsFaults;

use super::farm::{DECLARED, Farm, POOL, SHARES_A_SECOND};

/// A refusal within 2 s of a new tip is forgiven once, a quarter of a second later the job is tried again, and with that it is
/// over; what the status page shows of it is up to half a second old. On an idle machine.
const LEFT_AFTER: Duration = Duration::from_secs(3);

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn a_refused_job_is_left_for_the_pools_own_and_declared_again_when_it_is_taken() {
    let who: [(&str, JdsFaults); 3] = [
        (
            "DeclareMiningJob.Error",
            JdsFaults { refuse_declarations: Some("invalid-job".to_owned()), ..JdsFaults::default() },
        ),
        (
            "SetCustomMiningJob.Error",
            JdsFaults {
                refuse_custom_jobs: Some("invalid-job-param-value-version".to_owned()),
                ..JdsFaults::default()
            },
        ),
        // Whatever token is fetched anew.
        (
            "SetCustomMiningJob.Error",
            JdsFaults {
                refuse_custom_jobs: Some("invalid-mining-job-token".to_owned()),
                ..JdsFaults::default()
            },
        ),
    ];
    std::thread::scope(|scope| {
        let tests = who.map(|(message, faults)| scope.spawn(move || refused(message, faults)));
        for test in tests {
            test.join().expect("each promise is kept");
        }
    });
}

fn refused(message: &str, faults: JdsFaults) {
    let farm = Farm::start(|_| ());
    let code = faults.refuse_declarations.clone().or(faults.refuse_custom_jobs.clone()).expect("a code");
    let before = farm.declaration()["refused_total"].as_u64();
    let at = farm.faults(faults);
    farm.pool.new_tip();
    let why = farm.wait_left(&code);
    let left_after = at.elapsed();
    assert!(why.contains("does not take the job") && why.contains(&code), "{message}: {why}");
    let limit = LEFT_AFTER + farm.stalls.grace();
    assert!(left_after < limit, "{message}: {left_after:?} of {limit:?}");
    farm.wait_acknowledged(POOL);
    assert!(farm.declaration()["refused_total"].as_u64() > before, "{message} is counted");
    farm.heal();
    farm.wait_declared();
    let books = farm.finish("24", &format!("{message} {code}: left after {left_after:.1?}"));
    assert_eq!((books.refused - books.refused_stale, books.unknown), (0, 0), "{message}: {books}");
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn a_pool_that_refuses_the_shares_of_a_job_that_it_acknowledged_is_left_after_ten() {
    let code = "invalid-share";
    let farm = Farm::start(|_| ());
    let at = farm.faults(JdsFaults { refuse_shares: Some(code.to_owned()), ..JdsFaults::default() });
    let why = farm.wait_left("refuses every share");
    let left_after = at.elapsed();
    assert!(why.contains("refuses every share"), "{why}");
    farm.wait_acknowledged(POOL);
    let refused = farm.adit.source_books(DECLARED).refused;
    // Ten in a row, and those that were on their way.
    let most = 40 + farm.stalls.meanwhile(SHARES_A_SECOND);
    assert!((10..most).contains(&refused), "{refused} refused");
    let shown = farm.adit.status()["books"]["refused"].clone();
    farm.heal();
    farm.wait_declared();
    let books =
        farm.finish("27", &format!("left after {left_after:.1?} and {refused} refused shares, {shown}"));
    // The link to the pool stands: what was on its way when the tenth was refused is answered like the others.
    assert!(books.refused >= refused, "{books}");
    assert_eq!(books.unknown, 0, "{books}");
    assert!(books.told_true_lost >= refused, "shares that were told true and not paid are counted: {books}");
}
