//! A node that is asked for block headers.

use std::time::Duration;

use receipt::{Block, HeaderSource, HeaderSourceError, NextBlock};
use serde::Deserialize;
use template::rpc::{RpcError, RpcNode};
use tokio::runtime::Runtime;

/// An answer comes within this.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bitcoin Core's `RPC_INVALID_ADDRESS_OR_KEY`: no such block.
const NOT_FOUND: i64 = -5;

/// Asks a node by its RPC.
pub struct NodeHeaders {
    node: RpcNode,
    runtime: Runtime,
}

#[derive(Deserialize)]
struct Header {
    confirmations: i64,
    time: u32,
    bits: String,
    #[serde(rename = "nextblockhash")]
    next: Option<String>,
}

impl NodeHeaders {
    /// `runtime` runs nothing else.
    #[must_use]
    pub fn new(node: RpcNode, runtime: Runtime) -> Self {
        Self { node, runtime }
    }

    /// The header of a block, by its hash as it is shown; nothing where the node knows none.
    fn header(&self, hash: &str) -> Result<Option<Header>, HeaderSourceError> {
        let block = format!("[\"{hash}\"]");
        let call = self.node.call("getblockheader", &block, PATIENCE);
        let other = |error: String| HeaderSourceError(format!("{}: {error}", self.node.address));
        match self.runtime.block_on(call) {
            Ok(answer) => {
                serde_json::from_str(answer.get()).map(Some).map_err(|error| other(error.to_string()))
            }
            Err(RpcError::Node { code: NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(other(error.to_string())),
        }
    }
}

impl HeaderSource for NodeHeaders {
    fn find(&mut self, hash: &[u8; 32]) -> Result<Block, HeaderSourceError> {
        use bitcoin::hex::DisplayHex as _;
        let mut shown = *hash;
        shown.reverse();
        let Some(header) = self.header(&shown.to_lower_hex_string())? else { return Ok(Block::Unknown) };
        // -1: not on the best chain.
        if header.confirmations < 0 {
            return Ok(Block::Off);
        }
        let next = match header.next {
            // The node's own text goes back to it only if it is a hash.
            Some(next) if next.len() == 64 && next.bytes().all(|b| b.is_ascii_hexdigit()) => {
                self.header(&next)?
            }
            _ => None,
        };
        let next = next.and_then(|next| {
            Some(NextBlock { time: next.time, nbits: u32::from_str_radix(&next.bits, 16).ok()? })
        });
        Ok(Block::Best { time: header.time, next })
    }
}
