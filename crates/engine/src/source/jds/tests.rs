//! The client against a server that the tests play by hand.

use sv2::job_declaration::{
    AllocateMiningJobToken, AllocateMiningJobTokenSuccess, DeclareMiningJob, DeclareMiningJobError,
    DeclareMiningJobSuccess, ProvideMissingTransactions, ProvideMissingTransactionsSuccess, PushSolution,
};
use work::coinbase::{Coinbase, CoinbaseTemplate, Output, write_outputs};
use work::{Header, TemplateTransaction};

use super::*;

fn at(seconds: f64) -> Now {
    Now { mono: Duration::from_secs_f64(seconds), unix: 1_700_000_000 }
}

fn settings(full_template: bool) -> JdsSettings {
    JdsSettings {
        host: "jds".to_owned(),
        port: 1,
        user_identifier: "farm".into(),
        insecure: false,
        full_template,
    }
}

/// The frames that the client has sent since the last look: message type and payload.
fn sent(fx: &mut JdsEffects) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    let bytes = std::mem::take(&mut fx.frames);
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let (header, payload, after) = FrameHeader::split(rest).unwrap();
        frames.push((header.msg_type, payload.to_vec()));
        rest = after;
    }
    frames
}

/// Hands the client a message.
fn hand<'a, M: Message<'a>>(client: &mut JobDeclarator, message: &M, now: Now, fx: &mut JdsEffects) {
    let mut frame = bytes::BytesMut::new();
    sv2::write_frame(message, &mut frame);
    let (header, payload, _) = FrameHeader::split(&frame).unwrap();
    client.frame(&header, payload, now, fx);
}

fn outputs() -> Vec<Output> {
    vec![
        Output { value: 0, script_pubkey: vec![0x51].into() },
        Output { value: 0, script_pubkey: vec![0x6a, 1, 7].into() },
    ]
}

/// Answers every request for a token that `frames` holds.
fn give_tokens(client: &mut JobDeclarator, frames: &[(u8, Vec<u8>)], now: Now, fx: &mut JdsEffects) -> usize {
    let list = write_outputs(&outputs());
    let mut given = 0;
    for (kind, payload) in frames {
        if *kind != AllocateMiningJobToken::MSG_TYPE {
            continue;
        }
        let request: AllocateMiningJobToken<'_> = parse(payload).unwrap();
        assert_eq!(request.user_identifier, "farm");
        let token = request.request_id.to_be_bytes();
        let message = AllocateMiningJobTokenSuccess {
            request_id: request.request_id,
            mining_job_token: token[..].try_into().unwrap(),
            coinbase_tx_outputs: (&*list).try_into().unwrap(),
        };
        hand(client, &message, now, fx);
        given += 1;
    }
    given
}

/// A client that is set up and has tokens in stock.
fn ready() -> (JobDeclarator, JdsEffects) {
    let mut client = JobDeclarator::new(settings(true), 1);
    let mut fx = JdsEffects::default();
    client.start();
    assert!(client.wants_connection());
    client.connected(LinkSecurity::Authenticated, at(0.0), &mut fx);
    let setup = sent(&mut fx);
    let setup: sv2::common::SetupConnection<'_> = parse(&setup[0].1).unwrap();
    assert_eq!((setup.protocol, setup.flags), (1, sv2::job_declaration::DECLARE_TX_DATA));
    hand(&mut client, &sv2::common::SetupConnectionSuccess { used_version: 2, flags: 0 }, at(0.1), &mut fx);
    let asked = sent(&mut fx);
    assert_eq!(give_tokens(&mut client, &asked, at(0.2), &mut fx), 2);
    assert_eq!(fx.events, [JdsEvent::Outputs(outputs().into()), JdsEvent::Token]);
    fx.events.clear();
    (client, fx)
}

fn declaration(number: u64, transactions: usize) -> Declaration {
    let template = CoinbaseTemplate {
        tx_version: 2,
        prefix: vec![1, 5].into(),
        input_sequence: u32::MAX,
        value_remaining: 50,
        outputs: Vec::new(),
        locktime: 0,
        witness_reserved_value: Some([0; 32]),
    };
    let transaction = |at: usize| {
        let byte = u8::try_from(at).unwrap();
        TemplateTransaction { bytes: vec![byte; at + 1].into(), txid: [byte; 32], wtxid: [byte; 32] }
    };
    Declaration {
        number,
        version: 0x2000_0000,
        coinbase: Arc::new(Coinbase::new(&template, &[], 16, &outputs()).unwrap()),
        transactions: (0..transactions).map(transaction).collect(),
        excess_data: Arc::default(),
    }
}

#[test]
fn a_template_is_declared_with_what_the_server_lacks_and_a_token_is_fetched_anew() {
    let (mut client, mut fx) = ready();
    let declared = declaration(7, 5);
    assert!(client.declare(declared.clone(), at(1.0), &mut fx));
    let frames = sent(&mut fx);
    let message: DeclareMiningJob<'_> = parse(&frames[0].1).unwrap();
    assert_eq!(message.coinbase_tx_prefix.as_slice(), declared.coinbase.declared_prefix());
    assert_eq!(message.coinbase_tx_suffix.as_slice(), declared.coinbase.declared_suffix());
    assert_eq!(message.wtxid_list.iter().collect::<Vec<_>>(), [[0; 32], [1; 32], [2; 32], [3; 32], [4; 32]]);
    // The token that was used is replaced.
    assert_eq!(give_tokens(&mut client, &frames, at(1.1), &mut fx), 1);

    let request_id = message.request_id;
    let wanted = [3_u16, 1];
    let unknown_tx_position_list = sv2::Seq064K::from_slice(&wanted).unwrap();
    hand(&mut client, &ProvideMissingTransactions { request_id, unknown_tx_position_list }, at(2.0), &mut fx);
    let answer = sent(&mut fx);
    let answer: ProvideMissingTransactionsSuccess<'_> = parse(&answer[0].1).unwrap();
    let given: Vec<Vec<u8>> = answer.transaction_list.iter().map(|bytes| bytes.as_slice().to_vec()).collect();
    assert_eq!((answer.request_id, given), (request_id, vec![vec![3; 4], vec![1; 2]]));

    let token = b"committed";
    let success = DeclareMiningJobSuccess { request_id, new_mining_job_token: token[..].try_into().unwrap() };
    hand(&mut client, &success, at(2.5), &mut fx);
    assert_eq!(fx.events, [JdsEvent::Declared { number: 7, token: token.to_vec() }]);
    // Twice is once.
    hand(&mut client, &success, at(2.6), &mut fx);
    assert_eq!((fx.events.len(), client.stray_answers()), (1, 1));
}

#[test]
fn refusals_silence_and_a_lost_link_are_told_apart() {
    let (mut client, mut fx) = ready();
    assert!(client.declare(declaration(1, 0), at(1.0), &mut fx));
    assert!(client.declare(declaration(2, 0), at(1.0), &mut fx));
    let frames = sent(&mut fx);
    let message: DeclareMiningJob<'_> = parse(&frames[0].1).unwrap();
    // Without a token nothing can be declared.
    assert!(!client.declare(declaration(3, 0), at(1.0), &mut fx));
    let error = DeclareMiningJobError {
        request_id: message.request_id,
        error_code: sv2::Str0255::truncated("stale-chain-tip"),
        error_details: sv2::B064K::EMPTY,
    };
    hand(&mut client, &error, at(1.5), &mut fx);
    let [JdsEvent::NotDeclared { number: 1, why }] = &fx.events[..] else { panic!("{:?}", fx.events) };
    assert!(why.is_stale_tip());
    fx.events.clear();
    assert_eq!(give_tokens(&mut client, &frames, at(1.5), &mut fx), 2);
    fx.events.clear();

    assert_eq!(client.deadline(), Some(at(1.0).mono + DECLARE_DEADLINE));
    client.timer(at(6.1), &mut fx);
    assert_eq!(fx.events, [JdsEvent::NotDeclared { number: 2, why: DeclareFailure::Silent }]);
    fx.events.clear();

    assert!(client.declare(declaration(4, 0), at(7.0), &mut fx));
    client.disconnected(DownReason::Lost("reset".to_owned()), at(7.5), &mut fx);
    assert_eq!(fx.events[0], JdsEvent::NotDeclared { number: 4, why: DeclareFailure::Lost });
    assert!(matches!(fx.events[1], JdsEvent::Down(DownReason::Lost(_))) && fx.hang_up);
    // And it is tried again.
    let again = client.deadline().unwrap();
    client.timer(Now { mono: again, unix: 0 }, &mut fx);
    assert!(client.wants_connection());
}

#[test]
fn what_was_forgotten_is_not_told_of() {
    let (mut client, mut fx) = ready();
    assert!(client.declare(declaration(1, 0), at(1.0), &mut fx));
    let frames = sent(&mut fx);
    let message: DeclareMiningJob<'_> = parse(&frames[0].1).unwrap();
    client.forget(1);
    let new_mining_job_token = sv2::B0255::EMPTY;
    let late = DeclareMiningJobSuccess { request_id: message.request_id, new_mining_job_token };
    hand(&mut client, &late, at(1.5), &mut fx);
    assert!(fx.events.is_empty() && client.stray_answers() == 1);
}

#[test]
fn a_server_that_asks_for_what_was_not_declared_is_left() {
    for (wanted, what) in [(vec![5_u16], "of 5"), (vec![1, 1], "twice"), (vec![u16::MAX], "65535")] {
        let (mut client, mut fx) = ready();
        assert!(client.declare(declaration(1, 5), at(1.0), &mut fx));
        let frames = sent(&mut fx);
        let message: DeclareMiningJob<'_> = parse(&frames[0].1).unwrap();
        let unknown_tx_position_list = sv2::Seq064K::from_slice(&wanted).unwrap();
        let request = ProvideMissingTransactions { request_id: message.request_id, unknown_tx_position_list };
        hand(&mut client, &request, at(1.5), &mut fx);
        let Some(JdsEvent::Down(DownReason::Protocol(why))) = fx.events.last() else {
            panic!("{:?}", fx.events)
        };
        assert!(why.contains(what) && fx.hang_up, "{why}");
        assert!(sent(&mut fx).is_empty(), "nothing was given");
    }
}

#[test]
fn asking_again_and_again_ends_the_connection() {
    let (mut client, mut fx) = ready();
    assert!(client.declare(declaration(1, 5), at(1.0), &mut fx));
    let frames = sent(&mut fx);
    let request_id = parse::<DeclareMiningJob<'_>>(&frames[0].1).unwrap().request_id;
    for _ in 0..=MAX_MISSING_REQUESTS {
        assert!(!fx.hang_up);
        let unknown_tx_position_list = sv2::Seq064K::from_slice(&[0_u16]).unwrap();
        let request = ProvideMissingTransactions { request_id, unknown_tx_position_list };
        hand(&mut client, &request, at(1.5), &mut fx);
    }
    assert!(fx.hang_up);
}

#[test]
fn old_tokens_are_replaced_and_one_that_never_comes_ends_the_connection() {
    let (mut client, mut fx) = ready();
    assert_eq!(client.deadline(), Some(at(60.2).mono));
    client.timer(at(60.2), &mut fx);
    let asked = sent(&mut fx);
    assert_eq!(asked.iter().filter(|(kind, _)| *kind == AllocateMiningJobToken::MSG_TYPE).count(), 2);
    client.timer(at(70.2), &mut fx);
    let Some(JdsEvent::Down(why)) = fx.events.last() else { panic!("{:?}", fx.events) };
    assert_eq!(*why, DownReason::Silent("AllocateMiningJobToken"));
}

#[test]
fn tokens_that_came_with_other_outputs_are_not_used_any_more() {
    let (mut client, mut fx) = ready();
    assert!(client.take_token(at(1.0), &mut fx).is_some());
    let asked = sent(&mut fx);
    let request: AllocateMiningJobToken<'_> = parse(&asked[0].1).unwrap();
    let list = write_outputs(&outputs()[..1]);
    let message = AllocateMiningJobTokenSuccess {
        request_id: request.request_id,
        mining_job_token: b"new"[..].try_into().unwrap(),
        coinbase_tx_outputs: (&*list).try_into().unwrap(),
    };
    hand(&mut client, &message, at(1.1), &mut fx);
    assert_eq!(fx.events, [JdsEvent::Outputs(outputs()[..1].into()), JdsEvent::Token]);
    assert_eq!(client.take_token(at(1.2), &mut fx).as_deref(), Some(&b"new"[..]));
}

#[test]
fn a_block_is_pushed_as_it_is() {
    let (mut client, mut fx) = ready();
    let header =
        Header { version: 1, prev_hash: [2; 32], merkle_root: [3; 32], ntime: 4, nbits: 5, nonce: 6 };
    client.push_solution(&PushedSolution { header, extranonce: vec![9; 20] }, &mut fx);
    let frames = sent(&mut fx);
    let message: PushSolution<'_> = parse(&frames[0].1).unwrap();
    assert_eq!((message.version, message.ntime, message.nbits, message.nonce), (1, 4, 5, 6));
    assert_eq!((message.extranonce.as_slice(), message.prev_hash), (&[9; 20][..], [2; 32]));
}

#[test]
fn nobody_vouches_for_the_server() {
    let mut client = JobDeclarator::new(settings(true), 1);
    let mut fx = JdsEffects::default();
    client.start();
    client.connected(LinkSecurity::Unauthenticated, at(0.0), &mut fx);
    assert!(fx.hang_up && fx.frames.is_empty());
    assert_eq!(fx.events, [JdsEvent::Down(DownReason::NotAuthenticated)]);
}
