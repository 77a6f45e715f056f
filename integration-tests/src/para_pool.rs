//! A foreign pool that speaks Stratum V1: `para pool`, of the crate `para`, over Bitcoin Core.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::block_notifier::BlockNotifier;
use crate::child::Child;
use crate::node::Node;
use crate::rpc_relay::RpcRelay;
use crate::{http, peers};

/// How long it may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running pool.
#[derive(Debug)]
pub struct ParaPool {
    port: u16,
    child: Child,
    /// What it takes for the node's RPC.
    _rpc: RpcRelay,
}

impl ParaPool {
    /// Starts it over a node, leaving so many bytes of `extranonce2`.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(node: &Node, notifier: &BlockNotifier, folder: &Path, extranonce2_size: usize) -> Self {
        let port = http::free_port();
        let rpc = RpcRelay::start(node, notifier);
        let data = folder.join("para-pool");
        std::fs::create_dir_all(&data).expect("the test's folder can be written");
        let mut command = Command::new(peers::program("para"));
        command
            .arg("pool")
            .args(["--address", "127.0.0.1", "--port", &port.to_string()])
            .args(["--chain", node.chain().name(), "--bitcoin-rpc-port", &rpc.port().to_string()])
            .args(["--bitcoin-rpc-username", "adit", "--bitcoin-rpc-password", "adit"])
            .args(["--zmq-block-notifications", &notifier.endpoint()])
            .args(["--enonce2-size", &extranonce2_size.to_string()])
            .args(["--start-diff", "0.00002", "--disable-bouncer", "--update-interval", "5"])
            .arg("--data-dir")
            .arg(&data)
            .env("RUST_LOG", "info")
            .env("NO_COLOR", "1")
            .current_dir(folder);
        let mut child = Child::start("para pool", &mut command, &folder.join("para-pool.log"));
        child.wait_until("it listens", PATIENCE, |_| TcpStream::connect(("127.0.0.1", port)).ok());
        Self { port, child, _rpc: rpc }
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("stratum+tcp://127.0.0.1:{}", self.port)
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.child.log()
    }
}
