//! The router: which miners share a channel, and which source each route mines for. Control only: no share
//! and no byte of a miner passes here.

mod group;
mod machine;
mod route;
mod settings;

pub use machine::{JoinRequest, Output, Router};
pub use settings::{MinersPerChannel, RouteSettings, SourcePlan};
