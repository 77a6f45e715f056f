//! Every key of the configuration: its type, its default, its bounds and what it does.
//!
//! `docs/configuration.md`, the example configuration's test and every suggestion in an error are made from
//! these tables.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use noise::PoolUrl;

use super::kind::{
    Address, Channels, Choice, Flag, Hashrate, Identity, Maybe, MinersPerChannel, Names, Network, Networks,
    Number, Size, Span, Url, VersionMask, Whole,
};
use super::name::Name;
use super::section::Table;
use super::table::{KeyInfo, table};

/// The only version of the configuration's format there is.
pub const VERSION: i64 = 1;

/// `listener.NAME.listen`: this machine only, since SV1 is not encrypted. 3333 is the port that miners'
/// manuals use.
pub const LISTENER_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 3333);
/// `listener.NAME.extranonce1_size`, in bytes.
pub const EXTRANONCE1_SIZE: u8 = 4;
/// `listener.NAME.extranonce2_size`, in bytes: NiceHash refuses less than 4, cgminer stops above 8.
pub const EXTRANONCE2_SIZE: u8 = 4;
/// `listener.NAME.shares_per_minute`.
pub const SHARES_PER_MINUTE: f64 = 20.0;
/// `listener.NAME.difficulty_start`: right for 92 GH/s at 20 shares a minute, in the middle, on a scale of
/// factors, between a CPU and the largest machine; vardiff needs seconds from there.
pub const DIFFICULTY_START: f64 = 64.0;
/// `listener.NAME.difficulty_min`: right for 143 kH/s at 20 shares a minute, a microcontroller's hashrate.
pub const DIFFICULTY_MIN: f64 = 0.0001;
/// `listener.NAME.version_mask`: the bits of BIP 320, which every pool and firmware takes.
pub const VERSION_MASK: u32 = 0x1fff_e000;
/// `listener.NAME.max_connections_per_address`.
pub const MAX_CONNECTIONS_PER_ADDRESS: u32 = 1_024;
/// `source.NAME.certificate_leeway`.
pub const CERTIFICATE_LEEWAY: Duration = Duration::from_secs(10);
/// `source.NAME.ntime_slack`.
pub const NTIME_SLACK: Duration = Duration::from_secs(600);
/// The most that `ntime_slack` may be: the network's own limit on block times in the future.
pub const NTIME_SLACK_MAX: Duration = Duration::from_secs(7_200);
/// `source.NAME.connect_timeout`.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The least that `shares_unsettled_max` may be: below it a pool's batches alone could fill it.
pub const SHARES_UNSETTLED_MIN: u32 = 4_096;
/// The most that `shares_unsettled_max` may be, about 64 MiB.
pub const SHARES_UNSETTLED_MAX: u32 = 1 << 20;
/// `route.NAME.return_after`.
pub const RETURN_AFTER: Duration = Duration::from_secs(60);
/// `route.NAME.outage_grace`.
pub const OUTAGE_GRACE: Duration = Duration::from_secs(600);
/// `route.NAME.keepalive`: cpuminer gives up after 120 s without a job.
pub const KEEPALIVE: Duration = Duration::from_secs(30);
/// `http.listen`. The port is 2348, which spells ADIT on a telephone's keys, with a 0; no service is
/// registered there.
pub const HTTP_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 23_480);
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
/// The least that `limits.memory` may be: a few hundred miners.
pub const MEMORY_MIN: usize = 16 * 1024 * 1024;
/// The most that `limits.memory` may be.
pub const MEMORY_MAX: usize = if usize::BITS > 32 { 1_usize.wrapping_shl(44) } else { usize::MAX / 2 };

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// When a miner is told what became of its share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// At once, from Adit's own verdict.
    Local,
    /// When the source has answered, with its answer.
    Source,
}

/// The least important messages that are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// What needs somebody.
    Error,
    /// What may need somebody soon.
    Warn,
    /// What happens: sources, routes, miners by number. Nothing per share.
    Info,
    /// Each miner and each job.
    Debug,
    /// Each share and message.
    Trace,
}

impl LogLevel {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs, one object a line.
    Json,
}

const REPLY: Choice<Reply> = Choice(&[("local", Reply::Local), ("source", Reply::Source)]);
const LEVEL: Choice<LogLevel> = Choice(&[
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
]);
const FORMAT: Choice<LogFormat> = Choice(&[("text", LogFormat::Text), ("json", LogFormat::Json)]);

table! {
    /// One port that miners connect to.
    pub struct Listener {
        /// Address and port that miners connect to. Stratum V1 is not encrypted: keep it on this machine or
        /// in the miners' own network.
        listen: SocketAddr = Address(LISTENER_LISTEN.port()), default LISTENER_LISTEN;
        /// Bytes of a miner's `extranonce1`, its number at Adit, which never changes while it is connected.
        extranonce1_size: u8 = Whole(2..=8), default EXTRANONCE1_SIZE;
        /// Bytes that a miner rolls itself. A source must grant `extranonce1_size` + `extranonce2_size`.
        extranonce2_size: u8 = Whole(2..=8), default EXTRANONCE2_SIZE;
        /// Shares a minute that each miner's difficulty aims at.
        shares_per_minute: f64 = Number(0.1..=600.0), default SHARES_PER_MINUTE;
        /// Difficulty of a miner about which nothing is known yet.
        difficulty_start: f64 = Number(1e-9..=1e15), default DIFFICULTY_START,
            says "64, or the nearest that `difficulty_min` and `difficulty_max` allow";
        /// No miner gets less, unless its source asks for less.
        difficulty_min: f64 = Number(1e-9..=1e15), default DIFFICULTY_MIN;
        /// No miner gets more.
        difficulty_max: Option<f64> = Maybe(Number(1e-9..=1e15)), default None,
            says "not set: only the source's difficulty bounds it";
        /// Adapt each miner's difficulty to its hashrate.
        vardiff: bool = Flag, default true;
        /// When a miner is told what became of its share: at once from Adit's own verdict, or when the source
        /// has answered.
        reply: Reply = REPLY, default Reply::Local;
        /// Version bits that miners may roll (hex), as far as the route's sources allow them.
        version_mask: u32 = VersionMask, default VERSION_MASK;
        /// Connections on this port.
        max_connections: Option<u32> = Maybe(Whole(1..=CONNECTIONS_MAX)), default None,
            says "not set: only `limits.max_connections` holds";
        /// Connections from one public address, or from one IPv6 network of 64 bits. Private and loopback addresses
        /// are not limited.
        max_connections_per_address: u32 = Whole(1..=CONNECTIONS_MAX), default MAX_CONNECTIONS_PER_ADDRESS;
        /// Public addresses and networks that are not limited either, such as the one that a farm is behind.
        unlimited_addresses: Vec<Network> = Networks, default Vec::new();
    }
}

table! {
    /// One pool that work comes from.
    pub struct Source {
        /// Where the pool is and the authority key that it must prove.
        url: PoolUrl = Url, required;
        /// The account at the pool.
        user_identity: String = Identity, required;
        /// Allow a URL without authority key: anyone on the way can then pose as the pool.
        insecure: bool = Flag, default false;
        /// How far the pool's clock may be off when its certificate's dates are checked.
        certificate_leeway: Duration = Span::seconds(seconds(0)..=seconds(600)), default CERTIFICATE_LEEWAY;
        /// How far a share's time may run ahead of the clock.
        ntime_slack: Duration = Span::seconds(seconds(0)..=NTIME_SLACK_MAX), default NTIME_SLACK;
        /// Hashrate to announce before the miners' own is known.
        nominal_hashrate: Option<f64> = Maybe(Hashrate(1.0..=1e24)), default None,
            says "not set: estimated";
        /// Tell the pool each share's worker name (extension 0x0002), where the pool takes it.
        worker_names: bool = Flag, default true;
        /// Miners that share one channel. With 1 each miner's own identity is passed through.
        miners_per_channel: Option<MinersPerChannel> = Maybe(Channels(1..=1_000_000)), default None,
            says "not set: all, or 50 where the pool takes worker names";
        /// How long a connection may take to come about.
        connect_timeout: Duration = Span::of(Duration::from_millis(100)..=seconds(60)), default CONNECT_TIMEOUT;
        /// Shares sent and not answered yet; beyond it none is sent.
        shares_unsettled_max: Option<u32> =
            Maybe(Whole(SHARES_UNSETTLED_MIN..=SHARES_UNSETTLED_MAX)), default None,
            says "not set: 4096, more at a high share rate";
    }
}

table! {
    /// Binds listeners to sources.
    pub struct Route {
        /// The listeners whose miners take this route. Each listener belongs to exactly one route.
        listeners: Vec<Name> = Names, required;
        /// The sources in the order of preference: the first that works is used.
        sources: Vec<Name> = Names, required;
        /// How long an earlier source must have worked before the route goes back to it.
        return_after: Duration = Span::of(seconds(0)..=seconds(86_400)), default RETURN_AFTER;
        /// How long miners hash the last job while no source works, before they are told.
        outage_grace: Duration = Span::of(seconds(0)..=seconds(86_400)), default OUTAGE_GRACE;
        /// A miner that was sent no job for this long is sent the present one again, with a new time.
        keepalive: Duration = Span::of(seconds(1)..=seconds(600)), default KEEPALIVE;
    }
}

table! {
    /// Metrics, health and status over HTTP.
    pub struct Http {
        /// Address and port. There is no password: keep it on this machine or in a network that you trust.
        listen: SocketAddr = Address(HTTP_LISTEN.port()), default HTTP_LISTEN;
        /// Serve HTTP at all.
        enabled: bool = Flag, default true;
    }
}

table! {
    /// What is logged.
    pub struct Log {
        /// The least important messages that are logged. Shares are logged at `trace` alone.
        level: LogLevel = LEVEL, default LogLevel::Info;
        /// Lines for people or JSON objects for programs.
        format: LogFormat = FORMAT, default LogFormat::Text;
    }
}

table! {
    /// Bounds that keep one peer from costing the others.
    pub struct Limits {
        /// Connections of miners, all listeners together.
        max_connections: u32 = Whole(1..=CONNECTIONS_MAX), default MAX_CONNECTIONS,
            says "20000, or 500 less than the limit on open files where that is smaller";
        /// The longest Stratum V1 line.
        line: usize = Size(1_024..=1_048_576), default LINE;
        /// How long a Noise handshake may take.
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
        /// How long looking up a pool's name may take.
        lookup: Duration = Span::of(Duration::from_millis(100)..=seconds(60)), default LOOKUP;
        /// How long the end may take: miners are closed one after the other, and the pools' answers to shares
        /// already sent are waited for.
        shutdown_grace: Duration = Span::of(seconds(0)..=seconds(600)), default SHUTDOWN_GRACE;
    }
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: HTTP_LISTEN, enabled: true }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: LogLevel::Info, format: LogFormat::Text }
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
            lookup: LOOKUP,
            shutdown_grace: SHUTDOWN_GRACE,
        }
    }
}

/// The keys of a table, in the order of the documentation.
pub(crate) fn keys_of(table: Table) -> Vec<KeyInfo> {
    match table {
        Table::Listener => Listener::keys(),
        Table::Source => Source::keys(),
        Table::Route => Route::keys(),
        Table::Http => Http::keys(),
        Table::Log => Log::keys(),
        Table::Limits => Limits::keys(),
    }
}
