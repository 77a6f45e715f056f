//! Shares that were sent and not answered yet, and how answers settle them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::books::{Final, Tally};
use crate::ids::MinerRef;
use crate::share::{Answer, OutgoingShare};

/// A pool's largest batch that is believed when the bound on open shares is scaled.
pub const MAX_BATCH_SEEN: u32 = 65_536;

/// A share that was sent.
#[derive(Clone, Debug)]
pub struct OpenShare {
    /// The channel's number for it.
    pub sequence_number: u32,
    /// Where it is counted.
    pub tally: Arc<Tally>,
    /// Who found it.
    pub miner: MinerRef,
    /// What it is worth.
    pub difficulty: f64,
    /// When it was sent.
    pub sent: Duration,
    /// The miner was answered `true` already.
    pub told_true: bool,
    /// The miner's submit that waits for the answer.
    pub token: Option<u32>,
    settled: bool,
}

impl OpenShare {
    /// It has found its end: into the books, and to the miner if it waits for that.
    pub(crate) fn end(&self, end: Final, answers: &mut Vec<(MinerRef, Answer)>) {
        self.tally.settle(self.miner, end, self.difficulty, self.told_true);
        if let Some(token) = self.token {
            answers.push((self.miner, Answer { token, end }));
        }
    }
}

/// The open shares of one channel, oldest first.
#[derive(Debug, Default)]
pub struct OpenShares {
    queue: VecDeque<OpenShare>,
    open: usize,
    next_sequence_number: u32,
}

/// `a` was given out at or before `b`; sequence numbers wrap.
fn at_or_before(a: u32, b: u32) -> bool {
    b.wrapping_sub(a) < 1 << 31
}

impl OpenShares {
    /// How many wait for an answer.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open == 0
    }

    /// When the oldest open one was sent.
    #[must_use]
    pub fn oldest(&self) -> Option<Duration> {
        self.queue.iter().find(|s| !s.settled).map(|s| s.sent)
    }

    /// Notes a share as sent and gives its sequence number.
    pub fn push(&mut self, share: &OutgoingShare, sent: Duration) -> u32 {
        let sequence_number = self.next_sequence_number;
        self.next_sequence_number = sequence_number.wrapping_add(1);
        self.queue.push_back(OpenShare {
            sequence_number,
            tally: Arc::clone(&share.tally),
            miner: share.miner,
            difficulty: share.difficulty,
            sent,
            told_true: share.told_true,
            token: share.token,
            settled: false,
        });
        self.open += 1;
        sequence_number
    }

    /// `SubmitShares.Success`: settles the `count` oldest open shares at or below `last`. The rest stay
    /// open: their errors may come late. Returns how many of `count` had no open share.
    pub fn accept(&mut self, last: u32, count: u32, mut settled: impl FnMut(&OpenShare)) -> u32 {
        let mut left = count;
        for share in &mut self.queue {
            if left == 0 || !at_or_before(share.sequence_number, last) {
                break;
            }
            if !share.settled {
                share.settled = true;
                self.open -= 1;
                left -= 1;
                settled(share);
            }
        }
        self.drop_settled();
        left
    }

    /// An answer to one share alone: settles its own sequence number; `None` if that one is not open.
    pub fn take(&mut self, sequence_number: u32) -> Option<OpenShare> {
        let first = self.queue.front()?.sequence_number;
        let at = usize::try_from(sequence_number.wrapping_sub(first)).ok()?;
        let share = self.queue.get_mut(at).filter(|s| !s.settled)?;
        debug_assert_eq!(share.sequence_number, sequence_number);
        share.settled = true;
        self.open -= 1;
        let share = share.clone();
        self.drop_settled();
        Some(share)
    }

    /// The oldest open one, if it was sent no later than `moment`: nobody will answer it.
    pub fn take_sent_before(&mut self, moment: Duration) -> Option<OpenShare> {
        let oldest = self.queue.iter().find(|share| !share.settled)?;
        let sequence_number = oldest.sequence_number;
        if oldest.sent > moment {
            return None;
        }
        self.take(sequence_number)
    }

    /// The link ended: all that are open, and none are left.
    pub fn take_all(&mut self) -> impl Iterator<Item = OpenShare> + '_ {
        self.open = 0;
        self.queue.drain(..).filter(|s| !s.settled)
    }

    fn drop_settled(&mut self) {
        while self.queue.front().is_some_and(|s| s.settled) {
            self.queue.pop_front();
        }
        if self.queue.is_empty() && self.queue.capacity() > 4096 {
            self.queue.shrink_to(256);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::books::{AccountKey, Books};
    use crate::ids::{ChannelKey, SourceId};

    fn push(open: &mut OpenShares) -> u32 {
        let key = AccountKey { listener: 0, route: 0, source: Some(0) };
        let share = OutgoingShare {
            channel: ChannelKey { source: SourceId(0), connection: 0, channel_id: 0 },
            generation: 0,
            job_id: 0,
            nonce: 0,
            ntime: 0,
            version: 0,
            extranonce: work::Extranonce::default(),
            difficulty: 1.0,
            is_block: false,
            tally: Books::default().tally(&Arc::from("w"), key),
            miner: MinerRef(1),
            worker: Arc::from("w"),
            told_true: true,
            token: None,
        };
        open.push(&share, Duration::ZERO)
    }

    #[test]
    fn a_batch_settles_the_oldest_and_an_error_its_own() {
        let mut open = OpenShares::default();
        let numbers: Vec<u32> = (0..12).map(|_| push(&mut open)).collect();
        assert_eq!(open.take(numbers[3]).unwrap().sequence_number, 3);
        assert!(open.take(numbers[3]).is_none(), "an error settles once");
        let mut settled = vec![];
        assert_eq!(open.accept(numbers[10], 9, |s| settled.push(s.sequence_number)), 0);
        assert_eq!(settled, [0, 1, 2, 4, 5, 6, 7, 8, 9]);
        assert_eq!(open.len(), 2, "10 and 11 stay open: an error may come late");
        assert_eq!(open.accept(numbers[11], 5, |_| ()), 3, "more acknowledged than were open");
        assert!(open.is_empty());
    }

    #[test]
    fn sequence_numbers_wrap() {
        let mut open = OpenShares { next_sequence_number: u32::MAX - 1, ..OpenShares::default() };
        for _ in 0..4 {
            push(&mut open);
        }
        let mut settled = vec![];
        open.accept(0, 10, |s| settled.push(s.sequence_number));
        assert_eq!(settled, [u32::MAX - 1, u32::MAX, 0]);
        assert_eq!(open.take(1).unwrap().sequence_number, 1);
    }

    proptest! {
        /// Whatever a pool answers, each share is settled at most once and the count of open ones is exact.
        #[test]
        fn no_answer_settles_twice(ops in prop::collection::vec((0u8..3, any::<u8>(), any::<u8>()), 0..200)) {
            let mut open = OpenShares { next_sequence_number: u32::MAX - 20, ..OpenShares::default() };
            let base = u32::MAX - 20;
            let (mut sent, mut done) = (0usize, std::collections::BTreeSet::new());
            for (op, a, b) in ops {
                match op {
                    0 => { push(&mut open); sent += 1; }
                    1 => { open.accept(base.wrapping_add(u32::from(a)), u32::from(b), |s| {
                        assert!(done.insert(s.sequence_number));
                    }); }
                    _ => if let Some(s) = open.take(base.wrapping_add(u32::from(a))) {
                        prop_assert!(done.insert(s.sequence_number));
                    }
                }
                prop_assert_eq!(open.len(), sent - done.len());
            }
            let left: Vec<_> = open.take_all().collect();
            prop_assert_eq!(left.len(), sent - done.len());
        }
    }
}
