//! The deterministic simulator: the real core (router, sources, miners' machines, books) in virtual time, between
//! simulated pools and miners, over simulated links, with injected faults. One seed is one run.
//!
//! - [`run`] runs a seed, [`campaign`] many of them on several threads.
//! - Every run is watched by invariants (`docs/simulation.md` lists them); the first one that breaks ends it.
//! - [`PlantedBug`]s (feature `planted-bugs`) are mistakes made on purpose, which the invariants have to find.
//!
//! Pools judge shares with crate `bitcoin`, miners hash with code of their own, and what is counted is counted again
//! on the wires, so that nothing that the engine says is taken on trust.

mod adit;
mod apply;
pub mod campaign;
mod checks;
mod declaring;
mod faults;
mod kinds;
mod known;
mod link;
mod miner;
mod node;
mod peers;
mod plan;
mod planted;
mod pool;
mod rng;
mod run;
pub mod scale;
mod schedule;
mod switching;
mod tally;
pub mod time;
pub mod weights;
mod witness;
mod world;

pub use faults::{Fault, FaultKind, Victim};
pub use known::{KNOWN, Known, explain};
pub use plan::RunOptions;
pub use planted::PlantedBug;
pub use rng::Rng;
pub use run::{RunReport, run};
pub use switching::Switching;
pub use tally::{Message, Tally};
pub use witness::Violation;
pub use world::Teller;
