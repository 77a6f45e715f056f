//! Downstream: listeners and their miners' connections.

mod admission;
mod connection;
mod context;
mod ids;
mod listener;
mod memory;

pub use admission::{Admission, Refused};
pub use context::{ListenerContext, ListenerFigures, Quiet};
pub use ids::MinerIdPool;
pub use listener::run_listener;
pub use memory::WorkerMemory;
