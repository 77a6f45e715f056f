//! `[listener.NAME]`

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use engine::miner::IdentityRule;

use super::limits::CONNECTIONS_MAX;
use crate::config::kind::{
    Address, AuthorityKey, AuthoritySecret, Choice, FilePath, Flag, Identities, Maybe, Network, Networks,
    Number, VersionMask, Whole,
};
use crate::config::table::table;

/// `listener.NAME.listen`: this machine only, since SV1 is not encrypted. 3333 is the port that miners'
/// manuals use.
pub const LISTENER_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 3333);
/// `listener.NAME.extranonce1_size`, in bytes, where no pool leaves too little for it.
pub const EXTRANONCE1_SIZE: u8 = work::ExtranonceSplit::DEFAULT_MINER_ID;
/// `listener.NAME.extranonce2_size`, in bytes, likewise: NiceHash refuses less than 4, cgminer stops above 8.
pub const EXTRANONCE2_SIZE: u8 = work::ExtranonceSplit::DEFAULT_EXTRANONCE2;
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

/// The most that `listener.NAME.job_declarators` may be: each may have 16 MiB of transactions on their way.
const JOB_DECLARATORS_MAX: u32 = 1_000;

/// When a miner is told what became of its share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// At once, from Adit's own verdict.
    Local,
    /// When the source has answered, with its answer.
    Source,
}

/// What miners may speak on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// What is served, found out by the first bytes.
    Auto,
    /// Stratum V1.
    Sv1,
    /// Stratum V1 by TLS.
    Sv1Tls,
    /// Stratum V2.
    Sv2,
}

const PROTOCOL: Choice<Protocol> = Choice(&[
    ("auto", Protocol::Auto),
    ("sv1", Protocol::Sv1),
    ("sv1-tls", Protocol::Sv1Tls),
    ("sv2", Protocol::Sv2),
]);

const REPLY: Choice<Reply> = Choice(&[("local", Reply::Local), ("source", Reply::Source)]);

table! {
    /// One port that miners connect to.
    pub struct Listener {
        /// Address and port that miners connect to. Stratum V1 is not encrypted: keep it on this machine or
        /// in the miners' own network.
        listen: SocketAddr = Address(LISTENER_LISTEN.port()), default LISTENER_LISTEN;
        /// What miners speak there: "auto" finds it out by the first bytes that a miner sends, "sv1" takes everything for
        /// Stratum V1, "sv1-tls" takes Stratum V1 by TLS alone, "sv2" everything for Stratum V2.
        protocol: Protocol = PROTOCOL, default Protocol::Auto;
        /// A file with the certificate that the listener shows to miners that speak TLS, and after it those that vouch for
        /// it, in PEM. Without one TLS is not spoken. SIGHUP reads it anew.
        certificate_file: Option<PathBuf> = Maybe(FilePath("/etc/adit/miners.pem")), default None,
            says "not set: no TLS";
        /// A file with the certificate's private key in PEM.
        private_key_file: Option<PathBuf> = Maybe(FilePath("/etc/adit/miners.key")), default None,
            says "not set: no TLS";
        /// Stratum V2: the secret key that Adit proves itself with, or `authority_secret_key_file` for a file that holds it;
        /// `adit keys` makes one. Miners are given the public key that belongs to it.
        authority_secret_key: Option<AuthoritySecret> = Maybe(AuthorityKey), default None,
            says "not set: Stratum V2 is not served";
        /// Bytes of a miner's `extranonce1`, its number at Adit, which never changes while it is connected. With 0 each miner
        /// takes a connection to a Stratum V1 pool for itself, and its firmware must be known to work with it.
        extranonce1_size: Option<u8> = Maybe(Whole(0..=work::MAX_MINER_ID)), default None,
            says "not set: 4, or what the Stratum V1 pools of the listener's routes leave room for at the start";
        /// Bytes that a miner rolls itself. A source must grant `extranonce1_size` + `extranonce2_size`.
        extranonce2_size: Option<u8> = Maybe(Whole(1..=8)), default None,
            says "not set: 4, or what the Stratum V1 pools leave room for";
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
        /// Rules `PATTERN = NAME` by which workers' names are rewritten before anything else sees them, the first that
        /// matches. `*` in a pattern stands for any text, and in the name for that text: `* = edge-1.*` is a prefix. A name
        /// that matches none stays as it is.
        identity: Vec<IdentityRule> = Identities, default Vec::new();
        /// Job declarator clients that are served at a time, each with a connection of its own to the pool and one to the
        /// pool's job declarator (`jds_url` of the source). They select their work themselves.
        job_declarators: u32 = Whole(0..=JOB_DECLARATORS_MAX), default 0;
        /// Connections on this port.
        max_connections: Option<u32> = Maybe(Whole(1..=CONNECTIONS_MAX)), default None,
            says "not set: only `limits.max_connections` holds";
        /// Connections from one public address, or from one IPv6 network of 64 bits. Private and loopback addresses
        /// are not limited.
        max_connections_per_address: u32 = Whole(1..=CONNECTIONS_MAX), default MAX_CONNECTIONS_PER_ADDRESS;
        /// Public addresses and networks that are not limited either, such as the one that a farm is behind.
        unlimited_addresses: Vec<Network> = Networks, default Vec::new();
        /// Addresses and networks that may connect; nobody else may. Where it is empty, everybody may.
        allow: Vec<Network> = Networks, default Vec::new();
        /// Addresses and networks that may not connect, even if `allow` names them.
        deny: Vec<Network> = Networks, default Vec::new();
        /// Load balancers: each connection of theirs must begin with a PROXY header, version 1 or 2, and the address in it
        /// is the miner's. From others such a header is refused.
        proxy_protocol_from: Vec<Network> = Networks, default Vec::new();
        /// Let other processes of the same user listen on the same address and port (`SO_REUSEPORT`): the system spreads
        /// connections over them.
        reuse_port: bool = Flag, default false;
    }
}
