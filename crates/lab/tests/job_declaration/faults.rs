//! A server that misbehaves as it is told to, against the product's declarator and by hand.

use std::time::Duration;

use engine::source::{DECLARE_DEADLINE, DeclareFailure, DownReason, JdsEvent};
use lab::dev_pool::{AskFor, JdsFaults};
use lab::sv2_client::Sv2ClientError;

use crate::declarator::Declarator;
use crate::farm::{Custom, Farm, bind, coinbase, declaration, mine, options};
use crate::miner::{Miner, Said as MinerSaid};
use crate::raw::{Declare, Raw, Said};

fn faults(change: impl FnOnce(&mut JdsFaults)) -> JdsFaults {
    let mut faults = JdsFaults::default();
    change(&mut faults);
    faults
}

#[tokio::test]
async fn silence_at_each_step_is_silence_and_what_comes_after_is_answered() {
    let pool = bind(options()).await;
    let mut farm = Farm::of(&pool);
    let template = farm.template().await;
    let (mut raw, mut miner) = (Raw::set_up(&pool, true).await, Miner::open(&pool).await);

    pool.set_jds_faults(faults(|f| f.silent_token = true));
    raw.ask_token().await;
    // A question that is always answered comes back only after the one before it was dealt with.
    let nonsense = Declare {
        token: vec![1],
        version: 0,
        prefix: Vec::new(),
        suffix: Vec::new(),
        wtxids: Vec::new(),
        transactions: Vec::new(),
    };
    assert_eq!(raw.declare(&nonsense).await.unwrap_err().0, "invalid-mining-job-token");
    pool.set_jds_faults(JdsFaults::default());
    let (token, outputs) = raw.token().await;

    let coinbase = coinbase(&template, &outputs);
    pool.set_jds_faults(faults(|f| f.silent_declaration = true));
    raw.send_declaration(&Declare::new(&token, &template, &coinbase)).await;
    let (token, _) = raw.token().await;

    pool.set_jds_faults(faults(|f| (f.silent_missing_transactions, f.ask_for) = (true, AskFor::All)));
    let job = Declare::new(&token, &template, &coinbase);
    raw.send_declaration(&job).await;
    let Said::Missing { request_id, .. } = raw.hear().await else { panic!("all is asked for") };
    let bytes: Vec<&[u8]> = job.transactions.iter().map(|transaction| &*transaction.bytes).collect();
    raw.provide(request_id, &bytes).await;
    let (token, _) = raw.token().await;

    pool.set_jds_faults(JdsFaults::default());
    let token = raw.declare(&Declare::new(&token, &template, &coinbase)).await.unwrap();
    pool.set_jds_faults(faults(|f| f.silent_custom_job = true));
    let custom = Custom::new(miner.channel_id, &token, &template, &coinbase);
    miner.send_custom(&custom).await;
    // The next one is answered with a share's refusal.
    let share = mine(&template, &coinbase, &miner, true, 0);
    assert_eq!(miner.submit(1, &share).await, Err("invalid-job-id".to_owned()));
    pool.set_jds_faults(JdsFaults::default());
    assert!(miner.custom(&custom).await.is_ok());
    assert_eq!(pool.stats().jds.declared, 1);
}

#[tokio::test]
async fn a_silent_set_up_and_a_dropped_connection_are_a_servers_end() {
    let pool = bind(options()).await;
    pool.set_jds_faults(faults(|f| f.silent_setup = true));
    let mut declarator = Declarator::connect(&pool, true).await;
    declarator.wait(Duration::from_secs(60)).await;
    assert_eq!(declarator.event().await, JdsEvent::Down(DownReason::Silent("SetupConnection")));

    pool.set_jds_faults(JdsFaults::default());
    let mut farm = Farm::of(&pool);
    let template = farm.template().await;
    let (mut declarator, outputs) = Declarator::ready(&pool, true).await;
    let coinbase = coinbase(&template, &outputs);
    let token = declarator.declare(declaration(1, &template, &coinbase)).await;
    pool.disconnect_jds();
    assert!(matches!(declarator.outcome().await, JdsEvent::Down(DownReason::Lost(_))));
    // What it had declared went with it; the mining connection did not.
    let mut miner = Miner::open(&pool).await;
    let late = miner.custom(&Custom::new(miner.channel_id, &token, &template, &coinbase)).await;
    assert_eq!(late, Err("invalid-mining-job-token".to_owned()));
    Declarator::ready(&pool, true).await;
}

#[tokio::test]
async fn a_silent_declaration_and_refusals_reach_whoever_declares() {
    let pool = bind(options()).await;
    let (mut farm, mut miner) = (Farm::of(&pool), Miner::open(&pool).await);
    let template = farm.template().await;
    let (mut declarator, outputs) = Declarator::ready(&pool, true).await;
    let coinbase = coinbase(&template, &outputs);

    pool.set_jds_faults(faults(|f| f.refuse_declarations = Some("no-thanks".to_owned())));
    declarator.send(declaration(1, &template, &coinbase)).await;
    let JdsEvent::NotDeclared { number: 1, why: DeclareFailure::Refused { code, .. } } =
        declarator.outcome().await
    else {
        panic!("it is refused")
    };
    assert_eq!(code, "no-thanks");

    pool.set_jds_faults(faults(|f| f.refuse_custom_jobs = Some("not-today".to_owned())));
    let token = declarator.declare(declaration(2, &template, &coinbase)).await;
    let custom = Custom::new(miner.channel_id, &token, &template, &coinbase);
    assert_eq!(miner.custom(&custom).await, Err("not-today".to_owned()));

    pool.set_jds_faults(faults(|f| f.refuse_shares = Some("difficulty-too-low".to_owned())));
    let token = declarator.declare(declaration(3, &template, &coinbase)).await;
    let job_id = miner.custom(&Custom::new(miner.channel_id, &token, &template, &coinbase)).await.unwrap();
    let share = mine(&template, &coinbase, &miner, true, 0);
    assert_eq!(miner.submit(job_id, &share).await, Err("difficulty-too-low".to_owned()));
    assert_eq!(pool.stats().rejected["difficulty-too-low"], 1);

    pool.set_jds_faults(faults(|f| f.silent_declaration = true));
    declarator.send(declaration(4, &template, &coinbase)).await;
    declarator.wait(DECLARE_DEADLINE).await;
    let silent = JdsEvent::NotDeclared { number: 4, why: DeclareFailure::Silent };
    assert_eq!(declarator.outcome().await, silent);
}

#[tokio::test]
async fn whoever_asks_for_what_is_not_there_or_twice_or_for_ever_is_left() {
    for (ask_for, what) in [
        (AskFor::Nonexistent, "that were declared"),
        (AskFor::EachTwice, "twice"),
        (AskFor::Again, "more than 3 times"),
    ] {
        let pool = bind(options()).await;
        pool.set_jds_faults(faults(|f| f.ask_for = ask_for));
        let template = Farm::of(&pool).template().await;
        let (mut declarator, outputs) = Declarator::ready(&pool, true).await;
        declarator.send(declaration(1, &template, &coinbase(&template, &outputs))).await;
        let lost = JdsEvent::NotDeclared { number: 1, why: DeclareFailure::Lost };
        assert_eq!(declarator.outcome().await, lost);
        let JdsEvent::Down(DownReason::Protocol(why)) = declarator.outcome().await else {
            panic!("{ask_for:?}")
        };
        assert!(why.contains(what), "{ask_for:?}: {why}");
    }
}

#[tokio::test]
async fn answers_that_come_twice_and_a_prefix_that_changes_just_before_are_survived() {
    let pool = bind(options()).await;
    pool.set_jds_faults(faults(|f| {
        (f.answer_twice, f.change_prefix, f.ask_for) = (true, true, AskFor::All);
    }));
    let (mut farm, mut miner) = (Farm::of(&pool), Miner::open(&pool).await);
    let template = farm.template().await;
    let (mut declarator, outputs) = Declarator::ready(&pool, true).await;
    let coinbase = coinbase(&template, &outputs);
    let token = declarator.declare(declaration(1, &template, &coinbase)).await;
    // The second answer is read with what comes next.
    declarator.declare(declaration(2, &template, &coinbase)).await;
    assert!(declarator.client.stray_answers() >= 1);

    let request = miner.send_custom(&Custom::new(miner.channel_id, &token, &template, &coinbase)).await;
    let MinerSaid::Prefix(prefix) = miner.hear().await else { panic!("the prefix comes first") };
    assert_ne!(prefix, miner.prefix);
    let MinerSaid::Custom(first, Ok(job_id)) = miner.hear().await else { panic!("then the answer") };
    assert_eq!(miner.hear().await, MinerSaid::Custom(request, Ok(job_id)));
    assert_eq!(first, request);
    // The job is hashed with the prefix that was told before its answer: with the old one this block is none.
    let old = mine(&template, &coinbase, &miner, true, 0);
    miner.prefix = prefix;
    let block = mine(&template, &coinbase, &miner, true, old.nonce + 1);
    assert_eq!(miner.submit(job_id, &block).await, Ok(()));
    assert_eq!(pool.tip().height, 1);
}

#[tokio::test]
async fn all_connections_end_with_the_pools() {
    let pool = bind(options()).await;
    let mut raw = Raw::set_up(&pool, true).await;
    pool.disconnect_all();
    assert!(matches!(raw.try_hear().await, Err(Sv2ClientError::Closed | Sv2ClientError::Io(_))));
    let mut raw = Raw::set_up(&pool, true).await;
    pool.shutdown().await;
    assert!(matches!(raw.try_hear().await, Err(Sv2ClientError::Closed | Sv2ClientError::Io(_))));
}
