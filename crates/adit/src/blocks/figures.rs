//! What the desk counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters of the desk, for whoever wants to see them.
#[derive(Debug, Default)]
pub struct BlockFigures {
    /// Handed to the desk by miners.
    pub(super) found: AtomicU64,
    /// Some node has them.
    pub(super) taken: AtomicU64,
    /// Every node that answered said no.
    pub(super) refused: AtomicU64,
    /// Not worked on, because there were too many at once.
    pub(super) passed_over: AtomicU64,
    /// Worked on now.
    pub(super) in_work: AtomicU64,
    /// On disk, no node has them yet.
    pub(super) waiting: AtomicU64,
    /// Times that the disk failed.
    pub(super) disk_errors: AtomicU64,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockCounts {
    /// Handed to the desk by miners.
    pub found: u64,
    /// Some node has them; those of an earlier run, too.
    pub taken: u64,
    /// Every node that answered said no.
    pub refused: u64,
    /// Not worked on, because there were too many at once.
    pub passed_over: u64,
    /// Worked on now.
    pub in_work: u64,
    /// On disk, no node has them yet.
    pub waiting: u64,
    /// Times that the disk failed.
    pub disk_errors: u64,
}

impl BlockFigures {
    /// The counters now.
    #[must_use]
    pub fn read(&self) -> BlockCounts {
        BlockCounts {
            found: self.found.load(Relaxed),
            taken: self.taken.load(Relaxed),
            refused: self.refused.load(Relaxed),
            passed_over: self.passed_over.load(Relaxed),
            in_work: self.in_work.load(Relaxed),
            waiting: self.waiting.load(Relaxed),
            disk_errors: self.disk_errors.load(Relaxed),
        }
    }
}
