//! A miner's books: counters that hashing threads and the connection write, and anybody may read.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use serde::Serialize;

/// Distinct reasons of rejection that are counted apart; the rest counts as `other`.
const MAX_REASONS: usize = 32;

/// Counters of a running miner.
#[derive(Debug)]
pub struct MinerStats {
    started: Instant,
    hashes: AtomicU64,
    connected: AtomicBool,
    rest: Mutex<Rest>,
}

#[derive(Clone, Debug, Default)]
struct Rest {
    connections: u64,
    jobs: u64,
    clean_jobs: u64,
    submitted: u64,
    accepted: u64,
    accepted_work: f64,
    rejected: BTreeMap<String, u64>,
    open: u64,
    unanswered: u64,
    stale_not_sent: u64,
    difficulty: f64,
    extranonce1: String,
    extranonce1_changes: u64,
    slowest_reply_us: u64,
}

/// A miner's books at one moment. `submitted = accepted + rejected + unanswered + open`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MinerSnapshot {
    /// Whether there is a connection.
    pub connected: bool,
    /// Connections made so far.
    pub connections: u64,
    /// `extranonce1` in force, hexadecimal; empty before the first.
    pub extranonce1: String,
    /// How often a later `extranonce1` differed from the one before.
    pub extranonce1_changes: u64,
    /// Jobs received.
    pub jobs: u64,
    /// Jobs received with `clean_jobs`.
    pub clean_jobs: u64,
    /// Difficulty of the job in work; 0 before the first.
    pub difficulty: f64,
    /// Shares sent.
    pub submitted: u64,
    /// Shares that were answered `true`.
    pub accepted: u64,
    /// Sum of the difficulties of accepted shares.
    pub accepted_work: f64,
    /// Shares that were refused, by `code message`.
    pub rejected: BTreeMap<String, u64>,
    /// Shares sent on connections that ended before an answer.
    pub unanswered: u64,
    /// Shares sent and not answered yet.
    pub open: u64,
    /// Shares found for a job that `clean_jobs` had made void, and not sent.
    pub stale_not_sent: u64,
    /// Longest time from a submit to its answer, microseconds.
    pub slowest_reply_us: u64,
    /// Headers hashed.
    pub hashes: u64,
    /// Seconds since the miner was made.
    pub seconds: f64,
}

impl MinerSnapshot {
    /// Sum of all rejections.
    pub fn rejected_total(&self) -> u64 {
        self.rejected.values().sum()
    }

    /// Mean hash rate since the miner was made, hashes per second.
    pub fn hash_rate(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let hashes = self.hashes as f64;
        hashes / self.seconds.max(f64::EPSILON)
    }
}

impl MinerStats {
    pub(super) fn new() -> MinerStats {
        MinerStats {
            started: Instant::now(),
            hashes: AtomicU64::new(0),
            connected: AtomicBool::new(false),
            rest: Mutex::default(),
        }
    }

    /// The books as they are now.
    pub fn snapshot(&self) -> MinerSnapshot {
        let rest = self.rest().clone();
        MinerSnapshot {
            connected: self.connected.load(Ordering::Relaxed),
            connections: rest.connections,
            extranonce1: rest.extranonce1,
            extranonce1_changes: rest.extranonce1_changes,
            jobs: rest.jobs,
            clean_jobs: rest.clean_jobs,
            difficulty: rest.difficulty,
            submitted: rest.submitted,
            accepted: rest.accepted,
            accepted_work: rest.accepted_work,
            rejected: rest.rejected,
            unanswered: rest.unanswered,
            open: rest.open,
            stale_not_sent: rest.stale_not_sent,
            slowest_reply_us: rest.slowest_reply_us,
            hashes: self.hashes.load(Ordering::Relaxed),
            seconds: self.started.elapsed().as_secs_f64(),
        }
    }

    pub(super) fn add_hashes(&self, count: u64) {
        self.hashes.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn jobs(&self) -> u64 {
        self.rest().jobs
    }

    pub(super) fn link_up(&self) {
        self.connected.store(true, Ordering::Relaxed);
        self.rest().connections += 1;
    }

    pub(super) fn link_lost(&self) {
        self.connected.store(false, Ordering::Relaxed);
        let mut rest = self.rest();
        rest.unanswered += std::mem::take(&mut rest.open);
    }

    pub(super) fn job(&self, clean: bool, difficulty: f64) {
        let mut rest = self.rest();
        rest.jobs += 1;
        rest.clean_jobs += u64::from(clean);
        rest.difficulty = difficulty;
    }

    pub(super) fn extranonce1(&self, extranonce1: String) {
        let mut rest = self.rest();
        if !rest.extranonce1.is_empty() && rest.extranonce1 != extranonce1 {
            rest.extranonce1_changes += 1;
        }
        rest.extranonce1 = extranonce1;
    }

    pub(super) fn submitted(&self) {
        let mut rest = self.rest();
        rest.submitted += 1;
        rest.open += 1;
    }

    pub(super) fn stale_not_sent(&self) {
        self.rest().stale_not_sent += 1;
    }

    pub(super) fn answered(&self, difficulty: f64, after_us: u64, refused: Option<String>) {
        let mut rest = self.rest();
        rest.open -= 1;
        rest.slowest_reply_us = rest.slowest_reply_us.max(after_us);
        match refused {
            None => {
                rest.accepted += 1;
                rest.accepted_work += difficulty;
            }
            Some(reason) => {
                let known = rest.rejected.contains_key(&reason) || rest.rejected.len() < MAX_REASONS;
                let reason = if known { reason } else { "other".to_owned() };
                *rest.rejected.entry(reason).or_default() += 1;
            }
        }
    }

    fn rest(&self) -> MutexGuard<'_, Rest> {
        // Counters stay usable whatever happened to a thread that held them.
        self.rest.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
