//! Miners: everything downstream.

mod firmware;
mod identity;
mod policy;
mod strikes;
pub mod sv1;
mod worker;

pub use firmware::{Firmware, Firmwares, USER_AGENT_MAX, glob};
pub use identity::{IdentityRule, rewrite_identity};
pub use policy::{CloseReason, ListenerPolicy, MinerIdSource, ReplyMode};
pub use sv1::{Io, Sv1Miner};
pub use worker::MAX_WORKER_NAME;
pub(crate) use worker::cut;
