//! Promises to users, kept in front of real peers. Each needs Bitcoin Core, the reference pool and a foreign
//! miner, so all are ignored by `cargo test`; `integration-tests/run` builds the peers and runs them.
//! Where a peer is missing, a test that is asked for fails.

mod acknowledged;
mod block;
mod block_construction;
mod core_ipc;
mod declaration;
mod failover;
mod growth;
mod haproxy;
mod lease;
mod modes;
mod nats;
mod nats_logins;
mod node_rpc;
mod outage;
mod reply;
mod solo;
mod sv1_pool;
mod sv2_miners;
mod template_distribution;
mod wrong_key;

use std::time::Duration;

/// How long anything may take on a busy machine before it counts as never.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A user name that `para miner` takes: a Bitcoin address (of BIP 173's examples), a dot, a worker.
pub(crate) const PARA_USER: &str = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4.para";
