//! The pool itself: lines in, lines out, without a socket or a clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bitcoin::block::{Header, Version};
use bitcoin::hashes::Hash as _;
use bitcoin::{BlockHash, TxMerkleNode};
use serde_json::{Value, json};
use template::dev_chain::{CoinbaseHalves, DevChain, DevTemplate, fold_merkle_path};

use super::options::{Sv1PoolError, Sv1PoolOptions};
use super::stats::Sv1PoolStats;
use crate::pow::{Target, sha256d};

/// Jobs that shares are taken for.
const MAX_JOBS: usize = 16;
/// How far a share's time may be ahead of its job's, seconds.
const MAX_NTIME_AHEAD: u32 = 7_200;

/// Lines for connections, in order.
pub type Sv1Lines = Vec<(u64, String)>;

/// See the module.
#[derive(Debug)]
pub struct Sv1PoolCore {
    options: Sv1PoolOptions,
    chain: DevChain,
    sessions: BTreeMap<u64, Session>,
    next_session: u64,
    next_extranonce1: u64,
    jobs: VecDeque<Arc<PoolJob>>,
    next_job: u64,
    stats: Sv1PoolStats,
}

#[derive(Debug)]
struct Session {
    extranonce1: Vec<u8>,
    subscribed: bool,
    workers: BTreeSet<String>,
    mask: u32,
    takes_extranonces: bool,
    difficulty: f64,
    /// Jobs as they were given to this connection.
    given: VecDeque<Given>,
    seen: BTreeSet<[u8; 32]>,
}

/// A job on one connection.
#[derive(Clone, Debug)]
struct Given {
    job: Arc<PoolJob>,
    extranonce1: Vec<u8>,
    difficulty: f64,
}

#[derive(Debug)]
struct PoolJob {
    name: String,
    template: Arc<DevTemplate>,
    halves: CoinbaseHalves,
}

/// Why a share is refused: SV1's number and words.
type Refusal = (i64, &'static str);

impl Sv1PoolCore {
    /// A pool with a chain of its own.
    ///
    /// # Errors
    /// Options that make no chain, or a coinbase that is too long.
    pub fn new(options: Sv1PoolOptions, now: u32) -> Result<Self, Sv1PoolError> {
        let chain = DevChain::new(options.chain.clone())?;
        let mut this = Self {
            options,
            chain,
            sessions: BTreeMap::new(),
            next_session: 0,
            next_extranonce1: 0,
            jobs: VecDeque::new(),
            next_job: 0,
            stats: Sv1PoolStats::default(),
        };
        this.make_job(now)?;
        Ok(this)
    }

    /// What has happened so far.
    #[must_use]
    pub fn stats(&self) -> Sv1PoolStats {
        Sv1PoolStats {
            connections: self.sessions.len(),
            height: self.chain.tip().height,
            ..self.stats.clone()
        }
    }

    /// Hash of the chain's tip.
    #[must_use]
    pub fn tip(&self) -> BlockHash {
        self.chain.tip().hash
    }

    /// Somebody has connected.
    pub fn connect(&mut self) -> u64 {
        self.next_session += 1;
        self.stats.connected += 1;
        let session = Session {
            extranonce1: self.fresh_extranonce1(),
            subscribed: false,
            workers: BTreeSet::new(),
            mask: 0,
            takes_extranonces: false,
            difficulty: self.options.difficulty,
            given: VecDeque::new(),
            seen: BTreeSet::new(),
        };
        self.sessions.insert(self.next_session, session);
        self.next_session
    }

    /// A connection has ended.
    pub fn disconnect(&mut self, connection: u64) {
        self.sessions.remove(&connection);
    }

    /// Every pool with its own seed and every connection of it searches a space of its own.
    fn fresh_extranonce1(&mut self) -> Vec<u8> {
        self.next_extranonce1 += 1;
        let number = self.next_extranonce1.to_be_bytes();
        let size = self.options.extranonce1_size;
        let mut bytes = vec![0; size.saturating_sub(8)];
        bytes.extend_from_slice(&number[8 - size.min(8)..]);
        bytes
    }

    fn make_job(&mut self, now: u32) -> Result<(), Sv1PoolError> {
        let template = self.chain.template(now);
        let len = self.options.extranonce1_size + self.options.extranonce2_size;
        let payout = DevTemplate::anyone_can_spend();
        let halves = template.coinbase_halves(&self.options.coinbase_tag, len, payout)?;
        self.next_job += 1;
        if self.jobs.back().is_some_and(|last| last.template.prev_hash != template.prev_hash) {
            self.jobs.clear();
        }
        if self.jobs.len() == MAX_JOBS {
            self.jobs.pop_front();
        }
        self.jobs.push_back(Arc::new(PoolJob { name: format!("job-{:x}", self.next_job), template, halves }));
        Ok(())
    }

    /// A new job on the same tip, for everybody.
    pub fn new_job(&mut self, now: u32, out: &mut Sv1Lines) {
        if self.make_job(now).is_ok() {
            self.notify_all(false, out);
        }
    }

    /// Somebody else has found a block: a job on the new tip, for everybody.
    pub fn new_tip(&mut self, now: u32, out: &mut Sv1Lines) {
        self.chain.new_tip(now);
        if self.make_job(now).is_ok() {
            self.notify_all(true, out);
        }
    }

    /// Another `extranonce1` for every connection that said it takes one, and a job that goes with it.
    pub fn set_extranonces(&mut self, out: &mut Sv1Lines) {
        let connections: Vec<u64> = self.sessions.keys().copied().collect();
        for connection in connections {
            let fresh = self.fresh_extranonce1();
            let size = self.options.extranonce2_size;
            let Some(session) = self.sessions.get_mut(&connection).filter(|s| s.takes_extranonces) else {
                continue;
            };
            let hex = hex(&fresh);
            session.extranonce1 = fresh;
            let line = json!({"id": null, "method": "mining.set_extranonce", "params": [hex, size]});
            out.push((connection, line.to_string()));
            self.notify(connection, true, out);
        }
    }

    /// Another difficulty for everybody, from the next job on.
    pub fn set_difficulty(&mut self, difficulty: f64, out: &mut Sv1Lines) {
        self.options.difficulty = difficulty;
        for (connection, session) in self.sessions.iter_mut().filter(|(_, session)| session.subscribed) {
            session.difficulty = difficulty;
            let line = json!({"id": null, "method": "mining.set_difficulty", "params": [difficulty]});
            out.push((*connection, line.to_string()));
        }
    }

    /// Tells everybody any line.
    pub fn say(&self, line: &str, out: &mut Sv1Lines) {
        out.extend(self.sessions.keys().map(|connection| (*connection, line.to_owned())));
    }

    /// Every share is refused from now on, or judged again.
    pub fn refuse_shares(&mut self, refuse: bool) {
        self.options.refuse_shares = refuse;
    }

    /// Nothing is answered any more, or again.
    pub fn be_silent(&mut self, silent: bool) {
        self.options.silent = silent;
    }

    fn notify_all(&mut self, clean: bool, out: &mut Sv1Lines) {
        let connections: Vec<u64> =
            self.sessions.iter().filter(|(_, s)| s.subscribed).map(|(connection, _)| *connection).collect();
        for connection in connections {
            self.notify(connection, clean, out);
        }
    }

    fn notify(&mut self, connection: u64, clean: bool, out: &mut Sv1Lines) {
        let (Some(session), Some(job)) = (self.sessions.get_mut(&connection), self.jobs.back()) else {
            return;
        };
        if clean {
            session.given.clear();
            session.seen.clear();
        }
        if session.given.len() == MAX_JOBS {
            session.given.pop_front();
        }
        session.given.push_back(Given {
            job: Arc::clone(job),
            extranonce1: session.extranonce1.clone(),
            difficulty: session.difficulty,
        });
        let template = &job.template;
        let mut prev_hash = template.prev_hash.to_byte_array();
        prev_hash.chunks_exact_mut(4).for_each(<[u8]>::reverse);
        let path: Vec<String> = template.merkle_path.iter().map(|step| hex(step)).collect();
        let params = json!([
            job.name,
            hex(&prev_hash),
            hex(&job.halves.prefix),
            hex(&job.halves.suffix),
            path,
            format!("{:08x}", template.version),
            format!("{:08x}", template.nbits.to_consensus()),
            format!("{:08x}", template.header_timestamp),
            clean,
        ]);
        let line = json!({"id": null, "method": "mining.notify", "params": params});
        out.push((connection, line.to_string()));
    }

    /// A line from a connection. False: it is to be closed.
    pub fn line(&mut self, connection: u64, line: &[u8], now: u32, out: &mut Sv1Lines) -> bool {
        let Ok(request) = serde_json::from_slice::<Value>(line) else { return false };
        let (id, method) = (request["id"].clone(), request["method"].as_str().unwrap_or_default().to_owned());
        if self.options.silent || !self.sessions.contains_key(&connection) {
            return true;
        }
        let params = request["params"].as_array().cloned().unwrap_or_default();
        let answer = match method.as_str() {
            "mining.configure" => self.configure(connection, &params),
            "mining.subscribe" => Ok(self.subscribe(connection)),
            "mining.authorize" => self.authorize(connection, &params),
            "mining.extranonce.subscribe" => {
                if let Some(session) = self.sessions.get_mut(&connection) {
                    session.takes_extranonces = true;
                }
                Ok(json!(true))
            }
            "mining.submit" => self.submit(connection, &params, now, out),
            // An answer of theirs.
            "" => return true,
            _ => Err((-3, "Method not found")),
        };
        let granted = answer.is_ok();
        let reply = match answer {
            Ok(result) => json!({"id": id, "result": result, "error": null}),
            Err((code, words)) => json!({"id": id, "result": null, "error": [code, words, null]}),
        };
        out.push((connection, reply.to_string()));
        if granted && method == "mining.authorize" {
            let difficulty = self.options.difficulty;
            let line = json!({"id": null, "method": "mining.set_difficulty", "params": [difficulty]});
            out.push((connection, line.to_string()));
            self.notify(connection, true, out);
        }
        true
    }

    fn configure(&mut self, connection: u64, params: &[Value]) -> Result<Value, Refusal> {
        if self.options.version_mask == 0 {
            return Err((-3, "Method not found"));
        }
        let wished = params.get(1).and_then(|settings| settings["version-rolling.mask"].as_str());
        let wished = wished.and_then(|mask| u32::from_str_radix(mask, 16).ok()).unwrap_or(u32::MAX);
        let mask = self.options.version_mask & wished;
        if let Some(session) = self.sessions.get_mut(&connection) {
            session.mask = mask;
        }
        Ok(json!({"version-rolling": true, "version-rolling.mask": format!("{mask:08x}")}))
    }

    fn subscribe(&mut self, connection: u64) -> Value {
        let Some(session) = self.sessions.get_mut(&connection) else { return Value::Null };
        session.subscribed = true;
        let name = format!("{connection:x}");
        json!([
            [["mining.set_difficulty", name], ["mining.notify", name]],
            hex(&session.extranonce1),
            self.options.extranonce2_size
        ])
    }

    fn authorize(&mut self, connection: u64, params: &[Value]) -> Result<Value, Refusal> {
        let Some(session) = self.sessions.get_mut(&connection) else { return Err((20, "gone")) };
        let name = params.first().and_then(Value::as_str).unwrap_or_default();
        if name.is_empty() || self.options.refused_worker.as_deref() == Some(name) {
            return Err((24, "Unauthorized worker"));
        }
        if !session.subscribed {
            return Err((25, "Not subscribed"));
        }
        session.workers.insert(name.to_owned());
        self.stats.passwords.insert(params.get(1).and_then(Value::as_str).unwrap_or_default().to_owned());
        Ok(json!(true))
    }

    fn submit(
        &mut self,
        connection: u64,
        params: &[Value],
        now: u32,
        out: &mut Sv1Lines,
    ) -> Result<Value, Refusal> {
        let judged = if self.options.refuse_shares {
            Err((20, "Nothing is good enough"))
        } else {
            self.judge(connection, params)
        };
        match judged {
            Ok((given, share)) => {
                self.stats.accepted += 1;
                self.stats.work += given.difficulty;
                let worker = params.first().and_then(Value::as_str).unwrap_or_default();
                *self.stats.accepted_of.entry(worker.to_owned()).or_default() += 1;
                if share.is_block {
                    self.block(&given, &share, now, out);
                }
                Ok(json!(true))
            }
            Err((code, words)) => {
                self.stats.refused += 1;
                *self.stats.refused_by.entry(code).or_default() += 1;
                Err((code, words))
            }
        }
    }

    fn judge(&mut self, connection: u64, params: &[Value]) -> Result<(Given, Share), Refusal> {
        let Some(session) = self.sessions.get_mut(&connection) else { return Err((20, "gone")) };
        let text = |at: usize| params.get(at).and_then(Value::as_str).ok_or((20, "A parameter is missing"));
        let number = |at: usize| -> Result<u32, Refusal> {
            let text = text(at)?;
            if text.len() != 8 {
                return Err((20, "A number has not 8 digits"));
            }
            u32::from_str_radix(text, 16).map_err(|_| (20, "A number is no hex"))
        };
        if !session.workers.contains(text(0)?) {
            return Err((24, "Unauthorized worker"));
        }
        let name = text(1)?;
        let Some(given) = session.given.iter().find(|given| given.job.name == name).cloned() else {
            return Err((21, "Job not found"));
        };
        let extranonce2 = unhex(text(2)?).ok_or((20, "extranonce2 is no hex"))?;
        if extranonce2.len() != self.options.extranonce2_size {
            return Err((20, "Invalid extranonce2 size"));
        }
        let (ntime, nonce) = (number(3)?, number(4)?);
        let template = &given.job.template;
        if ntime < template.header_timestamp
            || ntime > template.header_timestamp.saturating_add(MAX_NTIME_AHEAD)
        {
            return Err((20, "Ntime out of range"));
        }
        let bits = match params.len() {
            5 => None,
            6 => Some(number(5)?),
            _ => return Err((20, "Not five or six parameters")),
        };
        let version = match bits {
            Some(bits) if bits & !session.mask != 0 => return Err((20, "Version bits outside the mask")),
            Some(bits) => (template.version & !session.mask) | bits,
            None => template.version,
        };
        let halves = &given.job.halves;
        let coinbase = [&halves.prefix, &given.extranonce1[..], &extranonce2, &halves.suffix].concat();
        let root = fold_merkle_path(sha256d(&coinbase), &template.merkle_path);
        let header = Header {
            version: Version::from_consensus(version.cast_signed()),
            prev_blockhash: template.prev_hash,
            merkle_root: TxMerkleNode::from_byte_array(root),
            time: ntime,
            bits: template.nbits,
            nonce,
        };
        let hash = header.block_hash().to_byte_array();
        let value = bitcoin::Target::from_le_bytes(hash);
        let is_block = value <= template.target;
        let share_target = Target::from_difficulty(given.difficulty).to_le_bytes();
        if value > bitcoin::Target::from_le_bytes(share_target) && !is_block {
            return Err((23, "Low difficulty share"));
        }
        if !session.seen.insert(hash) {
            return Err((22, "Duplicate share"));
        }
        Ok((given, Share { version, ntime, nonce, coinbase, is_block }))
    }

    fn block(&mut self, given: &Given, share: &Share, now: u32, out: &mut Sv1Lines) {
        let template = given.job.template.template_id;
        let Share { version, ntime, nonce, coinbase, .. } = share;
        if self.chain.submit_solution(template, *version, *ntime, *nonce, coinbase, now).is_ok() {
            self.stats.blocks += 1;
            if self.make_job(now).is_ok() {
                self.notify_all(true, out);
            }
        }
    }
}

/// A share that is good.
struct Share {
    version: u32,
    ntime: u32,
    nonce: u32,
    coinbase: Vec<u8>,
    is_block: bool,
}

fn hex(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(2 * bytes.len());
    crate::sv1_wire::push_hex(&mut out, bytes);
    String::from_utf8(out).unwrap_or_default()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let pairs = digits.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
