//! The product as a library with a thin `main`: command line, configuration, and the tokio tasks around the
//! engine's state machines.

mod alarms;
pub mod cli;
pub mod clock;
mod commands;
pub mod config;
pub mod downstream;
pub mod proxy;
mod snapshot;
mod sockets;
pub mod upstream;

pub use commands::main;
