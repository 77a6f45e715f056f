//! Promises that only a process of its own can show: signals, the limit on open files, memory. The real program,
//! on loopback, in front of the development pool.
#![cfg(target_os = "linux")]
#![expect(clippy::panic, reason = "helpers of tests fail as tests do")]

mod adit;
mod client;
mod goals;
mod listeners;
mod memory;
mod noise;
mod open_files;
mod receipts;
mod reloading;
mod service;
mod signals;
mod sources;
mod top;
