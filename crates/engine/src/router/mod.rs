//! The router: which of a route's goals each miner mines for, which source each goal mines for, and which miners share
//! a channel. Control only: no share and no byte of a miner passes here.

mod change;
#[cfg(test)]
mod change_tests;
mod channels;
mod choice;
mod goal;
mod group;
mod machine;
mod members;
mod moves;
mod report;
mod settings;
pub mod share_out;
mod term;
#[cfg(test)]
mod tests;
mod tick;

pub use change::{Change, Removed};
pub use machine::{JoinRequest, Output, Place, Router};
pub use report::GoalReport;
pub use settings::{GoalSettings, MinersPerChannel, RouteSettings, SourcePlan};
pub use share_out::Share;
pub use term::Term;
