//! Templates by a node's JSON-RPC: `getblocktemplate` with long polling, blocks by `submitblock`. Works with every node
//! that has them, and needs no socket in the file system.

mod client;
mod provider;
mod template;

pub use client::{RpcAuth, RpcError, RpcNode};
pub use provider::{RpcSettings, start, submit_block};
pub use template::GbtError;
