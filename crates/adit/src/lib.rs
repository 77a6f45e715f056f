//! The product as a library with a thin `main`: command line, configuration, and the tokio tasks around the
//! engine's state machines.

mod alarms;
pub mod blocks;
pub mod cli;
pub mod clock;
mod commands;
pub mod config;
pub mod downstream;
pub mod leases;
mod open_files;
pub mod overload;
mod probe;
pub mod proxy;
mod snapshot;
#[cfg(test)]
mod socket_tests;
mod sockets;
mod splits;
pub mod state;
pub mod templates;
pub mod upstream;

pub use commands::main;
