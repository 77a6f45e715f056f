//! Row 25: what a job declarator server may ask for, and what it must not.

use std::cell::Cell;

use integration_tests::fault_pipe::Way;
use lab::dev_pool::{AskFor, DevPoolOptions, JdsFaults};

use super::farm::{DECLARED, Farm, POOL};

/// Jobs that are acknowledged with it before it counts as kept.
const JOBS: u64 = 2;
/// The same, of jobs whose transactions are all asked for and fill a block.
const WHOLE_BLOCKS: u64 = 4;

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn what_may_be_asked_for_is_given_and_a_second_answer_changes_nothing() {
    let asks: [(&str, JdsFaults); 2] = [
        ("all transactions, known or not", JdsFaults { ask_for: AskFor::All, ..JdsFaults::default() }),
        ("each answer twice", JdsFaults { answer_twice: true, ..JdsFaults::default() }),
    ];
    std::thread::scope(|scope| {
        let tests = asks.map(|(what, faults)| scope.spawn(move || given(what, faults)));
        for test in tests {
            test.join().expect("each promise is kept");
        }
    });
}

fn given(what: &str, faults: JdsFaults) {
    let farm = Farm::start(|_| ());
    let switches = farm.switches();
    farm.faults(faults);
    farm.pool.new_tip();
    let before = farm.jds();
    farm.until("further jobs are acknowledged", |farm| {
        (farm.jds().custom_jobs >= before.custom_jobs + JOBS).then_some(())
    });
    farm.wait_acknowledged(DECLARED);
    let after = farm.jds();
    assert_eq!((farm.adit.active().as_deref(), farm.switches()), (Some(DECLARED), switches), "{what}");
    assert_eq!(after.connections_total, before.connections_total, "{what}: the link stands");
    let given = after.transactions_provided - before.transactions_provided;
    assert!(what.starts_with("each") || given > 0, "{what}: {given}");
    let custom = after.custom_jobs - before.custom_jobs;
    let books = farm.finish("25", &format!("{what}: {custom} jobs, {given} transactions given"));
    assert_eq!((books.refused - books.refused_stale, books.unknown), (0, 0), "{what}: {books}");
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn what_must_not_be_asked_for_ends_the_servers_link_and_costs_no_more_than_that() {
    let asks: [(&str, AskFor); 4] = [
        ("one more than there are", AskFor::Nonexistent),
        ("each twice in one request", AskFor::EachTwice),
        ("all again after each answer", AskFor::Again),
        ("65,535 transactions", AskFor::Most),
    ];
    std::thread::scope(|scope| {
        let tests = asks.map(|(what, ask_for)| scope.spawn(move || not_given(what, ask_for)));
        for test in tests {
            test.join().expect("each promise is kept");
        }
    });
}

fn not_given(what: &str, ask_for: AskFor) {
    let farm = Farm::start(|_| ());
    let memory = farm.adit.resident();
    let at = farm.faults(JdsFaults { ask_for, ..JdsFaults::default() });
    farm.pool.new_tip();
    let why = farm.wait_left("");
    let left_after = at.elapsed();
    farm.wait_acknowledged(POOL);
    let given = farm.jds().transactions_provided;
    let grown = farm.adit.resident().saturating_sub(memory);
    assert!(grown < 16 << 20, "{what}: {grown} bytes of memory");
    farm.heal();
    farm.wait_declared();
    let figures = format!(
        "asked for {what}: left after {left_after:.1?} ({why}); {given} transactions given in all, {grown} bytes of memory"
    );
    let books = farm.finish("25", &figures);
    assert_eq!((books.refused - books.refused_stale, books.unknown), (0, 0), "{what}: {books}");
}

/// Transactions that fill a block, 9.8 kB each.
fn fill_blocks(options: &mut DevPoolOptions) {
    (options.chain.dummy_transactions, options.chain.witness_padding) = (400, 9_700);
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn a_whole_block_of_transactions_is_given_and_takes_the_memory_of_a_few() {
    let farm = Farm::start(fill_blocks);
    let (memory, sent) = (farm.adit.resident(), farm.pipe.passed(Way::Up));
    let switches = farm.switches();
    farm.faults(JdsFaults { ask_for: AskFor::All, ..JdsFaults::default() });
    let before = farm.jds();
    farm.pool.new_tip();
    let most = Cell::new(memory);
    // One may have been on its way when everything began to be asked for.
    farm.until("further jobs are acknowledged, whose transactions were all given", |farm| {
        most.set(most.get().max(farm.adit.resident()));
        let now = farm.jds();
        let given = now.transactions_provided - before.transactions_provided;
        let acknowledged = now.custom_jobs >= before.custom_jobs + WHOLE_BLOCKS;
        (acknowledged && given >= 400 * WHOLE_BLOCKS).then_some(())
    });
    farm.wait_acknowledged(DECLARED);
    assert_eq!((farm.adit.active().as_deref(), farm.switches()), (Some(DECLARED), switches));
    let given = farm.jds().transactions_provided - before.transactions_provided;
    let sent = farm.pipe.passed(Way::Up) - sent;
    assert!(
        given >= 400 * WHOLE_BLOCKS && sent > 3_900_000 * WHOLE_BLOCKS,
        "{given} transactions, {sent} bytes"
    );
    let grown = most.get() - memory;
    assert!(grown < 32 << 20, "{grown} bytes of memory more than {memory}");
    let figures = format!(
        "{given} transactions given in {:.1} MB for {WHOLE_BLOCKS} whole blocks, {:.1} MB of memory more than the {:.1} MB \
         before",
        sent as f64 / 1e6,
        grown as f64 / 1e6,
        memory as f64 / 1e6
    );
    let books = farm.finish("25", &figures);
    assert_eq!((books.refused - books.refused_stale, books.unknown), (0, 0), "{books}");
}
