//! What demo, tests and benches share: dev pool, CPU miner, load generator, simulator.
//!
//! - [`dev_pool`]: an SV2 pool and job declarator server over Noise with its own dev chain; [`sv2_client`]: a bare client
//!   for such servers.
//! - [`sv1_miner`]: a CPU miner for SV1.
//! - [`sv2_miner`]: a CPU miner for SV2, with standard and extended channels.
//! - [`load`]: a load generator for SV1 servers, up to the machine's limit of connections.
//! - [`bare_server`]: the floor that a proxy's figures are measured against.
//!
//! Miner and load generator hash with code of their own ([`pow`]) and read SV1 with a reader of their own
//! ([`sv1_wire`]), so that what they agree on with the product is not one mistake made twice.

pub mod bare_server;
pub mod dev_pool;
pub mod histogram;
pub mod line_buffer;
pub mod load;
pub mod pow;
#[cfg(feature = "sim")]
pub mod sim;
pub mod sv1_miner;
pub mod sv1_pool;
pub mod sv1_wire;
pub mod sv2_client;
pub mod sv2_miner;
