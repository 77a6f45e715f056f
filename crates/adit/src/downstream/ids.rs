//! Miner ids for the whole process.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use engine::miner::MinerIdSource;
use work::{Epoch, MinerId, MinerIds, MinerIdsLimits};

/// Gives out miner ids and takes them back. Used when a miner subscribes and when it leaves, never for a
/// share.
///
/// Where there are few of a size, the same are given out again in further spaces, whose miners share no upstream channel.
/// A space is begun when those before it are full.
#[derive(Debug)]
pub struct MinerIdPool {
    /// The spaces of each size.
    by_size: Mutex<HashMap<u8, Vec<MinerIds<()>>>>,
    start: u32,
    seed: u64,
}

impl MinerIdPool {
    /// `start` and `seed` should be random.
    #[must_use]
    pub fn new(start: u32, seed: u64) -> Self {
        Self { by_size: Mutex::default(), start, seed }
    }

    /// A miner has gone. If it brought a good share (`shared`), its id rests until every job that it could have worked on
    /// is dead: another might find the same share. Else nobody could notice.
    pub(super) fn take_back(&self, id: MinerId, shared: bool, epoch: Epoch) {
        let mut by_size = self.lock();
        let spaces = by_size.get_mut(&size_of(id));
        if let Some(ids) = spaces.and_then(|spaces| spaces.get_mut(usize::from(id.space()))) {
            if shared {
                ids.release(id, epoch, None);
            } else {
                ids.discard(id);
            }
        }
    }

    /// Gives out ids of so many spaces, at most 256. A lock for as long as one batch of lines is read.
    pub(super) fn handle<'a>(
        &'a self,
        spaces: u16,
        epoch: impl Fn() -> Epoch + 'a,
    ) -> impl MinerIdSource + 'a {
        Handle { pool: self, spaces, epoch }
    }

    fn allocate(&self, size: u8, spaces: u16, epoch: Epoch) -> Option<MinerId> {
        let mut by_size = self.lock();
        let of_size = by_size.entry(size).or_default();
        let last = u8::try_from(spaces.max(1) - 1).unwrap_or(u8::MAX);
        (0..=last).find_map(|space| {
            if of_size.len() == usize::from(space) {
                let limits = MinerIdsLimits::default();
                of_size.push(MinerIds::new(size, self.start, self.seed, limits));
            }
            let ids = of_size.get_mut(usize::from(space))?;
            // Jobs of the last two tips may still be worked on.
            ids.expire(Epoch(epoch.0.saturating_sub(2)));
            Some(ids.allocate().ok()?.in_space(space))
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u8, Vec<MinerIds<()>>>> {
        self.by_size.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn size_of(id: MinerId) -> u8 {
    u8::try_from(id.as_bytes().len()).unwrap_or(u8::MAX)
}

struct Handle<'a, E> {
    pool: &'a MinerIdPool,
    spaces: u16,
    epoch: E,
}

impl<E: Fn() -> Epoch> MinerIdSource for Handle<'_, E> {
    fn allocate(&mut self, size: u8) -> Option<MinerId> {
        self.pool.allocate(size, self.spaces, (self.epoch)())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(pool: &MinerIdPool, size: u8, spaces: u16, epoch: u64) -> Vec<MinerId> {
        std::iter::from_fn(|| pool.allocate(size, spaces, Epoch(epoch))).collect()
    }

    #[test]
    fn the_same_ids_are_given_out_once_in_each_space_and_the_first_spaces_first() {
        let pool = MinerIdPool::new(77, 1);
        let ids = full(&pool, 1, 3, 0);
        assert_eq!(ids.len(), 3 * 256);
        assert!(ids.is_sorted_by_key(MinerId::space));
        let distinct: std::collections::HashSet<&MinerId> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
        pool.take_back(ids[300], false, Epoch(0));
        assert_eq!(
            pool.allocate(1, 1, Epoch(0)),
            None,
            "another listener with one space has none of the second"
        );
        assert_eq!(pool.allocate(1, 3, Epoch(0)), Some(ids[300]));
        assert_eq!(full(&pool, 0, 2, 0).len(), 2, "an empty id is one for each space");
    }

    #[test]
    fn the_id_of_who_brought_a_share_rests_for_two_tips_also_if_nobody_is_left() {
        let pool = MinerIdPool::new(0, 1);
        for id in full(&pool, 1, 1, 10) {
            pool.take_back(id, true, Epoch(10));
        }
        assert_eq!(pool.allocate(1, 1, Epoch(12)), None);
        assert_eq!(full(&pool, 1, 1, 13).len(), 256);
    }
}
