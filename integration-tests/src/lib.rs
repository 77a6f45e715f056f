//! Adit against real peers: Bitcoin Core, the reference pool, a foreign miner.
//!
//! This crate is the harness; the promises are in `tests/real_peers`. `integration-tests/run` builds what is
//! missing and runs them, `docs/testing.md` says more. Everything listens on free loopback ports and lives in a
//! temporary folder; every process that is started is ended by its own id, also when a test panics.
//!
//! - [`node`]: Bitcoin Core on a private chain, a new tip at will.
//! - [`pool`]: the reference pool in front of it, and what it says of shares.
//! - [`para_pool`]: a foreign pool that speaks Stratum V1, with what a node built with ZMQ tells it
//!   ([`block_notifier`], [`rpc_relay`]).
//! - [`proxy`]: Adit itself, the released binary with a configuration made here.
//! - [`miners`]: our CPU miner and the foreign one.
//! - [`wanderers`]: many that hash nothing and come back, with the times that they were without work.
//! - [`haproxy`]: Debian's HAProxy in front of two Adits.
//! - [`template_server`]: a Template Distribution server over the node, of the published reference crates.
//! - [`translator`], [`jd_client`]: the reference translator and job declarator client, for comparisons.
//! - [`sv1_client`]: a client that keeps every line it hears, with its time.
//! - [`relay`]: a TCP relay that can hold what goes one way; [`fault_pipe`]: one that breaks things; [`middleman`]:
//!   one that ends Noise on both sides and does with frames what the test wants; [`spy`]: one that only reads them;
//!   [`custom_jobs`]: one that notes when jobs are declared and acknowledged.
//! - [`nats_server`]: Debian's NATS server; [`jetstream`]: a reader of its streams that is not the product's.
//! - [`mempool`]: transactions for templates that are not empty.
//! - [`dev_pool`], [`load`]: our own pool and our load generator as processes of their own, for the tests of faults;
//!   [`blockless_pool`], where no block makes a share stale.
//!
//! Nothing here sleeps for a fixed time: [`wait`] asks until something is so, up to a deadline. Where a time is
//! promised, [`stalls`] says what the machine itself took of it.

#![expect(
    clippy::panic,
    reason = "a harness for tests: whatever is not as expected ends the test, with its reason"
)]

pub mod block_notifier;
pub mod blockless_pool;
pub mod certificate;
pub mod child;
pub mod custom_jobs;
pub mod dev_pool;
pub mod fault_pipe;
pub mod folder;
pub mod haproxy;
pub mod http;
pub mod jd_client;
pub mod jetstream;
pub mod load;
pub mod mempool;
pub mod middleman;
pub mod miners;
pub mod nats_accounts;
pub mod nats_server;
pub mod node;
pub mod para_pool;
pub mod peers;
pub mod pool;
pub mod promise;
pub mod proxy;
pub mod relay;
pub mod rpc_relay;
pub mod spy;
pub mod stalling_pool;
pub mod stalls;
pub mod stranger;
pub mod sv1_client;
pub mod template_server;
pub mod translator;
pub mod wait;
pub mod wanderers;
