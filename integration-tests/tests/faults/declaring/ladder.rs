//! Row 24: the last rung. Pool and job declarator server are both gone, and the farm mines for itself.

use std::time::{Duration, Instant};

use integration_tests::fault_pipe::Cut;
use lab::dev_pool::JdsFaults;

use super::farm::{Farm, SHARES_A_SECOND, SOLO};

/// The links end at once, and the farm's own templates are there already; on an idle machine.
const SOLO_AFTER: Duration = Duration::from_secs(3);

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn without_pool_and_server_the_farm_mines_for_itself_and_goes_back_up() {
    let farm = Farm::start_with_solo();
    let at = farm.faults(JdsFaults::default());
    for pipe in [&farm.pipe, &farm.pool_pipe] {
        pipe.refuse(true);
        pipe.cut(Cut::Rst);
    }
    farm.until("the route mines solo", |farm| (farm.adit.active().as_deref() == Some(SOLO)).then_some(()));
    let solo_after = at.elapsed();
    farm.until("shares are found for the farm itself", |farm| {
        (farm.adit.source_books(SOLO).submitted > 0).then_some(())
    });
    let found_after = at.elapsed();
    let limit = SOLO_AFTER + farm.stalls.grace();
    assert!(solo_after < limit, "{solo_after:?} of {limit:?}");
    // A block of others does not end it.
    farm.pool.new_tip();
    let shares = farm.adit.source_books(SOLO).submitted;
    farm.until("shares are found on the next tip", |farm| {
        (farm.adit.source_books(SOLO).submitted >= shares + 10).then_some(())
    });
    for pipe in [&farm.pipe, &farm.pool_pipe] {
        pipe.refuse(false);
    }
    let back = Instant::now();
    farm.wait_declared();
    let back_after = back.elapsed();
    let figures = format!(
        "pool and server gone: solo after {solo_after:.1?}, a share of it after {found_after:.1?}; declared again \
         {back_after:.1?} after both came back"
    );
    let cut_off = 5 + farm.stalls.meanwhile(SHARES_A_SECOND);
    let books = farm.finish("24", &figures);
    // Those that were on their way to the pool when its link was cut.
    assert!(books.refused == 0 && books.unknown <= cut_off, "{books}");
}
