//! SV2 miners: Noise, then frames.

mod connection;
mod groups;
mod handshake;
mod identity;
mod jdc;

pub(super) use connection::{begin, serve};
pub use identity::Sv2Identity;
