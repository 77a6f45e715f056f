//! Whom the coinbases pay.

use std::collections::BTreeMap;

use work::coinbase::{CoinbaseError, outputs};

use crate::job::Job;
use crate::records::JOB_WINDOW;
use crate::terms::{Terms, WHOLE};
use crate::window::KnownJob;

/// What the coinbase of a job's shares says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pays {
    /// What the terms' scripts are paid, satoshi; none if there is no output to them.
    pub(super) paid: Option<u64>,
    /// What all outputs are paid.
    pub(super) total: u64,
    /// Whether the pool's tag stands in it.
    pub(super) pool_tag: bool,
}

impl Pays {
    fn of(job: &Job, extranonce: usize, terms: &Terms) -> Result<Self, CoinbaseError> {
        let (prefix, suffix) = (&job.coinbase_prefix, &job.coinbase_suffix);
        let (mut paid, mut total) = (None, 0_u64);
        for output in outputs(prefix, extranonce, suffix)? {
            total = total.saturating_add(output.value);
            if terms.payout.scripts.contains(&output.script_pubkey) {
                paid = Some(paid.unwrap_or(0_u64).saturating_add(output.value));
            }
        }
        // Before the extranonce or behind it, in the script that no more than a hundred bytes of the suffix belong to.
        let tag = terms.pool_tag.as_bytes();
        let behind = &suffix[..suffix.len().min(100)];
        let pool_tag = !tag.is_empty()
            && [prefix, behind].iter().any(|part| part.windows(tag.len()).any(|window| window == tag));
        Ok(Self { paid, total, pool_tag })
    }

    /// Whether that is enough. Fractions of a satoshi are the payer's.
    pub(super) fn suffices(&self, terms: &Terms) -> bool {
        let least = u128::from(self.total) * u128::from(terms.payout.least_parts) / u128::from(WHOLE);
        terms.payout.scripts.is_empty() || self.paid.is_some_and(|paid| u128::from(paid) >= least)
    }

    /// The part that is paid, 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "satoshi: below 2^53")]
    pub(super) fn part(&self) -> f64 {
        match self.paid {
            None => 0.0,
            Some(_) if self.total == 0 => 1.0,
            Some(paid) => paid as f64 / self.total as f64,
        }
    }
}

/// Remembers the newest jobs' answers: a coinbase is read once, not once a share.
#[derive(Debug, Default)]
pub(super) struct Coinbases {
    known: BTreeMap<(u64, usize), Result<Pays, CoinbaseError>>,
}

impl Coinbases {
    pub(super) fn pays(
        &mut self,
        job: &KnownJob,
        extranonce: usize,
        terms: &Terms,
    ) -> Result<Pays, CoinbaseError> {
        if self.known.len() > 2 * JOB_WINDOW {
            self.known.pop_first();
        }
        *self.known.entry((job.number, extranonce)).or_insert_with(|| Pays::of(&job.job, extranonce, terms))
    }
}
