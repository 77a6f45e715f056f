//! Debian's `nats-server` with JetStream, as a process that is killed and comes back.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::child::Child;
use crate::{http, peers};

/// How long it may take to come up, also with much to read.
const PATIENCE: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub struct NatsServer {
    port: u16,
    config: PathBuf,
    log: PathBuf,
    child: Option<Child>,
}

impl NatsServer {
    /// Starts one with its streams in a folder, and with these further lines of configuration.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(folder: &Path, lines: &str) -> Self {
        let (port, store) = (http::free_port(), folder.join("jetstream"));
        let config = folder.join("nats.conf");
        let text = format!(
            "listen: \"127.0.0.1:{port}\"\nserver_name: broker\njetstream {{ store_dir: {store:?} }}\n{lines}\n"
        );
        std::fs::write(&config, text).expect("the test's folder can be written");
        let mut server = Self { port, config, log: folder.join("nats.log"), child: None };
        server.run();
        server
    }

    /// Starts it again.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn run(&mut self) {
        let mut command = Command::new(peers::program("nats-server"));
        command.arg("--config").arg(&self.config);
        let mut child = Child::start("nats-server", &mut command, &self.log);
        let port = self.port;
        child.wait_until("taking connections", PATIENCE, |_| TcpStream::connect(("127.0.0.1", port)).ok());
        self.child = Some(child);
    }

    /// Kills it at once (SIGKILL).
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill();
        }
    }

    /// Sends it a signal, by `kill`'s name for it.
    pub fn signal(&mut self, name: &str) {
        if let Some(child) = &mut self.child {
            child.signal(name);
        }
    }

    /// Where clients connect.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The same as a URL of somebody who speaks TLS. It is the name in the tests' certificates.
    #[must_use]
    pub fn tls_url(&self) -> String {
        format!("tls://localhost:{}", self.port)
    }

    /// The same as a URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}
