//! Templates by SV2's Template Distribution Protocol (specification, section 7), from a server such as `sv2-tp`, over an
//! encrypted link.
//!
//! - `client.rs` is the protocol, a state machine without IO or clock: frames in, frames and events out.
//! - `message.rs` reads what the server's messages carry.
//! - `provider.rs` is the link around it: it dials, keeps the deadlines, and tries again.
//!
//! SubmitSolution has no answer, so that a block that was handed in is [`Submitted::Sent`](crate::Submitted::Sent): the
//! next tip says what became of it.

mod client;
mod error;
mod message;
mod provider;

#[cfg(test)]
mod provider_tests;
#[cfg(test)]
mod tests;

pub use client::{TpClient, TpOutput};
pub use error::TpError;
pub use provider::{TpSettings, start};
