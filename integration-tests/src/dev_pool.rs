//! Our own pool, `adit pool`, as a process of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::child::Child;
use crate::{http, middleman, peers};

/// How long it may take to come up.
const PATIENCE: Duration = Duration::from_secs(20);

/// A pool on a free loopback port, with a key that stays when it is started again.
#[derive(Debug)]
pub struct DevPool {
    name: String,
    port: u16,
    url: String,
    key: PathBuf,
    log: PathBuf,
    args: Vec<String>,
    child: Option<Child>,
}

impl DevPool {
    /// Makes a pool's key and port, and starts it with these further arguments.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(name: &str, folder: &Path, args: &[&str]) -> Self {
        let authority = middleman::new_authority();
        let key = folder.join(format!("{name}.key"));
        std::fs::write(&key, authority.to_base58check().as_str()).expect("the test's folder can be written");
        let port = http::free_port();
        let mut pool = Self {
            name: name.to_owned(),
            port,
            url: format!("stratum2+tcp://127.0.0.1:{port}/{}", authority.public()),
            key,
            log: folder.join(format!("{name}.log")),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            child: None,
        };
        pool.run();
        pool
    }

    /// Starts it (again) and waits until it listens.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn run(&mut self) {
        let listens = |log: &str| log.matches("dev pool listens").count();
        let before = listens(&std::fs::read_to_string(&self.log).unwrap_or_default());
        let mut command = Command::new(peers::adit());
        command.arg("pool").args(["--listen", &format!("127.0.0.1:{}", self.port)]);
        command.arg("--secret-key-file").arg(&self.key).args(&self.args);
        let mut child = Child::start(&self.name, &mut command, &self.log);
        child.wait_until("it listens", PATIENCE, |child| (listens(&child.log()) > before).then_some(()));
        self.child = Some(child);
    }

    /// Kills it and starts it again, with this chain: to Adit its tip is a new one, as a pool's is that was away for long.
    ///
    /// # Panics
    /// As [`DevPool::run`].
    pub fn restart_on_chain(&mut self, chain: u64) {
        self.kill();
        let args = self.args.clone();
        self.args.extend(["--chain".to_owned(), chain.to_string()]);
        self.run();
        self.args = args;
    }

    /// Starts it again if it was killed.
    pub fn run_unless_it_runs(&mut self) {
        if self.child.is_none() {
            self.run();
        }
    }

    /// Kills it (SIGKILL); says when.
    pub fn kill(&mut self) -> Instant {
        let at = Instant::now();
        self.child = None;
        at
    }

    /// How Adit is told to reach it.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}
