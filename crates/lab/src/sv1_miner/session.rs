//! What a miner says and hears on one connection. No IO: lines in, lines and work out.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::hashing::{Found, Work};
use super::stats::MinerStats;
use super::{LinkError, MinerConfig};
use crate::pow::Target;
use crate::sv1_wire::{
    NotifiedJob, ReplyError, ServerLine, push_hex, read_server_line, read_subscription, read_version_mask,
};

/// Request ids of the greeting; shares count up from [`FIRST_SUBMIT`].
const CONFIGURE: u64 = 1;
const SUBSCRIBE: u64 = 2;
const AUTHORIZE: u64 = 3;
const SUGGEST: u64 = 4;
const EXTRANONCE_SUBSCRIBE: u64 = 5;
const FIRST_SUBMIT: u64 = 10;

/// Shares that may wait for an answer; a server that answers none of them loses the oldest from our books.
const MAX_OPEN: usize = 100_000;

/// What a line asks of the miner besides an answer.
#[derive(Debug)]
pub(super) enum Effect {
    /// Hash this from now on.
    Work(Arc<Work>),
    /// `client.reconnect`.
    Reconnect { host: String, port: u16 },
}

struct OpenShare {
    id: u64,
    difficulty: f64,
    sent: Instant,
}

/// The state of one connection.
pub(super) struct Session<'a> {
    config: &'a MinerConfig,
    stats: Arc<MinerStats>,
    extranonce1: Vec<u8>,
    extranonce2_size: Option<usize>,
    /// Difficulty for the next job.
    difficulty: f64,
    version_mask: u32,
    /// A job that came before the answer to `mining.subscribe`.
    early_job: Option<Box<NotifiedJob>>,
    generation: u64,
    /// Shares of works before this one are void.
    oldest_valid: u64,
    open: VecDeque<OpenShare>,
    next_submit: u64,
}

impl<'a> Session<'a> {
    pub(super) fn new(config: &'a MinerConfig, stats: Arc<MinerStats>) -> Session<'a> {
        Session {
            config,
            stats,
            extranonce1: Vec::new(),
            extranonce2_size: None,
            difficulty: 1.0,
            version_mask: 0,
            early_job: None,
            generation: 0,
            oldest_valid: 0,
            open: VecDeque::new(),
            next_submit: FIRST_SUBMIT,
        }
    }

    /// The requests that open a session, all at once as much firmware sends them.
    pub(super) fn greet(&self, out: &mut Vec<u8>) {
        let config = self.config;
        if config.version_rolling_mask != 0 {
            let mask = format!("{:08x}", config.version_rolling_mask);
            request(
                out,
                CONFIGURE,
                "mining.configure",
                &json!([
                    ["version-rolling"],
                    {"version-rolling.mask": mask, "version-rolling.min-bit-count": 2}
                ]),
            );
        }
        request(out, SUBSCRIBE, "mining.subscribe", &json!([config.user_agent]));
        if let Some(difficulty) = config.suggest_difficulty {
            request(out, SUGGEST, "mining.suggest_difficulty", &json!([difficulty]));
        }
        request(out, AUTHORIZE, "mining.authorize", &json!([config.user, config.password]));
        if config.extranonce_subscribe {
            request(out, EXTRANONCE_SUBSCRIBE, "mining.extranonce.subscribe", &json!([]));
        }
    }

    pub(super) fn on_line(&mut self, line: &[u8], out: &mut Vec<u8>) -> Result<Option<Effect>, LinkError> {
        if line.is_empty() {
            return Ok(None);
        }
        match read_server_line(line)? {
            ServerLine::Reply { id, result, error } => return self.on_reply(id, &result, error),
            ServerLine::Notify(job) => {
                if self.extranonce2_size.is_none() {
                    self.early_job = Some(job);
                    return Ok(None);
                }
                return Ok(Some(self.start(*job)));
            }
            ServerLine::SetDifficulty(difficulty) => self.difficulty = difficulty,
            ServerLine::SetExtranonce { extranonce1, extranonce2_size } => {
                self.set_extranonce(extranonce1, extranonce2_size);
            }
            ServerLine::SetVersionMask(mask) => self.version_mask = mask & self.config.version_rolling_mask,
            ServerLine::Reconnect { host, port } => return Ok(Some(Effect::Reconnect { host, port })),
            ServerLine::Other { id, method } => {
                if !id.is_null() {
                    answer(out, &id, &method, &self.config.user_agent);
                }
                debug!(%method, "server message without effect");
            }
        }
        Ok(None)
    }

    fn on_reply(
        &mut self,
        id: u64,
        result: &Value,
        error: Option<ReplyError>,
    ) -> Result<Option<Effect>, LinkError> {
        let refused = |request, error: Option<ReplyError>| {
            let reason = error.map_or_else(|| result.to_string(), |error| error.message);
            LinkError::Refused { request, reason }
        };
        match id {
            CONFIGURE => {
                self.version_mask = read_version_mask(result).unwrap_or(0) & self.config.version_rolling_mask;
            }
            SUBSCRIBE => {
                if error.is_some() {
                    return Err(refused("mining.subscribe", error));
                }
                let subscription = read_subscription(result)?;
                self.set_extranonce(subscription.extranonce1, subscription.extranonce2_size);
                if let Some(job) = self.early_job.take() {
                    return Ok(Some(self.start(*job)));
                }
            }
            AUTHORIZE if result.as_bool() != Some(true) => {
                return Err(refused("mining.authorize", error));
            }
            id if id >= FIRST_SUBMIT => self.on_submit_reply(id, result, error),
            _ => {}
        }
        Ok(None)
    }

    fn on_submit_reply(&mut self, id: u64, result: &Value, error: Option<ReplyError>) {
        // Answers nearly always come in order.
        let Some(position) = self.open.iter().position(|share| share.id == id) else {
            warn!(id, "an answer to a share that is not open");
            return;
        };
        let Some(share) = self.open.remove(position) else {
            return;
        };
        let refused = match (result.as_bool(), error) {
            (Some(true), None) => None,
            (_, Some(error)) => Some(format!("{} {}", error.code, error.message)),
            (_, None) => Some("20 no reason".to_owned()),
        };
        let after = u64::try_from(share.sent.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.stats.answered(share.difficulty, after, refused);
    }

    fn set_extranonce(&mut self, extranonce1: Vec<u8>, extranonce2_size: usize) {
        let mut hex = Vec::new();
        push_hex(&mut hex, &extranonce1);
        self.stats.extranonce1(String::from_utf8_lossy(&hex).into_owned());
        self.extranonce1 = extranonce1;
        self.extranonce2_size = Some(extranonce2_size);
    }

    fn start(&mut self, job: NotifiedJob) -> Effect {
        self.generation += 1;
        if job.clean_jobs {
            self.oldest_valid = self.generation;
        }
        self.stats.job(job.clean_jobs, self.difficulty);
        Effect::Work(Arc::new(Work {
            generation: self.generation,
            job,
            extranonce1: self.extranonce1.clone(),
            extranonce2_size: self.extranonce2_size.unwrap_or(0),
            difficulty: self.difficulty,
            target: Target::from_difficulty(self.difficulty),
            version_mask: self.version_mask,
        }))
    }

    pub(super) fn on_found(&mut self, found: &Found, now: Instant, out: &mut Vec<u8>) {
        if found.work.generation < self.oldest_valid {
            self.stats.stale_not_sent();
            return;
        }
        let id = self.next_submit;
        self.next_submit += 1;
        let work = &found.work;
        let mut extranonce2 = Vec::new();
        push_hex(&mut extranonce2, &found.extranonce2);
        let extranonce2 = String::from_utf8_lossy(&extranonce2);
        let ntime = format!("{:08x}", work.job.ntime);
        let nonce = format!("{:08x}", found.nonce);
        let mut params = json!([self.config.user, work.job.job_id, extranonce2, ntime, nonce]);
        if work.version_mask != 0
            && let Value::Array(params) = &mut params
        {
            params.push(Value::String(format!("{:08x}", found.version_bits)));
        }
        request(out, id, "mining.submit", &params);
        self.stats.submitted();
        if self.open.len() >= MAX_OPEN
            && let Some(lost) = self.open.pop_front()
        {
            self.stats.answered(lost.difficulty, 0, Some("no answer".to_owned()));
        }
        self.open.push_back(OpenShare { id, difficulty: work.difficulty, sent: now });
    }
}

fn request(out: &mut Vec<u8>, id: u64, method: &str, params: &Value) {
    let line = json!({"id": id, "method": method, "params": params});
    writeln!(out, "{line}").expect("a Vec takes every write");
}

/// Answers what a server may ask a miner.
fn answer(out: &mut Vec<u8>, id: &Value, method: &str, user_agent: &str) {
    let line = match method {
        "client.get_version" => json!({"id": id, "result": user_agent, "error": null}),
        "mining.ping" => json!({"id": id, "result": "pong", "error": null}),
        _ => json!({"id": id, "result": null, "error": [20, "unknown method", null]}),
    };
    writeln!(out, "{line}").expect("a Vec takes every write");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> MinerConfig {
        MinerConfig::new("127.0.0.1:1".parse().unwrap(), "farm.one")
    }

    fn notify(job_id: &str, clean: bool) -> Vec<u8> {
        format!(
            r#"{{"id":null,"method":"mining.notify","params":["{job_id}","{zero}","01","02",[],"20000000","207fffff","65000000",{clean}]}}"#,
            zero = "00".repeat(32)
        )
        .into_bytes()
    }

    fn work(effect: Option<Effect>) -> Arc<Work> {
        match effect {
            Some(Effect::Work(work)) => work,
            other => panic!("expected work, got {other:?}"),
        }
    }

    fn subscribed<'a>(config: &'a MinerConfig, out: &mut Vec<u8>) -> Session<'a> {
        let mut session = Session::new(config, Arc::new(MinerStats::new()));
        for line in [
            r#"{"id":1,"result":{"version-rolling":true,"version-rolling.mask":"1fffe000"},"error":null}"#,
            r#"{"id":2,"result":[[],"aabbccdd",4],"error":null}"#,
            r#"{"id":3,"result":true,"error":null}"#,
        ] {
            assert!(session.on_line(line.as_bytes(), out).unwrap().is_none());
        }
        session
    }

    fn found(work: &Arc<Work>) -> Found {
        Found { work: Arc::clone(work), extranonce2: vec![0, 1, 2, 3], nonce: 7, version_bits: 0x2000 }
    }

    #[test]
    fn difficulty_and_extranonce_hold_from_the_next_job_on() {
        let config = config();
        let mut out = Vec::new();
        let mut session = subscribed(&config, &mut out);
        session.on_line(br#"{"id":null,"method":"mining.set_difficulty","params":[4]}"#, &mut out).unwrap();
        let first = work(session.on_line(&notify("a", true), &mut out).unwrap());
        session.on_line(br#"{"method":"mining.set_difficulty","params":[0.5]}"#, &mut out).unwrap();
        session.on_line(br#"{"method":"mining.set_extranonce","params":["ee",8]}"#, &mut out).unwrap();
        let second = work(session.on_line(&notify("b", false), &mut out).unwrap());
        assert_eq!(
            (first.target, second.target),
            (Target::from_difficulty(4.0), Target::from_difficulty(0.5))
        );
        assert_eq!((first.extranonce1.len(), first.extranonce2_size), (4, 4));
        assert_eq!((second.extranonce1.len(), second.extranonce2_size), (1, 8));
        assert_eq!(session.stats.snapshot().extranonce1_changes, 1);
    }

    #[test]
    fn clean_jobs_voids_what_was_found_before() {
        let config = config();
        let mut out = Vec::new();
        let mut session = subscribed(&config, &mut out);
        let first = work(session.on_line(&notify("a", true), &mut out).unwrap());
        let second = work(session.on_line(&notify("b", false), &mut out).unwrap());
        session.on_found(&found(&first), Instant::now(), &mut out);
        assert_eq!(session.stats.snapshot().submitted, 1, "b did not void a");
        work(session.on_line(&notify("c", true), &mut out).unwrap());
        session.on_found(&found(&second), Instant::now(), &mut out);
        let books = session.stats.snapshot();
        assert_eq!((books.submitted, books.stale_not_sent), (1, 1));
    }

    #[test]
    fn a_submit_has_the_version_bits_only_when_rolling_was_granted() {
        let mut config = config();
        let mut out = Vec::new();
        let mut session = subscribed(&config, &mut out);
        let job = work(session.on_line(&notify("a", true), &mut out).unwrap());
        out.clear();
        session.on_found(&found(&job), Instant::now(), &mut out);
        let line: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(line["params"], json!(["farm.one", "a", "00010203", "65000000", "00000007", "00002000"]));

        config.version_rolling_mask = 0;
        let mut session = subscribed(&config, &mut out);
        let job = work(session.on_line(&notify("a", true), &mut out).unwrap());
        out.clear();
        session.on_found(&found(&job), Instant::now(), &mut out);
        let line: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(line["params"].as_array().unwrap().len(), 5);
    }

    #[test]
    fn every_answer_is_booked_under_its_reason() {
        let config = config();
        let mut out = Vec::new();
        let mut session = subscribed(&config, &mut out);
        let job = work(session.on_line(&notify("a", true), &mut out).unwrap());
        for _ in 0..4 {
            session.on_found(&found(&job), Instant::now(), &mut out);
        }
        for line in [
            r#"{"id":11,"result":null,"error":[22,"duplicate",null]}"#,
            r#"{"id":10,"result":true,"error":null}"#,
            r#"{"id":12,"result":false,"error":null}"#,
            r#"{"id":12,"result":true,"error":null}"#,
        ] {
            session.on_line(line.as_bytes(), &mut out).unwrap();
        }
        session.stats.link_lost();
        let books = session.stats.snapshot();
        assert_eq!((books.submitted, books.accepted, books.unanswered, books.open), (4, 1, 1, 0));
        assert_eq!(
            books.rejected.into_iter().collect::<Vec<_>>(),
            [("20 no reason".to_owned(), 1), ("22 duplicate".to_owned(), 1)]
        );
    }

    #[test]
    fn a_job_before_the_subscription_waits_for_it() {
        let config = config();
        let mut out = Vec::new();
        let mut session = Session::new(&config, Arc::new(MinerStats::new()));
        assert!(session.on_line(&notify("a", true), &mut out).unwrap().is_none());
        let line = br#"{"id":2,"result":[[],"aa",4],"error":null}"#;
        assert_eq!(work(session.on_line(line, &mut out).unwrap()).job.job_id, "a");
    }

    #[test]
    fn a_refused_login_ends_the_connection_with_the_reason() {
        let config = config();
        let mut out = Vec::new();
        let mut session = Session::new(&config, Arc::new(MinerStats::new()));
        let line = br#"{"id":3,"result":false,"error":[24,"unauthorized",null]}"#;
        let error = session.on_line(line, &mut out).unwrap_err();
        assert_eq!(error.to_string(), "server refused mining.authorize: unauthorized");
    }

    #[test]
    fn server_requests_are_answered() {
        let config = config();
        let mut out = Vec::new();
        let mut session = Session::new(&config, Arc::new(MinerStats::new()));
        for (method, result) in
            [("client.get_version", json!(config.user_agent)), ("mining.ping", json!("pong"))]
        {
            out.clear();
            let line = format!(r#"{{"id":"x","method":"{method}","params":[]}}"#);
            session.on_line(line.as_bytes(), &mut out).unwrap();
            let line: Value = serde_json::from_slice(&out).unwrap();
            assert_eq!((&line["id"], &line["result"]), (&json!("x"), &result));
        }
    }
}
