//! Templates by Bitcoin Core's IPC interface (Cap'n Proto over a Unix socket).
//!
//! Core numbers the methods of this interface differently from version to version, has no call that tells the version,
//! and a crossed numbering loses a found block without a word. So each connection finds out what it speaks to and proves
//! it on the first template, before any work is handed out (`read.rs`).

mod error;
mod node;
mod provider;
mod read;
mod schema;
mod wire;

pub use error::IpcError;
pub use provider::{CoreIpcSettings, start};
pub use schema::Schema;
