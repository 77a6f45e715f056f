//! The dev pool as a Job Declarator Server, and with custom jobs: against the product's own client, and against one written
//! by hand.

#![expect(clippy::panic, reason = "helpers of tests fail as tests do")]

mod blocks;
mod codes;
mod declarator;
mod farm;
mod faults;
mod following;
mod hostile;
mod miner;
mod raw;
