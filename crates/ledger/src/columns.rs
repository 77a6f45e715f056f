//! From the books' counters to a ledger's columns.

use std::sync::Arc;

use engine::books::{Figures, RefuseCode, RejectReason, Totals, UnsentReason, Usual};
use work::hashrate::HASHES_PER_DIFFICULTY;

use crate::rows::{Amount, Column, Row};

const REJECTED: usize = 0;
const UNSENT: usize = REJECTED + RejectReason::COUNT;
const REFUSED: usize = UNSENT + UnsentReason::COUNT;
const SINGLE: usize = REFUSED + RefuseCode::COUNT;
const LOCAL: usize = SINGLE + 3;
const ACKNOWLEDGED: usize = SINGLE + 4;
const PENDING: usize = SINGLE + 7;
const VERIFIED: usize = SINGLE + 10;
/// The columns that have no reasons, in their order.
const SINGLES: [&str; 11] = [
    "rejected",
    "unsent",
    "refused",
    "local",
    "acknowledged",
    "unknown",
    "held",
    "pending",
    "told_true_lost",
    "blocks",
    "verified",
];

/// The columns of the books, each with its number.
#[derive(Clone, Debug)]
pub struct Columns(Vec<Column>);

impl Default for Columns {
    fn default() -> Self {
        let with_reason = |state: &str, reason: &str| Arc::from(format!("{state}/{reason}"));
        let rejected = RejectReason::ALL.iter().map(|reason| with_reason("rejected", reason.as_str()));
        let unsent = UnsentReason::ALL.iter().map(|reason| with_reason("unsent", reason.as_str()));
        let refused = RefuseCode::ALL.iter().map(|reason| with_reason("refused", reason.as_str()));
        Self(rejected.chain(unsent).chain(refused).chain(SINGLES.map(Arc::from)).collect())
    }
}

/// What an account's counters have grown by: columns by their numbers, in the order of these. Its memory is used again.
#[derive(Clone, Debug, Default)]
pub struct Growth {
    squares: f64,
    cells: Vec<(u32, Amount)>,
}

impl Growth {
    /// Makes it the growth of a tally since it was taken last.
    pub fn set_grown(&mut self, figures: &Figures<'_>) {
        match figures {
            Figures::Usual { before, now } => self.set_usual(before, now),
            Figures::All { before, now } => self.set(before, now),
        }
    }

    /// The same as [`set`](Self::set), of what nearly every share moves.
    fn set_usual(&mut self, from: &Usual, to: &Usual) {
        self.cells.clear();
        let singles = [
            (LOCAL, from.local, to.local, from.work_local, to.work_local),
            (ACKNOWLEDGED, from.acknowledged, to.acknowledged, from.work_acknowledged, to.work_acknowledged),
            (PENDING, from.pending, to.pending, 0.0, 0.0),
            (VERIFIED, 0, 0, from.work_verified, to.work_verified),
        ];
        for (at, from, to, work_from, work_to) in singles {
            self.put_single(at, (from, to), (work_from, work_to));
        }
        let good = |usual: &Usual| usual.local + usual.acknowledged + usual.pending;
        self.squares = squares((good(from), good(to)), to.work_verified - from.work_verified);
    }

    /// Makes it the growth from one reading of the counters to the next. Where a state has reasons, the counts stand with
    /// the reasons and the work with the state, as in the books.
    pub fn set(&mut self, from: &Totals, to: &Totals) {
        self.cells.clear();
        self.put_reasons(REJECTED, &from.rejected, &to.rejected);
        self.put_reasons(UNSENT, &from.unsent, &to.unsent);
        self.put_reasons(REFUSED, &from.refused, &to.refused);
        let singles = [
            (0, 0, from.work_rejected, to.work_rejected),
            (0, 0, from.work_unsent, to.work_unsent),
            (0, 0, from.work_refused, to.work_refused),
            (from.local, to.local, from.work_local, to.work_local),
            (from.acknowledged, to.acknowledged, from.work_acknowledged, to.work_acknowledged),
            (from.unknown, to.unknown, from.work_unknown, to.work_unknown),
            (from.held, to.held, 0.0, 0.0),
            (from.pending, to.pending, 0.0, 0.0),
            (from.told_true_lost, to.told_true_lost, 0.0, 0.0),
            (from.blocks, to.blocks, 0.0, 0.0),
            (0, 0, from.work_verified, to.work_verified),
        ];
        for (at, (from, to, work_from, work_to)) in singles.into_iter().enumerate() {
            self.put_single(SINGLE + at, (from, to), (work_from, work_to));
        }
        let good = |totals: &Totals| totals.submitted() - totals.rejected_sum();
        self.squares = squares((good(from), good(to)), to.work_verified - from.work_verified);
    }

    fn put_single(&mut self, column: usize, (from, to): (u64, u64), (work_from, work_to): (f64, f64)) {
        if from != to || work_from.to_bits() != work_to.to_bits() {
            self.put(column, from, to, hashes(work_to) - hashes(work_from));
        }
    }

    fn put_reasons<const N: usize>(&mut self, first: usize, from: &[u64; N], to: &[u64; N]) {
        if from == to {
            return;
        }
        for (at, (from, to)) in from.iter().zip(to).enumerate() {
            self.put(first + at, *from, *to, 0);
        }
    }

    fn put(&mut self, column: usize, from: u64, to: u64, hashes: i128) {
        let amount = Amount { count: difference(from, to), hashes };
        if !amount.is_zero() {
            #[expect(clippy::cast_possible_truncation, reason = "there are some forty columns")]
            self.cells.push((column as u32, amount));
        }
    }

    pub(crate) fn squares(&self) -> f64 {
        self.squares
    }

    pub(crate) fn cells(&self) -> &[(u32, Amount)] {
        &self.cells
    }
}

impl Columns {
    /// The words, in the order of their numbers.
    pub(crate) fn words(&self) -> &[Column] {
        &self.0
    }

    /// What an account's counters have grown by, as a row. See [`Growth`].
    #[must_use]
    pub fn growth(&self, from: &Totals, to: &Totals) -> Row {
        let mut growth = Growth::default();
        growth.set(from, to);
        let cells = growth.cells.iter();
        Row {
            squares: growth.squares,
            cells: cells.map(|(at, amount)| (Arc::clone(&self.0[*at as usize]), *amount)).collect(),
        }
    }
}

/// Work in whole hashes.
#[must_use]
pub fn hashes(difficulty: f64) -> i128 {
    let hashes = (difficulty * HASHES_PER_DIFFICULTY).round();
    #[expect(clippy::cast_possible_truncation, reason = "saturates")]
    if hashes.abs() < 9e18 { i128::from(hashes as i64) } else { hashes as i128 }
}

fn difference(from: u64, to: u64) -> i64 {
    i64::try_from(i128::from(to) - i128::from(from)).unwrap_or(if to > from { i64::MAX } else { i64::MIN })
}

/// Within a second a worker's good shares are of one difficulty, nearly always.
fn squares((from, to): (u64, u64), work: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let count = to.saturating_sub(from) as f64;
    if count > 0.0 { work * work / count } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What nearly every share moves is read by itself, and comes to the same.
        #[test]
        fn the_usual_is_all_where_there_is_nothing_else(
            counts in prop::array::uniform6(0..9u64),
            works in prop::array::uniform6(0.0..1e9f64),
        ) {
            let usual = |at: usize| Usual {
                local: counts[at],
                acknowledged: counts[at + 1],
                pending: counts[at + 2],
                work_verified: works[at],
                work_local: works[at + 1],
                work_acknowledged: works[at + 2],
            };
            let (before, now) = (usual(0), usual(3));
            let (mut some, mut all) = (Growth::default(), Growth::default());
            some.set_grown(&Figures::Usual { before, now });
            all.set_grown(&Figures::All { before: &before.into(), now: &now.into() });
            prop_assert_eq!(some.cells(), all.cells());
            prop_assert_eq!(some.squares(), all.squares());
        }

        /// However many steps a sum is taken in, and whatever the work's fractions are, it comes to the same hashes.
        #[test]
        fn steps_sum_up_exactly(steps in prop::collection::vec((0.0..1e9f64, 0..5u64, 0..3u64), 1..50)) {
            let columns = Columns::default();
            let mut totals = Totals::default();
            let mut sum = Row::default();
            for (work, count, other) in steps {
                let before = totals.clone();
                totals.acknowledged += count;
                totals.work_acknowledged += work;
                totals.rejected[2] += other;
                totals.work_rejected += work / 3.0;
                totals.pending = other;
                sum.add(&columns.growth(&before, &totals));
            }
            let at_once = columns.growth(&Totals::default(), &totals);
            prop_assert_eq!(sum.get("acknowledged"), at_once.get("acknowledged"));
            prop_assert_eq!(sum.get("acknowledged").hashes, hashes(totals.work_acknowledged));
            prop_assert_eq!(sum.get("rejected").hashes, hashes(totals.work_rejected));
            prop_assert_eq!(sum.get("rejected/duplicate").count, i64::try_from(totals.rejected[2]).unwrap());
            prop_assert_eq!(sum.get("pending").count, i64::try_from(totals.pending).unwrap());
        }
    }
}
