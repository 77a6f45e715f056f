//! Row 26: the pool changes what stands in the coinbase: its outputs, or the extranonce prefix.

use std::time::Instant;

use lab::dev_pool::JdsFaults;

use super::farm::{DECLARED, Farm, POOL};

/// Scripts of a pool's payout: this many with each a number of its own, the longest that the server sends.
fn scripts(count: u16) -> Vec<Vec<u8>> {
    (0..count)
        .map(|number| {
            let number = number.to_be_bytes();
            [&[0x00, 0x14][..], &number.repeat(10)].concat()
        })
        .collect()
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn other_outputs_of_the_pool_are_in_the_next_job_and_no_share_is_lost() {
    // Before them stands the longest input script that there is, but for the few bytes of a low height.
    let farm = Farm::start(|options| (options.extranonce_prefix_size, options.extranonce_size) = (16, 16));
    let switches = farm.switches();
    farm.faults(JdsFaults::default());
    let mut figures = Vec::new();
    // With the witness commitment 252, 253 and 254: from the second on their number takes three bytes.
    for count in [2, 100, 251, 252, 253, 1] {
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
    assert_eq!((books.refused - books.refused_stale, books.unknown), (0, 0), "{books}");
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
        (books.refused - books.refused_stale, books.unknown),
        (0, 0),
        "no share is judged by a prefix that it was not found with: {books}"
    );
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn tokens_without_a_payout_end_the_servers_link_and_cost_no_more_than_that() {
    let farm = Farm::start(|_| ());
    farm.faults(JdsFaults::default());
    farm.pool.set_payout_outputs(&[]);
    farm.until("the reason is shown", |farm| {
        let why = farm.declaration()["jds_last_down"].as_str()?.to_owned();
        why.contains("without a payout output").then_some(())
    });
    // Its acknowledged job is paid for while the tip stands.
    assert_eq!(farm.adit.active().as_deref(), Some(DECLARED));
    farm.wait_acknowledged(DECLARED);
    let at = Instant::now();
    farm.pool.new_tip();
    let why = farm.wait_left("no job declarator server: ");
    let left_after = at.elapsed();
    assert!(why.starts_with("no job declarator server: "), "{why}");
    farm.wait_acknowledged(POOL);
    farm.pool.set_payout_outputs(&scripts(1));
    let at = Instant::now();
    farm.wait_declared();
    let figures = format!(
        "tokens without any output: left {left_after:.1?} after the next tip, back {:.1?} after it names one",
        at.elapsed()
    );
    let books = farm.finish("26", &figures);
    assert_eq!((books.refused - books.refused_stale, books.unknown), (0, 0), "{books}");
}
