//! What an account holds, at one moment.

use super::state::{Final, RefuseCode, RejectReason, UnsentReason};

/// Shares and work by state and reason. Work is the sum of difficulty (x 2^32 = hashes).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals {
    /// By [`RejectReason`].
    pub rejected: [u64; RejectReason::COUNT],
    /// Counted here only.
    pub local: u64,
    /// By [`UnsentReason`].
    pub unsent: [u64; UnsentReason::COUNT],
    /// By the source.
    pub acknowledged: u64,
    /// By [`RefuseCode`].
    pub refused: [u64; RefuseCode::COUNT],
    /// The link ended before an answer.
    pub unknown: u64,
    /// Open: the declared job is not acknowledged yet.
    pub held: u64,
    /// Open: on its way or not answered yet.
    pub pending: u64,
    /// Shares that were answered `true` and ended `unsent`, `refused` or `unknown`: what a miner believes it
    /// was paid for and was not.
    pub told_true_lost: u64,
    /// Shares that were blocks.
    pub blocks: u64,
    /// Work of all good shares, each at the difficulty that its miner is credited: what miners delivered, wherever it ended.
    pub work_verified: f64,
    /// Work of rejected shares, at the difficulty of the job that they named (0 where there is none).
    pub work_rejected: f64,
    /// Work of local shares.
    pub work_local: f64,
    /// Work of unsent shares. These and the following met their source's target, and stand here with its difficulty: one of
    /// them is proof of the local ones before it, so that the sums by state must not be added up.
    pub work_unsent: f64,
    /// Work of acknowledged shares.
    pub work_acknowledged: f64,
    /// Work of refused shares.
    pub work_refused: f64,
    /// Work of shares whose fate is unknown.
    pub work_unknown: f64,
}

/// Of [`Totals`] what nearly every share moves; of a worker to whom nothing else ever happened it is all.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usual {
    /// [`Totals::local`].
    pub local: u64,
    /// [`Totals::acknowledged`].
    pub acknowledged: u64,
    /// [`Totals::pending`].
    pub pending: u64,
    /// [`Totals::work_verified`].
    pub work_verified: f64,
    /// [`Totals::work_local`].
    pub work_local: f64,
    /// [`Totals::work_acknowledged`].
    pub work_acknowledged: f64,
}

impl Usual {
    pub(super) fn put(self, to: &mut Totals) {
        let Self { local, acknowledged, pending, work_verified, work_local, work_acknowledged } = self;
        (to.local, to.acknowledged, to.pending) = (local, acknowledged, pending);
        (to.work_verified, to.work_local, to.work_acknowledged) =
            (work_verified, work_local, work_acknowledged);
    }
}

impl From<Usual> for Totals {
    fn from(usual: Usual) -> Self {
        let mut totals = Self::default();
        usual.put(&mut totals);
        totals
    }
}

impl Totals {
    /// All that Adit rejected.
    #[must_use]
    pub fn rejected_sum(&self) -> u64 {
        self.rejected.iter().sum()
    }

    /// All that were never sent.
    #[must_use]
    pub fn unsent_sum(&self) -> u64 {
        self.unsent.iter().sum()
    }

    /// All that sources refused.
    #[must_use]
    pub fn refused_sum(&self) -> u64 {
        self.refused.iter().sum()
    }

    /// `acknowledged + refused + unknown + pending`
    #[must_use]
    pub fn forwarded(&self) -> u64 {
        self.acknowledged + self.refused_sum() + self.unknown + self.pending
    }

    /// `rejected + local + held + unsent + forwarded`
    #[must_use]
    pub fn submitted(&self) -> u64 {
        self.rejected_sum() + self.local + self.held + self.unsent_sum() + self.forwarded()
    }

    /// The same without the work, which is a sum of rounded numbers: two that count the same shares are equal.
    #[must_use]
    pub fn counts(&self) -> Self {
        Self {
            work_verified: 0.0,
            work_rejected: 0.0,
            work_local: 0.0,
            work_unsent: 0.0,
            work_acknowledged: 0.0,
            work_refused: 0.0,
            work_unknown: 0.0,
            ..self.clone()
        }
    }

    /// All that have found their end, but for those that Adit rejected.
    pub(super) fn closed(&self) -> u64 {
        self.local + self.acknowledged + self.refused_sum() + self.unsent_sum() + self.unknown
    }

    /// By how much ended shares have grown since `earlier`, an earlier reading of the same counters. What is open is no
    /// growth: it is 0 in the result.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        fn each<const N: usize>(now: &[u64; N], then: &[u64; N]) -> [u64; N] {
            std::array::from_fn(|at| now[at].saturating_sub(then[at]))
        }
        Self {
            rejected: each(&self.rejected, &earlier.rejected),
            local: self.local.saturating_sub(earlier.local),
            unsent: each(&self.unsent, &earlier.unsent),
            acknowledged: self.acknowledged.saturating_sub(earlier.acknowledged),
            refused: each(&self.refused, &earlier.refused),
            unknown: self.unknown.saturating_sub(earlier.unknown),
            held: 0,
            pending: 0,
            told_true_lost: self.told_true_lost.saturating_sub(earlier.told_true_lost),
            blocks: self.blocks.saturating_sub(earlier.blocks),
            work_verified: self.work_verified - earlier.work_verified,
            work_rejected: self.work_rejected - earlier.work_rejected,
            work_local: self.work_local - earlier.work_local,
            work_unsent: self.work_unsent - earlier.work_unsent,
            work_acknowledged: self.work_acknowledged - earlier.work_acknowledged,
            work_refused: self.work_refused - earlier.work_refused,
            work_unknown: self.work_unknown - earlier.work_unknown,
        }
    }

    /// Adds another account's totals to these.
    pub fn add(&mut self, other: &Self) {
        fn each<const N: usize>(to: &mut [u64; N], from: &[u64; N]) {
            to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
        }
        each(&mut self.rejected, &other.rejected);
        each(&mut self.unsent, &other.unsent);
        each(&mut self.refused, &other.refused);
        self.local += other.local;
        self.acknowledged += other.acknowledged;
        self.unknown += other.unknown;
        self.held += other.held;
        self.pending += other.pending;
        self.told_true_lost += other.told_true_lost;
        self.blocks += other.blocks;
        self.work_verified += other.work_verified;
        self.work_rejected += other.work_rejected;
        self.work_local += other.work_local;
        self.work_unsent += other.work_unsent;
        self.work_acknowledged += other.work_acknowledged;
        self.work_refused += other.work_refused;
        self.work_unknown += other.work_unknown;
    }

    /// The count of one final state.
    #[must_use]
    pub fn count(&self, state: Final) -> u64 {
        match state {
            Final::Rejected(why) => self.rejected[why as usize],
            Final::Local => self.local,
            Final::Acknowledged => self.acknowledged,
            Final::Refused(code) => self.refused[code as usize],
            Final::Unsent(why) => self.unsent[why as usize],
            Final::Unknown => self.unknown,
        }
    }
}
