//! The reference job declarator client, `jd_client_sv2`: what Adit's declared jobs are compared with.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::child::Child;
use crate::node::Node;
use crate::pool::{IPC_VERSION, Pool, fresh_keys};
use crate::proxy::FEE_THRESHOLD;
use crate::{http, peers};

/// How long it may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a client declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JdMode {
    /// Whole templates: the server sees their transactions.
    FullTemplate,
    /// Coinbases only.
    CoinbaseOnly,
}

impl JdMode {
    /// The client's word for it.
    fn name(self) -> &'static str {
        match self {
            Self::FullTemplate => "FULLTEMPLATE",
            Self::CoinbaseOnly => "COINBASEONLY",
        }
    }
}

/// What a client is told.
#[derive(Clone, Debug)]
pub struct JdClientSettings {
    /// What it declares.
    pub mode: JdMode,
    /// The pool's host and port.
    pub pool: (String, u16),
    /// Host and port of the pool's job declarator server.
    pub jds: (String, u16),
    /// The authority key of both, as base58check: the client takes one for the two.
    pub key: String,
    /// Who the pool is to pay.
    pub user_identity: String,
    /// Shares a minute that it aims at for each of its own channels.
    pub shares_per_minute: f64,
    /// Shares that it acknowledges together.
    pub share_batch_size: u32,
    /// How often it may begin anew with the same pool when that has gone: it takes each upstream of its list once.
    pub lives: usize,
    /// How much it logs, by the word of its environment variable: `warn`, `info`, `debug`.
    pub log: &'static str,
}

impl JdClientSettings {
    /// Full templates to a pool, which must have its declarator; the rest as it is shipped.
    #[must_use]
    pub fn declaring_to(pool: &Pool) -> Self {
        let at = |port| ("127.0.0.1".to_owned(), port);
        Self {
            mode: JdMode::FullTemplate,
            pool: at(pool.port()),
            jds: at(pool.jds_port()),
            key: pool.key().to_owned(),
            user_identity: "farm".to_owned(),
            shares_per_minute: 6.0,
            share_batch_size: 10,
            lives: 1,
            log: "info",
        }
    }
}

/// A running client, with templates of a node by IPC.
#[derive(Debug)]
pub struct JdClient {
    port: u16,
    key: String,
    child: Child,
}

impl JdClient {
    /// Starts a client on the node's templates, and waits until it takes connections: then it has a template, and its
    /// channel with the pool opens with the first miner's.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(folder: &Path, node: &Node, settings: &JdClientSettings) -> Self {
        let port = http::free_port();
        let (keys, key) = fresh_keys();
        let JdClientSettings { mode, pool, jds, key: theirs, user_identity, .. } = settings;
        let JdClientSettings { shares_per_minute, share_batch_size, lives, log, .. } = settings;
        let upstream = format!(
            "[[upstreams]]\nauthority_pubkey = \"{theirs}\"\npool_address = \"{}\"\npool_port = {}\n\
             jds_address = \"{}\"\njds_port = {}\nuser_identity = \"{user_identity}\"\n",
            pool.0, pool.1, jds.0, jds.1,
        );
        let upstreams = upstream.repeat(*lives);
        let (network, data) = (node.chain().name(), node.folder().display());
        let configuration = format!(
            "listening_address = \"127.0.0.1:{port}\"\nmax_supported_version = 2\nmin_supported_version = 2\n\
             {keys}cert_validity_sec = 3600\nshares_per_minute = {shares_per_minute:?}\n\
             share_batch_size = {share_batch_size}\nmode = \"{}\"\njdc_signature = \"jdc\"\n\
             coinbase_reward_script = \"raw(51)\"\nsupported_extensions = []\n\
             {upstreams}[template_provider_type.BitcoinCoreIpc]\nversion = {IPC_VERSION}\nnetwork = \"{network}\"\n\
             data_dir = \"{data}\"\nfee_threshold = {FEE_THRESHOLD}\nmin_interval = 1\n",
            mode.name(),
        );
        let file = folder.join("jd-client.toml");
        std::fs::write(&file, configuration).expect("the folder can be written");
        let mut command = Command::new(peers::program("jd_client_sv2"));
        command.arg("-c").arg(&file).env("RUST_LOG", log);
        let mut child = Child::start("jd-client", &mut command, &folder.join("jd-client.log"));
        child.wait_until("it listens", PATIENCE, |_| TcpStream::connect(("127.0.0.1", port)).ok());
        Self { port, key, child }
    }

    /// Where translators and miners that speak SV2 connect.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its authority key as base58check.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How a proxy is told to reach it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("stratum2+tcp://127.0.0.1:{}/{}", self.port, self.key)
    }

    /// Its process.
    #[must_use]
    pub fn process(&self) -> &Child {
        &self.child
    }
}
