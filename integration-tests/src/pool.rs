//! The reference pool, `pool_sv2`, with its templates from a [`Node`] by IPC.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use noise::AuthoritySecretKey;
use serde_json::Value;

use crate::child::Child;
use crate::node::Node;
use crate::{http, peers, wait};

/// How long the pool may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);
/// The schema of the node's IPC interface that the pool is told: the one nearest to 31.99.
pub(crate) const IPC_VERSION: u32 = 31;

/// What a pool is told.
#[derive(Clone, Debug)]
pub struct PoolSettings {
    /// Shares that it acknowledges together.
    pub share_batch_size: u32,
    /// Shares a minute that it aims at for each channel.
    pub shares_per_minute: f64,
    /// It takes worker names (extension 0x0002).
    pub worker_names: bool,
    /// It takes declared jobs: its embedded job declarator server listens.
    pub declarator: bool,
    /// The output script that its coinbases pay, as hexadecimal.
    pub pays: String,
}

impl Default for PoolSettings {
    /// As it is shipped, with worker names; its coinbases pay anybody.
    fn default() -> Self {
        Self {
            share_batch_size: 10,
            shares_per_minute: 6.0,
            worker_names: true,
            declarator: false,
            pays: "51".to_owned(),
        }
    }
}

/// An extended channel, as the pool's monitoring shows it.
#[derive(Clone, Debug)]
pub struct PoolChannel {
    /// The identity it was opened with.
    pub user_identity: String,
    /// Shares accepted.
    pub accepted: u64,
    /// Shares refused.
    pub refused: u64,
    /// Blocks found.
    pub blocks: u64,
    /// The hashrate it was told.
    pub nominal_hashrate: f64,
}

/// What the pool's log says of shares since it was first started: channels that were closed count too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolShares {
    /// Accepted, acknowledged or not.
    pub accepted: u64,
    /// Those of them that were blocks.
    pub blocks: u64,
    /// Refused, by code.
    pub refused: BTreeMap<String, u64>,
    /// `SubmitShares.Success` messages.
    pub acknowledgements: u64,
}

impl PoolShares {
    /// All refused.
    #[must_use]
    pub fn refused_total(&self) -> u64 {
        self.refused.values().sum()
    }
}

/// A pool, running or killed.
#[derive(Debug)]
pub struct Pool {
    name: String,
    folder: PathBuf,
    port: u16,
    /// Of its job declarator server.
    jds: u16,
    monitoring: u16,
    key: String,
    /// The secret half of its key.
    secret: String,
    child: Option<Child>,
    quiet: bool,
}

impl Pool {
    /// Makes a pool with a fresh authority key, not started yet. Its name goes into the coinbase.
    ///
    /// # Panics
    /// When the test's folder cannot be written, or `adit keys` fails.
    #[must_use]
    pub fn new(name: &str, node: &Node, folder: &Path, settings: &PoolSettings) -> Self {
        let (port, jds, monitoring) = (http::free_port(), http::free_port(), http::free_port());
        let (keys, key) = fresh_keys();
        let secret = value_of(&keys, "authority_secret_key");
        let PoolSettings { share_batch_size, shares_per_minute, worker_names, declarator, pays } = settings;
        let extensions = if *worker_names { "[2]" } else { "[]" };
        let declarator = match declarator {
            true => format!("[jds]\nlisten_address = \"127.0.0.1:{jds}\"\n"),
            false => String::new(),
        };
        let chain = node.chain().name();
        let data = node.folder().display();
        // `server_id` keeps the search spaces of two pools on one node apart.
        let server_id = name.bytes().fold(0_u8, u8::wrapping_add);
        let configuration = format!(
            "{keys}cert_validity_sec = 3600\nlisten_address = \"127.0.0.1:{port}\"\n\
             coinbase_reward_script = \"raw({pays})\"\nserver_id = {server_id}\npool_signature = \"{name}\"\n\
             shares_per_minute = {shares_per_minute:?}\nshare_batch_size = {share_batch_size}\n\
             supported_extensions = {extensions}\nrequired_extensions = []\n\
             monitoring_address = \"127.0.0.1:{monitoring}\"\nmonitoring_cache_refresh_secs = 1\n\
             [template_provider_type.BitcoinCoreIpc]\nversion = {IPC_VERSION}\nnetwork = \"{chain}\"\n\
             data_dir = \"{data}\"\nfee_threshold = 100\nmin_interval = 1\n{declarator}"
        );
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).expect("the test's folder can be written");
        std::fs::write(folder.join("pool.toml"), configuration).expect("the test's folder can be written");
        Self { name: name.to_owned(), folder, port, jds, monitoring, key, secret, child: None, quiet: false }
    }

    /// Makes and starts a pool.
    #[must_use]
    pub fn start(name: &str, node: &Node, folder: &Path, settings: &PoolSettings) -> Self {
        let mut pool = Self::new(name, node, folder, settings);
        pool.run();
        pool
    }

    /// Makes and starts a pool that does not log each share (so [`Pool::shares`] knows nothing): for measurements.
    #[must_use]
    pub fn start_quiet(name: &str, node: &Node, folder: &Path, settings: &PoolSettings) -> Self {
        let mut pool = Self { quiet: true, ..Self::new(name, node, folder, settings) };
        pool.run();
        pool
    }

    /// Starts it, or starts it again on the same port with the same key, and waits until it takes connections.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn run(&mut self) {
        let mut command = Command::new(peers::program("pool_sv2"));
        command.arg("-c").arg(self.folder.join("pool.toml"));
        if self.quiet {
            command.env("RUST_LOG", "warn");
        }
        let mut child = Child::start(&self.name, &mut command, &self.log_file());
        let port = self.port;
        // It binds its port only once it has a template. The probe is no miner: it is gone before its handshake.
        child.wait_until("it listens", PATIENCE, |_| TcpStream::connect(("127.0.0.1", port)).ok());
        self.child = Some(child);
    }

    /// Kills it (SIGKILL). Gives the moment just before.
    pub fn kill(&mut self) -> std::time::Instant {
        let before = std::time::Instant::now();
        if let Some(mut child) = self.child.take() {
            child.kill();
        }
        before
    }

    /// Its process is there.
    pub fn lives(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.ended().is_none())
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its authority key as base58check.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its authority key, for somebody who stands in for it.
    ///
    /// # Panics
    /// Never: it was made as one.
    #[must_use]
    pub fn authority(&self) -> AuthoritySecretKey {
        self.secret.parse().expect("a key that `adit keys` made")
    }

    /// How Adit is told to reach it.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_through(self.port)
    }

    /// How Adit is told to reach it by another port, a relay's.
    #[must_use]
    pub fn url_through(&self, port: u16) -> String {
        format!("stratum2+tcp://127.0.0.1:{port}/{}", self.key)
    }

    /// How Adit is told to reach its job declarator server.
    #[must_use]
    pub fn jds_url(&self) -> String {
        self.url_through(self.jds)
    }

    /// Its job declarator server's port.
    #[must_use]
    pub fn jds_port(&self) -> u16 {
        self.jds
    }

    /// Its signature in the coinbase, as hexadecimal: tells whose job a `mining.notify` is.
    #[must_use]
    pub fn signature_hex(&self) -> String {
        hex(self.name.as_bytes())
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log_file()).unwrap_or_default()).into_owned()
    }

    /// What it has logged of shares.
    #[must_use]
    pub fn shares(&self) -> PoolShares {
        let mut shares = PoolShares::default();
        for line in self.log().lines() {
            if let Some((_, rest)) = line.split_once(" SubmitSharesError: ") {
                let code = rest.split_once("error_code: ").map_or("?", |(_, code)| code);
                let code = code.split(' ').next().unwrap_or("?");
                *shares.refused.entry(code.to_owned()).or_default() += 1;
            } else if let Some((_, rest)) = line.split_once(" SubmitSharesExtended: ") {
                // One such line per good share: that it is valid, or the acknowledgement that it completed,
                // or the block that it is (acknowledged too, without a line).
                let block = rest.contains("Block Found");
                let valid = rest.starts_with("valid share");
                let success = rest.contains("SubmitShares") && rest.contains("uccess");
                shares.accepted += u64::from(block || valid || success);
                shares.blocks += u64::from(block);
                shares.acknowledgements += u64::from(block || success);
            }
        }
        shares
    }

    /// Waits until it has logged of shares what is asked for: it logs one when it has dealt with it.
    pub fn wait_shares(&self, what: &str, mut so: impl FnMut(&PoolShares) -> bool) -> PoolShares {
        wait::until(&format!("{}: {what}", self.name), PATIENCE, || Some(self.shares()).filter(&mut so))
    }

    /// The open channels, as its monitoring shows them.
    #[must_use]
    pub fn channels(&self) -> Vec<PoolChannel> {
        let mut channels = Vec::new();
        for client in self.items("/api/v1/clients") {
            let id = &client["client_id"];
            let page = http::get(self.monitoring, &format!("/api/v1/clients/{id}/channels?limit=100"));
            let Ok(page) = page else { continue };
            let Ok(page) = serde_json::from_str::<Value>(&page.body) else {
                continue;
            };
            for channel in page["extended_channels"].as_array().into_iter().flatten() {
                let number = |key: &str| channel[key].as_u64().unwrap_or(0);
                channels.push(PoolChannel {
                    user_identity: channel["user_identity"].as_str().unwrap_or_default().to_owned(),
                    accepted: number("shares_accepted"),
                    refused: number("shares_rejected"),
                    blocks: number("blocks_found"),
                    nominal_hashrate: channel["nominal_hashrate"].as_f64().unwrap_or(0.0),
                });
            }
        }
        channels
    }

    fn items(&self, path: &str) -> Vec<Value> {
        let page = http::get(self.monitoring, &format!("{path}?limit=100"));
        let page = page.ok().and_then(|page| serde_json::from_str::<Value>(&page.body).ok());
        page.and_then(|mut page| page["items"].as_array_mut().map(std::mem::take)).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("pool.log")
    }
}

/// A fresh authority key pair, as lines of a configuration, and its public half as base58check.
pub(crate) fn fresh_keys() -> (String, String) {
    let keys = Command::new(peers::adit()).arg("keys").output().expect("adit starts");
    let keys = String::from_utf8(keys.stdout).expect("keys are text");
    let key = value_of(&keys, "authority_public_key");
    (keys, key)
}

/// A key among the lines that `adit keys` prints.
fn value_of(keys: &str, name: &str) -> String {
    let value = keys.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
    let value = value.unwrap_or_else(|| panic!("`adit keys` prints a key pair, not {keys:?}"));
    value.trim_matches('"').to_owned()
}

/// Bytes as hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
