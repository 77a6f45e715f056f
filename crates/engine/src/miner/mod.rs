//! Miners: everything downstream.

mod firmware;
mod good_share;
mod identity;
pub mod jdc;
mod mining;
mod policy;
mod standing;
mod strikes;
pub mod sv1;
pub mod sv2;
mod worker;

pub use firmware::{Firmware, Firmwares, USER_AGENT_MAX, glob};
pub use identity::{IdentityRule, rewrite_identity};
pub use jdc::{JdcConnection, JdcDeclaring, JdcMining, JdcSetup};
pub use policy::{CloseReason, ListenerPolicy, MinerIdSource, ReplyMode, Retargets};
pub use standing::WorkerStanding;
pub use sv1::{Io, Sv1Miner};
pub use sv2::{Sv2Io, Sv2Miner};
pub use worker::MAX_WORKER_NAME;
pub(crate) use worker::cut;
