//! The miner's side of the wire: reading what a pool sends, writing what a miner asks.
//!
//! Used by our own CPU miner, the load generator, and for SV1 pools as sources. Job ids of foreign pools are
//! any strings; limits keep what a pool can make us hold in bounds.

mod message;
mod reply;
mod write;

pub use message::{MAX_MERKLE_PATH, MAX_SERVER_LINE, Notify, ServerError, ServerMessage, parse_message};
pub use reply::{ConfigureReply, PeerError, Response, SubscribeReply};
pub use write::{
    write_authorize, write_configure, write_extranonce_subscribe, write_pong, write_submit, write_subscribe,
    write_suggest_difficulty, write_version,
};

#[cfg(test)]
mod tests;
