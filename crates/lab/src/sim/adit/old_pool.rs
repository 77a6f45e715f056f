//! A pool that speaks Stratum V1: the simulated pool is one model for both protocols, and here is the gateway between its
//! frames and the lines that the source's machine knows. What goes wrong in frames goes wrong in lines.

use std::collections::{BTreeMap, VecDeque};

use bytes::BytesMut;
use engine::source::{DeclaredEffects, DownReason, SourceCommand, Sv1Effects, Sv1Pool};
use engine::{Now, OutgoingShare};
use serde_json::{Value, json};
use sv2::{AnyMessage, CommonMessage, FrameHeader, MiningMessage, common, mining};
use work::{Difficulty, Target};

use crate::sim::pool::job::VERSION_MASK;

/// The id of a connection's first submit.
const FIRST_SUBMIT: u64 = 16;
/// Hashrate that channels are opened with.
const HASHRATE: f32 = 20.0;

/// See the module.
pub(in crate::sim) struct OldPool {
    pub(in crate::sim) pool: Sv1Pool,
    fx: Sv1Effects,
    /// The connection that is to be made, or is.
    lane: Option<u32>,
    dialling: bool,
    gate: Gateway,
    /// What channels must leave to be rolled.
    need: u16,
    /// Shares that the machine gave up on, not told yet.
    forgotten: u64,
}

/// A job as the pool sent it.
#[derive(Clone, Debug)]
struct Body {
    id: u32,
    version: u32,
    merkle_path: Vec<[u8; 32]>,
    coinb1: Vec<u8>,
    coinb2: Vec<u8>,
    prefix: Vec<u8>,
}

/// One connection's translation.
#[derive(Debug, Default)]
struct Gateway {
    channel: Option<(u32, u32)>,
    authorized: bool,
    prefix: Vec<u8>,
    /// As the machine was told.
    told_prefix: Vec<u8>,
    extranonce_size: u16,
    target: [u8; 32],
    future: BTreeMap<u32, Body>,
    tip: Option<([u8; 32], u32)>,
    versions: BTreeMap<u32, u32>,
    /// A job that came before the machine was authorised.
    held: Option<(Body, u32, bool)>,
    /// Sequence numbers of shares without an answer, oldest first.
    open: VecDeque<u32>,
}

impl OldPool {
    pub(super) fn new(pool: Sv1Pool, need: u16) -> Self {
        Self {
            pool,
            fx: Sv1Effects::default(),
            lane: None,
            dialling: false,
            gate: Gateway::default(),
            need,
            forgotten: 0,
        }
    }

    pub(super) fn wants_connection(&self) -> bool {
        self.dialling
    }

    /// Shares that the machine gave up on since this was last asked.
    pub(super) fn take_forgotten(&mut self) -> u64 {
        std::mem::take(&mut self.forgotten)
    }

    pub(super) fn connected(&mut self, now: Now, fx: &mut DeclaredEffects) {
        self.dialling = false;
        self.gate = Gateway::default();
        if let Some(lane) = self.lane {
            self.pool.connected(lane, now, &mut self.fx);
        }
        self.settle(now, fx);
    }

    pub(super) fn disconnected(&mut self, why: DownReason, now: Now, fx: &mut DeclaredEffects) {
        self.dialling = false;
        if let Some(lane) = self.lane {
            self.pool.disconnected(lane, why, now, &mut self.fx);
        }
        self.settle(now, fx);
    }

    pub(super) fn command(&mut self, command: SourceCommand, now: Now, fx: &mut DeclaredEffects) {
        self.pool.command(command, now, &mut self.fx);
        self.settle(now, fx);
    }

    pub(super) fn timer(&mut self, now: Now, fx: &mut DeclaredEffects) {
        let before = self.pool.status().open_shares;
        self.pool.timer(now, &mut self.fx);
        if self.lane.is_some_and(|lane| self.pool.has(lane)) {
            let gone = before - self.pool.status().open_shares;
            self.gate.open.drain(..gone.min(self.gate.open.len()));
            self.forgotten += gone as u64;
        }
        self.settle(now, fx);
    }

    pub(super) fn share(&mut self, share: &OutgoingShare, now: Now, fx: &mut DeclaredEffects) {
        self.pool.share(share, now, &mut self.fx);
        self.settle(now, fx);
    }

    pub(super) fn frame(&mut self, header: &FrameHeader, payload: &[u8], now: Now, fx: &mut DeclaredEffects) {
        let Some(lane) = self.lane else { return };
        let mut lines = Vec::new();
        let closed = self.gate.frame(header, payload, &mut lines);
        for line in lines {
            self.pool.line(lane, line.as_bytes(), now, &mut self.fx);
            if !self.pool.has(lane) {
                break;
            }
        }
        if closed {
            let why = DownReason::Lost("closed by the pool".into());
            self.pool.disconnected(lane, why, now, &mut self.fx);
        }
        self.settle(now, fx);
    }

    /// Hands on what the machine wants, until it wants nothing more.
    fn settle(&mut self, now: Now, fx: &mut DeclaredEffects) {
        loop {
            let lines: Vec<u8> = self.fx.lines.drain(..).flat_map(|(_, lines)| lines).collect();
            let mut answers = Vec::new();
            for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                self.gate.line(line, self.need, &mut fx.pool.frames, &mut answers);
            }
            let Some(lane) = self.lane.filter(|_| !answers.is_empty()) else { break };
            for answer in answers {
                self.pool.line(lane, answer.as_bytes(), now, &mut self.fx);
            }
        }
        let common = &mut self.fx.common;
        fx.pool.events.append(&mut common.events);
        fx.pool.answers.append(&mut common.answers);
        fx.pool.ack_latencies.append(&mut common.ack_latencies);
        fx.pool.hang_up |= !self.fx.hang_up.is_empty();
        self.fx.hang_up.clear();
        self.fx.notices.clear();
        fx.pool.reconnect_to = self.fx.reconnect_to.take().or(fx.pool.reconnect_to.take());
        if self.lane.is_some_and(|lane| !self.pool.has(lane)) {
            self.lane = None;
            self.dialling = false;
        }
        if let Some(lane) = self.pool.to_dial() {
            // All miners have one split and one identity: one connection is all that there ever is.
            debug_assert!(self.lane.is_none());
            self.lane = Some(lane);
            self.dialling = true;
        }
    }
}

impl Gateway {
    /// A line of the machine's, as frames to the pool or as an answer at once.
    fn line(&mut self, line: &[u8], need: u16, frames: &mut BytesMut, answers: &mut Vec<String>) {
        let request: Value = serde_json::from_slice(line).expect("the machine writes JSON");
        let id = request["id"].as_u64().unwrap_or(0);
        let params = &request["params"];
        match request["method"].as_str().unwrap_or_default() {
            "mining.configure" => {
                let text = sv2::Str0255::truncated;
                let setup = common::SetupConnection {
                    protocol: common::PROTOCOL_MINING,
                    min_version: 2,
                    max_version: 2,
                    flags: mining::REQUIRES_VERSION_ROLLING,
                    endpoint_host: text("pool"),
                    endpoint_port: 3333,
                    vendor: text("Adit"),
                    hardware_version: text("proxy"),
                    firmware: text("gateway"),
                    device_id: text(""),
                };
                sv2::write_frame(&setup, frames);
            }
            "mining.subscribe" => {
                let open = mining::OpenExtendedMiningChannel {
                    request_id: 1,
                    user_identity: sv2::Str0255::truncated("farm"),
                    nominal_hash_rate: HASHRATE,
                    max_target: [0xff; 32],
                    min_extranonce_size: need,
                };
                sv2::write_frame(&open, frames);
            }
            "mining.authorize" => {
                self.authorized = true;
                answers.push(granted(id, &json!(true)));
                answers.push(self.difficulty());
                if let Some((body, ntime, clean)) = self.held.take() {
                    self.notify(&body, ntime, clean, answers);
                }
            }
            "mining.submit" => self.submit(id, params, frames),
            _ => answers.push(granted(id, &json!(true))),
        }
    }

    fn submit(&mut self, id: u64, params: &Value, frames: &mut BytesMut) {
        let Some((channel_id, _)) = self.channel else { return };
        let number =
            |at: usize| u32::from_str_radix(params[at].as_str().unwrap_or_default(), 16).unwrap_or(0);
        let job_id = number(1);
        let text = params[2].as_str().unwrap_or_default();
        let extranonce: Vec<u8> = text
            .as_bytes()
            .chunks_exact(2)
            .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect();
        let version = self.versions.get(&job_id).copied().unwrap_or(0);
        let sequence_number = u32::try_from(id - FIRST_SUBMIT).unwrap_or(u32::MAX);
        let message = mining::SubmitSharesExtended {
            channel_id,
            sequence_number,
            job_id,
            nonce: number(4),
            ntime: number(3),
            version: (version & !VERSION_MASK) | number(5),
            extranonce: sv2::B032::new(&extranonce).expect("no longer than the pool leaves"),
        };
        self.open.push_back(sequence_number);
        sv2::write_frame(&message, frames);
    }

    /// A frame of the pool's, as lines. True: the connection is to end.
    fn frame(&mut self, header: &FrameHeader, payload: &[u8], out: &mut Vec<String>) -> bool {
        let Ok((message, _)) = AnyMessage::decode_lenient(header, payload, &[]) else {
            out.push("no message".to_owned());
            return false;
        };
        match message {
            AnyMessage::Common(CommonMessage::SetupConnectionSuccess(_)) => {
                let result =
                    json!({"version-rolling": true, "version-rolling.mask": format!("{VERSION_MASK:08x}")});
                out.push(granted(1, &result));
            }
            AnyMessage::Common(CommonMessage::SetupConnectionError(error)) => {
                out.push(refused(1, -3, error.error_code.as_bytes()));
            }
            AnyMessage::Common(CommonMessage::Reconnect(to)) => {
                let host = String::from_utf8_lossy(to.new_host.as_bytes()).into_owned();
                let params = json!([host, to.new_port, 0]);
                out.push(json!({"id": null, "method": "client.reconnect", "params": params}).to_string());
            }
            AnyMessage::Mining(message) => return self.mining(message, out),
            _ => {}
        }
        false
    }

    fn is_for_us(&self, id: u32) -> bool {
        self.channel.is_some_and(|(channel, group)| id == channel || id == group)
    }

    fn mining(&mut self, message: MiningMessage<'_>, out: &mut Vec<String>) -> bool {
        match message {
            MiningMessage::OpenExtendedMiningChannelSuccess(opened) if self.channel.is_none() => {
                self.channel = Some((opened.channel_id, opened.group_channel_id));
                self.prefix = opened.extranonce_prefix.as_slice().to_vec();
                self.told_prefix.clone_from(&self.prefix);
                self.extranonce_size = opened.extranonce_size;
                self.target = opened.target;
                let result = json!([[["mining.notify", "s"]], hex(&self.prefix), self.extranonce_size]);
                out.push(granted(2, &result));
            }
            MiningMessage::OpenMiningChannelError(error) => {
                out.push(refused(2, 20, error.error_code.as_bytes()))
            }
            MiningMessage::NewExtendedMiningJob(job) if self.is_for_us(job.channel_id) => {
                let body = Body {
                    id: job.job_id,
                    version: job.version,
                    merkle_path: job.merkle_path.iter().collect(),
                    coinb1: job.coinbase_tx_prefix.as_slice().to_vec(),
                    coinb2: job.coinbase_tx_suffix.as_slice().to_vec(),
                    prefix: self.prefix.clone(),
                };
                match job.min_ntime {
                    Some(ntime) => self.notify(&body, ntime, false, out),
                    None => drop(self.future.insert(job.job_id, body)),
                }
            }
            MiningMessage::SetNewPrevHash(tip) if self.is_for_us(tip.channel_id) => {
                self.tip = Some((tip.prev_hash, tip.nbits));
                if let Some(body) = self.future.remove(&tip.job_id) {
                    self.future.clear();
                    self.notify(&body, tip.min_ntime, true, out);
                }
            }
            MiningMessage::SetTarget(target) if self.is_for_us(target.channel_id) => {
                self.target = target.maximum_target;
                out.push(self.difficulty());
            }
            MiningMessage::SetExtranoncePrefix(prefix) if self.is_for_us(prefix.channel_id) => {
                self.prefix = prefix.extranonce_prefix.as_slice().to_vec();
            }
            MiningMessage::SetGroupChannel(group) => {
                if let Some((channel, of)) = &mut self.channel
                    && group.channel_ids.iter().any(|id| id == *channel)
                {
                    *of = group.group_channel_id;
                }
            }
            MiningMessage::SubmitSharesSuccess(success)
                if self.channel.is_some_and(|(channel, _)| channel == success.channel_id) =>
            {
                for _ in 0..success.new_submits_accepted_count {
                    let is_due = |seq: &u32| success.last_sequence_number.wrapping_sub(*seq) < 1 << 31;
                    let Some(seq) = self.open.front().copied().filter(is_due) else { break };
                    self.open.pop_front();
                    out.push(granted(FIRST_SUBMIT + u64::from(seq), &json!(true)));
                }
            }
            MiningMessage::SubmitSharesError(error)
                if self.channel.is_some_and(|(channel, _)| channel == error.channel_id) =>
            {
                self.open.retain(|seq| *seq != error.sequence_number);
                let id = FIRST_SUBMIT + u64::from(error.sequence_number);
                let code = if error.error_code.as_bytes() == b"stale-share" { 21 } else { 20 };
                out.push(refused(id, code, error.error_code.as_bytes()));
            }
            // There is no word for it in Stratum V1.
            MiningMessage::CloseChannel(close) => return self.is_for_us(close.channel_id),
            _ => {}
        }
        false
    }

    fn difficulty(&self) -> String {
        let target = Target::from_le_bytes(self.target);
        // A target that no hash can meet has no difficulty.
        let difficulty = if target.is_zero() { 0.0 } else { Difficulty::from_target(target).get() };
        json!({"id": null, "method": "mining.set_difficulty", "params": [difficulty]}).to_string()
    }

    fn notify(&mut self, body: &Body, ntime: u32, clean: bool, out: &mut Vec<String>) {
        if !self.authorized {
            let clean = clean || self.held.as_ref().is_some_and(|(_, _, clean)| *clean);
            self.held = Some((body.clone(), ntime, clean));
            return;
        }
        let Some((prev_hash, nbits)) = self.tip else { return };
        if body.prefix != self.told_prefix {
            self.told_prefix.clone_from(&body.prefix);
            let params = json!([hex(&body.prefix), self.extranonce_size]);
            out.push(json!({"id": null, "method": "mining.set_extranonce", "params": params}).to_string());
        }
        self.versions.insert(body.id, body.version);
        let mut words = prev_hash;
        words.chunks_exact_mut(4).for_each(<[u8]>::reverse);
        let path: Vec<String> = body.merkle_path.iter().map(|step| hex(step)).collect();
        let params = json!([
            format!("{:x}", body.id),
            hex(&words),
            hex(&body.coinb1),
            hex(&body.coinb2),
            path,
            format!("{:08x}", body.version),
            format!("{nbits:08x}"),
            format!("{ntime:08x}"),
            clean,
        ]);
        out.push(json!({"id": null, "method": "mining.notify", "params": params}).to_string());
    }
}

fn granted(id: u64, result: &Value) -> String {
    json!({"id": id, "result": result, "error": null}).to_string()
}

fn refused(id: u64, code: i64, words: &[u8]) -> String {
    let words = String::from_utf8_lossy(words);
    json!({"id": id, "result": null, "error": [code, words, null]}).to_string()
}

fn hex(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(2 * bytes.len());
    crate::sv1_wire::push_hex(&mut out, bytes);
    String::from_utf8(out).unwrap_or_default()
}
