//! Template providers: where blocks to be mined come from. Begins with the embedded dev chain.
//!
//! [`dev_chain`] is a block chain in memory with its own genesis block, made for the demo, tests and
//! benches. It does no IO and reads no clock: whoever drives it says what time it is. [`dev_node`] makes a provider of
//! it, with the interface that those of real nodes have.

#[cfg(unix)]
pub mod core_ipc;
pub mod dev_chain;
pub mod dev_node;
mod provider;
pub mod rpc;

pub use provider::{ProviderEvent, ProviderHandle, ProviderOrders, Solution, Submitted};
