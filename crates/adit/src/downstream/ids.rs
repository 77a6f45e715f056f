//! Miner ids for the whole process.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use engine::miner::MinerIdSource;
use work::{Epoch, MinerId, MinerIds, MinerIdsLimits};

/// Gives out miner ids and takes them back. Used when a miner subscribes and when it leaves, never for a
/// share.
#[derive(Debug)]
pub struct MinerIdPool {
    by_size: Mutex<HashMap<u8, MinerIds<()>>>,
    start: u32,
    seed: u64,
}

impl MinerIdPool {
    /// `start` and `seed` should be random.
    #[must_use]
    pub fn new(start: u32, seed: u64) -> Self {
        Self { by_size: Mutex::default(), start, seed }
    }

    /// A miner has gone. Its id rests until every job that it could have worked on is dead.
    pub(super) fn release(&self, id: MinerId, epoch: Epoch) {
        let mut by_size = self.by_size.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ids) = by_size.get_mut(&size_of(id)) {
            ids.release(id, epoch, None);
            // Jobs of the last two tips may still be worked on.
            ids.expire(Epoch(epoch.0.saturating_sub(2)));
        }
    }

    /// A lock for as long as one batch of lines is read.
    pub(super) fn handle(&self) -> impl MinerIdSource + '_ {
        Handle(self)
    }
}

fn size_of(id: MinerId) -> u8 {
    u8::try_from(id.as_bytes().len()).unwrap_or(u8::MAX)
}

struct Handle<'a>(&'a MinerIdPool);

impl MinerIdSource for Handle<'_> {
    fn allocate(&mut self, size: u8) -> Option<MinerId> {
        let mut by_size = self.0.by_size.lock().unwrap_or_else(PoisonError::into_inner);
        let limits = MinerIdsLimits::default();
        let ids =
            by_size.entry(size).or_insert_with(|| MinerIds::new(size, self.0.start, self.0.seed, limits));
        ids.allocate().ok()
    }
}
