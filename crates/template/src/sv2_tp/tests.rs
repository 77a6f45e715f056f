//! The client's rules, one by one, and over random servers.

use std::sync::Arc;
use std::time::Duration;

use bitcoin::consensus;
use bitcoin::hashes::Hash as _;
use bytes::BytesMut;
use proptest::prelude::*;
use sv2::template_distribution as td;
use sv2::{AnyMessage, FrameHeader, Message};
use work::coinbase::Output as TxOutput;
use work::{CoinbaseConstraints, Header, Template, TemplateTransaction, merkle};

use super::client::{FIRST_TEMPLATE, FUTURE, SETUP, TOLD, TRANSACTIONS, TpClient, TpOutput};
use super::error::TpError;
use crate::provider::{DEFAULT_CONSTRAINTS, ProviderEvent, Solution};

const NBITS: u32 = 0x207f_ffff;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A template as a server knows it.
#[derive(Clone, Debug)]
struct Given {
    id: u64,
    value: u64,
    transactions: Vec<bitcoin::Transaction>,
}

impl Given {
    fn new(id: u64, count: u64) -> Self {
        let transaction = |number: u64| {
            let mut input = bitcoin::TxIn::default();
            input.previous_output.vout = 1;
            if number.is_multiple_of(2) {
                input.witness.push([7; 9]);
            }
            bitcoin::Transaction {
                version: bitcoin::transaction::Version::TWO,
                lock_time: bitcoin::absolute::LockTime::ZERO,
                input: vec![input],
                output: vec![bitcoin::TxOut {
                    value: bitcoin::Amount::from_sat(number),
                    script_pubkey: bitcoin::ScriptBuf::new(),
                }],
            }
        };
        Self { id, value: 5_000, transactions: (0..count).map(transaction).collect() }
    }

    fn worth(mut self, value: u64) -> Self {
        self.value = value;
        self
    }

    fn path(&self) -> Vec<[u8; 32]> {
        let txids: Vec<_> =
            self.transactions.iter().map(|transaction| transaction.compute_txid().to_byte_array()).collect();
        merkle::path(&txids)
    }
}

/// A client, and what a server says to it.
struct Talk {
    client: TpClient,
    out: TpOutput,
    now: Duration,
}

impl Talk {
    /// Connected, nothing said yet.
    fn dialled() -> Self {
        let mut talk = Self { client: TpClient::new(), out: TpOutput::default(), now: at(1) };
        talk.connect();
        talk
    }

    /// Set up.
    fn new() -> Self {
        let mut talk = Self::dialled();
        talk.set_up();
        talk
    }

    fn connect(&mut self) {
        self.client.connected("tp.example", 8442, self.now, &mut self.out);
    }

    fn set_up(&mut self) {
        self.says(&sv2::common::SetupConnectionSuccess { used_version: 2, flags: 0 }).unwrap();
        self.frames();
    }

    fn says<'a, M: Message<'a>>(&mut self, message: &M) -> Result<(), TpError> {
        let mut bytes = BytesMut::new();
        sv2::write_frame(message, &mut bytes);
        let (header, payload, _) = FrameHeader::split(&bytes).unwrap();
        self.client.frame(&header, payload, self.now, &mut self.out)
    }

    fn gives(&mut self, given: &Given, future: bool) -> Result<(), TpError> {
        let mut output = Vec::new();
        let commitment = [&crate::witness::COMMITMENT[..], &[9; 32]].concat();
        TxOutput { value: 0, script_pubkey: commitment.into() }.write(&mut output);
        let path = given.path();
        self.says(&td::NewTemplate {
            template_id: given.id,
            future_template: future,
            version: 0x2000_0000,
            coinbase_tx_version: 2,
            coinbase_prefix: (&[2, 0xc8, 0][..]).try_into().unwrap(),
            coinbase_tx_input_sequence: 0xffff_fffe,
            coinbase_tx_value_remaining: given.value,
            coinbase_tx_outputs_count: 1,
            coinbase_tx_outputs: (&*output).try_into().unwrap(),
            coinbase_tx_locktime: 199,
            merkle_path: sv2::Seq0255::from_slice(&path).unwrap(),
        })
    }

    fn names(&mut self, id: u64, tip: u8, ntime: u32) -> Result<(), TpError> {
        self.says(&td::SetNewPrevHash {
            template_id: id,
            prev_hash: [tip; 32],
            header_timestamp: ntime,
            n_bits: NBITS,
            target: [0xff; 32],
        })
    }

    fn answers(&mut self, given: &Given) -> Result<(), TpError> {
        let bytes: Vec<Vec<u8>> = given.transactions.iter().map(consensus::serialize).collect();
        let list: Vec<_> = bytes.iter().map(|bytes| sv2::B016M::new(bytes).unwrap()).collect();
        self.says(&td::RequestTransactionDataSuccess {
            template_id: given.id,
            excess_data: sv2::B064K::EMPTY,
            transaction_list: sv2::Seq064K::from_slice(&list).unwrap(),
        })
    }

    fn answers_not(&mut self, id: u64, code: &str) -> Result<(), TpError> {
        self.says(&td::RequestTransactionDataError {
            template_id: id,
            error_code: sv2::Str0255::truncated(code),
        })
    }

    /// What the client sent, as text.
    fn frames(&mut self) -> Vec<String> {
        let sent = self.out.frames.split();
        let (mut rest, mut said) = (&*sent, Vec::new());
        while let Some((header, payload, after)) = FrameHeader::split(rest) {
            said.push(format!("{:?}", AnyMessage::decode(&header, payload).unwrap()));
            rest = after;
        }
        assert!(rest.is_empty(), "whole frames");
        said
    }

    /// The server's numbers of the templates whose transactions are asked for.
    fn asked(&mut self) -> Vec<u64> {
        let sent = self.out.frames.split();
        let (mut rest, mut asked) = (&*sent, Vec::new());
        while let Some((header, payload, after)) = FrameHeader::split(rest) {
            assert_eq!(header.msg_type, td::RequestTransactionData::MSG_TYPE);
            asked.push(td::RequestTransactionData::decode(payload).unwrap().template_id);
            rest = after;
        }
        asked
    }

    fn templates(&mut self) -> Vec<Arc<Template>> {
        let events = self.out.events.drain(..);
        events
            .filter_map(|event| match event {
                ProviderEvent::Template(template) => Some(template),
                _ => None,
            })
            .collect()
    }

    fn transactions(&mut self) -> Vec<(u64, Arc<[TemplateTransaction]>)> {
        let events = self.out.events.drain(..);
        events
            .filter_map(|event| match event {
                ProviderEvent::Transactions { template_id, transactions } => {
                    Some((template_id, transactions))
                }
                _ => None,
            })
            .collect()
    }

    /// A template of this many transactions on this tip, told.
    fn told(&mut self, given: &Given, tip: u8) -> Arc<Template> {
        self.gives(given, true).unwrap();
        self.names(given.id, tip, 1_000).unwrap();
        let told = self.templates();
        assert_eq!(told.len(), 1);
        Arc::clone(&told[0])
    }
}

fn is_protocol(outcome: Result<(), TpError>, words: &str) {
    let error = outcome.unwrap_err();
    assert!(matches!(error, TpError::Protocol { .. }) && error.to_string().contains(words), "{error}");
}

fn solution(template: &Template) -> Solution {
    let mut header = Header::from_bytes(&[0; 80]);
    (header.version, header.ntime, header.nonce) = (3, 4, 5);
    Solution { template_id: template.template_id, header, coinbase: vec![8; 200] }
}

#[test]
fn the_set_up_says_which_protocol_and_then_at_once_how_much_room() {
    let mut talk = Talk::dialled();
    let said = talk.frames();
    assert!(said.len() == 1 && said[0].contains("protocol: 2"), "{said:?}");
    let more = CoinbaseConstraints { additional_size: 3_000, additional_sigops: 1 };
    assert!(!talk.client.constrain(more), "nothing was said of room yet");
    talk.says(&sv2::common::SetupConnectionSuccess { used_version: 2, flags: 0 }).unwrap();
    let said = talk.frames();
    let sigops = DEFAULT_CONSTRAINTS.additional_sigops.to_string();
    assert!(said.len() == 1 && said[0].contains("3000") && said[0].contains(&sigops), "{said:?}");
    let twice = talk.says(&sv2::common::SetupConnectionSuccess { used_version: 2, flags: 0 });
    is_protocol(twice, "before");
}

#[test]
fn what_comes_before_the_set_up_another_version_and_a_refusal_end_the_link() {
    is_protocol(Talk::dialled().gives(&Given::new(1, 0), true), "before SetupConnection.Success");
    let other = sv2::common::SetupConnectionSuccess { used_version: 3, flags: 0 };
    is_protocol(Talk::dialled().says(&other), "version 3");
    let refusal = sv2::common::SetupConnectionError {
        flags: 0,
        error_code: sv2::Str0255::truncated("unsupported-protocol"),
    };
    let refused = Talk::dialled().says(&refusal).unwrap_err();
    assert!(matches!(&refused, TpError::Refused(code) if code == "unsupported-protocol"), "{refused}");
}

#[test]
fn a_future_template_is_told_only_when_a_tip_names_it() {
    let mut talk = Talk::new();
    talk.gives(&Given::new(7, 0), true).unwrap();
    assert!(talk.out.events.is_empty());
    talk.names(7, 1, 1_000).unwrap();
    assert!(matches!(talk.out.events.pop_front(), Some(ProviderEvent::Up { .. })));
    let template = Arc::clone(&talk.templates()[0]);
    assert_eq!((template.prev_hash, template.min_ntime, template.nbits), ([1; 32], 1_000, NBITS));
    assert_eq!(template.coinbase.witness_reserved_value, Some([0; 32]), "it commits to witnesses");
    assert_eq!(template.constraints, DEFAULT_CONSTRAINTS);
}

#[test]
fn a_template_that_is_not_for_the_future_stands_on_the_present_tip_with_its_time() {
    let mut talk = Talk::new();
    is_protocol(talk.gives(&Given::new(1, 0), false), "no SetNewPrevHash");
    let mut talk = Talk::new();
    let first = talk.told(&Given::new(1, 0), 1);
    talk.gives(&Given::new(2, 0).worth(6_000), false).unwrap();
    let better = talk.templates();
    assert_eq!((better[0].prev_hash, better[0].min_ntime), (first.prev_hash, first.min_ntime));
    assert_eq!(better[0].coinbase.value_remaining, 6_000);
}

#[test]
fn a_tip_with_a_template_that_was_not_given_for_it_is_a_protocol_error() {
    let mut talk = Talk::new();
    is_protocol(talk.names(9, 1, 1_000), "template 9");
    let mut talk = Talk::new();
    talk.told(&Given::new(1, 0), 1);
    is_protocol(talk.names(1, 2, 1_000), "on another tip");
    // Those that were not named go with the tip that they were for.
    let mut talk = Talk::new();
    talk.gives(&Given::new(1, 0), true).unwrap();
    talk.gives(&Given::new(2, 0), true).unwrap();
    talk.names(2, 1, 1_000).unwrap();
    is_protocol(talk.names(1, 2, 1_000), "template 1");
}

#[test]
fn a_tip_that_comes_back_gets_its_template_again_and_one_that_stays_keeps_its_time() {
    let mut talk = Talk::new();
    let (a, b) = (Given::new(1, 0).worth(1), Given::new(2, 0).worth(2));
    let on_a = talk.told(&a, 1);
    talk.names(1, 1, 2_000).unwrap();
    assert!(talk.templates().is_empty(), "said twice is said once");
    talk.told(&b, 2);
    // Back to A, by the number that was told for it.
    talk.names(1, 1, 3_000).unwrap();
    let again = talk.templates();
    assert_eq!((again[0].prev_hash, again[0].coinbase.value_remaining), ([1; 32], 1));
    assert!(again[0].template_id > on_a.template_id);
    assert_eq!(again[0].min_ntime, 3_000, "it is a new tip");
    // A further template for the same tip, by way of SetNewPrevHash.
    talk.gives(&Given::new(3, 0), true).unwrap();
    talk.names(3, 1, 4_000).unwrap();
    assert_eq!(talk.templates()[0].min_ntime, 3_000);
    // And on the next connection, too.
    talk.connect();
    talk.frames();
    talk.set_up();
    talk.gives(&Given::new(1, 0), true).unwrap();
    talk.names(1, 1, 5_000).unwrap();
    assert_eq!(talk.templates()[0].min_ntime, 3_000);
}

#[test]
fn transactions_are_asked_for_once_at_a_time_and_only_of_the_newest() {
    let mut talk = Talk::new();
    let (first, second, third) = (Given::new(1, 3), Given::new(2, 4), Given::new(3, 5));
    talk.told(&first, 1);
    assert_eq!(talk.asked(), [1]);
    talk.gives(&second, false).unwrap();
    talk.gives(&third, false).unwrap();
    assert!(talk.asked().is_empty(), "one request is open");
    let newest = talk.templates().pop().unwrap();
    talk.answers(&first).unwrap();
    assert_eq!(
        talk.transactions()[0].1.len(),
        3,
        "superseded, and mined on until the newest can be declared"
    );
    assert_eq!(talk.asked(), [3], "the newest, not the one between");
    // Nobody asked for this.
    talk.answers(&second).unwrap();
    assert!(talk.transactions().is_empty() && talk.asked().is_empty());
    talk.answers(&third).unwrap();
    let told = talk.transactions();
    assert_eq!((told.len(), told[0].0, told[0].1.len()), (1, newest.template_id, 5));
    for (read, given) in told[0].1.iter().zip(&third.transactions) {
        assert_eq!(read.txid, given.compute_txid().to_byte_array());
        assert_eq!(read.wtxid, given.compute_wtxid().to_byte_array());
    }
    talk.answers(&third).unwrap();
    assert!(talk.transactions().is_empty(), "answered twice is answered once");
}

#[test]
fn an_answer_that_never_comes_does_not_keep_the_next_request() {
    let mut talk = Talk::new();
    talk.told(&Given::new(1, 1), 1);
    assert_eq!(talk.asked(), [1]);
    talk.now += TRANSACTIONS;
    talk.gives(&Given::new(2, 1), false).unwrap();
    assert_eq!(talk.asked(), [2]);
}

#[test]
fn a_template_whose_transactions_are_not_to_be_had_is_mined_all_the_same() {
    for code in ["template-id-not-found", "stale-template-id"] {
        let mut talk = Talk::new();
        let template = talk.told(&Given::new(1, 1), 1);
        talk.frames();
        talk.answers_not(1, code).unwrap();
        assert!(talk.client.is_up() && talk.asked().is_empty());
        assert_eq!(talk.client.submit(&solution(&template), &mut talk.out), Ok(()));
    }
}

#[test]
fn transactions_of_another_template_and_what_is_none_end_the_link() {
    let mut talk = Talk::new();
    talk.told(&Given::new(1, 3), 1);
    is_protocol(talk.answers(&Given::new(1, 4)), "merkle_path");
    let mut talk = Talk::new();
    talk.told(&Given::new(1, 1), 1);
    let list = [sv2::B016M::new(&[1, 2, 3]).unwrap()];
    let junk = td::RequestTransactionDataSuccess {
        template_id: 1,
        excess_data: sv2::B064K::EMPTY,
        transaction_list: sv2::Seq064K::from_slice(&list).unwrap(),
    };
    is_protocol(talk.says(&junk), "transaction 0");
}

#[test]
fn a_number_that_comes_again_means_the_newer_template_and_ours_never_come_again() {
    let mut talk = Talk::new();
    let first = talk.told(&Given::new(1, 2).worth(1), 1);
    assert_eq!(talk.asked(), [1]);
    talk.gives(&Given::new(1, 3).worth(2), false).unwrap();
    let second = talk.templates().pop().unwrap();
    assert_ne!(first.template_id, second.template_id);
    // The answer is of the first one, whose number is that of the second.
    talk.answers(&Given::new(1, 2)).unwrap();
    assert!(talk.transactions().is_empty());
    assert_eq!(talk.asked(), [1]);
    talk.answers(&Given::new(1, 3)).unwrap();
    assert_eq!(talk.transactions()[0].0, second.template_id);
    // Two future ones: the later counts.
    talk.gives(&Given::new(5, 0).worth(3), true).unwrap();
    talk.gives(&Given::new(5, 0).worth(4), true).unwrap();
    talk.names(5, 2, 1_000).unwrap();
    assert_eq!(talk.templates()[0].coinbase.value_remaining, 4);
    // Another connection begins its numbers anew; ours go on.
    talk.connect();
    talk.frames();
    talk.set_up();
    let again = talk.told(&Given::new(1, 0), 2);
    assert!(again.template_id > second.template_id);
    assert!(talk.client.submit(&solution(&second), &mut talk.out).is_err(), "of a connection that has ended");
}

#[test]
fn a_solution_goes_out_under_the_servers_number_and_only_for_what_is_remembered() {
    let mut talk = Talk::new();
    let first = talk.told(&Given::new(700, 0), 1);
    talk.client.submit(&solution(&first), &mut talk.out).unwrap();
    let sent = talk.out.frames.split();
    let (header, payload, rest) = FrameHeader::split(&sent).unwrap();
    assert!(header.msg_type == td::SubmitSolution::MSG_TYPE && rest.is_empty());
    let message = td::SubmitSolution::decode(payload).unwrap();
    assert_eq!((message.template_id, message.version), (700, 3));
    assert_eq!((message.header_timestamp, message.header_nonce), (4, 5));
    assert_eq!(message.coinbase_tx.as_slice(), [8; 200]);

    for id in 0..TOLD as u64 {
        talk.gives(&Given::new(id, 0), false).unwrap();
    }
    let why = talk.client.submit(&solution(&first), &mut talk.out).unwrap_err();
    assert!(why.contains("last"), "{why}");
    let huge = Solution { coinbase: vec![0; 70_000], ..solution(&talk.templates().pop().unwrap()) };
    assert!(talk.client.submit(&huge, &mut talk.out).is_err());
    assert!(talk.out.frames.is_empty());
}

#[test]
fn more_room_for_the_coinbase_needs_a_new_connection_and_less_does_not() {
    let mut talk = Talk::new();
    talk.told(&Given::new(1, 0), 1);
    assert!(!talk.client.constrain(CoinbaseConstraints::default()));
    let more = CoinbaseConstraints { additional_size: 9_000, additional_sigops: 0 };
    assert!(talk.client.constrain(more) && !talk.client.constrain(more));
    talk.connect();
    talk.frames();
    talk.set_up();
    let template = talk.told(&Given::new(1, 0), 1);
    assert_eq!(template.constraints, DEFAULT_CONSTRAINTS.max(more));
}

#[test]
fn a_server_that_is_silent_at_any_step_is_given_up() {
    let mut talk = Talk::dialled();
    assert_eq!(talk.client.deadline(), Some(talk.now + SETUP));
    assert!(talk.client.timer(talk.now).is_ok());
    let silent = talk.client.timer(talk.now + SETUP).unwrap_err().to_string();
    assert!(silent.contains("SetupConnection.Success"), "{silent}");
    talk.set_up();
    let late = talk.now + FIRST_TEMPLATE;
    let silent = talk.client.timer(late).unwrap_err().to_string();
    assert!(silent.contains("NewTemplate"), "{silent}");
    // A future template alone is nothing to mine.
    talk.gives(&Given::new(1, 0), true).unwrap();
    let silent = talk.client.timer(late).unwrap_err().to_string();
    assert!(silent.contains("SetNewPrevHash"), "{silent}");
    talk.names(1, 1, 1_000).unwrap();
    assert_eq!(talk.client.deadline(), None, "an empty mempool has nothing to say");
}

#[test]
fn what_no_node_would_give_is_refused_by_name() {
    let mut bad = td::NewTemplate {
        template_id: 1,
        future_template: true,
        version: 1,
        coinbase_tx_version: 2,
        coinbase_prefix: (&[0; 9][..]).try_into().unwrap(),
        coinbase_tx_input_sequence: 0,
        coinbase_tx_value_remaining: 1,
        coinbase_tx_outputs_count: 0,
        coinbase_tx_outputs: sv2::B064K::EMPTY,
        coinbase_tx_locktime: 0,
        merkle_path: sv2::Seq0255::from_slice(&[]).unwrap(),
    };
    is_protocol(Talk::new().says(&bad), "coinbase_prefix");
    bad.coinbase_prefix = (&[1, 5][..]).try_into().unwrap();
    bad.coinbase_tx_outputs_count = u32::MAX;
    is_protocol(Talk::new().says(&bad), "coinbase_tx_outputs");
    bad.coinbase_tx_outputs_count = 0;
    let mut talk = Talk::new();
    talk.says(&bad).unwrap();
    let no_target = td::SetNewPrevHash {
        template_id: 1,
        prev_hash: [1; 32],
        header_timestamp: 1,
        n_bits: 0,
        target: [0; 32],
    };
    assert!(matches!(talk.says(&no_target), Err(TpError::Template(_))));
}

/// What a server does.
#[derive(Clone, Debug)]
enum Act {
    Future(u64, u64),
    Present(u64, u64),
    Tip { which: prop::sample::Index, tip: u8, ntime: u32 },
    Answer,
    AnswerNot,
    Later,
    Reconnect,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0_u64..40, 0_u64..4).prop_map(|(id, count)| Act::Future(id, count)),
        3 => (0_u64..40, 0_u64..4).prop_map(|(id, count)| Act::Present(id, count)),
        4 => (any::<prop::sample::Index>(), 0_u8..3, 1_u32..9)
            .prop_map(|(which, tip, ntime)| Act::Tip { which, tip, ntime }),
        3 => Just(Act::Answer),
        1 => Just(Act::AnswerNot),
        1 => Just(Act::Later),
        1 => Just(Act::Reconnect),
    ]
}

proptest! {
    /// A server that keeps the rules is understood, whatever it does: each template stands on the tip that was named
    /// last, tips keep their time, numbers never come again, requests do not pile up, and what is kept has a bound.
    #[test]
    fn any_server_that_keeps_the_rules_is_followed(acts in proptest::collection::vec(act(), 0..120)) {
        let mut talk = Talk::new();
        let mut future: Vec<Given> = Vec::new();
        let mut tip = None;
        // The last tip ever, which a new connection may begin with.
        let mut last: Option<(u8, u32)> = None;
        let mut highest = 0;
        let mut newest: Option<(u64, Given)> = None;
        let mut open: Option<(Given, u64, Duration)> = None;
        // Ours and the server's numbers of what was told.
        let mut told_last: Vec<(u64, u64)> = Vec::new();
        for act in acts {
            let mut expected = None;
            match act {
                Act::Future(id, count) => {
                    let given = Given::new(id, count);
                    talk.gives(&given, true).unwrap();
                    future.retain(|known| known.id != id);
                    future.push(given);
                    if future.len() > FUTURE {
                        future.remove(0);
                    }
                }
                Act::Present(id, count) if tip.is_some() => {
                    let given = Given::new(id, count);
                    talk.gives(&given, false).unwrap();
                    future.retain(|known| known.id != id);
                    expected = Some(given);
                }
                Act::Tip { which, tip: hash, ntime } if !future.is_empty() => {
                    let given = which.get(&future).clone();
                    talk.names(given.id, hash, ntime).unwrap();
                    future.clear();
                    let kept = last.filter(|(known, _)| *known == hash).map_or(ntime, |(_, ntime)| ntime);
                    tip = Some((hash, kept));
                    last = tip;
                    expected = Some(given);
                }
                Act::Answer | Act::AnswerNot => if let Some((given, template_id, _)) = open.take() {
                    if matches!(act, Act::Answer) {
                        talk.answers(&given).unwrap();
                        let told = talk.transactions();
                        let named = told_last.iter().rev().find(|(_, server_id)| *server_id == given.id);
                        let wanted = named.is_some_and(|(id, _)| *id == template_id);
                        prop_assert_eq!(told.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
                            if wanted { vec![template_id] } else { Vec::new() });
                    } else {
                        talk.answers_not(given.id, "stale-template-id").unwrap();
                    }
                },
                Act::Later => talk.now += TRANSACTIONS,
                Act::Reconnect => {
                    talk.connect();
                    talk.frames();
                    talk.set_up();
                    future.clear();
                    (tip, newest, open) = (None, None, None);
                }
                Act::Present(..) | Act::Tip { .. } => {}
            }
            let told = talk.templates();
            match expected {
                None => prop_assert!(told.is_empty()),
                Some(given) => {
                    prop_assert_eq!(told.len(), 1);
                    let (hash, ntime) = tip.unwrap();
                    prop_assert_eq!((told[0].prev_hash, told[0].min_ntime), ([hash; 32], ntime));
                    prop_assert_eq!(&*told[0].merkle_path, &*given.path());
                    prop_assert!(told[0].template_id > highest);
                    highest = told[0].template_id;
                    if told_last.len() == TOLD {
                        told_last.remove(0);
                    }
                    told_last.push((highest, given.id));
                    newest = Some((highest, given));
                }
            }
            for id in talk.asked() {
                let (template_id, given) = newest.clone().unwrap();
                prop_assert_eq!(id, given.id, "only the newest is asked for");
                prop_assert!(open.as_ref().is_none_or(|(_, _, since)| talk.now >= *since + TRANSACTIONS));
                open = Some((given, template_id, talk.now));
            }
            let (kept_future, kept_told) = talk.client.kept();
            prop_assert!(kept_future <= FUTURE && kept_told <= TOLD);
        }
    }

    /// No bytes make it panic, or keep more than it may.
    #[test]
    fn no_frame_makes_it_panic(
        frames in proptest::collection::vec((prop::sample::select(vec![0_u8, 1, 2, 4, 0x70, 0x71, 0x72, 0x74, 0x75, 0x76]),
            proptest::collection::vec(any::<u8>(), 0..200)), 0..20),
        extension: bool,
    ) {
        let mut talk = Talk::new();
        talk.told(&Given::new(1, 1), 1);
        for (msg_type, payload) in frames {
            let header = FrameHeader {
                extension_type: u16::from(extension),
                channel_msg: false,
                msg_type,
                length: u32::try_from(payload.len()).unwrap(),
            };
            if talk.client.frame(&header, &payload, talk.now, &mut talk.out).is_err() {
                break;
            }
        }
        let (future, told) = talk.client.kept();
        prop_assert!(future <= FUTURE && told <= TOLD);
    }
}
