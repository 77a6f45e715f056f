//! Sums, and what follows from them.

use std::collections::BTreeMap;

use ledger::{Amount, Row};
use work::hashrate::HASHES_PER_DIFFICULTY;

/// Columns that are no states: each share in them is in a state, too.
const BESIDE: [&str; 3] = ["verified", "told_true_lost", "blocks"];
/// The 97.5 % point of the normal distribution.
const Z95: f64 = 1.959_963_985;

/// The sums of a period.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// By state, or state and reason.
    pub columns: BTreeMap<String, Amount>,
    /// Sum of squares of the verified shares' difficulties.
    pub squares: f64,
    /// How long the period is.
    pub seconds: u64,
    /// Satoshi that the verified work was worth.
    pub satoshi: f64,
    /// Work, as difficulty, of which nobody knows what it was worth.
    pub unpriced: f64,
}

impl Figures {
    pub(super) fn add(&mut self, row: &Row, price: Option<f64>) {
        for (column, amount) in &row.cells {
            self.columns.entry(column.to_string()).or_default().add(*amount);
        }
        self.squares += row.squares;
        let work = difficulty(row.get("verified").hashes);
        match price {
            Some(price) => self.satoshi += work * price,
            None => self.unpriced += work,
        }
    }

    /// The amount of a state, its reasons together.
    #[must_use]
    pub fn state(&self, state: &str) -> Amount {
        let mut sum = Amount::default();
        for (column, amount) in &self.columns {
            if column.split('/').next() == Some(state) {
                sum.add(*amount);
            }
        }
        sum
    }

    /// All shares that were handed in.
    #[must_use]
    pub fn submitted(&self) -> i64 {
        let states = self.columns.iter().filter(|(column, _)| !BESIDE.contains(&column.as_str()));
        states.map(|(_, amount)| amount.count).sum()
    }

    /// Work that the miners delivered, as difficulty: each good share at the difficulty that its miner was told.
    #[must_use]
    pub fn verified(&self) -> f64 {
        difficulty(self.state("verified").hashes)
    }

    /// Hashes per second that this is on average, and its relative error (95 %, from the luck in it); no error where
    /// there are no shares.
    #[must_use]
    pub fn hashrate(&self) -> (f64, Option<f64>) {
        #[expect(clippy::cast_precision_loss, reason = "an average")]
        let seconds = self.seconds.max(1) as f64;
        let work = self.verified();
        let error = (work > 0.0 && self.squares > 0.0).then(|| Z95 * self.squares.sqrt() / work);
        (work * HASHES_PER_DIFFICULTY / seconds, error)
    }

    /// What the source acknowledged of what was delivered for it, and how far luck alone lets that be from 1 (95 %).
    /// Both are estimates of the same hashes: one counts shares at the miners' difficulty, the other at the source's.
    #[must_use]
    pub fn acknowledged_part(&self) -> Option<(f64, f64)> {
        let acknowledged = self.state("acknowledged");
        let (work, verified) = (difficulty(acknowledged.hashes), self.verified());
        if verified <= 0.0 || acknowledged.count <= 0 {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let of_source = 1.0 / acknowledged.count as f64;
        let of_miners = self.squares / (verified * verified);
        Some((work / verified, Z95 * (of_source - of_miners).max(0.0).sqrt()))
    }
}

/// Hashes as difficulty.
#[must_use]
pub(super) fn difficulty(hashes: i128) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "shown, not added up")]
    let hashes = hashes as f64;
    hashes / HASHES_PER_DIFFICULTY
}
