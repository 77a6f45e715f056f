//! Miner ids: which part of the extranonce space a miner searches.
//!
//! No two live miners share an id, and an id is not given out again while a job lives that its former owner could
//! have worked on: two miners would otherwise find the same shares. A miner that comes back in that time may have
//! its id again, with what it left behind (its [`Validator`](crate::Validator), so that shares it was already
//! credited for stay known).
//!
//! Where ids are short there are few. Then the same bytes are given out again in a further *space*: the miners of one
//! space never share an upstream channel, whose prefix tells channels apart, with those of another.

use std::collections::VecDeque;

use core::fmt;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use thiserror::Error;

/// The most bytes that a miner id can have.
pub const MAX_MINER_ID: u8 = 4;

/// A miner's part of the extranonce, 0 to [`MAX_MINER_ID`] bytes: SV1's `extranonce1`; and the space that they are of.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MinerId {
    bytes: [u8; MAX_MINER_ID as usize],
    len: u8,
    space: u8,
}

impl MinerId {
    /// No bytes at all: for a channel that is not split, whose one miner rolls all that there is.
    pub const WHOLE: Self = Self { bytes: [0; MAX_MINER_ID as usize], len: 0, space: 0 };

    /// An id of the first space from its bytes.
    ///
    /// # Errors
    /// More than [`MAX_MINER_ID`] bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MinerIdError> {
        let error = MinerIdError { got: bytes.len() };
        let len = u8::try_from(bytes.len()).ok().filter(|len| *len <= MAX_MINER_ID).ok_or(error)?;
        let mut own = [0; MAX_MINER_ID as usize];
        own.get_mut(..bytes.len()).ok_or(error)?.copy_from_slice(bytes);
        Ok(Self { bytes: own, len, space: 0 })
    }

    /// The same bytes in this space.
    #[must_use]
    pub fn in_space(self, space: u8) -> Self {
        Self { space, ..self }
    }

    /// Which space it is of: miners of different spaces may have the same bytes, and then never an upstream channel
    /// in common.
    #[must_use]
    pub fn space(&self) -> u8 {
        self.space
    }

    /// The id's bytes, as they stand in the coinbase.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len.min(MAX_MINER_ID))]
    }

    /// The bytes as a number, most significant first.
    fn number(self) -> u32 {
        self.as_bytes().iter().fold(0, |number, byte| (number << 8) | u32::from(*byte))
    }

    fn from_number(number: u32, len: u8) -> Self {
        let len = len.min(MAX_MINER_ID);
        let mut bytes = [0; MAX_MINER_ID as usize];
        let be = number.to_be_bytes();
        let low = &be[be.len() - usize::from(len)..];
        bytes[..low.len()].copy_from_slice(low);
        Self { bytes, len, space: 0 }
    }
}

impl AsRef<[u8]> for MinerId {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Display for MinerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for MinerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MinerId({self}")?;
        if self.space > 0 {
            write!(f, " of space {}", self.space)?;
        }
        f.write_str(")")
    }
}

/// Bytes that are no miner id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a miner id of {got} bytes: it has at most {MAX_MINER_ID}")]
pub struct MinerIdError {
    /// How many came.
    pub got: usize,
}

/// Void entries that a queue may hold, beyond as many again as it needs, before it is cleared of them.
const VOID_ENTRIES: usize = 64;

/// A moment in the life of jobs: a number that the caller counts up each time that jobs die (a new tip).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// How much a [`MinerIds`] remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinerIdsLimits {
    /// The most ids that are live or resting at a time. Each takes about 32 bytes and what was left behind.
    pub ids: usize,
    /// The most released ids whose leavings are kept; beyond it the oldest are dropped, and their owner, should
    /// it come back, is given a new id.
    pub kept: usize,
}

impl Default for MinerIdsLimits {
    fn default() -> Self {
        Self { ids: 1 << 20, kept: 16_384 }
    }
}

/// Why there is no id: as many as there can be are live, or were too short a time ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "no miner id is free: {live} miners have one and {resting} wait until the jobs of their last owner are dead; \
     refuse the miner until then, or give the listener a larger extranonce1_size"
)]
pub struct Exhausted {
    /// Ids that live miners have.
    pub live: usize,
    /// Ids that were released while a job lives that they could have worked on.
    pub resting: usize,
}

enum State<T> {
    Live,
    Resting { ticket: u64, left: Option<T> },
}

/// A release, in the queues. It is void when the id's state does not carry its ticket (any more).
#[derive(Clone, Copy)]
struct Release {
    epoch: Epoch,
    number: u32,
    ticket: u64,
}

/// Gives out miner ids of one size; `T` is what a miner leaves behind for its return.
pub struct MinerIds<T> {
    len: u8,
    next: u32,
    states: HashMap<u32, State<T>, FixedState>,
    /// All releases in their order, void ones among them.
    released: VecDeque<Release>,
    /// Those of them that left something behind, void ones among them.
    kept: VecDeque<Release>,
    next_ticket: u64,
    resting: usize,
    /// Resting ids with something left behind.
    leavings: usize,
    limits: MinerIdsLimits,
}

impl<T> MinerIds<T> {
    /// An allocator for ids of `len` bytes (at most [`MAX_MINER_ID`]) that begins at `start`, which should be random:
    /// a restarted instance then does not search what it searched a moment ago. `seed` is for its hash map.
    #[must_use]
    pub fn new(len: u8, start: u32, seed: u64, limits: MinerIdsLimits) -> Self {
        Self {
            len: len.min(MAX_MINER_ID),
            next: start,
            states: HashMap::with_hasher(FixedState::with_seed(seed)),
            released: VecDeque::new(),
            kept: VecDeque::new(),
            next_ticket: 0,
            resting: 0,
            leavings: 0,
            limits,
        }
    }

    /// How many ids there are.
    fn space(&self) -> u64 {
        1 << (8 * u32::from(self.len))
    }

    fn mask(&self) -> u32 {
        // Without bytes there is one id, the number 0.
        u32::MAX.checked_shr(8 * u32::from(MAX_MINER_ID - self.len)).unwrap_or(0)
    }

    /// Gives out an id that no live miner has and whose last owner's jobs are dead.
    ///
    /// # Errors
    /// [`Exhausted`]: all are live or resting, or the limit is reached.
    pub fn allocate(&mut self) -> Result<MinerId, Exhausted> {
        let taken = self.states.len();
        if taken >= self.limits.ids || taken as u64 >= self.space() {
            return Err(Exhausted { live: self.live(), resting: self.resting });
        }
        // Among taken + 1 numbers one is free.
        for _ in 0..=taken {
            let number = self.next & self.mask();
            self.next = self.next.wrapping_add(1);
            if !self.states.contains_key(&number) {
                self.states.insert(number, State::Live);
                return Ok(MinerId::from_number(number, self.len));
            }
        }
        Err(Exhausted { live: self.live(), resting: self.resting })
    }

    /// Takes an id back. It rests until [`expire`](Self::expire) says that the jobs of `now` are dead. `left` is
    /// kept for the miner's return. An id that is not live is not touched, and `left` is dropped.
    pub fn release(&mut self, id: MinerId, now: Epoch, left: Option<T>) {
        let Some(number) = self.own(id) else { return };
        let Some(state @ State::Live) = self.states.get_mut(&number) else {
            return;
        };
        // The queues must be in order for expire.
        let epoch = self.released.back().map_or(now, |last| now.max(last.epoch));
        let release = Release { epoch, number, ticket: self.next_ticket };
        self.next_ticket = self.next_ticket.wrapping_add(1);
        if left.is_some() {
            self.kept.push_back(release);
            self.leavings += 1;
        }
        *state = State::Resting { ticket: release.ticket, left };
        self.resting += 1;
        self.released.push_back(release);
        self.tidy();
    }

    /// Takes an id back that was never told a job: it is free at once.
    pub fn discard(&mut self, id: MinerId) {
        if let Some(number) = self.own(id)
            && matches!(self.states.get(&number), Some(State::Live))
        {
            self.states.remove(&number);
        }
    }

    /// Gives a returning miner its id again, with what it left behind, if it is still there. An id that another
    /// miner has, one that is free again and one whose leavings were dropped are not given: `None`.
    pub fn resume(&mut self, id: MinerId) -> Option<T> {
        let number = self.own(id)?;
        let state = self.states.get_mut(&number)?;
        let State::Resting { left, .. } = state else {
            return None;
        };
        let left = left.take()?;
        *state = State::Live;
        self.resting = self.resting.saturating_sub(1);
        self.leavings = self.leavings.saturating_sub(1);
        Some(left)
    }

    /// Says that no job of an epoch before `oldest_live` can be worked on any more: ids released before it are
    /// free. To be safe against a tip that flaps, let the jobs of the last two tips live.
    pub fn expire(&mut self, oldest_live: Epoch) {
        while let Some(release) = self.released.front().copied()
            && release.epoch < oldest_live
        {
            self.released.pop_front();
            if let Some(left) = self.rests_by(&release) {
                self.leavings = self.leavings.saturating_sub(usize::from(left));
                self.resting = self.resting.saturating_sub(1);
                self.states.remove(&release.number);
            }
        }
        while self.kept.front().is_some_and(|release| release.epoch < oldest_live) {
            self.kept.pop_front();
        }
    }

    /// Ids that live miners have.
    #[must_use]
    pub fn live(&self) -> usize {
        self.states.len().saturating_sub(self.resting)
    }

    /// Ids that wait until the jobs of their last owner are dead.
    #[must_use]
    pub fn resting(&self) -> usize {
        self.resting
    }

    /// The id's number, if the id is of this allocator's size.
    fn own(&self, id: MinerId) -> Option<u32> {
        (id.len == self.len).then(|| id.number())
    }

    /// Whether the id rests since this release, and if so, whether something is left behind.
    fn rests_by(&self, release: &Release) -> Option<bool> {
        match self.states.get(&release.number)? {
            State::Resting { ticket, left } if *ticket == release.ticket => Some(left.is_some()),
            _ => None,
        }
    }

    /// Keeps both queues bounded: the oldest leavings beyond the limit go, and so do void entries, which a miner
    /// that leaves and comes back in a loop would otherwise heap up.
    fn tidy(&mut self) {
        while self.leavings > self.limits.kept
            && let Some(oldest) = self.kept.pop_front()
        {
            if let Some(State::Resting { ticket, left }) = self.states.get_mut(&oldest.number)
                && *ticket == oldest.ticket
                && left.take().is_some()
            {
                self.leavings -= 1;
            }
        }
        if self.released.len() > VOID_ENTRIES + 2 * self.resting {
            let mut released = core::mem::take(&mut self.released);
            released.retain(|release| self.rests_by(release).is_some());
            self.released = released;
        }
        if self.kept.len() > VOID_ENTRIES + 2 * self.leavings {
            let mut kept = core::mem::take(&mut self.kept);
            kept.retain(|release| self.rests_by(release) == Some(true));
            self.kept = kept;
        }
    }
}

impl<T> fmt::Debug for MinerIds<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MinerIds")
            .field("len", &self.len)
            .field("live", &self.live())
            .field("resting", &self.resting)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ids(len: u8, start: u32) -> MinerIds<u32> {
        MinerIds::new(len, start, 9, MinerIdsLimits::default())
    }

    #[test]
    fn ids_begin_at_the_random_start_and_wrap_within_their_size() {
        let mut ids = ids(2, 0xabcd_fffe);
        let given: Vec<String> = (0..4).map(|_| ids.allocate().unwrap().to_string()).collect();
        assert_eq!(given, ["fffe", "ffff", "0000", "0001"]);
    }

    #[test]
    fn the_miner_after_the_last_id_is_refused_and_the_others_keep_theirs() {
        let mut ids = ids(1, 77);
        let given: std::collections::BTreeSet<String> =
            (0..256).map(|_| ids.allocate().unwrap().to_string()).collect();
        assert_eq!(given.len(), 256);
        assert_eq!(ids.allocate(), Err(Exhausted { live: 256, resting: 0 }));
    }

    #[test]
    fn an_id_without_bytes_is_there_once() {
        let mut ids = ids(0, 77);
        let id = ids.allocate().unwrap();
        assert_eq!(id.as_bytes(), []);
        assert_eq!(ids.allocate(), Err(Exhausted { live: 1, resting: 0 }));
        ids.discard(id);
        assert_eq!(ids.allocate(), Ok(id));
        assert_ne!(id.in_space(1), id, "in another space it is another's");
    }

    #[test]
    fn an_id_rests_until_every_job_of_its_release_is_dead() {
        let mut ids = ids(1, 0);
        let all: Vec<MinerId> = (0..256).map(|_| ids.allocate().unwrap()).collect();
        ids.release(all[9], Epoch(4), None);
        ids.expire(Epoch(4));
        assert_eq!(ids.allocate(), Err(Exhausted { live: 255, resting: 1 }));
        ids.expire(Epoch(5));
        assert_eq!(ids.allocate(), Ok(all[9]));
    }

    #[test]
    fn an_id_that_had_no_job_is_free_at_once() {
        let mut ids = ids(1, 0);
        let all: Vec<MinerId> = (0..256).map(|_| ids.allocate().unwrap()).collect();
        ids.discard(all[200]);
        assert_eq!(ids.allocate(), Ok(all[200]));
    }

    #[test]
    fn a_returning_miner_has_its_id_and_what_it_left_but_only_while_nobody_else_has() {
        let mut ids = ids(4, 5);
        let id = ids.allocate().unwrap();
        assert_eq!(ids.resume(id), None, "a live miner's id");
        ids.release(id, Epoch(1), Some(77));
        assert_eq!(ids.resume(MinerId::from_bytes(&[5]).unwrap()), None, "an id of another size");
        assert_eq!(ids.resume(id), Some(77));
        assert_eq!((ids.live(), ids.resting()), (1, 0));
        ids.expire(Epoch(9));
        assert_eq!(ids.resume(id), None, "a live miner's id, also after its first release expired");
        ids.release(id, Epoch(9), Some(78));
        ids.expire(Epoch(10));
        assert_eq!(ids.resume(id), None, "an id that is free again");
    }

    #[test]
    fn the_oldest_leavings_go_first_and_their_ids_still_rest() {
        let mut ids: MinerIds<u32> = MinerIds::new(4, 0, 0, MinerIdsLimits { ids: 100, kept: 2 });
        let given: Vec<MinerId> = (0..3).map(|_| ids.allocate().unwrap()).collect();
        for (id, left) in given.iter().zip(0..) {
            ids.release(*id, Epoch(1), Some(left));
        }
        assert_eq!(ids.resting(), 3);
        assert_eq!(
            [ids.resume(given[0]), ids.resume(given[1]), ids.resume(given[2])],
            [None, Some(1), Some(2)]
        );
    }

    #[test]
    fn one_miner_that_comes_and_goes_heaps_nothing_up_and_evicts_nobody() {
        let mut ids: MinerIds<u32> = MinerIds::new(4, 0, 0, MinerIdsLimits { ids: 100, kept: 2 });
        let (other, own) = (ids.allocate().unwrap(), ids.allocate().unwrap());
        ids.release(other, Epoch(1), Some(1));
        for round in 0..10_000 {
            ids.release(own, Epoch(1), Some(round));
            assert_eq!(ids.resume(own), Some(round));
        }
        assert!(ids.released.len() <= VOID_ENTRIES + 4 && ids.kept.len() <= VOID_ENTRIES + 4);
        assert_eq!(ids.resume(other), Some(1));
    }

    #[test]
    fn the_limit_counts_resting_ids_too() {
        let mut ids: MinerIds<u32> = MinerIds::new(4, 0, 0, MinerIdsLimits { ids: 2, kept: 0 });
        let id = ids.allocate().unwrap();
        ids.release(id, Epoch(0), Some(1));
        assert_eq!(ids.resume(id), None, "nothing is kept");
        ids.allocate().unwrap();
        assert_eq!(ids.allocate(), Err(Exhausted { live: 1, resting: 1 }));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Allocate,
        Release(prop::sample::Index, bool),
        Discard(prop::sample::Index),
        Resume(u8),
        Tip,
        Expire,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => Just(Step::Allocate),
            4 => (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(at, left)| Step::Release(at, left)),
            1 => any::<prop::sample::Index>().prop_map(Step::Discard),
            2 => (0u8..12).prop_map(Step::Resume),
            1 => Just(Step::Tip),
            1 => Just(Step::Expire),
        ]
    }

    proptest! {
        #[test]
        fn no_id_is_given_twice_while_its_jobs_live(
            start: u32,
            kept in 0usize..6,
            steps in proptest::collection::vec(step(), 0..400),
        ) {
            let mut ids: MinerIds<u64> = MinerIds::new(1, start, 3, MinerIdsLimits { ids: 12, kept });
            let mut live: Vec<MinerId> = Vec::new();
            // The slow model: every release that is not dead, with its number; the number left behind, if any.
            let mut resting: Vec<(MinerId, u64, Option<u64>)> = Vec::new();
            let (mut tip, mut counter) = (0u64, 0u64);
            for step in steps {
                match step {
                    Step::Allocate => match ids.allocate() {
                        Ok(id) => {
                            prop_assert!(!live.contains(&id) && resting.iter().all(|(other, ..)| *other != id));
                            live.push(id);
                        }
                        Err(exhausted) => {
                            let (live, resting) = (live.len(), resting.len());
                            prop_assert_eq!(exhausted, Exhausted { live, resting });
                            prop_assert_eq!(live + resting, 12);
                        }
                    },
                    Step::Release(at, with) if !live.is_empty() => {
                        let id = live.swap_remove(at.index(live.len()));
                        counter += 1;
                        let left = with.then_some(counter);
                        ids.release(id, Epoch(tip), left);
                        resting.push((id, tip, left));
                        let with = resting.iter().filter(|(.., left)| left.is_some()).count();
                        for (.., left) in resting.iter_mut().filter(|(.., left)| left.is_some()).take(with.saturating_sub(kept)) {
                            *left = None;
                        }
                    }
                    Step::Discard(at) if !live.is_empty() => {
                        ids.discard(live.swap_remove(at.index(live.len())));
                    }
                    Step::Resume(offset) => {
                        let number = (start & 0xff) as u8;
                        let id = MinerId::from_bytes(&[number.wrapping_add(offset)]).unwrap();
                        let at = resting.iter().position(|(other, ..)| *other == id);
                        let expected = at.and_then(|at| resting[at].2);
                        prop_assert_eq!(ids.resume(id), expected);
                        if let (Some(at), Some(_)) = (at, expected) {
                            resting.remove(at);
                            live.push(id);
                        }
                    }
                    Step::Tip => tip += 1,
                    Step::Expire => {
                        ids.expire(Epoch(tip));
                        resting.retain(|(_, epoch, _)| *epoch >= tip);
                    }
                    Step::Release(..) | Step::Discard(_) => {}
                }
                prop_assert_eq!((ids.live(), ids.resting()), (live.len(), resting.len()));
            }
        }
    }
}
