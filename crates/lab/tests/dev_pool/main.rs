//! The dev pool against a client written by hand over crates `sv2` and `noise`, with own hashing.

#![expect(clippy::panic, reason = "helpers of tests fail as tests do")]

mod client;
mod refusals;
mod shares;
