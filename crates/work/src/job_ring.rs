//! The jobs that one miner knows.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::channel_job::ChannelJob;
use crate::difficulty::Difficulty;
use crate::target::Target;

/// A job as it was advertised to a miner.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) job: Arc<ChannelJob>,
    pub(crate) id: u32,
    /// Which of the ring's targets.
    target: u8,
    pub(crate) stale: bool,
}

/// A target as it was advertised, with its difficulty worked out once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdvertisedTarget {
    pub(crate) target: Target,
    pub(crate) difficulty: Difficulty,
}

/// The jobs that a miner was sent, oldest first, 16 bytes each: few targets are in use at a time, so entries share
/// them.
#[derive(Clone, Debug, Default)]
pub(crate) struct JobRing {
    entries: VecDeque<Entry>,
    targets: Vec<AdvertisedTarget>,
    last_id: u32,
}

impl JobRing {
    pub(crate) fn newest(&self) -> Option<&Entry> {
        self.entries.back()
    }

    pub(crate) fn find(&self, id: u32) -> Option<(&Entry, AdvertisedTarget)> {
        let entry = self.entries.iter().rev().find(|entry| entry.id == id)?;
        Some((entry, *self.targets.get(usize::from(entry.target))?))
    }

    /// Adds the newest job and gives its id.
    ///
    /// A miner that is told an easier target may use it at once, for the jobs that it has: much firmware does. So
    /// they count with the easier one from now on. All their later shares are credited by it, so nobody gains.
    pub(crate) fn push(&mut self, job: Arc<ChannelJob>, target: Target) -> u32 {
        let id = self.next_id();
        self.push_as(id, job, target);
        id
    }

    /// The same with an id that the caller chose. A job that was known by it is forgotten.
    pub(crate) fn push_as(&mut self, id: u32, job: Arc<ChannelJob>, target: Target) {
        self.entries.retain(|entry| entry.id != id);
        let easier = target;
        let target = self.intern(target);
        for entry in self.entries.iter_mut().filter(|entry| !entry.stale) {
            if self.targets.get(usize::from(entry.target)).is_some_and(|known| known.target < easier) {
                entry.target = target;
            }
        }
        self.entries.push_back(Entry { job, id, target, stale: false });
    }

    /// Makes jobs stale.
    pub(crate) fn retire(&mut self, mut dead: impl FnMut(&ChannelJob) -> bool) -> usize {
        let mut count = 0;
        for entry in self.entries.iter_mut().filter(|entry| !entry.stale) {
            if dead(&entry.job) {
                entry.stale = true;
                count += 1;
            }
        }
        count
    }

    /// Forgets the oldest jobs beyond `live` that are not stale and beyond `stale` that are. The newest stays.
    pub(crate) fn trim(&mut self, live: usize, stale: usize) {
        let (mut live_left, mut stale_left) = (live.max(1), stale);
        for at in (0..self.entries.len()).rev() {
            let is_stale = self.entries.get(at).is_some_and(|entry| entry.stale);
            let left = if is_stale { &mut stale_left } else { &mut live_left };
            if *left > 0 {
                *left -= 1;
            } else {
                self.entries.remove(at);
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The next number that no job still known has, never 0. Ids go up by 1 and begin again after 2^32 - 1.
    fn next_id(&mut self) -> u32 {
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            let id = self.last_id;
            if id != 0 && self.entries.iter().all(|entry| entry.id != id) {
                return id;
            }
        }
    }

    /// The target's place; a place that no job uses any more is used again.
    fn intern(&mut self, target: Target) -> u8 {
        let number = |at: usize| u8::try_from(at).unwrap_or(u8::MAX);
        if let Some(at) = self.targets.iter().position(|known| known.target == target) {
            return number(at);
        }
        let advertised = AdvertisedTarget { target, difficulty: target.difficulty() };
        let unused = |at: &usize| self.entries.iter().all(|entry| usize::from(entry.target) != *at);
        if let Some(at) = (0..self.targets.len()).find(unused) {
            self.targets[at] = advertised;
            return number(at);
        }
        // There are at most as many places as jobs, whose number the limits keep below 256.
        self.targets.push(advertised);
        number(self.targets.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::channel_job::{ChannelTerms, SourceId};
    use crate::job::{Job, JobParts};
    use crate::seconds::Seconds;

    fn job() -> Arc<ChannelJob> {
        let prefix = hex::decode(format!("0200000001{}ffffffff08", "00".repeat(32))).unwrap();
        let suffix = hex::decode("ffffffff0100f2052a01000000015100000000").unwrap();
        let parts = JobParts {
            id: 1,
            version: 0,
            version_rolling_allowed: true,
            prev_hash: [1; 32],
            nbits: 0x1d00_ffff,
            min_ntime: 0,
            merkle_path: Box::default(),
            coinbase_tx_prefix: prefix.into(),
            coinbase_tx_suffix: suffix.into(),
        };
        let terms = ChannelTerms {
            source: SourceId(0),
            generation: 0,
            extranonce_prefix: &[],
            filler: &[],
            source_target: Target::MAX,
            ntime_slack: 0,
            received_at: Seconds(0),
        };
        Arc::new(ChannelJob::new(Arc::new(Job::new(parts, 8).unwrap()), terms).unwrap())
    }

    #[test]
    fn ids_wrap_without_zero_and_without_one_that_is_still_known() {
        let mut ring = JobRing::default();
        assert_eq!(ring.push(job(), Target::MAX), 1);
        ring.last_id = u32::MAX - 2;
        let ids: Vec<u32> = (0..4).map(|_| ring.push(job(), Target::MAX)).collect();
        assert_eq!(ids, [u32::MAX - 1, u32::MAX, 2, 3]);
    }

    #[test]
    fn the_newest_of_each_kind_stay() {
        let mut ring = JobRing::default();
        for _ in 0..6 {
            ring.push(job(), Target::MAX);
        }
        ring.retire(|_| true);
        for _ in 0..6 {
            ring.push(job(), Target::MAX);
        }
        ring.trim(3, 2);
        let known: Vec<u32> = (1..=12).filter(|id| ring.find(*id).is_some()).collect();
        assert_eq!(known, [5, 6, 10, 11, 12]);
        ring.trim(0, 0);
        assert_eq!(ring.newest().map(|entry| entry.id), Some(12));
        assert_eq!(ring.len(), 1);
    }

    #[test]
    fn a_target_is_kept_as_long_as_a_job_has_it_and_its_place_used_again() {
        let mut ring = JobRing::default();
        let target = |number: u8| Target::from_le_bytes([number; 32]);
        for number in (1..=200).rev() {
            let id = ring.push(job(), target(number));
            ring.trim(3, 0);
            assert_eq!(ring.find(id).unwrap().1.target, target(number));
            if number < 199 {
                assert_eq!(ring.find(id - 2).unwrap().1.target, target(number + 2));
            }
        }
        assert!(ring.targets.len() <= 4, "{}", ring.targets.len());
    }

    #[test]
    fn an_entry_is_16_bytes() {
        assert_eq!(size_of::<Entry>(), 16);
    }
}
