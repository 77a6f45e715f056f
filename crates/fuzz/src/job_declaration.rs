//! Job declaration: the product's client and the development pool's declarator server, with somebody between them who drops
//! frames, changes them and makes up his own.
//!
//! Input: actions, a byte for each and a few more that say how ([`World::act`]).
//!
//! Promises, checked after every action:
//! - whatever comes, what both sides send can be read and is theirs to send;
//! - of what it has declared the client gives each transaction once a request, in three requests at most, and nothing else;
//! - a declaration is decided once at most, not after it was forgotten, and all are before the client says that the server is
//!   gone;
//! - no deadline is left in the past by its timer;
//! - the server answers a declaration once at most;
//! - where nobody has touched anything, no declaration is refused: the coinbase that the product builds is one that crate
//!   `bitcoin` finds right.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bitcoin::hashes::Hash as _;
use bytes::BytesMut;
use engine::Now;
use engine::source::{
    Declaration, DeclareFailure, DownReason, JdsEffects, JdsEvent, JdsSettings, JobDeclarator, LinkSecurity,
    MAX_MISSING_REQUESTS, PushedSolution,
};
use lab::dev_pool::{AskFor, DevPoolOptions, JdsFaults, JdsOptions, LoneDeclarator};
use sv2::{AnyMessage, CommonMessage, ExtensionsMessage, FrameHeader, JobDeclarationMessage as Jd};
use template::dev_node;
use work::coinbase::{Output, pay_first};
use work::{CoinbaseConstraints, Header, Template};

use crate::cursor::Cursor;

/// Actions of one run.
const ACTIONS: usize = 300;
/// Declarations that the client has under way at most.
const IN_FLIGHT: usize = 8;
/// Bytes of the development pool's extranonce.
const EXTRANONCE: u8 = 22;

/// See the module.
pub fn target(data: &[u8]) {
    check(data, false);
}

/// With `planted` the judge does not know of the last transaction that was declared.
pub(crate) fn check(data: &[u8], planted: bool) {
    let mut input = Cursor(data);
    let mut world = World::new(planted);
    for _ in 0..ACTIONS {
        if world.act(&mut input).is_none() {
            break;
        }
    }
}

type Frame = (FrameHeader, Vec<u8>);

/// What was declared under a request's number.
#[derive(Debug, Default)]
struct Request {
    wtxids: BTreeSet<[u8; 32]>,
    answers: u8,
}

struct World {
    client: JobDeclarator,
    server: LoneDeclarator,
    began: Instant,
    now: Duration,
    planted: bool,
    /// Nobody has touched anything.
    untouched: bool,
    to_server: VecDeque<Frame>,
    to_client: VecDeque<Frame>,
    outputs: Option<Arc<[Output]>>,
    requests: BTreeMap<u32, Request>,
    /// Declarations that are not decided, oldest first.
    open: VecDeque<u64>,
    next_number: u64,
}

impl World {
    fn new(planted: bool) -> Self {
        let mut options = DevPoolOptions { jds: Some(JdsOptions::default()), ..DevPoolOptions::default() };
        (options.chain.witness_commitment, options.chain.fees) = (true, true);
        let settings = JdsSettings {
            host: "jds".to_owned(),
            port: 34_264,
            user_identifier: "farm".into(),
            insecure: false,
            full_template: true,
        };
        let mut client = JobDeclarator::new(settings, 1);
        client.start();
        Self {
            client,
            server: LoneDeclarator::new(options).expect("these options are good"),
            began: Instant::now(),
            now: Duration::ZERO,
            planted,
            untouched: true,
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            outputs: None,
            requests: BTreeMap::new(),
            open: VecDeque::new(),
            next_number: 1,
        }
    }

    fn moment(&self) -> Now {
        Now { mono: self.now, unix: 1_700_000_000 }
    }

    /// The next action; none at the input's end.
    fn act(&mut self, input: &mut Cursor<'_>) -> Option<()> {
        match input.byte()? % 15 {
            0 => self.connect(),
            1 => self.deliver_up(None),
            2 => self.deliver_down(None),
            3 => {
                let change = (input.byte()?, input.byte()?);
                self.deliver_up(Some(change));
            }
            4 => {
                let change = (input.byte()?, input.byte()?);
                self.deliver_down(Some(change));
            }
            5 => {
                let frame = made_up(input)?;
                self.untouched = false;
                self.hand_client(&frame);
            }
            6 => {
                let frame = made_up(input)?;
                self.untouched = false;
                self.hand_server(&frame);
            }
            7 => {
                self.now += Duration::from_millis(u64::from(input.byte()?) * 100);
                self.client(|client, now, fx| client.timer(now, fx));
                let left = self.client.deadline();
                assert!(left.is_none_or(|left| left > self.now), "{left:?} is past at {:?}", self.now);
            }
            8 => self.declare(),
            9 => {
                self.untouched = false;
                self.server.new_tip();
            }
            10 => {
                let faults = faults(input.byte()?);
                self.untouched &= faults == JdsFaults::default();
                self.server.set_faults(faults);
            }
            11 => {
                let number = input.byte()?;
                let solution = PushedSolution {
                    header: Header::from_bytes(&[number; 80]),
                    extranonce: vec![number; 22],
                };
                self.client(|client, _, fx| client.push_solution(&solution, fx));
            }
            12 => {
                self.untouched = false;
                self.to_server.pop_front();
                self.to_client.pop_front();
            }
            13 => self.client(|client, now, fx| client.renew_tokens(now, fx)),
            _ => {
                let at = usize::from(input.byte()?);
                if let Some(number) = self.open.remove(at % self.open.len().max(1)) {
                    self.client.forget(number);
                }
            }
        }
        Some(())
    }

    fn connect(&mut self) {
        if !self.client.wants_connection() {
            return;
        }
        self.server.connect();
        self.client(|client, now, fx| client.connected(LinkSecurity::Authenticated, now, fx));
    }

    /// The link ends, for both sides.
    fn cut(&mut self) {
        self.client(|client, now, fx| client.disconnected(DownReason::Lost("cut".to_owned()), now, fx));
    }

    fn declare(&mut self) {
        let Some(outputs) = self.outputs.clone() else { return };
        let made = self.server.template();
        let template = dev_node::read(&made, made.header_timestamp, CoinbaseConstraints::default());
        let template: Template = template.expect("the chain's templates are good");
        let outputs = pay_first(outputs.to_vec(), template.coinbase.value_remaining);
        // What a token names may be anything where somebody has changed it.
        let coinbase = outputs.ok().and_then(|outputs| template.coinbase(b"", EXTRANONCE, &outputs).ok());
        let (Some(coinbase), Some(transactions)) = (coinbase, template.transactions) else {
            assert!(!self.untouched, "the pool's outputs make no coinbase");
            return;
        };
        let number = self.next_number;
        let declaration = Declaration {
            number,
            version: template.version,
            coinbase: Arc::new(coinbase),
            transactions,
            excess_data: Arc::default(),
        };
        if !declaration.fits() {
            return;
        }
        let mut declared = false;
        self.client(|client, now, fx| declared = client.declare(declaration, now, fx));
        if declared {
            self.next_number += 1;
            assert!(self.open.len() < IN_FLIGHT, "one more declaration than may be under way");
            self.open.push_back(number);
        }
    }

    /// The client does something; what comes out of it is judged.
    fn client(&mut self, act: impl FnOnce(&mut JobDeclarator, Now, &mut JdsEffects)) {
        let mut fx = JdsEffects::default();
        let now = self.moment();
        act(&mut self.client, now, &mut fx);
        let mut rest = &fx.frames[..];
        while let Some((header, payload, later)) = FrameHeader::split(rest) {
            self.client_sends(&header, payload);
            self.to_server.push_back((header, payload.to_vec()));
            rest = later;
        }
        assert!(rest.is_empty(), "half a frame is sent");
        for event in fx.events {
            self.hear(event);
        }
        if fx.hang_up {
            // After what it has said last.
            while !self.to_server.is_empty() {
                self.deliver_up(None);
            }
            self.to_client.clear();
        }
    }

    #[expect(clippy::panic, reason = "a broken promise")]
    fn client_sends(&mut self, header: &FrameHeader, payload: &[u8]) {
        match AnyMessage::decode(header, payload).expect("what the client sends can be read") {
            AnyMessage::Common(CommonMessage::SetupConnection(_))
            | AnyMessage::JobDeclaration(Jd::AllocateMiningJobToken(_) | Jd::PushSolution(_)) => {}
            AnyMessage::JobDeclaration(Jd::DeclareMiningJob(job)) => {
                let mut wtxids: BTreeSet<[u8; 32]> = job.wtxid_list.iter().collect();
                if self.planted {
                    wtxids.pop_last();
                }
                let known = self.requests.insert(job.request_id, Request { wtxids, answers: 0 });
                assert!(known.is_none(), "a request's number twice");
            }
            AnyMessage::JobDeclaration(Jd::ProvideMissingTransactionsSuccess(answer)) => {
                let request = self.requests.get_mut(&answer.request_id).expect("of what was declared");
                request.answers += 1;
                assert!(request.answers <= MAX_MISSING_REQUESTS, "transactions are given again and again");
                let mut given = BTreeSet::new();
                for bytes in answer.transaction_list.iter() {
                    let transaction: bitcoin::Transaction =
                        bitcoin::consensus::deserialize(bytes.as_slice()).expect("a whole transaction");
                    let wtxid = transaction.compute_wtxid().to_byte_array();
                    assert!(request.wtxids.contains(&wtxid), "a transaction that was not declared");
                    assert!(given.insert(wtxid), "a transaction twice");
                }
            }
            other => panic!("{} is not the client's to send", other.name()),
        }
    }

    fn hear(&mut self, event: JdsEvent) {
        match event {
            JdsEvent::Outputs(outputs) => {
                assert!(!outputs.is_empty(), "a token without a payout");
                self.outputs = Some(outputs);
            }
            JdsEvent::Token => assert!(self.client.has_token()),
            JdsEvent::Declared { number, .. } => self.decided(number),
            JdsEvent::NotDeclared { number, why } => {
                let refused = matches!(why, DeclareFailure::Refused { .. });
                assert!(!refused || !self.untouched, "what the product declares is refused: {why}");
                self.decided(number);
            }
            JdsEvent::Down(_) => {
                assert!(self.open.is_empty(), "declarations of a link that has gone: {:?}", self.open);
                assert!(!self.client.has_token());
            }
        }
    }

    fn decided(&mut self, number: u64) {
        let at = self.open.iter().position(|open| *open == number);
        self.open.remove(at.expect("a declaration is decided once, and not after it was forgotten"));
    }

    fn deliver_up(&mut self, change: Option<(u8, u8)>) {
        let Some(mut frame) = self.to_server.pop_front() else { return };
        self.touch(&mut frame, change);
        self.hand_server(&frame);
    }

    fn deliver_down(&mut self, change: Option<(u8, u8)>) {
        let Some(mut frame) = self.to_client.pop_front() else { return };
        self.touch(&mut frame, change);
        self.hand_client(&frame);
    }

    fn touch(&mut self, (_, payload): &mut Frame, change: Option<(u8, u8)>) {
        if let Some((at, bits)) = change
            && let Some(byte) = payload.get_mut(usize::from(at))
        {
            *byte ^= bits;
            self.untouched &= bits == 0;
        }
    }

    fn hand_client(&mut self, (header, payload): &Frame) {
        self.client(|client, now, fx| client.frame(header, payload, now, fx));
    }

    #[expect(clippy::panic, reason = "a broken promise")]
    fn hand_server(&mut self, (header, payload): &Frame) {
        let mut out = BytesMut::new();
        let now = self.began + self.now;
        let goes_on = self.server.frame(header, payload, now, &mut out).is_ok();
        let mut rest = &out[..];
        while let Some((header, payload, later)) = FrameHeader::split(rest) {
            match AnyMessage::decode(&header, payload).expect("what the server sends can be read") {
                AnyMessage::Common(
                    CommonMessage::SetupConnectionSuccess(_) | CommonMessage::SetupConnectionError(_),
                )
                | AnyMessage::Extensions(ExtensionsMessage::RequestExtensionsError(_))
                | AnyMessage::JobDeclaration(
                    Jd::AllocateMiningJobTokenSuccess(_)
                    | Jd::ProvideMissingTransactions(_)
                    | Jd::DeclareMiningJobSuccess(_)
                    | Jd::DeclareMiningJobError(_),
                ) => {}
                other => panic!("{} is not the server's to send", other.name()),
            }
            self.to_client.push_back((header, payload.to_vec()));
            rest = later;
        }
        assert!(rest.is_empty(), "half a frame is sent");
        let stats = self.server.stats();
        let refused = stats.declarations_refused.values().sum::<u64>();
        assert!(stats.declared + refused <= stats.declarations, "a declaration is answered twice: {stats:?}");
        if !goes_on {
            self.to_server.clear();
            self.server.connect();
            self.cut();
        }
    }
}

/// Any message type with any payload.
fn made_up(input: &mut Cursor<'_>) -> Option<Frame> {
    let (msg_type, payload) = (input.byte()?, input.bytes()?.to_vec());
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    Some((FrameHeader { extension_type: 0, channel_msg: false, msg_type, length }, payload))
}

/// What the server does wrong, by a byte.
fn faults(which: u8) -> JdsFaults {
    let code = || Some("invalid-job".to_owned());
    let none = JdsFaults::default();
    match which % 10 {
        1 => JdsFaults { ask_for: AskFor::All, ..none },
        2 => JdsFaults { ask_for: AskFor::Again, ..none },
        3 => JdsFaults { ask_for: AskFor::EachTwice, ..none },
        4 => JdsFaults { ask_for: AskFor::Most, ..none },
        5 => JdsFaults { answer_twice: true, ..none },
        6 => JdsFaults { refuse_declarations: code(), ..none },
        7 => JdsFaults { silent_declaration: true, ..none },
        8 => JdsFaults { silent_token: true, ..none },
        9 => JdsFaults { hang_up_after_declaration: true, ..none },
        _ => none,
    }
}
