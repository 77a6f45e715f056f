//! Our own pool, `adit pool`, as a process of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::child::Child;
use crate::node::Node;
use crate::{http, middleman, peers};

/// How long it may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A pool on a free loopback port, with a key that stays when it is started again.
#[derive(Debug)]
pub struct DevPool {
    name: String,
    port: u16,
    /// Of its job declarator server, if it is one.
    jds: u16,
    authority: String,
    key: PathBuf,
    log: PathBuf,
    args: Vec<String>,
    child: Option<Child>,
    /// How often it had listened before it was started last.
    listened: usize,
}

impl DevPool {
    /// Makes a pool's key and port, and starts it with these further arguments.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(name: &str, folder: &Path, args: &[&str]) -> Self {
        let mut pool = Self::new(name, folder, args);
        pool.run();
        pool
    }

    /// Makes a pool's key and port; it does not run yet.
    ///
    /// # Panics
    /// When the folder cannot be written.
    #[must_use]
    pub fn new(name: &str, folder: &Path, args: &[&str]) -> Self {
        let authority = middleman::new_authority();
        let key = folder.join(format!("{name}.key"));
        std::fs::write(&key, authority.to_base58check().as_str()).expect("the test's folder can be written");
        Self {
            name: name.to_owned(),
            port: http::free_port(),
            jds: http::free_port(),
            authority: authority.public().to_string(),
            key,
            log: folder.join(format!("{name}.log")),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            child: None,
            listened: 0,
        }
    }

    /// It is a job declarator server as well.
    #[must_use]
    pub fn with_declarator(self) -> Self {
        let listen = format!("127.0.0.1:{}", self.jds);
        self.with_args(["--jds".to_owned(), "--jds-listen".to_owned(), listen])
    }

    /// It follows the node, by IPC.
    #[must_use]
    pub fn following_by_ipc(self, node: &Node) -> Self {
        let socket = node.ipc_socket().display().to_string();
        self.with_args(["--node-ipc".to_owned(), socket])
    }

    /// It follows the node, by RPC.
    ///
    /// # Panics
    /// When the file with the password cannot be written.
    #[must_use]
    pub fn following_by_rpc(self, node: &Node) -> Self {
        let cookie = node.folder().join("password");
        std::fs::write(&cookie, "adit:adit\n").expect("the test's folder can be written");
        let address = format!("127.0.0.1:{}", node.rpc_port());
        let cookie = cookie.display().to_string();
        self.with_args(["--node-rpc".to_owned(), address, "--node-cookie".to_owned(), cookie])
    }

    fn with_args<const N: usize>(mut self, args: [String; N]) -> Self {
        self.args.extend(args);
        self
    }

    /// Starts it (again) and waits until it listens.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn run(&mut self) {
        self.launch();
        self.wait_listening();
    }

    /// Starts it (again) and waits for nothing.
    ///
    /// # Panics
    /// When it does not start.
    pub fn launch(&mut self) {
        self.listened = times_listened(&self.log());
        let mut command = Command::new(peers::adit());
        command.arg("pool").args(["--listen", &format!("127.0.0.1:{}", self.port)]);
        command.arg("--secret-key-file").arg(&self.key).args(&self.args);
        self.child = Some(Child::start(&self.name, &mut command, &self.log));
    }

    /// Waits until it listens.
    ///
    /// # Panics
    /// When it does not run, or does not listen in time.
    pub fn wait_listening(&mut self) {
        let before = self.listened;
        let child = self.child.as_mut().expect("it was started");
        child.wait_until("it listens", PATIENCE, |child| {
            (times_listened(&child.log()) > before).then_some(())
        });
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

    /// Asks it to end (SIGTERM).
    ///
    /// # Panics
    /// When it was not started, does not end in time, or its exit is no success.
    pub fn stop(&mut self) {
        let mut child = self.child.take().expect("it was started");
        let status = child.terminate();
        assert!(status.is_some_and(|s| s.success()), "{} ended with {status:?} after SIGTERM", self.name);
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
        self.url_through(self.port)
    }

    /// How Adit is told to reach its job declarator server.
    #[must_use]
    pub fn jds_url(&self) -> String {
        self.url_through(self.jds)
    }

    fn url_through(&self, port: u16) -> String {
        format!("stratum2+tcp://127.0.0.1:{port}/{}", self.authority)
    }

    /// Its authority key as base58check.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.authority
    }

    /// Where its job declarator server listens.
    #[must_use]
    pub fn jds_port(&self) -> u16 {
        self.jds
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

fn times_listened(log: &str) -> usize {
    log.matches("dev pool listens").count()
}
