//! The block desk: takes every block that was found and does not let go of it until a node has it.
//!
//! A block goes at once and by every way that there is to every node that Adit knows, and, beside that, whole to the disk:
//! what a node does not take now, because it is away or Adit ends, is handed in again, in this run or the next. Nothing
//! here waits for the books, and nothing waits for the disk.

mod desk;
mod errand;
mod figures;
mod files;
mod node;
#[cfg(test)]
mod tests;

pub use desk::{BlockDesk, Finding};
pub use figures::{BlockCounts, BlockFigures};
pub use node::Node;
