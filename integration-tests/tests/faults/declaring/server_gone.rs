//! Row 24: the job declarator server is gone, and comes back.

use std::time::{Duration, Instant};

use integration_tests::fault_pipe::Cut;
use lab::dev_pool::JdsFaults;

use super::farm::{DECLARED, Farm, POOL};
use crate::PATIENCE;

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn without_its_server_miners_stay_on_the_acknowledged_job_until_the_tip_changes() {
    let farm = Farm::start(|_| ());
    let switches = farm.switches();
    farm.faults(JdsFaults::default());
    farm.pipe.refuse(true);
    farm.pipe.cut(Cut::Rst);
    farm.until("the server is seen to be gone", |farm| (farm.declaration()["jds_up"] == false).then_some(()));
    farm.wait_acknowledged(DECLARED);
    farm.wait_acknowledged(DECLARED);
    assert_eq!((farm.adit.active().as_deref(), farm.switches()), (Some(DECLARED), switches));

    let at = Instant::now();
    farm.pool.new_tip();
    let why = farm.wait_left("no job declarator server: ");
    let left_after = at.elapsed();
    assert!(why.starts_with("no job declarator server: "), "{why}");
    let limit = Duration::from_secs(2) + farm.stalls.grace();
    assert!(left_after < limit, "{left_after:?} of {limit:?}");
    let job_after = farm.client.wait_job("", at, PATIENCE).at - at;
    farm.wait_acknowledged(POOL);
    farm.pipe.refuse(false);
    let back = Instant::now();
    farm.wait_declared();
    let back_after = back.elapsed();
    let figures = format!(
        "server killed: its job was mined on; after the next tip left in {left_after:.1?}, a job in {job_after:.1?} ({why}); \
         back {back_after:.1?} after it"
    );
    let books = farm.finish("24", &figures);
    assert_eq!((books.refused - books.refused_stale, books.unknown), (0, 0), "{books}");
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn a_server_that_is_lost_right_after_it_took_a_declaration_costs_its_job_and_no_share_sent() {
    let farm = Farm::start(|_| ());
    // Right after one was acknowledged, none is under way.
    let jobs = farm.jds().custom_jobs;
    farm.until("a job is acknowledged", |farm| (farm.jds().custom_jobs > jobs).then_some(()));
    let hang_up = JdsFaults { hang_up_after_declaration: true, ..JdsFaults::default() };
    let at = farm.faults(hang_up);
    let before = farm.jds();
    farm.pool.new_tip();
    let why = farm.wait_left("");
    let left_after = at.elapsed();
    let limit = Duration::from_secs(3) + farm.stalls.grace();
    assert!(left_after < limit, "{left_after:?} of {limit:?}");
    farm.wait_acknowledged(POOL);
    let after = farm.jds();
    assert!(after.declared > before.declared, "the declaration was taken");
    assert_eq!(
        after.custom_jobs, before.custom_jobs,
        "and its job was not: its token was gone with the server"
    );
    farm.heal();
    let back = Instant::now();
    farm.wait_declared();
    let figures = format!(
        "server lost between DeclareMiningJob.Success and SetCustomMiningJob: left after {left_after:.1?} ({why}); \
         back {:.1?} after it",
        back.elapsed()
    );
    let books = farm.finish("24", &figures);
    assert_eq!((books.refused - books.refused_stale, books.unknown), (0, 0), "{books}");
}
