//! `[limits]`

use std::time::Duration;

use super::seconds;
use crate::config::kind::{Flag, Maybe, Size, Span, Whole};
use crate::config::table::table;

/// `limits.max_connections`, where the limit on open files allows as many.
pub const MAX_CONNECTIONS: u32 = 20_000;
/// The most connections that any limit may name: half of the miner ids that are ever live or resting.
pub const CONNECTIONS_MAX: u32 = 500_000;
/// Open files that are kept back for sources, HTTP, logs and the ledger.
pub const OPEN_FILES_RESERVE: u32 = 500;
/// `limits.line`, in bytes.
pub const LINE: usize = 16 * 1024;
/// `limits.handshake`.
pub const HANDSHAKE: Duration = Duration::from_secs(5);
/// `limits.setup`.
pub const SETUP: Duration = Duration::from_secs(10);
/// `limits.idle`.
pub const IDLE: Duration = Duration::from_secs(7_200);
/// `limits.outbox`, in bytes.
pub const OUTBOX: usize = 64 * 1024;
/// `limits.frame`, in bytes.
pub const FRAME: usize = 64 * 1024;
/// `limits.accept_rate`: 10,000 miners that all come back are served within a second or so, and what each costs to
/// begin with leaves the others' shares their time.
pub const ACCEPT_RATE: u32 = 10_000;
/// `limits.lookup`.
pub const LOOKUP: Duration = Duration::from_secs(5);
/// `limits.shutdown_grace`.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
/// `limits.workers_max`: about 1 kB each, as soon as it brings shares.
pub const WORKERS_MAX: u32 = 65_536;
/// The most that it may be.
pub const WORKERS_MAX_MAX: u32 = 1_000_000;
/// The least that `limits.memory` may be: a few hundred miners.
pub const MEMORY_MIN: usize = 16 * 1024 * 1024;
/// The most that `limits.memory` may be.
pub const MEMORY_MAX: usize = if usize::BITS > 32 { 1_usize.wrapping_shl(44) } else { usize::MAX / 2 };

table! {
    /// Bounds that keep one peer from costing the others.
    pub struct Limits {
        /// Connections of miners, all listeners together.
        max_connections: u32 = Whole(1..=CONNECTIONS_MAX), default MAX_CONNECTIONS,
            says "20000, or 500 less than the limit on open files where that is smaller";
        /// The longest Stratum V1 line.
        line: usize = Size(1_024..=1_048_576), default LINE;
        /// How long a Noise or TLS handshake may take.
        handshake: Duration = Span::of(seconds(1)..=seconds(60)), default HANDSHAKE;
        /// How long a miner may take to subscribe and authorise.
        setup: Duration = Span::of(seconds(1)..=seconds(600)), default SETUP;
        /// A miner that brings no good share for this long is disconnected.
        idle: Duration = Span::of(seconds(60)..=seconds(604_800)), default IDLE;
        /// Bytes that may wait for a miner that does not read.
        outbox: usize = Size(16_384..=16_777_216), default OUTBOX;
        /// The longest Stratum V2 frame that is taken from a pool, its payload alone.
        frame: usize = Size(4_096..=16_777_215), default FRAME;
        /// Connections accepted a second, all listeners together; more wait their turn.
        accept_rate: u32 = Whole(1..=1_000_000), default ACCEPT_RATE;
        /// Memory that Adit may use. From 80 % of it on it takes no more miners, from 90 % it sends idle ones away and
        /// makes the others' shares rarer, from 95 % it sends away those with the least hashrate.
        memory: Option<usize> = Maybe(Size(MEMORY_MIN..=MEMORY_MAX)), default None,
            says "not set: the memory limit of the control group (a container's or service's), or half of the machine's memory where there is none";
        /// Workers that are counted by name, those that were there in the last ten minutes with them. The shares of all others
        /// count for the worker `other`.
        workers_max: u32 = Whole(1..=WORKERS_MAX_MAX), default WORKERS_MAX;
        /// How long looking up a pool's name may take.
        lookup: Duration = Span::of(Duration::from_millis(100)..=seconds(60)), default LOOKUP;
        /// How long the end may take: miners are closed one after the other, and the pools' answers to shares
        /// already sent are waited for.
        shutdown_grace: Duration = Span::of(seconds(0)..=seconds(600)), default SHUTDOWN_GRACE;
        /// How long miners are left alone after SIGTERM while `/readyz` already says no: load balancers then send no more
        /// of them.
        drain_delay: Duration = Span::of(seconds(0)..=seconds(3_600)), default Duration::ZERO;
        /// Take miners that come during `drain_delay`. Without it their connections are refused, so that a load balancer tries
        /// another Adit at once.
        drain_accept: bool = Flag, default true;
        /// Over how long miners are closed after `drain_delay`, so that another Adit is not met by all of them at once;
        /// `shutdown_grace` begins after it.
        drain_spread: Option<Duration> = Maybe(Span::of(seconds(0)..=seconds(86_400))), default None,
            says "not set: 10 ms for each miner, at most 60 % of `shutdown_grace`";
        /// How long miners of a listener that SIGHUP has taken out are left alone; then they are closed, 10 ms after each
        /// other.
        drain_removed: Option<Duration> = Maybe(Span::of(seconds(0)..=seconds(604_800))), default None,
            says "not set: until they leave by themselves";
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: MAX_CONNECTIONS,
            line: LINE,
            handshake: HANDSHAKE,
            setup: SETUP,
            idle: IDLE,
            outbox: OUTBOX,
            frame: FRAME,
            accept_rate: ACCEPT_RATE,
            memory: None,
            workers_max: WORKERS_MAX,
            lookup: LOOKUP,
            shutdown_grace: SHUTDOWN_GRACE,
            drain_delay: Duration::ZERO,
            drain_accept: true,
            drain_spread: None,
            drain_removed: None,
        }
    }
}
