//! A declarator that means harm.

use lab::dev_pool::{AskFor, JdsFaults};
use lab::sv2_client::Sv2ClientError;
use sv2::common::PROTOCOL_JOB_DECLARATION;
use sv2::job_declaration::{AllocateMiningJobToken, DECLARE_TX_DATA, DeclareMiningJobSuccess, PushSolution};
use sv2::{B032, B0255, Message, Str0255};

use crate::farm::{Custom, Farm, bind, coinbase, options, with_jds};
use crate::miner::{Miner, setup};
use crate::raw::{Declare, Raw, Said};

async fn is_closed(raw: &mut Raw) -> bool {
    matches!(raw.try_hear().await, Err(Sv2ClientError::Closed | Sv2ClientError::Io(_)))
}

#[tokio::test]
async fn what_is_no_message_or_comes_out_of_place_ends_the_connection_and_nothing_else() {
    let pool = bind(options()).await;
    let mut steady = Raw::set_up(&pool, true).await;
    // Before SetupConnection.
    let mut raw = Raw::connect(&pool).await;
    raw.send(&AllocateMiningJobToken { user_identifier: Str0255::truncated(""), request_id: 1 }).await;
    assert!(is_closed(&mut raw).await);
    // SetupConnection twice.
    let mut raw = Raw::set_up(&pool, true).await;
    raw.send(&setup(PROTOCOL_JOB_DECLARATION, DECLARE_TX_DATA)).await;
    assert!(is_closed(&mut raw).await);
    // A server's message.
    let mut raw = Raw::set_up(&pool, true).await;
    raw.send(&DeclareMiningJobSuccess { request_id: 1, new_mining_job_token: B0255::default() }).await;
    assert!(is_closed(&mut raw).await);
    // A declaration where only tokens were agreed on.
    let template = Farm::of(&pool).template().await;
    let mut raw = Raw::set_up(&pool, false).await;
    let (token, outputs) = raw.token().await;
    raw.send_declaration(&Declare::new(&token, &template, &coinbase(&template, &outputs))).await;
    assert!(is_closed(&mut raw).await);
    // A payload that is cut off: the message says 255 bytes and has one.
    let mut raw = Raw::set_up(&pool, true).await;
    raw.link.plain.extend_from_slice(&[0, 0, AllocateMiningJobToken::MSG_TYPE, 2, 0, 0, 255, 1]);
    raw.link.flush().await.unwrap();
    assert!(is_closed(&mut raw).await);
    // Five million bytes: more than a whole block. The header is enough to see it.
    let mut raw = Raw::set_up(&pool, true).await;
    raw.link.plain.extend_from_slice(&[0, 0, AllocateMiningJobToken::MSG_TYPE, 0x40, 0x4b, 0x4c]);
    raw.link.plain.extend_from_slice(&vec![0; 5_000_000]);
    let sent = raw.link.flush().await;
    assert!(matches!(sent, Err(Sv2ClientError::Io(_))) || is_closed(&mut raw).await);
    assert_eq!(steady.token().await.1.len(), 1);
}

#[tokio::test]
async fn a_solution_without_a_declared_job_is_counted_and_nothing_else() {
    let pool = bind(options()).await;
    for full_template in [true, false] {
        let mut raw = Raw::set_up(&pool, full_template).await;
        raw.send(&PushSolution {
            extranonce: B032::new(&[7; 22]).unwrap(),
            prev_hash: [1; 32],
            ntime: 1_800_000_000,
            nonce: 1,
            nbits: 0x207f_ffff,
            version: 0x2000_0000,
        })
        .await;
        // The next answer comes after it was read.
        raw.token().await;
    }
    let stats = pool.stats();
    assert_eq!((stats.jds.solutions, stats.jds.solutions_useless, stats.blocks_found), (2, 2, 0));
}

#[tokio::test]
async fn lists_that_no_block_could_have_are_refused_before_anything_is_asked_for() {
    let pool = bind(options()).await;
    let template = Farm::of(&pool).template().await;
    let mut raw = Raw::set_up(&pool, true).await;
    let (token, outputs) = raw.token().await;
    let mut job = Declare::new(&token, &template, &coinbase(&template, &outputs));
    job.wtxids = (0..65_535_u32)
        .map(|number| {
            let mut wtxid = [0; 32];
            wtxid[..4].copy_from_slice(&number.to_le_bytes());
            wtxid
        })
        .collect();
    let (code, why) = raw.declare(&job).await.unwrap_err();
    assert!(code == "invalid-job" && why.contains("65535"), "{code} {why}");
    assert_eq!(pool.stats().jds.transactions_asked, 0);
}

#[tokio::test]
async fn tokens_and_open_declarations_have_a_bound_and_the_oldest_go() {
    let pool = bind(with_jds(|jds| jds.max_tokens = 10)).await;
    pool.set_jds_faults(JdsFaults { ask_for: AskFor::All, ..JdsFaults::default() });
    let template = Farm::of(&pool).template().await;
    let mut raw = Raw::set_up(&pool, true).await;
    let mut tokens = Vec::new();
    for _ in 0..500 {
        tokens.push(raw.token().await);
    }
    let coinbase = coinbase(&template, &tokens[0].1);
    let first = Declare::new(&tokens[0].0, &template, &coinbase);
    assert_eq!(raw.declare(&first).await.unwrap_err().0, "invalid-mining-job-token");
    // Ten declarations whose transactions never come.
    let mut open = Vec::new();
    for (token, _) in &tokens[490..] {
        let request = raw.send_declaration(&Declare::new(token, &template, &coinbase)).await;
        assert!(matches!(raw.hear().await, Said::Missing { request_id, .. } if request_id == request));
        open.push(request);
    }
    let bytes: Vec<&[u8]> = first.transactions.iter().map(|transaction| &*transaction.bytes).collect();
    // The first was forgotten; the last was not.
    raw.provide(open[0], &bytes).await;
    raw.provide(open[9], &bytes).await;
    assert!(matches!(raw.hear().await, Said::Declared { request_id, .. } if request_id == open[9]));
    assert_eq!(pool.stats().jds.stray_answers, 1);
}

#[tokio::test]
async fn transactions_are_taken_as_they_were_asked_for_and_not_otherwise() {
    let pool = bind(options()).await;
    pool.set_jds_faults(JdsFaults { ask_for: AskFor::All, ..JdsFaults::default() });
    let template = Farm::of(&pool).template().await;
    let mut raw = Raw::set_up(&pool, true).await;
    // Nobody asked.
    raw.provide(77, &[&vec![0; 100_000]]).await;
    let (token, outputs) = raw.token().await;
    let coinbase = coinbase(&template, &outputs);
    let job = Declare::new(&token, &template, &coinbase);
    let bytes: Vec<&[u8]> = job.transactions.iter().map(|transaction| &*transaction.bytes).collect();
    let swapped: Vec<&[u8]> = bytes.iter().rev().copied().collect();
    let too_many: Vec<&[u8]> = bytes.iter().copied().chain([bytes[0]]).collect();
    let garbage: Vec<&[u8]> = vec![&[0xff; 50]; bytes.len()];
    let huge = vec![0; 3_900_000];
    let heavy: Vec<&[u8]> = vec![&huge];
    for answer in [&bytes[1..], &swapped, &too_many, &garbage, &heavy, &[]] {
        let (token, _) = raw.token().await;
        raw.send_declaration(&Declare::new(&token, &template, &coinbase)).await;
        let Said::Missing { request_id, .. } = raw.hear().await else { panic!("all is asked for") };
        raw.provide(request_id, answer).await;
        let Said::NotDeclared { code, .. } = raw.hear().await else { panic!("it is refused") };
        assert_eq!(code, "missing-txs");
        // What came too late for it is nothing any more.
        raw.provide(request_id, &bytes).await;
    }
    raw.declare(&job).await.unwrap();
    assert_eq!(pool.stats().jds.stray_answers, 7);
}

#[tokio::test]
async fn a_token_of_one_connection_is_none_on_another_and_none_after_its_end() {
    let pool = bind(options()).await;
    let (mut farm, mut miner) = (Farm::of(&pool), Miner::open(&pool).await);
    let template = farm.template().await;
    let (mut one, mut two) = (Raw::set_up(&pool, true).await, Raw::set_up(&pool, true).await);
    let (token, outputs) = one.token().await;
    let coinbase = coinbase(&template, &outputs);
    let stolen = two.declare(&Declare::new(&token, &template, &coinbase)).await;
    assert_eq!(stolen.unwrap_err().0, "invalid-mining-job-token");
    let declared = one.declare(&Declare::new(&token, &template, &coinbase)).await.unwrap();
    // The pool closes it, so that its end is sure to be over.
    one.send(&setup(PROTOCOL_JOB_DECLARATION, DECLARE_TX_DATA)).await;
    assert!(is_closed(&mut one).await);
    let late = miner.custom(&Custom::new(miner.channel_id, &declared, &template, &coinbase)).await;
    assert_eq!(late, Err("invalid-mining-job-token".to_owned()));
}
