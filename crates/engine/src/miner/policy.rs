//! What the miners of one listener have in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use work::MinerId;
use work::vardiff;

use super::firmware::Firmwares;
use super::identity::IdentityRule;
use crate::ids::{ListenerId, RouteId};

/// When a miner is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ReplyMode {
    /// At once, from Adit's own verdict.
    #[default]
    Local,
    /// With the source's answer; shares that are not forwarded still get Adit's own.
    Source,
}

/// The settings of a listener, shared by its miners.
#[derive(Clone, Debug)]
pub struct ListenerPolicy {
    /// Which listener.
    pub id: ListenerId,
    /// The route that its miners mine for.
    pub route: RouteId,
    /// Bytes of `extranonce1`: the miner's own number.
    pub extranonce1_size: u8,
    /// Bytes of `extranonce2`.
    pub extranonce2_size: u8,
    /// Vardiff's aim and bounds.
    pub vardiff: vardiff::Settings,
    /// Off: every miner stays at its start difficulty (or the source's, where that is lower).
    pub vardiff_enabled: bool,
    /// The first difficulty of a miner that gives no hint.
    pub difficulty_start: f64,
    /// Version bits that miners may roll.
    pub version_mask: u32,
    /// The same for SV2 miners: SV2 knows no mask but all bits of BIP 323.
    pub sv2_version_mask: u32,
    /// How workers' names are rewritten.
    pub identity: Vec<IdentityRule>,
    /// When miners are answered.
    pub reply: ReplyMode,
    /// Subscribe and authorise must be done within this.
    pub setup_deadline: Duration,
    /// A miner without a good share for this long is closed.
    pub idle_deadline: Duration,
    /// Job declarator clients are served: connections with work selection, and of the Job Declaration Protocol.
    pub declarators: bool,
    /// For the sets that find duplicates.
    pub hash_seed: u64,
    /// How often miners were told another difficulty.
    pub retargets: Arc<Retargets>,
    /// What is known of the miners' firmware.
    pub firmware: Arc<Firmwares>,
}

/// Changes of miners' difficulties, ever. The first one that a miner is told is none.
#[derive(Debug, Default)]
pub struct Retargets {
    /// To a harder one.
    pub harder: AtomicU64,
    /// To an easier one.
    pub easier: AtomicU64,
}

impl Retargets {
    pub(super) fn count(&self, before: f64, after: f64) {
        if before > 0.0 && before != after {
            if after > before { &self.harder } else { &self.easier }.fetch_add(1, Relaxed);
        }
    }
}

/// Gives out miner ids: numbers that no two live miners have at the same time.
pub trait MinerIdSource {
    /// A fresh id of `size` bytes, or `None` when all are taken.
    fn allocate(&mut self, size: u8) -> Option<MinerId>;
}

/// Why Adit closes a miner's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum CloseReason {
    /// It speaks a protocol that the port does not take.
    #[error("it speaks a protocol that this port does not take")]
    WrongProtocol,
    /// A PROXY header that is missing, wrong, or not expected from its address.
    #[error("its PROXY header is missing, wrong, or not expected from its address")]
    ProxyHeader,
    /// TLS went wrong, or its handshake took too long.
    #[error("TLS went wrong, or its handshake took too long")]
    Tls,
    /// It did not subscribe and authorise in time.
    #[error("no subscribe and authorise in time")]
    SetupDeadline,
    /// No good share for a long time.
    #[error("no share for a long time")]
    Idle,
    /// Too many lines that are no Stratum.
    #[error("what it sends is not Stratum")]
    Garbage,
    /// A line or a frame longer than the limit.
    #[error("a line or frame is too long")]
    LineTooLong,
    /// Rejected shares above ten times the wished rate for ten seconds.
    #[error("too many bad shares")]
    BadShares,
    /// Shares easier than its difficulty above ten times the wished rate for ten seconds.
    #[error("its shares stay easier than its difficulty and come too fast")]
    TooFast,
    /// Far more requests than any firmware makes.
    #[error("too many requests")]
    Flood,
    /// No Noise handshake, or none in time.
    #[error("no Noise handshake")]
    Handshake,
    /// What came cannot be decrypted: it was altered on its way.
    #[error("what came cannot be decrypted")]
    NotAuthentic,
    /// `SetupConnection` asked for what Adit does not do.
    #[error("SetupConnection asks for what is not supported")]
    SetupRefused,
    /// Every miner id is taken.
    #[error("no miner id is free")]
    NoMinerId,
    /// Its firmware is known not to work with the listener's extranonce2 or with the pool's coinbase.
    #[error("its firmware cannot do this work (adit profiles)")]
    Firmware,
    /// The route has had no source for too long.
    #[error("no pool")]
    NoSource,
    /// A job declarator client's pool has gone, or its route mines for another source now.
    #[error("the pool that its work was selected for is not mined for any more")]
    PoolChanged,
    /// It does not read what it is sent.
    #[error("it does not read")]
    SlowReader,
    /// Memory is short: Adit serves those that bring most.
    #[error("memory is short")]
    Overload,
    /// Its port was taken out of the configuration, and its time there is over.
    #[error("its listener was taken out of the configuration")]
    ListenerGone,
    /// The process is ending.
    #[error("shutting down")]
    ShuttingDown,
}

impl CloseReason {
    /// Every reason.
    pub const ALL: [Self; 21] = [
        Self::WrongProtocol,
        Self::ProxyHeader,
        Self::Tls,
        Self::SetupDeadline,
        Self::Idle,
        Self::Garbage,
        Self::LineTooLong,
        Self::BadShares,
        Self::TooFast,
        Self::Flood,
        Self::Handshake,
        Self::NotAuthentic,
        Self::SetupRefused,
        Self::NoMinerId,
        Self::Firmware,
        Self::NoSource,
        Self::PoolChanged,
        Self::SlowReader,
        Self::Overload,
        Self::ListenerGone,
        Self::ShuttingDown,
    ];

    /// The word for it in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WrongProtocol => "wrong_protocol",
            Self::ProxyHeader => "proxy_header",
            Self::Tls => "tls",
            Self::SetupDeadline => "setup_deadline",
            Self::Idle => "idle",
            Self::Garbage => "garbage",
            Self::LineTooLong => "line_too_long",
            Self::BadShares => "bad_shares",
            Self::TooFast => "too_fast",
            Self::Flood => "flood",
            Self::Handshake => "handshake",
            Self::NotAuthentic => "not_authentic",
            Self::SetupRefused => "setup_refused",
            Self::NoMinerId => "no_miner_id",
            Self::Firmware => "firmware",
            Self::NoSource => "no_source",
            Self::PoolChanged => "pool_changed",
            Self::SlowReader => "slow_reader",
            Self::Overload => "overload",
            Self::ListenerGone => "listener_gone",
            Self::ShuttingDown => "shutting_down",
        }
    }
}
