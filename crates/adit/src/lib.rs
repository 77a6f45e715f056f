//! The product as a library with a thin `main`: command line, configuration, and the tokio tasks around the
//! engine's state machines.

mod alarms;
pub mod blocks;
mod chronicle;
pub mod cli;
pub mod clock;
mod commands;
pub mod config;
pub mod details;
pub mod downstream;
mod handover;
mod history;
pub mod leases;
pub mod ledger;
mod nats;
mod open_files;
pub mod overload;
mod probe;
pub mod proxy;
pub mod receipts;
pub mod report;
pub mod service;
mod snapshot;
#[cfg(test)]
mod socket_tests;
mod sockets;
mod splits;
pub mod state;
pub mod templates;
mod top;
pub mod upstream;
mod workers;

pub use commands::main;
