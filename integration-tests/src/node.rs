//! Bitcoin Core with its IPC mining interface, on a private chain of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::child::Child;
use crate::{http, peers, wait};

/// `Basic` and the base64 of `adit:adit`: the node is on loopback, and a test's own.
const AUTHORIZATION: &str = "Basic YWRpdDphZGl0";

/// How long the node may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which chain a node makes, from its genesis on, all alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chain {
    /// A signet that anybody may sign (`signetchallenge=51`): 3.7 million hashes a block, which a CPU finds, but
    /// which a share-rate test finds seldom.
    Signet,
    /// Mainnet's rules without anybody else: difficulty 1, so that no CPU finds a block, and neither a tip nor a
    /// template comes that the test did not ask for.
    Mainnet,
    /// Every second hash is a block: for tests that need a hundred of them, and no shares. Takes non-standard
    /// transactions.
    Regtest,
}

impl Chain {
    /// The name that the pool has for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Signet => "signet",
            Self::Mainnet => "mainnet",
            Self::Regtest => "regtest",
        }
    }
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    chain: Chain,
    folder: PathBuf,
    rpc: u16,
    child: Child,
    hidden: Option<String>,
}

impl Node {
    /// Starts a node in `folder`, on a signet with two blocks, so that tips can be changed.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(chain: Chain, folder: &Path) -> Self {
        Self::start_with(chain, folder, "")
    }

    /// As [`start`](Self::start), with more lines of configuration.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start_with(chain: Chain, folder: &Path, lines: &str) -> Self {
        let folder = folder.join("node");
        std::fs::create_dir_all(&folder).expect("the test's folder can be written");
        let rpc = http::free_port();
        let chosen = match chain {
            Chain::Signet => "signet=1\n[signet]\nsignetchallenge=51\n",
            Chain::Mainnet => "[main]\n",
            Chain::Regtest => "regtest=1\nacceptnonstdtxn=1\n[regtest]\n",
        };
        // The first of two values counts.
        let alone = if lines.contains("listen=1\n") { "" } else { "listen=0\n" };
        // `maxtipage` and `minimumchainwork`: a chain that begins here is never in its initial download.
        let configuration = format!(
            "{chosen}server=1\n{alone}connect=0\nrpcport={rpc}\nrpcuser=adit\n\
             rpcpassword=adit\nmaxtipage=2000000000\nminimumchainwork=0\nipcbind=unix\n{lines}"
        );
        std::fs::write(folder.join("bitcoin.conf"), configuration).expect("the test's folder can be written");
        let child = launch(&folder, rpc);
        let node = Self { chain, folder, rpc, child, hidden: None };
        if chain == Chain::Signet {
            node.rpc("generatetodescriptor", &json!([2, "raw(51)", 1_000_000_000]));
        }
        node
    }

    /// As [`start`](Self::start), for others to connect to: it takes blocks from them and no transactions. Gives the port.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start_for_blocks(chain: Chain, folder: &Path) -> (Self, u16) {
        let port = http::free_port();
        let lines = format!("listen=1\nbind=127.0.0.1:{port}\nlistenonion=0\nblocksonly=1\n");
        (Self::start_with(chain, folder, &lines), port)
    }

    /// Connects to another node, and waits until both have the same tip.
    ///
    /// # Panics
    /// When they do not get there.
    pub fn meet(&self, other: &Self, port: u16) {
        self.rpc("addnode", &json!([format!("127.0.0.1:{port}"), "onetry"]));
        wait::until_so("two nodes have one tip", PATIENCE, || {
            self.best_block_hash() == other.best_block_hash()
        });
    }

    /// Ends it and starts it again, with what it has on disk.
    pub fn restart(&mut self) {
        self.stop();
        self.start_again();
    }

    /// Ends it in good order.
    pub fn stop(&mut self) {
        let _ = self.child.terminate();
    }

    /// Kills it (SIGKILL). What it has not brought to the disk is lost: see [`Node::save`].
    pub fn kill(&mut self) {
        self.child.kill();
    }

    /// Starts it after its end, with what it has on disk.
    pub fn start_again(&mut self) {
        self.child = launch(&self.folder, self.rpc);
    }

    /// Brings the chain to the disk.
    pub fn save(&self) {
        self.rpc("gettxoutsetinfo", &json!(["none"]));
    }

    /// The chain.
    #[must_use]
    pub fn chain(&self) -> Chain {
        self.chain
    }

    /// Its data folder, for programs that look for the socket in it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Calls a method.
    ///
    /// # Panics
    /// When the node refuses.
    #[must_use = "the node's answer"]
    pub fn ask(&self, method: &str, params: &Value) -> Value {
        self.try_ask(method, params).unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Calls a method that the node may refuse.
    ///
    /// # Errors
    /// What the node says, or that it does not answer.
    pub fn try_ask(&self, method: &str, params: &Value) -> Result<Value, String> {
        call(self.rpc, method, params)
    }

    /// Calls a method once for each of these parameters, all in one request: the node answers a request in 50 ms at best.
    ///
    /// # Panics
    /// When the node refuses one.
    #[must_use = "the node's answers, in their order"]
    pub fn ask_all(&self, method: &str, params: &[Value]) -> Vec<Value> {
        let requests: Vec<Value> = params.iter().map(|params| request(method, params)).collect();
        let answers =
            post(self.rpc, &Value::from(requests)).unwrap_or_else(|error| panic!("{method}: {error}"));
        let answers = answers.as_array().cloned().unwrap_or_else(|| panic!("{method}: {answers}"));
        assert_eq!(answers.len(), params.len(), "{method}: an answer to each");
        let result = |answer| result(answer).unwrap_or_else(|error| panic!("{method}: {error}"));
        answers.into_iter().map(result).collect()
    }

    /// Calls a method for its effect.
    ///
    /// # Panics
    /// When the node refuses.
    pub fn rpc(&self, method: &str, params: &Value) {
        let _ = self.ask(method, params);
    }

    /// The port of its RPC, which takes the user and password `adit`.
    #[must_use]
    pub fn rpc_port(&self) -> u16 {
        self.rpc
    }

    /// Where its IPC interface listens.
    #[must_use]
    pub fn ipc_socket(&self) -> std::path::PathBuf {
        let folder = match self.chain {
            Chain::Mainnet => self.folder.clone(),
            Chain::Signet => self.folder.join("signet"),
            Chain::Regtest => self.folder.join("regtest"),
        };
        folder.join("node.sock")
    }

    /// The tip.
    ///
    /// # Panics
    /// When the node does not say.
    #[must_use]
    pub fn best_block_hash(&self) -> String {
        self.ask("getbestblockhash", &json!([])).as_str().expect("a hash").to_owned()
    }

    /// The height of the tip.
    ///
    /// # Panics
    /// When the node does not say.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.ask("getblockcount", &json!([])).as_u64().expect("a height")
    }

    /// A block of the chain by its height.
    #[must_use]
    pub fn block(&self, height: u64) -> Value {
        let hash = self.ask("getblockhash", &json!([height]));
        self.ask("getblock", &json!([hash, 2]))
    }

    /// A next block without transactions, on regtest, for this node or another one to be given: its hash and its bytes as
    /// hexadecimal. What is in mempools stays there.
    ///
    /// # Panics
    /// When the node makes none.
    #[must_use]
    pub fn make_empty_block(&self) -> (String, String) {
        let made = self.ask("generateblock", &json!(["raw(51)", [], false]));
        let text = |key: &str| made[key].as_str().expect("a text").to_owned();
        (text("hash"), text("hex"))
    }

    /// Gives the node a block that becomes its tip.
    ///
    /// # Panics
    /// When it does not take it.
    pub fn submit(&self, block: &str) {
        let refused = self.ask("submitblock", &json!([block]));
        assert!(refused.is_null(), "the node takes the block, not {refused}");
    }

    /// When this block became the tip, by the node's log: Unix time, seconds. The node must have been started with
    /// `logtimemicros=1`, and it must have been today.
    #[must_use]
    pub fn tip_since(&self, hash: &str, today: f64) -> Option<f64> {
        let folder = self.ipc_socket();
        let log = std::fs::read(folder.with_file_name("debug.log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let said = log.lines().find(|line| line.contains(&format!("UpdateTip: new best={hash}")))?;
        // 2009-01-03T18:15:05.123456Z
        let of_day = said.split_once('T')?.1.split_once('Z')?.0;
        let seconds =
            of_day.split(':').try_fold(0.0, |all, part| Some(all * 60.0 + part.parse::<f64>().ok()?))?;
        Some((today / 86_400.0).floor() * 86_400.0 + seconds)
    }

    /// Another tip, without hashing: takes the last block away, or gives it back, in turn. The new tip's hash.
    pub fn change_tip(&mut self) -> String {
        let before = self.best_block_hash();
        match self.hidden.take() {
            Some(hash) => self.rpc("reconsiderblock", &json!([hash])),
            None => {
                self.rpc("invalidateblock", &json!([before]));
                self.hidden = Some(before.clone());
            }
        }
        wait::until("the node changes its tip", PATIENCE, || {
            let now = self.best_block_hash();
            (now != before).then_some(now)
        })
    }
}

/// Starts the process and waits until it answers.
fn launch(folder: &Path, rpc: u16) -> Child {
    let mut command = Command::new(peers::program("bitcoin-node"));
    command.arg(format!("-datadir={}", folder.display())).arg("-printtoconsole=0");
    let mut child = Child::start("bitcoin-node", &mut command, &folder.join("output.log"));
    child.wait_until("RPC answers", PATIENCE, |_| call(rpc, "getbestblockhash", &json!([])).ok());
    child
}

fn call(port: u16, method: &str, params: &Value) -> Result<Value, String> {
    result(post(port, &request(method, params))?)
}

fn request(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "1.0", "id": 0, "method": method, "params": params})
}

fn post(port: u16, body: &Value) -> Result<Value, String> {
    let answer = http::post(port, "/", AUTHORIZATION, &body.to_string()).map_err(|e| e.to_string())?;
    serde_json::from_str(&answer.body).map_err(|e| format!("{e}: {}", answer.body))
}

fn result(mut answer: Value) -> Result<Value, String> {
    match answer["error"].take() {
        Value::Null => Ok(answer["result"].take()),
        error => Err(error.to_string()),
    }
}
