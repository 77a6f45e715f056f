//! Templates by Bitcoin Core's IPC interface (Cap'n Proto over a Unix socket).
//!
//! Core numbers the methods of this interface differently from version to version, has no call that tells the version,
//! and a crossed numbering loses a found block without a word. So each connection finds out what it speaks to and proves
//! it on the first templates, before any work is handed out (`read.rs`): what its calls say must agree, and
//! `submitSolution` must refuse a solution without proof of work as `submitSolution` does.

mod error;
#[cfg(test)]
mod fake_node;
mod node;
mod provider;
mod read;
mod schema;
#[cfg(test)]
mod tests;
mod wire;

pub use error::IpcError;
pub use provider::{CoreIpcSettings, start};
pub use schema::Schema;
