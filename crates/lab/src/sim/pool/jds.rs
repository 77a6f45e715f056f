//! A simulated job declarator server, which belongs to a pool: tokens, declarations, missing transactions (section 6).
//!
//! It reads coinbases and counts transactions with crate `bitcoin`, and keeps its own record of tokens.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::consensus::{deserialize, serialize};
use bitcoin::hashes::{Hash, sha256d};
use bitcoin::{Amount, ScriptBuf, Transaction, TxOut};
use bytes::BytesMut;
use sv2::{AnyMessage, CommonMessage, JobDeclarationMessage, common, job_declaration as jd};

use super::job::read_template_script;
use super::{Pool, PoolAct, PoolIo, PoolTimer, text};
use crate::sim::faults::FaultKind;
use crate::sim::link::LinkId;
use crate::sim::tally::{Message, Tally};
use crate::sim::time::{Micros, SECOND};

/// Tokens are remembered for this long.
const TOKEN_LIFE: Micros = 100 * SECOND;

/// What is wrong with it at the moment.
#[derive(Clone, Debug, Default)]
pub(in crate::sim) struct JdsMood {
    pub(in crate::sim) gone: bool,
    pub(in crate::sim) silent_setup: bool,
    pub(in crate::sim) silent_token: bool,
    pub(in crate::sim) silent_declare: bool,
    pub(in crate::sim) silent_missing: bool,
    pub(in crate::sim) stale: bool,
    pub(in crate::sim) refuses: bool,
    pub(in crate::sim) twice: bool,
    pub(in crate::sim) token_twice: bool,
    pub(in crate::sim) forgets: bool,
}

#[derive(Debug)]
struct Token {
    given_at: Micros,
    /// How often it was given: twice is a fault of the server's.
    given: u32,
    used: u32,
    /// The outputs that a job of it has to have first: their scripts.
    scripts: Vec<ScriptBuf>,
}

/// A job that was declared with its transactions.
#[derive(Debug)]
pub(super) struct Declared {
    pub(super) version: u32,
    pub(super) coinbase: Transaction,
    pub(super) txids: Vec<[u8; 32]>,
    pub(super) used: u32,
}

/// A declaration whose transactions are not all known.
#[derive(Debug)]
struct Waiting {
    link: LinkId,
    request_id: u32,
    missing: Vec<[u8; 32]>,
    declared: Declared,
}

#[derive(Debug)]
pub(in crate::sim) struct JdsConnection {
    pub(in crate::sim) link: LinkId,
    input: Vec<u8>,
    pub(in crate::sim) out: BytesMut,
    is_set_up: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(in crate::sim) struct Jds {
    pub(in crate::sim) connections: Vec<JdsConnection>,
    pub(in crate::sim) mood: JdsMood,
    /// Counts the changes of its outputs.
    pub(in crate::sim) outputs_version: u8,
    /// It thinks for so long.
    pub(in crate::sim) answers_after: Micros,
    /// How often it knows a transaction.
    pub(in crate::sim) knows: f64,
    next_token: u64,
    tokens: BTreeMap<Vec<u8>, Token>,
    pub(super) declared: BTreeMap<Vec<u8>, Declared>,
    known: BTreeSet<[u8; 32]>,
    waiting: Vec<Waiting>,
}

impl Jds {
    pub(in crate::sim) fn accept(&mut self, link: LinkId) {
        let (input, out) = (Vec::new(), BytesMut::new());
        self.connections.push(JdsConnection { link, input, out, is_set_up: false });
    }

    /// What the pool wants in coinbases: a payout, and a mark without value.
    fn outputs(&self) -> Vec<TxOut> {
        let script = |bytes: Vec<u8>| ScriptBuf::from_bytes(bytes);
        let payout = [&[0, 20][..], &[self.outputs_version; 20]].concat();
        let mark = [&[0x6a, 8][..], &[0xab; 8]].concat();
        let mut outputs = vec![TxOut { value: Amount::ZERO, script_pubkey: script(payout) }];
        if self.outputs_version.is_multiple_of(2) {
            outputs.push(TxOut { value: Amount::ZERO, script_pubkey: script(mark) });
        }
        outputs
    }

    fn new_token(&mut self) -> Vec<u8> {
        self.next_token += 1;
        self.next_token.to_be_bytes().to_vec()
    }

    /// A token is used for a coinbase with these outputs.
    pub(super) fn spend(
        &mut self,
        token: &[u8],
        outputs: &[TxOut],
        io: &mut PoolIo<'_>,
    ) -> Result<(), &'static str> {
        const BAD: &str = "invalid-mining-job-token";
        let mut complain =
            |text: &str| io.acts.push(PoolAct::Complain(format!("token {token:02x?}: {text}")));
        let Some(known) = self.tokens.get_mut(token) else {
            complain("never given");
            return Err(BAD);
        };
        known.used += 1;
        if known.used > known.given {
            complain("used twice");
        }
        if self.mood.forgets {
            io.tally.fault(FaultKind::TokenExpired);
            return Err(BAD);
        }
        if known.used > 1 || io.now > known.given_at + TOKEN_LIFE {
            return Err(BAD);
        }
        let scripts = outputs.iter().map(|output| &output.script_pubkey);
        if !scripts.take(known.scripts.len()).eq(&known.scripts) {
            complain("its job pays others than the pool");
        } else if outputs.iter().skip(1).take(known.scripts.len() - 1).any(|o| o.value > Amount::ZERO) {
            complain("its job gives what was the pool's payout to another output");
        }
        Ok(())
    }
}

impl Pool {
    /// Bytes came for the declarator server.
    pub(in crate::sim) fn jds_input(&mut self, link: LinkId, bytes: &[u8], io: &mut PoolIo<'_>) {
        let Some(at) = self.jds.connections.iter().position(|c| c.link == link) else {
            return;
        };
        self.jds.connections[at].input.extend_from_slice(bytes);
        let input = std::mem::take(&mut self.jds.connections[at].input);
        let mut rest = input.as_slice();
        while let Some((header, payload, after)) = sv2::FrameHeader::split(rest) {
            rest = after;
            match sv2::AnyMessage::decode_lenient(&header, payload, &[]) {
                Ok((message, _)) => self.jds_message(at, &message, io),
                Err(error) => {
                    io.acts.push(PoolAct::Complain(format!("the JDS got what is no SV2: {error}")));
                }
            }
        }
        self.jds.connections[at].input = rest.to_vec();
    }

    fn jds_message(&mut self, at: usize, message: &AnyMessage<'_>, io: &mut PoolIo<'_>) {
        let is_set_up = self.jds.connections[at].is_set_up;
        match message {
            AnyMessage::Common(CommonMessage::SetupConnection(setup)) => {
                io.tally.message(Message::JdsSetup);
                if setup.protocol != common::PROTOCOL_JOB_DECLARATION {
                    io.acts.push(PoolAct::Complain(format!("an unexpected SetupConnection: {setup:?}")));
                }
                if self.jds.mood.silent_setup {
                    io.tally.fault(FaultKind::JdsSilentSetup);
                    return;
                }
                self.jds.connections[at].is_set_up = true;
                let success = common::SetupConnectionSuccess { used_version: 2, flags: setup.flags };
                self.jds_say(at, &success, Message::JdsSetupSuccess, io);
            }
            _ if !is_set_up => {
                io.acts.push(PoolAct::Complain(format!("{} before the JDS was set up", message.name())));
            }
            AnyMessage::JobDeclaration(JobDeclarationMessage::AllocateMiningJobToken(ask)) => {
                self.on_allocate(at, ask, io);
            }
            AnyMessage::JobDeclaration(JobDeclarationMessage::DeclareMiningJob(declare)) => {
                self.on_declare(at, declare, io);
            }
            AnyMessage::JobDeclaration(JobDeclarationMessage::ProvideMissingTransactionsSuccess(given)) => {
                self.on_missing(at, given, io);
            }
            AnyMessage::JobDeclaration(JobDeclarationMessage::PushSolution(_)) => {
                io.tally.message(Message::PushSolution);
            }
            other => io.acts.push(PoolAct::Complain(format!("Adit sent {} to the JDS", other.name()))),
        }
    }

    fn on_allocate(&mut self, at: usize, ask: &jd::AllocateMiningJobToken<'_>, io: &mut PoolIo<'_>) {
        io.tally.message(Message::AllocateToken);
        if self.jds.mood.silent_token {
            io.tally.fault(FaultKind::JdsSilentToken);
            return;
        }
        let again =
            if self.jds.mood.token_twice { self.jds.tokens.keys().next_back().cloned() } else { None };
        if again.is_some() {
            io.tally.fault(FaultKind::TokenReused);
        }
        let token = again.unwrap_or_else(|| self.jds.new_token());
        let outputs = self.jds.outputs();
        let scripts = outputs.iter().map(|output| output.script_pubkey.clone()).collect();
        let given = self.jds.tokens.get(&token).map_or(0, |before| before.given) + 1;
        let used = self.jds.tokens.get(&token).map_or(0, |before| before.used);
        self.jds.tokens.insert(token.clone(), Token { given_at: io.now, given, used, scripts });
        let outputs = serialize(&outputs);
        let success = jd::AllocateMiningJobTokenSuccess {
            request_id: ask.request_id,
            mining_job_token: (&*token).try_into().expect("eight bytes"),
            coinbase_tx_outputs: (&*outputs).try_into().expect("two outputs"),
        };
        self.jds_say(at, &success, Message::TokenGiven, io);
    }

    fn on_declare(&mut self, at: usize, declare: &jd::DeclareMiningJob<'_>, io: &mut PoolIo<'_>) {
        io.tally.message(Message::DeclareJob);
        self.strike_at(FaultKind::TipAtDeclare, io);
        if self.jds.mood.silent_declare {
            io.tally.fault(FaultKind::JdsSilentDeclare);
            return;
        }
        let request_id = declare.request_id;
        let (prefix, suffix) = (declare.coinbase_tx_prefix.as_slice(), declare.coinbase_tx_suffix.as_slice());
        let Some(coinbase) = whole_coinbase(prefix, suffix) else {
            io.acts.push(PoolAct::Complain("a declared coinbase that is no transaction".into()));
            return;
        };
        if let Err(code) = self.jds.spend(declare.mining_job_token.as_slice(), &coinbase.output, io) {
            return self.refuse_declaration(at, request_id, code, io);
        }
        if self.jds.mood.refuses {
            io.tally.fault(FaultKind::JdsRefuses);
            let code = *io.rng.pick(&["invalid-coinbase-tx", "mempool-conflict", "\u{1}"]);
            return self.refuse_declaration(at, request_id, code, io);
        }
        let height = read_template_script(coinbase.input[0].script_sig.as_bytes()).map(|(height, _)| height);
        if self.jds.mood.stale {
            io.tally.fault(FaultKind::JdsStale);
        }
        if self.jds.mood.stale || height != Some(self.tip.height + 1) {
            return self.refuse_declaration(at, request_id, "stale-chain-tip", io);
        }
        let txids: Vec<[u8; 32]> = declare.wtxid_list.iter().collect();
        let mut positions = Vec::new();
        let mut missing = Vec::new();
        for (position, id) in txids.iter().enumerate() {
            if !self.jds.known.contains(id) {
                if io.rng.chance(self.jds.knows) {
                    self.jds.known.insert(*id);
                } else {
                    positions.push(u16::try_from(position).unwrap_or(u16::MAX));
                    missing.push(*id);
                }
            }
        }
        let declared = Declared { version: declare.version, coinbase, txids, used: 0 };
        if missing.is_empty() {
            return self.take_declaration(at, request_id, declared, io);
        }
        let link = self.jds.connections[at].link;
        self.jds.waiting.push(Waiting { link, request_id, missing, declared });
        let unknown_tx_position_list = sv2::Seq064K::from_slice(&positions).expect("a few positions");
        let ask = jd::ProvideMissingTransactions { request_id, unknown_tx_position_list };
        self.jds_say(at, &ask, Message::AskMissing, io);
    }

    fn on_missing(
        &mut self,
        at: usize,
        given: &jd::ProvideMissingTransactionsSuccess<'_>,
        io: &mut PoolIo<'_>,
    ) {
        io.tally.message(Message::GiveMissing);
        self.strike_at(FaultKind::TipAtMissing, io);
        let link = self.jds.connections[at].link;
        let asked = |w: &Waiting| w.link == link && w.request_id == given.request_id;
        let Some(place) = self.jds.waiting.iter().position(asked) else {
            io.acts.push(PoolAct::Complain("transactions that nobody asked for".into()));
            return;
        };
        let waiting = self.jds.waiting.remove(place);
        let ids: Vec<[u8; 32]> = given
            .transaction_list
            .iter()
            .map(|bytes| sha256d::Hash::hash(bytes.as_slice()).to_byte_array())
            .collect();
        if ids != waiting.missing {
            io.acts.push(PoolAct::Complain("other transactions than those that were asked for".into()));
        }
        self.jds.known.extend(ids);
        if self.jds.mood.silent_missing {
            io.tally.fault(FaultKind::JdsSilentMissing);
            return;
        }
        self.take_declaration(at, given.request_id, waiting.declared, io);
    }

    fn take_declaration(&mut self, at: usize, request_id: u32, declared: Declared, io: &mut PoolIo<'_>) {
        self.strike_at(FaultKind::TipAtDeclared, io);
        let token = self.jds.new_token();
        self.jds.declared.insert(token.clone(), declared);
        let success = jd::DeclareMiningJobSuccess {
            request_id,
            new_mining_job_token: (&*token).try_into().expect("eight bytes"),
        };
        self.jds_say(at, &success, Message::DeclareSuccess, io);
        if self.jds.mood.twice {
            io.tally.fault(FaultKind::JdsTwice);
            self.jds_say(at, &success, Message::DeclareSuccess, io);
        }
    }

    fn refuse_declaration(&mut self, at: usize, request_id: u32, code: &'static str, io: &mut PoolIo<'_>) {
        let error_details = b"as it is".as_slice().try_into().expect("eight bytes");
        let error = jd::DeclareMiningJobError { request_id, error_code: text(code), error_details };
        self.jds_say(at, &error, Message::DeclareError, io);
    }

    /// Says something after a while, always the same while, so that the order stays.
    fn jds_say<'a, M: sv2::Message<'a>>(
        &mut self,
        at: usize,
        message: &M,
        kind: Message,
        io: &mut PoolIo<'_>,
    ) {
        let tally: &mut Tally = io.tally;
        tally.message(kind);
        let mut bytes = BytesMut::new();
        sv2::write_frame(message, &mut bytes);
        let timer = PoolTimer::JdsSay { link: self.jds.connections[at].link, bytes: bytes.to_vec() };
        io.acts.push(PoolAct::Later(io.now + self.jds.answers_after, timer));
    }
}

/// A declared coinbase with zeros for its extranonce, whose length the script's length tells.
fn whole_coinbase(prefix: &[u8], suffix: &[u8]) -> Option<Transaction> {
    // Version, mark and flag of BIP 144, input count, outpoint.
    const SCRIPT_LEN_AT: usize = 4 + 2 + 1 + 36;
    let script = usize::from(*prefix.get(SCRIPT_LEN_AT)?);
    let there = prefix.len().checked_sub(SCRIPT_LEN_AT + 1)?;
    let extranonce = vec![0; script.checked_sub(there)?];
    deserialize(&[prefix, &extranonce, suffix].concat()).ok()
}
