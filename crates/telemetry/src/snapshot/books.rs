//! Share accounts at one moment, in the words of the books.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

/// Counts by reason. Reasons are words from Adit's code or configuration, never text that a peer chose: a
/// peer must not be able to grow the list. Giving every known reason, also those at 0, lets a dashboard see
/// the first step of a counter.
pub type Reasons = BTreeMap<Cow<'static, str>, u64>;

/// Work by state. Work is the sum of difficulty; x 2^32 it is hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct WorkSnapshot {
    /// Of rejected shares, at the difficulty of the job that they named (0 where there is none).
    pub rejected: f64,
    /// Of shares counted here only.
    pub local: f64,
    /// Of good shares that were never sent.
    pub unsent: f64,
    /// Of shares that sources acknowledged.
    pub acknowledged: f64,
    /// Of shares that sources refused.
    pub refused: f64,
    /// Of shares whose fate is unknown.
    pub unknown: f64,
    /// What miners really delivered: of all good shares, wherever they ended, at the difficulty that the miner is credited. What is
    /// sent to a source stands above with the source's difficulty, so this is not their sum.
    pub verified: f64,
}

impl WorkSnapshot {
    fn add(&mut self, other: &Self) {
        self.rejected += other.rejected;
        self.local += other.local;
        self.unsent += other.unsent;
        self.acknowledged += other.acknowledged;
        self.refused += other.refused;
        self.unknown += other.unknown;
        self.verified += other.verified;
    }
}

/// Shares by state and reason. Every share is in exactly one state:
///
/// `submitted = rejected_total + local + held + unsent_total + forwarded`,
/// `forwarded = acknowledged + refused_total + unknown + pending`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct BooksSnapshot {
    /// All shares that miners handed in.
    pub submitted: u64,
    /// Rejected by Adit, by reason.
    pub rejected: Reasons,
    /// All rejected by Adit.
    pub rejected_total: u64,
    /// Good, but easier than the source's target: counted here only.
    pub local: u64,
    /// Open: the declared job is not acknowledged yet.
    pub held: u64,
    /// Good, but never sent, by reason.
    pub unsent: Reasons,
    /// All good ones that were never sent.
    pub unsent_total: u64,
    /// All that went on to a source.
    pub forwarded: u64,
    /// Acknowledged by the source.
    pub acknowledged: u64,
    /// Refused by the source, by its error code.
    pub refused: Reasons,
    /// All refused by the source.
    pub refused_total: u64,
    /// The link ended before an answer: it may have been credited.
    pub unknown: u64,
    /// Open: sent, or on its way, and not answered yet.
    pub pending: u64,
    /// Answered `true` to the miner, and then unsent, refused or unknown.
    pub told_true_lost: u64,
    /// Shares that were blocks.
    pub blocks_found: u64,
    /// The work of these shares.
    pub work: WorkSnapshot,
}

impl BooksSnapshot {
    /// Fills in the totals (`rejected_total`, `unsent_total`, `refused_total`, `forwarded`, `submitted`)
    /// from the parts. For a caller whose books store the parts only.
    #[must_use]
    pub fn with_totals(mut self) -> Self {
        self.rejected_total = self.rejected.values().sum();
        self.unsent_total = self.unsent.values().sum();
        self.refused_total = self.refused.values().sum();
        self.forwarded = self.forwarded_parts();
        self.submitted = self.submitted_parts();
        self
    }

    /// Whether both sums hold, and every total is the sum of its reasons.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.submitted == self.submitted_parts()
            && self.forwarded == self.forwarded_parts()
            && self.rejected_total == self.rejected.values().sum::<u64>()
            && self.unsent_total == self.unsent.values().sum::<u64>()
            && self.refused_total == self.refused.values().sum::<u64>()
    }

    /// Adds another account.
    pub fn add(&mut self, other: &Self) {
        fn each(to: &mut Reasons, from: &Reasons) {
            for (reason, count) in from {
                *to.entry(reason.clone()).or_default() += count;
            }
        }
        self.submitted += other.submitted;
        each(&mut self.rejected, &other.rejected);
        self.rejected_total += other.rejected_total;
        self.local += other.local;
        self.held += other.held;
        each(&mut self.unsent, &other.unsent);
        self.unsent_total += other.unsent_total;
        self.forwarded += other.forwarded;
        self.acknowledged += other.acknowledged;
        each(&mut self.refused, &other.refused);
        self.refused_total += other.refused_total;
        self.unknown += other.unknown;
        self.pending += other.pending;
        self.told_true_lost += other.told_true_lost;
        self.blocks_found += other.blocks_found;
        self.work.add(&other.work);
    }

    fn forwarded_parts(&self) -> u64 {
        self.acknowledged + self.refused_total + self.unknown + self.pending
    }

    fn submitted_parts(&self) -> u64 {
        self.rejected_total + self.local + self.held + self.unsent_total + self.forwarded
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reasons(words: &'static [&'static str]) -> impl Strategy<Value = Reasons> {
        prop::collection::btree_map(prop::sample::select(words).prop_map(Cow::Borrowed), 0..1000_u64, 0..4)
    }

    prop_compose! {
        fn books()(
            rejected in reasons(&["stale", "duplicate", "above_target"]),
            unsent in reasons(&["no_source", "queue_full"]),
            refused in reasons(&["stale-share", "other"]),
            counts in prop::array::uniform5(0..1_000_000_u64),
            work in prop::array::uniform6(0.0..1e12_f64),
        ) -> BooksSnapshot {
            let [local, held, acknowledged, unknown, pending] = counts;
            let [rejected_work, local_work, unsent_work, acknowledged_work, refused_work, unknown_work] = work;
            BooksSnapshot {
                rejected, unsent, refused, local, held, acknowledged, unknown, pending,
                work: WorkSnapshot {
                    rejected: rejected_work, local: local_work, unsent: unsent_work,
                    acknowledged: acknowledged_work, refused: refused_work, unknown: unknown_work,
                    verified: 0.0,
                },
                ..BooksSnapshot::default()
            }
            .with_totals()
        }
    }

    proptest! {
        #[test]
        fn sums_of_balanced_accounts_are_balanced(accounts in prop::collection::vec(books(), 0..20)) {
            let mut sum = BooksSnapshot::default();
            for account in &accounts {
                prop_assert!(account.is_balanced());
                sum.add(account);
            }
            prop_assert!(sum.is_balanced());
            prop_assert_eq!(sum.submitted, accounts.iter().map(|a| a.submitted).sum::<u64>());
        }
    }

    #[test]
    fn any_share_that_is_missing_or_there_twice_shows() {
        let good = BooksSnapshot {
            rejected: Reasons::from([("stale".into(), 3)]),
            local: 5,
            acknowledged: 7,
            pending: 1,
            ..BooksSnapshot::default()
        }
        .with_totals();
        assert!(good.is_balanced());
        let breakages: [fn(&mut BooksSnapshot); 6] = [
            |b| b.submitted += 1,
            |b| b.local += 1,
            |b| b.acknowledged -= 1,
            |b| b.forwarded += 1,
            |b| *b.rejected.entry("duplicate".into()).or_default() += 1,
            |b| *b.unsent.entry("queue_full".into()).or_default() += 1,
        ];
        for (n, breakage) in breakages.into_iter().enumerate() {
            let mut bad = good.clone();
            breakage(&mut bad);
            assert!(!bad.is_balanced(), "breakage {n}");
        }
    }
}
