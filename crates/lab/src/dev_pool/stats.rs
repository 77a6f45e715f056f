//! What a dev pool counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use super::blocks::Route;
use super::jds::JdsStats;
use super::share::Refusal;

/// User identities that are counted apart; further ones count as [`OTHER`].
const MAX_USERS: usize = 100_000;

/// Counts for everybody beyond [`MAX_USERS`].
const OTHER: &str = "(other)";

/// A pool's counters at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DevPoolStats {
    /// Connections open.
    pub connections: u64,
    /// Connections ever accepted.
    pub connections_total: u64,
    /// Channels open.
    pub channels: u64,
    /// Channels ever opened.
    pub channels_total: u64,
    /// Shares accepted, whether acknowledged yet or not.
    pub accepted: u64,
    /// Shares acknowledged in SubmitShares.Success messages.
    pub acknowledged: u64,
    /// Sum of the difficulties of accepted shares.
    pub accepted_work: f64,
    /// Shares refused, by the code that was answered.
    pub rejected: BTreeMap<&'static str, u64>,
    /// Blocks that clients found and the chain took.
    pub blocks_found: u64,
    /// Blocks that clients found and the chain refused.
    pub blocks_refused: u64,
    /// Hash of the last block that a client found, as hashes are written; empty before the first.
    pub last_block: String,
    /// Blocks by the way that the pool came by them first: `own-job`, `declared-job`, `push-solution`, `coinbase-only`
    /// (which the pool only hears of), `farm-node`.
    pub blocks_by_route: BTreeMap<&'static str, u64>,
    /// UpdateChannel messages taken.
    pub channel_updates: u64,
    /// Declared and custom jobs; nothing in it without a declarator server.
    pub jds: JdsStats,
    /// Shares by user: the worker's name if extension 0x0002 gave one, else the channel's user identity.
    pub users: BTreeMap<String, UserStats>,
}

/// Shares of one user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct UserStats {
    /// Shares accepted.
    pub accepted: u64,
    /// Sum of their difficulties.
    pub work: f64,
    /// Shares refused.
    pub rejected: u64,
}

/// Counters of one user. Only the user's connections write, nearly always one.
#[derive(Debug, Default)]
pub(super) struct UserCounters {
    accepted: AtomicU64,
    rejected: AtomicU64,
    work: F64Sum,
}

/// A sum of `f64` that several threads add to.
#[derive(Debug, Default)]
struct F64Sum(AtomicU64);

impl F64Sum {
    fn add(&self, value: f64) {
        let add = |bits| Some((f64::from_bits(bits) + value).to_bits());
        // The closure never refuses.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

/// The pool's counters.
#[derive(Debug, Default)]
pub(super) struct Counters {
    connections: AtomicU64,
    connections_total: AtomicU64,
    channels: AtomicU64,
    channels_total: AtomicU64,
    accepted: AtomicU64,
    acknowledged: AtomicU64,
    work: F64Sum,
    rejected: [AtomicU64; Refusal::ALL.len()],
    blocks_found: AtomicU64,
    blocks_refused: AtomicU64,
    routes: [AtomicU64; Route::ALL.len()],
    channel_updates: AtomicU64,
    last_block: Mutex<String>,
    users: Mutex<BTreeMap<String, Arc<UserCounters>>>,
}

impl Counters {
    pub(super) fn snapshot(&self) -> DevPoolStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let rejected =
            Refusal::ALL.iter().zip(&self.rejected).map(|(reason, count)| (reason.code(), get(count)));
        let routes = Route::ALL.iter().zip(&self.routes).map(|(route, count)| (route.name(), get(count)));
        let users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        DevPoolStats {
            connections: get(&self.connections),
            connections_total: get(&self.connections_total),
            channels: get(&self.channels),
            channels_total: get(&self.channels_total),
            accepted: get(&self.accepted),
            acknowledged: get(&self.acknowledged),
            accepted_work: self.work.get(),
            rejected: rejected.filter(|(_, count)| *count > 0).collect(),
            blocks_found: get(&self.blocks_found),
            blocks_refused: get(&self.blocks_refused),
            last_block: self.last_block.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            blocks_by_route: routes.filter(|(_, count)| *count > 0).collect(),
            channel_updates: get(&self.channel_updates),
            jds: JdsStats::default(),
            users: users.iter().map(|(name, user)| (name.clone(), user.snapshot())).collect(),
        }
    }

    /// The counters of a user.
    pub(super) fn user(&self, name: &str) -> Arc<UserCounters> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(user) = users.get(name) {
            return Arc::clone(user);
        }
        let name = if users.len() < MAX_USERS { name } else { OTHER };
        Arc::clone(users.entry(name.to_owned()).or_default())
    }

    pub(super) fn connection(&self, opened: bool) {
        if opened {
            self.connections.fetch_add(1, Ordering::Relaxed);
            self.connections_total.fetch_add(1, Ordering::Relaxed);
        } else {
            self.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }

    pub(super) fn channel_opened(&self) {
        self.channels.fetch_add(1, Ordering::Relaxed);
        self.channels_total.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn channels_closed(&self, count: usize) {
        self.channels.fetch_sub(count as u64, Ordering::Relaxed);
    }

    pub(super) fn channel_updated(&self) {
        self.channel_updates.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn accepted(&self, user: &UserCounters, difficulty: f64) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        self.work.add(difficulty);
        user.accepted.fetch_add(1, Ordering::Relaxed);
        user.work.add(difficulty);
    }

    pub(super) fn acknowledged(&self, count: u32) {
        self.acknowledged.fetch_add(u64::from(count), Ordering::Relaxed);
    }

    /// `user` is `None` when the share named no channel.
    pub(super) fn rejected(&self, user: Option<&UserCounters>, reason: Refusal) {
        self.rejected[reason as usize].fetch_add(1, Ordering::Relaxed);
        if let Some(user) = user {
            user.rejected.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn route(&self, route: Route) {
        self.routes[route as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn block(&self, accepted: bool, hash: &bitcoin::BlockHash) {
        if accepted {
            self.blocks_found.fetch_add(1, Ordering::Relaxed);
            *self.last_block.lock().unwrap_or_else(PoisonError::into_inner) = hash.to_string();
        } else {
            self.blocks_refused.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl UserCounters {
    fn snapshot(&self) -> UserStats {
        UserStats {
            accepted: self.accepted.load(Ordering::Relaxed),
            work: self.work.get(),
            rejected: self.rejected.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_counted_apart_and_together() {
        let counters = Counters::default();
        let (one, two) = (counters.user("one"), counters.user("two"));
        counters.accepted(&one, 1.5);
        counters.accepted(&one, 1.5);
        counters.accepted(&two, 4.0);
        counters.rejected(Some(&two), Refusal::StaleShare);
        counters.rejected(None, Refusal::InvalidChannelId);
        let stats = counters.snapshot();
        assert_eq!((stats.accepted, stats.accepted_work), (3, 7.0));
        assert_eq!(stats.users["one"], UserStats { accepted: 2, work: 3.0, rejected: 0 });
        assert_eq!(stats.users["two"], UserStats { accepted: 1, work: 4.0, rejected: 1 });
        assert_eq!(
            stats.rejected.into_iter().collect::<Vec<_>>(),
            [("invalid-channel-id", 1), ("stale-share", 1)]
        );
    }
}
