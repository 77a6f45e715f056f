//! What becomes of good shares whose miner is moved between goals while they are on their way.

use std::collections::BTreeMap;

use super::pool::job::JobTag;
use super::time::{Micros, SECOND};
use super::world::World;
use crate::pow::Target;

/// A share that is older than this has arrived, or never will: a move has nothing to do with it.
const ON_ITS_WAY: Micros = 10 * SECOND;

/// The good shares of a run in which work is shared out, and the miners' moves between pools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switching {
    /// Good shares sent.
    pub shares: u64,
    /// Jobs of another pool than the job before.
    pub moves: u64,
    /// Shares whose miner got a job of another pool after they were sent and before their fate was known.
    pub crossed: u64,
    /// Of those: rejected by Adit, refused by their pool, or never with it.
    pub lost: u64,
    /// The same of all other shares: a new tip met them on their way.
    pub lost_otherwise: u64,
    /// Connections that Adit closed.
    pub disconnects: u64,
}

impl Switching {
    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        self.shares += other.shares;
        self.moves += other.moves;
        self.crossed += other.crossed;
        self.lost += other.lost;
        self.lost_otherwise += other.lost_otherwise;
        self.disconnects += other.disconnects;
    }

    /// The part of all shares that was lost by moves.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
    pub fn stale_part(&self) -> f64 {
        self.lost as f64 / self.shares.max(1) as f64
    }
}

/// A good share on its way.
#[derive(Debug)]
struct Passenger {
    miner: usize,
    sent_at: Micros,
    /// It meets its pool's target.
    goes_up: bool,
    crossed: bool,
}

/// Follows the shares, by their hashes.
#[derive(Debug, Default)]
pub(super) struct Switches {
    sum: Switching,
    on_the_way: BTreeMap<[u8; 32], Passenger>,
}

impl Switches {
    fn sent(&mut self, hash: [u8; 32], passenger: Passenger) {
        self.sum.shares += 1;
        self.on_the_way.insert(hash, passenger);
    }

    /// A miner has a job of another pool.
    fn moved(&mut self, miner: usize, now: Micros) {
        self.sum.moves += 1;
        let fresh = |share: &&mut Passenger| share.miner == miner && now < share.sent_at + ON_ITS_WAY;
        self.on_the_way.values_mut().filter(fresh).for_each(|share| share.crossed = true);
    }

    /// A miner has its answer. `true` is the last word only on a share that does not go up.
    pub(super) fn answered(&mut self, hash: [u8; 32], taken: bool) {
        if !(taken && self.on_the_way.get(&hash).is_some_and(|share| share.goes_up)) {
            self.end(hash, taken);
        }
    }

    /// The pool has judged it.
    pub(super) fn judged(&mut self, hash: [u8; 32], taken: bool) {
        self.end(hash, taken);
    }

    fn end(&mut self, hash: [u8; 32], taken: bool) {
        let Some(share) = self.on_the_way.remove(&hash) else { return };
        self.sum.crossed += u64::from(share.crossed);
        match (taken, share.crossed) {
            (true, _) => {}
            (false, true) => self.sum.lost += 1,
            (false, false) => self.sum.lost_otherwise += 1,
        }
    }

    /// The run is over: what has not arrived is lost.
    pub(super) fn finish(&mut self, disconnects: u64) -> Switching {
        let left: Vec<_> = self.on_the_way.keys().copied().collect();
        left.into_iter().for_each(|hash| self.end(hash, false));
        Switching { disconnects, ..self.sum }
    }
}

impl World {
    /// A good share was sent; shares are followed where work is shared out.
    pub(super) fn follow_share(&mut self, miner: usize, tag: JobTag, prefix_at: &[u8], hash: [u8; 32]) {
        if self.plan.weights.is_none() {
            return;
        }
        let Some(pool) = self.pools.get(usize::from(tag.pool)) else { return };
        let prefix = prefix_at.get(..pool.plan.prefix_len).unwrap_or_default().to_vec();
        let given = pool.given.get(&(tag.connection, tag.job_id, prefix));
        let target = given.map(|given| Target::from_difficulty(given.difficulty).to_le_bytes());
        let goes_up = target.is_some_and(|target| hash.iter().rev().le(target.iter().rev()));
        let passenger = Passenger { miner, sent_at: self.now, goes_up, crossed: false };
        self.switches.sent(hash, passenger);
    }

    /// A miner got a job of this pool.
    pub(super) fn note_move(&mut self, miner: usize, tag: Option<JobTag>) {
        let Some(pool) = tag.map(|tag| tag.pool).filter(|_| self.plan.weights.is_some()) else { return };
        let last = self.miners[miner].mines_for.replace(pool);
        if last.is_some_and(|last| last != pool) {
            self.switches.moved(miner, self.now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passenger(miner: usize, goes_up: bool) -> Passenger {
        Passenger { miner, sent_at: 5 * SECOND, goes_up, crossed: false }
    }

    #[test]
    fn only_what_a_move_met_on_its_way_is_lost_by_it() {
        let mut switches = Switches::default();
        for (n, miner) in [(1, 0), (2, 0), (3, 0), (4, 1), (5, 0)] {
            switches.sent([n; 32], passenger(miner, n != 3));
        }
        switches.answered([1; 32], false);
        switches.moved(0, 6 * SECOND);
        // Taken by Adit, not yet by the pool; taken by Adit for good; refused by the pool; another miner's.
        switches.answered([2; 32], true);
        switches.answered([3; 32], true);
        switches.judged([2; 32], false);
        switches.judged([4; 32], false);
        // Two tellings of one share are one share.
        switches.answered([4; 32], false);
        let sum = switches.finish(0);
        assert_eq!((sum.shares, sum.moves, sum.crossed), (5, 1, 3));
        assert_eq!((sum.lost, sum.lost_otherwise), (2, 2), "the fifth never arrived");
    }

    #[test]
    fn an_old_share_is_not_met_by_a_move() {
        let mut switches = Switches::default();
        switches.sent([1; 32], passenger(0, true));
        switches.moved(0, 15 * SECOND);
        assert_eq!((switches.finish(0).lost_otherwise, switches.finish(0).lost), (1, 0));
    }
}
