//! A template provider's frames, and what the client of Template Distribution makes of them.
//!
//! Input: actions, a byte for each and a few more that say how ([`World::act`]).
//!
//! Promises, checked after every action:
//! - what the client sends can be read and is its own to send: SetupConnection first, the constraints after the answer, one
//!   request for transactions at a time, for a template that it was given, SubmitSolution under the server's number;
//! - a template that is told stands on the tip of the last SetNewPrevHash and is what NewTemplate said; numbers of our own
//!   only grow;
//! - it is said once a connection that the provider is up, before its first template;
//! - transactions are told once a template, of one that was told, and are those of its merkle path;
//! - no deadline is left in the past by its timer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bitcoin::hashes::Hash as _;
use bytes::BytesMut;
use sv2::common::{self, SetupConnectionSuccess};
use sv2::template_distribution as td;
use sv2::{AnyMessage, B064K, B0255, CommonMessage, FrameHeader, Message, Seq064K, Seq0255};
use sv2::{B016M, Str0255, TemplateDistributionMessage};
use template::sv2_tp::{TpClient, TpOutput};
use template::{ProviderEvent, Solution};
use work::{CoinbaseConstraints, Template, merkle};

use crate::cursor::Cursor;

/// Actions of one run.
const ACTIONS: usize = 300;
/// A request for transactions may be repeated after this.
const ASKED: Duration = Duration::from_secs(30);

/// See the module.
pub fn target(data: &[u8]) {
    check(data, false);
}

/// With `planted` the judge believes that each SetNewPrevHash names another tip than it does.
pub(crate) fn check(data: &[u8], planted: bool) {
    let mut input = Cursor(data);
    let mut world = World::new(planted);
    for _ in 0..ACTIONS {
        if world.act(&mut input).is_none() {
            break;
        }
    }
}

/// What NewTemplate said.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    version: u32,
    value: u64,
    path: Vec<[u8; 32]>,
}

/// The client, and what a second judge remembers of this connection.
struct World {
    client: TpClient,
    now: Duration,
    planted: bool,
    connected: bool,
    /// SetupConnection.Success was taken.
    set_up: bool,
    is_up: bool,
    /// prev_hash and nBits of the last SetNewPrevHash that was taken.
    tip: Option<([u8; 32], u32)>,
    /// By the server's number, which may come again: what was told on an earlier tip may be named again, too.
    said: BTreeMap<u64, Vec<Said>>,
    /// By our number.
    told: BTreeMap<u64, Arc<Template>>,
    filled: Vec<u64>,
    /// The open request, and when it was made.
    asked: Option<(u64, Duration)>,
    last_id: u64,
}

impl World {
    fn new(planted: bool) -> Self {
        Self {
            client: TpClient::new(),
            now: Duration::ZERO,
            planted,
            connected: false,
            set_up: false,
            is_up: false,
            tip: None,
            said: BTreeMap::new(),
            told: BTreeMap::new(),
            filled: Vec::new(),
            asked: None,
            last_id: 0,
        }
    }

    /// The next action; none at the input's end.
    fn act(&mut self, input: &mut Cursor<'_>) -> Option<()> {
        match input.byte()? % 12 {
            0 => self.connect(),
            1 => self.hand(&SetupConnectionSuccess { used_version: 2, flags: 0 }),
            2 => self.new_template(input)?,
            3 => self.new_tip(input)?,
            4 => self.transactions(input)?,
            5 => {
                let template_id = u64::from(input.byte()? % 8);
                let error_code = Str0255::truncated("template-id-not-found");
                if self.asked.is_some_and(|(id, _)| id == template_id) {
                    self.asked = None;
                }
                self.hand(&td::RequestTransactionDataError { template_id, error_code });
            }
            6 => {
                self.now += Duration::from_millis(u64::from(input.byte()?) * 250);
                let late = self.client.deadline().is_some_and(|deadline| self.now >= deadline);
                let given_up = self.client.timer(self.now).is_err();
                assert_eq!(late, given_up, "a deadline stays in the past, or is none");
                if given_up {
                    self.disconnect();
                }
            }
            7 => self.disconnect(),
            8 => {
                let more = u32::from(input.byte()?) * 16;
                let wanted = CoinbaseConstraints { additional_size: more, additional_sigops: 4 };
                if self.client.constrain(wanted) {
                    assert!(self.set_up, "a new connection is wanted where none needed constraints yet");
                    self.disconnect();
                }
            }
            9 => self.submit(input)?,
            10 => {
                let msg_type = input.byte()?;
                let payload = input.bytes()?.to_vec();
                let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
                let header = FrameHeader { extension_type: 0, channel_msg: false, msg_type, length };
                self.hand_frame(header, &payload);
            }
            _ => {
                let (kind, payload) = (input.byte()?, input.bytes()?.to_vec());
                let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
                let (extension_type, channel_msg) = (u16::from(kind & 3), kind & 4 != 0);
                let header =
                    FrameHeader { extension_type, channel_msg, msg_type: (kind >> 3) | 0x60, length };
                self.hand_frame(header, &payload);
            }
        }
        Some(())
    }

    fn connect(&mut self) {
        self.disconnect();
        self.connected = true;
        let mut out = TpOutput::default();
        self.client.connected("tp", 8_442, self.now, &mut out);
        self.look(out, true);
    }

    fn disconnect(&mut self) {
        self.client.disconnected();
        (self.connected, self.set_up, self.is_up) = (false, false, false);
        (self.tip, self.asked) = (None, None);
        self.said.clear();
        self.told.clear();
        self.filled.clear();
    }

    fn new_template(&mut self, input: &mut Cursor<'_>) -> Option<()> {
        let (id, how, value) = (u64::from(input.byte()? % 8), input.byte()?, u64::from(input.byte()?));
        let path = path_of(how >> 4);
        let version = 0x2000_0000 | u32::from(how);
        let outputs = if how & 2 == 0 { Vec::new() } else { [&[0; 8][..], &[2, 0x6a, 0x00]].concat() };
        let message = td::NewTemplate {
            template_id: id,
            future_template: how & 1 == 0,
            version,
            coinbase_tx_version: 2,
            coinbase_prefix: B0255::new(&[1, 0x51]).expect("it is short"),
            coinbase_tx_input_sequence: u32::MAX,
            coinbase_tx_value_remaining: value,
            coinbase_tx_outputs_count: u32::from(how & 2 != 0),
            coinbase_tx_outputs: B064K::new(&outputs).expect("it is short"),
            coinbase_tx_locktime: 0,
            merkle_path: Seq0255::from_slice(&path).expect("it is short"),
        };
        // Taken or not: what is told must be one of these.
        self.said.entry(id).or_default().push(Said { version, value, path: path.clone() });
        self.hand(&message);
        Some(())
    }

    fn new_tip(&mut self, input: &mut Cursor<'_>) -> Option<()> {
        let (id, tip) = (u64::from(input.byte()? % 8), input.byte()?);
        let mut prev_hash = [tip % 4; 32];
        let n_bits = if tip & 0x80 == 0 { 0x207f_ffff } else { 0x1d00_ffff };
        let message = td::SetNewPrevHash {
            template_id: id,
            prev_hash,
            header_timestamp: 1_700_000_000 + u32::from(tip),
            n_bits,
            target: [0xff; 32],
        };
        if self.planted {
            prev_hash[0] ^= 1;
        }
        self.tip = Some((prev_hash, n_bits));
        self.hand(&message);
        Some(())
    }

    /// The transactions of one of the paths, or not quite them.
    fn transactions(&mut self, input: &mut Cursor<'_>) -> Option<()> {
        let (id, which, wrong) = (u64::from(input.byte()? % 8), input.byte()?, input.byte()?);
        let mut list: Vec<Vec<u8>> =
            transactions_of(which).iter().map(bitcoin::consensus::serialize).collect();
        if wrong & 1 != 0
            && let Some(byte) = list.last_mut().and_then(|last| last.get_mut(usize::from(wrong >> 1)))
        {
            *byte ^= 1;
        }
        let list: Vec<B016M<'_>> = list.iter().map(|t| B016M::new(t).expect("it is short")).collect();
        if self.asked.is_some_and(|(asked, _)| asked == id) {
            self.asked = None;
        }
        self.hand(&td::RequestTransactionDataSuccess {
            template_id: id,
            excess_data: B064K::EMPTY,
            transaction_list: Seq064K::from_slice(&list).expect("they are few"),
        });
        Some(())
    }

    fn submit(&mut self, input: &mut Cursor<'_>) -> Option<()> {
        let back = u64::from(input.byte()?);
        let template_id = self.last_id.saturating_sub(back);
        let solution = Solution::from_bytes(template_id, &[7; 80], vec![1; 60]);
        let mut out = TpOutput::default();
        let sent = self.client.submit(&solution, &mut out).is_ok();
        assert_eq!(sent, !out.frames.is_empty(), "a solution that is taken is sent");
        assert!(!sent || self.told.contains_key(&template_id), "a solution of another connection's template");
        self.look(out, false);
        Some(())
    }

    fn hand<'a, M: Message<'a>>(&mut self, message: &M) {
        let mut frame = BytesMut::new();
        sv2::write_frame(message, &mut frame);
        let (header, payload, _) = FrameHeader::split(&frame).expect("a frame was written");
        self.hand_frame(header, payload);
    }

    fn hand_frame(&mut self, header: FrameHeader, payload: &[u8]) {
        if !self.connected {
            return;
        }
        let mut out = TpOutput::default();
        let asked = self.asked;
        let taken = self.client.frame(&header, payload, self.now, &mut out);
        let plain = header.extension_type == 0 && !header.channel_msg;
        if plain && taken.is_ok() && header.msg_type == common::SetupConnectionSuccess::MSG_TYPE {
            self.set_up = true;
        }
        // By whatever way the message came.
        if plain
            && let Ok((AnyMessage::TemplateDistribution(message), _)) =
                AnyMessage::decode_lenient(&header, payload, &[])
        {
            self.remember(&message, asked);
        }
        self.look(out, false);
        if let Err(error) = taken {
            assert!(error.to_string().len() < 1_024, "an error longer than its use");
            self.disconnect();
        }
    }

    /// Of messages that were made of the input's bytes.
    fn remember(&mut self, message: &TemplateDistributionMessage<'_>, asked: Option<(u64, Duration)>) {
        match message {
            TemplateDistributionMessage::NewTemplate(new) => {
                let said = Said {
                    version: new.version,
                    value: new.coinbase_tx_value_remaining,
                    path: new.merkle_path.iter().collect(),
                };
                self.said.entry(new.template_id).or_default().push(said);
            }
            TemplateDistributionMessage::SetNewPrevHash(tip) if !self.planted => {
                self.tip = Some((tip.prev_hash, tip.n_bits));
            }
            TemplateDistributionMessage::RequestTransactionDataSuccess(answer) => {
                self.asked = asked.filter(|(id, _)| *id != answer.template_id);
            }
            TemplateDistributionMessage::RequestTransactionDataError(answer) => {
                self.asked = asked.filter(|(id, _)| *id != answer.template_id);
            }
            _ => {}
        }
    }

    /// Judges what came out.
    #[expect(clippy::panic, reason = "a broken promise")]
    fn look(&mut self, out: TpOutput, connecting: bool) {
        for event in out.events {
            self.hear(event);
        }
        let mut rest = &out.frames[..];
        while let Some((header, payload, later)) = FrameHeader::split(rest) {
            let message = AnyMessage::decode(&header, payload).expect("what is sent can be read");
            match message {
                AnyMessage::Common(CommonMessage::SetupConnection(setup)) => {
                    assert!(connecting && setup.protocol == common::PROTOCOL_TEMPLATE_DISTRIBUTION);
                }
                AnyMessage::TemplateDistribution(message) => self.sent(&message),
                other => panic!("{} is not the client's to send", other.name()),
            }
            rest = later;
        }
        assert!(rest.is_empty(), "half a frame is sent");
    }

    #[expect(clippy::panic, reason = "a broken promise")]
    fn sent(&mut self, message: &TemplateDistributionMessage<'_>) {
        assert!(self.set_up, "sent before the set-up: {message:?}");
        match message {
            TemplateDistributionMessage::RequestTransactionData(request) => {
                let busy = self.asked.is_some_and(|(_, since)| self.now < since + ASKED);
                assert!(!busy, "a second request while one is open");
                assert!(self.said.contains_key(&request.template_id), "a template that was not given");
                self.asked = Some((request.template_id, self.now));
            }
            TemplateDistributionMessage::CoinbaseOutputConstraints(_)
            | TemplateDistributionMessage::SubmitSolution(_) => {}
            other => panic!("{other:?} is not the client's to send"),
        }
    }

    #[expect(clippy::panic, reason = "a broken promise")]
    fn hear(&mut self, event: ProviderEvent) {
        match event {
            ProviderEvent::Up { .. } => {
                assert!(!self.is_up && self.told.is_empty(), "up twice");
                self.is_up = true;
            }
            ProviderEvent::Template(template) => {
                assert!(self.is_up, "a template before it is up");
                assert!(template.template_id > self.last_id, "numbers only grow");
                self.last_id = template.template_id;
                assert_eq!(Some((template.prev_hash, template.nbits)), self.tip, "a template on another tip");
                let is_its = |said: &Said| {
                    said.version == template.version
                        && said.value == template.coinbase.value_remaining
                        && said.path == *template.merkle_path
                };
                assert!(self.said.values().flatten().any(is_its), "a template that nobody gave");
                self.told.insert(template.template_id, template);
            }
            ProviderEvent::Transactions { template_id, transactions } => {
                let template = self.told.get(&template_id).expect("of a template that was told");
                let txids: Vec<[u8; 32]> = transactions
                    .iter()
                    .map(|t| {
                        let read: bitcoin::Transaction =
                            bitcoin::consensus::deserialize(&t.bytes).expect("a whole transaction");
                        assert_eq!(read.compute_wtxid().to_byte_array(), t.wtxid);
                        read.compute_txid().to_byte_array()
                    })
                    .collect();
                assert_eq!(merkle::path(&txids)[..], template.merkle_path[..], "another template's");
                assert!(!self.filled.contains(&template_id), "told twice");
                self.filled.push(template_id);
            }
            ProviderEvent::Down { .. } => panic!("the client itself never says that it is down"),
        }
    }
}

/// As many transactions as the lowest three bits say, different ones for each of the others.
fn transactions_of(which: u8) -> Vec<bitcoin::Transaction> {
    (0..which % 8)
        .map(|number| bitcoin::Transaction {
            version: bitcoin::transaction::Version(i32::from(which)),
            lock_time: bitcoin::absolute::LockTime::ZERO,
            input: vec![bitcoin::TxIn { sequence: bitcoin::Sequence(number.into()), ..Default::default() }],
            output: vec![bitcoin::TxOut {
                value: bitcoin::Amount::ZERO,
                script_pubkey: bitcoin::ScriptBuf::new(),
            }],
        })
        .collect()
}

fn path_of(which: u8) -> Vec<[u8; 32]> {
    let transactions = transactions_of(which);
    let txids: Vec<[u8; 32]> =
        transactions.iter().map(|transaction| transaction.compute_txid().to_byte_array()).collect();
    merkle::path(&txids)
}
