//! Row 26: the pool changes what stands in the coinbase: its outputs, or the extranonce prefix.

use std::time::Instant;

use lab::dev_pool::JdsFaults;

use super::farm::{DECLARED, Farm};

/// Scripts of a pool's payout: this many with each a number of its own, the longest that the server sends.
fn scripts(count: u8) -> Vec<Vec<u8>> {
    (0..count)
        .map(|number| {
            let mut script = vec![0x00, 0x14];
            script.resize(22, number);
            script
        })
        .collect()
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn other_outputs_of_the_pool_are_in_the_next_job_and_no_share_is_lost() {
    let farm = Farm::start(|_| ());
    let switches = farm.switches();
    farm.faults(JdsFaults::default());
    let mut figures = Vec::new();
    for count in [2, 100, 1] {
        let scripts = scripts(count);
        let at = Instant::now();
        farm.pool.set_payout_outputs(&scripts);
        farm.pool.new_tip();
        let last: String = scripts.iter().flat_map(|s| s.iter()).map(|byte| format!("{byte:02x}")).collect();
        let last = &last[last.len() - 44..];
        let heard = farm.until("a job pays the new outputs", |farm| {
            let heard = farm.client.heard();
            heard
                .into_iter()
                .find(|heard| heard.at >= at && heard.coinbase().is_some_and(|c| c.contains(last)))
        });
        farm.wait_declared();
        figures.push(format!("{count} in {:.1?}", heard.at - at));
    }
    assert_eq!(farm.adit.active().as_deref(), Some(DECLARED));
    let refused = farm.jds().declarations_refused;
    let switched = farm.switches() - switches;
    let figures = format!(
        "the pool's outputs changed: {}; refused {refused:?}, {switched} changes of source",
        figures.join(", ")
    );
    let books = farm.finish("26", &figures);
    assert_eq!((books.refused, books.unknown), (0, 0), "{books}");
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn a_prefix_that_changes_before_the_acknowledgement_costs_the_shares_held_and_no_miner_its_place() {
    let farm = Farm::start(|_| ());
    farm.faults(JdsFaults { change_prefix: true, ..JdsFaults::default() });
    farm.pool.new_tip();
    let at = Instant::now();
    let acknowledged = farm.jds().custom_jobs;
    farm.until("the pool has acknowledged jobs for which it changed the prefix", |farm| {
        (farm.jds().custom_jobs >= acknowledged + 2).then_some(())
    });
    let changed = farm.jds().custom_jobs - acknowledged;
    let span = at.elapsed();
    farm.heal();
    farm.pool.new_tip();
    farm.wait_declared();
    let figures = format!("prefix changed before {changed} acknowledgements within {span:.1?}");
    let books = farm.finish("26", &figures);
    assert_eq!(
        (books.refused, books.unknown),
        (0, 0),
        "no share is judged by a prefix that it was not found with: {books}"
    );
}
