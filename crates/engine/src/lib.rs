//! The heart of Adit: miners, sources, router and books as plain state machines.
//!
//! Nothing here opens a socket, reads a clock, spawns a task or draws a random number: bytes or messages and
//! [`Now`] go in, messages and deadlines come out. The product runs it on tokio, the simulator runs the same
//! code in virtual time.
//!
//! - [`source`]: everything upstream. [`source::Sv2Pool`] turns a pool's frames into [`Feed`]s and settles
//!   shares.
//! - [`router`]: which source each of a route's goals mines for, who mines for which goal, which miners share a
//!   channel.
//! - [`miner`]: everything downstream. [`miner::Sv1Miner`] gives a [`Feed`] to one miner as `mining.notify` and
//!   judges what it submits.
//! - [`books`]: where every share ends.
//!
//! Miners and sources meet in the [`Feed`] (downwards) and the [`OutgoingShare`] (upwards) only.

pub mod books;
mod evidence;
mod feed;
mod ids;
pub mod miner;
mod now;
pub mod router;
mod share;
pub mod source;

pub use evidence::Evidence;
pub use feed::{ChannelState, DEFAULT_KEEPALIVE, Feed, GroupMeter};
pub use ids::{ChannelKey, GoalId, GroupId, ListenerId, MinerRef, RouteId, SourceId};
pub use now::{Now, earliest};
pub use share::{Answer, OutgoingShare, ShareSink};
