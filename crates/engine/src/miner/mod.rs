//! Miners: everything downstream.

mod policy;
mod strikes;
pub mod sv1;
mod worker;

pub use policy::{CloseReason, ListenerPolicy, MinerIdSource, ReplyMode};
pub use sv1::{Io, Sv1Miner};
pub use worker::MAX_WORKER_NAME;
pub(crate) use worker::cut;
