//! `[template.NAME]`

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use noise::PoolUrl;

use super::seconds;
use crate::config::kind::{
    Choice, FilePath, Flag, HostPort, Maybe, Password, Secret, Span, Url, UserName, Whole,
};
use crate::config::table::table;

/// `template.NAME.fee_threshold`, satoshi: 0.003 % of the subsidy. What a job without it may lose until the next one is
/// far below what each needless job costs: a notify to every miner and, declared, a round trip to the pool.
pub const FEE_THRESHOLD: u64 = 10_000;
/// The most that `fee_threshold` may be: a whole bitcoin.
pub const FEE_THRESHOLD_MAX: u64 = 100_000_000;
/// `template.NAME.min_interval`: fees grow slowly, machines lose a little at each new job, and a keepalive comes as
/// often. A new tip never waits.
pub const MIN_INTERVAL: Duration = Duration::from_secs(30);

/// What gives templates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemplateKind {
    /// Bitcoin Core's IPC interface, over a socket of this machine.
    BitcoinIpc,
    /// `getblocktemplate` over a node's RPC.
    BitcoinRpc,
    /// A Stratum V2 template provider.
    TemplateProvider,
}

impl TemplateKind {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BitcoinIpc => "bitcoin-ipc",
            Self::BitcoinRpc => "bitcoin-rpc",
            Self::TemplateProvider => "template-provider",
        }
    }
}

/// A chain of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chain {
    /// Bitcoin.
    Main,
    /// The fourth test chain.
    Testnet4,
    /// Test chains whose blocks are signed.
    Signet,
    /// A test chain of one's own.
    Regtest,
}

impl Chain {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Testnet4 => "testnet4",
            Self::Signet => "signet",
            Self::Regtest => "regtest",
        }
    }

    pub(crate) const fn network(self) -> bitcoin::Network {
        match self {
            Self::Main => bitcoin::Network::Bitcoin,
            Self::Testnet4 => bitcoin::Network::Testnet4,
            Self::Signet => bitcoin::Network::Signet,
            Self::Regtest => bitcoin::Network::Regtest,
        }
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A version of Bitcoin Core's IPC interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interface {
    /// Found out by trying, before any work is given out.
    Auto,
    /// Core 30's.
    V30,
    /// Core 31's.
    V31,
    /// That of Core's development after 31.
    V31_99,
}

const KIND: Choice<TemplateKind> = Choice(&[
    ("bitcoin-ipc", TemplateKind::BitcoinIpc),
    ("bitcoin-rpc", TemplateKind::BitcoinRpc),
    ("template-provider", TemplateKind::TemplateProvider),
]);
const NETWORK: Choice<Chain> = Choice(&[
    ("main", Chain::Main),
    ("testnet4", Chain::Testnet4),
    ("signet", Chain::Signet),
    ("regtest", Chain::Regtest),
]);
const INTERFACE: Choice<Interface> = Choice(&[
    ("auto", Interface::Auto),
    ("30", Interface::V30),
    ("31", Interface::V31),
    ("31.99", Interface::V31_99),
]);

table! {
    /// One node, or template provider, that says what the next block may hold.
    pub struct Template {
        /// What gives templates: Bitcoin Core over its IPC socket (the fastest), a node over RPC (any, but slower), or
        /// a Stratum V2 template provider.
        kind: TemplateKind = KIND, required;
        /// The chain that it is on.
        network: Chain = NETWORK, default Chain::Main;
        /// `bitcoin-ipc`, must be set: the socket, `node.sock` in the node's data directory where it runs with
        /// `-ipcbind=unix`.
        socket: Option<PathBuf> = Maybe(FilePath("/var/lib/bitcoind/node.sock")), default None,
            says "not set";
        /// `bitcoin-ipc`: the version of the interface, which is Core's own.
        interface: Option<Interface> = Maybe(INTERFACE), default None,
            says "not set: `\"auto\"`, found out before any work is given out";
        /// `bitcoin-rpc`, must be set: where the node answers.
        rpc_address: Option<String> = Maybe(HostPort("127.0.0.1:8332")), default None,
            says "not set";
        /// `bitcoin-rpc`: the file with a password that the node writes at each start, `.cookie` in its data
        /// directory. This, or `rpc_user` and `rpc_password`, must be set.
        rpc_cookie_file: Option<PathBuf> = Maybe(FilePath("/var/lib/bitcoind/.cookie")), default None,
            says "not set";
        /// `bitcoin-rpc`: the user of `rpcauth` or `rpcuser`.
        rpc_user: Option<String> = Maybe(UserName), default None, says "not set";
        /// `bitcoin-rpc`: its password, or `rpc_password_file` for a file that holds it.
        rpc_password: Option<Secret> = Maybe(Password), default None, says "not set";
        /// `template-provider`, must be set: where it is and the authority key that it must prove.
        url: Option<PoolUrl> = Maybe(Url("template provider")), default None, says "not set";
        /// `template-provider`: allow a URL without authority key. Anyone on the way can then change the templates.
        insecure: Option<bool> = Maybe(Flag), default None, says "not set: `false`";
        /// Satoshi by which fees must have grown for a new template on the same tip. A new tip is told at once.
        fee_threshold: u64 = Whole(0..=FEE_THRESHOLD_MAX), default FEE_THRESHOLD;
        /// Better templates of the same tip come no faster than this.
        min_interval: Duration = Span::of(seconds(1)..=seconds(600)), default MIN_INTERVAL;
    }
}

/// Where templates come from, with what its kind needs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TemplateFrom<'a> {
    /// Bitcoin Core's IPC interface.
    BitcoinIpc {
        /// The socket.
        socket: &'a Path,
        /// The interface's version.
        interface: Interface,
    },
    /// A node's RPC.
    BitcoinRpc {
        /// Host and port.
        address: &'a str,
        /// How the node lets us in.
        login: RpcLogin<'a>,
    },
    /// A Stratum V2 template provider.
    TemplateProvider {
        /// Where it is, and its authority key.
        url: &'a PoolUrl,
        /// It may do without a key.
        insecure: bool,
    },
}

/// How a node's RPC lets us in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RpcLogin<'a> {
    /// The node's own file.
    Cookie(&'a Path),
    /// A user and its password.
    User {
        /// The user.
        name: &'a str,
        /// The password.
        password: &'a Secret,
    },
}

impl Template {
    /// Where templates come from. Never nothing in a configuration that was loaded: loading refuses a template that
    /// lacks what its kind needs.
    #[must_use]
    pub fn from(&self) -> Option<TemplateFrom<'_>> {
        Some(match self.kind {
            TemplateKind::BitcoinIpc => TemplateFrom::BitcoinIpc {
                socket: self.socket.as_deref()?,
                interface: self.interface.unwrap_or(Interface::Auto),
            },
            TemplateKind::BitcoinRpc => TemplateFrom::BitcoinRpc {
                address: self.rpc_address.as_deref()?,
                login: match &self.rpc_cookie_file {
                    Some(path) => RpcLogin::Cookie(path),
                    None => RpcLogin::User {
                        name: self.rpc_user.as_deref()?,
                        password: self.rpc_password.as_ref()?,
                    },
                },
            },
            TemplateKind::TemplateProvider => TemplateFrom::TemplateProvider {
                url: self.url.as_ref()?,
                insecure: self.insecure.unwrap_or(false),
            },
        })
    }
}
