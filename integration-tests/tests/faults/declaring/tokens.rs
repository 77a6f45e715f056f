//! Row 24: tokens that the server has forgotten before they are used.

use std::time::Duration;

use lab::dev_pool::JdsFaults;

use super::farm::{DECLARED, Farm};

/// The node has a better template this often.
const REFRESH: Duration = Duration::from_secs(4);
/// Jobs that are acknowledged with it before it counts as kept.
const JOBS: u64 = 3;

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn a_token_that_was_forgotten_is_fetched_anew_and_its_job_declared_again() {
    // Each is as old as a template when the next one is declared with it; one that is fetched then has time.
    let farm = Farm::start_refreshing(REFRESH, |options| {
        let jds = options.jds.as_mut().expect("it has a server");
        jds.allocated_token_time = REFRESH * 3 / 4;
    });
    let code = "invalid-mining-job-token";
    let switches = farm.switches();
    farm.faults(JdsFaults::default());
    let refused = |farm: &Farm| farm.jds().declarations_refused.get(code).copied().unwrap_or(0);
    let waited = |farm: &Farm| farm.adit.metric("adit_template_to_ack_seconds_sum", &[]);
    let (jobs, before, waited_before) = (farm.jds().custom_jobs, refused(&farm), waited(&farm));
    farm.pool.new_tip();
    farm.until("forgotten tokens are replaced", |farm| {
        (refused(farm) >= before + JOBS && farm.jds().custom_jobs >= jobs + JOBS).then_some(())
    });
    farm.wait_acknowledged(DECLARED);
    assert_eq!((farm.adit.active().as_deref(), farm.switches()), (Some(DECLARED), switches));
    let (jobs, refused) = (farm.jds().custom_jobs - jobs, refused(&farm) - before);
    let each = Duration::from_secs_f64((waited(&farm) - waited_before) / jobs as f64);
    let limit = Duration::from_secs(1) + farm.stalls.grace();
    assert!(each < limit, "{each:?} of {limit:?}");
    let figures =
        format!("{refused} forgotten tokens for {jobs} jobs: acknowledged {each:.1?} after their template");
    let books = farm.finish("24", &figures);
    assert_eq!((books.refused - books.refused_stale, books.unknown), (0, 0), "{books}");
}
