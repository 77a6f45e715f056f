//! The reference translator, `translator_sv2`: what Adit is compared with.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::child::Child;
use crate::jd_client::JdClient;
use crate::pool::Pool;
use crate::proxy::Adit;
use crate::{http, peers};

/// How long it may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running translator in front of a pool. It keeps one difficulty for all: its vardiff is off.
#[derive(Debug)]
pub struct Translator {
    port: u16,
    child: Child,
}

impl Translator {
    /// Starts a translator whose miners do `hashrate` hashes a second each and are to send `shares_per_minute`, and
    /// waits until it takes connections.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(folder: &Path, pool: &Pool, aggregate: bool, hashrate: f64, shares_per_minute: f64) -> Self {
        Self::start_at(folder, pool.port(), pool.key(), aggregate, hashrate, shares_per_minute)
    }

    /// The same in front of a job declarator client.
    #[must_use]
    pub fn start_behind(folder: &Path, client: &JdClient, hashrate: f64, shares_per_minute: f64) -> Self {
        Self::start_at(folder, client.port(), client.key(), true, hashrate, shares_per_minute)
    }

    /// The same in front of an Adit that serves SV2 miners under this authority key.
    #[must_use]
    pub fn start_behind_adit(
        folder: &Path,
        adit: &Adit,
        key: &str,
        aggregate: bool,
        hashrate: f64,
        shares_per_minute: f64,
    ) -> Self {
        Self::start_at(folder, adit.port(), key, aggregate, hashrate, shares_per_minute)
    }

    fn start_at(
        folder: &Path,
        upstream: u16,
        key: &str,
        aggregate: bool,
        hashrate: f64,
        shares_per_minute: f64,
    ) -> Self {
        let port = http::free_port();
        let configuration = format!(
            "downstream_address = \"127.0.0.1\"\ndownstream_port = {port}\nmax_supported_version = 2\n\
             min_supported_version = 2\ndownstream_extranonce2_size = 4\nverify_payout = false\n\
             aggregate_channels = {aggregate}\nsupported_extensions = []\n\
             [downstream_difficulty_config]\nmin_individual_miner_hashrate = {hashrate:?}\n\
             shares_per_minute = {shares_per_minute:?}\nenable_vardiff = false\n\
             job_keepalive_interval_secs = 60\n\
             [[upstreams]]\naddress = \"127.0.0.1\"\nport = {upstream}\nauthority_pubkey = \"{key}\"\n\
             user_identity = \"farm\"\n"
        );
        let file = folder.join("translator.toml");
        std::fs::write(&file, configuration).expect("the folder can be written");
        let mut command = Command::new(peers::program("translator_sv2"));
        command.arg("-c").arg(&file).env("RUST_LOG", "warn");
        let mut child = Child::start("translator", &mut command, &folder.join("translator.log"));
        child.wait_until("it listens", PATIENCE, |_| TcpStream::connect(("127.0.0.1", port)).ok());
        Self { port, child }
    }

    /// Where miners connect.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}
