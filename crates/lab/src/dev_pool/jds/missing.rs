//! A declaration that waits for transactions, and what arrives for it.

use std::sync::Arc;

use bitcoin::hashes::Hash;
use bitcoin::{Transaction, Wtxid};
use sv2::error_code;
use sv2::job_declaration::ProvideMissingTransactionsSuccess;
use template::dev_chain::MAX_BLOCK_WEIGHT;

use super::declared::Proposal;
use super::known::Known;
use super::tokens::Token;
use super::{AskFor, Refused};

/// The lightest transaction there is: 60 bytes without witness.
const LIGHTEST: u64 = 4 * 60;

/// Most transactions of a block.
pub(super) const MAX_TRANSACTIONS: usize = (MAX_BLOCK_WEIGHT / LIGHTEST) as usize;

/// A declaration under way.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) request_id: u32,
    pub(super) token: Token,
    pub(super) proposal: Proposal,
    /// The tip that it was declared on, as the pool counts them.
    pub(super) tip_number: u64,
    pub(super) wtxids: Vec<Wtxid>,
    /// The same order; `None`: not known.
    pub(super) transactions: Vec<Option<Arc<Transaction>>>,
    /// Positions that were asked for, in that order.
    pub(super) asked: Vec<u16>,
}

impl Pending {
    /// Looks up what is declared.
    pub(super) fn look_up(&mut self, known: &Known) {
        self.transactions = self.wtxids.iter().map(|wtxid| known.get(wtxid).cloned()).collect();
    }

    /// Sets `asked`; nothing: everything is there.
    pub(super) fn ask(&mut self, ask_for: AskFor) {
        let count = u16::try_from(self.wtxids.len()).unwrap_or(u16::MAX);
        self.asked = match ask_for {
            AskFor::Unknown => {
                let known = |at: &u16| self.transactions.get(usize::from(*at)).is_some_and(Option::is_some);
                (0..count).filter(|at| !known(at)).collect()
            }
            AskFor::All | AskFor::Again => (0..count).collect(),
            AskFor::Nonexistent => (0..=count).collect(),
            AskFor::Most => (0..u16::MAX).collect(),
            AskFor::EachTwice => (0..count).flat_map(|at| [at, at]).collect(),
        };
    }

    /// Takes what was asked for, and nothing else.
    pub(super) fn provide(
        &mut self,
        answer: &ProvideMissingTransactionsSuccess<'_>,
        known: &mut Known,
    ) -> Result<(), Refused> {
        let missing = |why: String| Refused::new(error_code::MISSING_TXS, why);
        let asked = std::mem::take(&mut self.asked);
        let (got, wanted) = (answer.transaction_list.len(), asked.len());
        if got != wanted {
            return Err(missing(format!("{got} transactions came, {wanted} were asked for")));
        }
        let mut weight = 0_u64;
        for (bytes, at) in answer.transaction_list.iter().zip(&asked) {
            let transaction: Transaction = bitcoin::consensus::deserialize(bytes.as_slice())
                .map_err(|error| missing(format!("transaction {at} does not decode: {error}")))?;
            let place = self.wtxids.get(usize::from(*at)).zip(self.transactions.get_mut(usize::from(*at)));
            let Some((wtxid, place)) = place else { continue };
            if transaction.compute_wtxid() != *wtxid {
                return Err(missing(format!("transaction {at} is another one than declared")));
            }
            weight += transaction.weight().to_wu();
            if weight > MAX_BLOCK_WEIGHT {
                return Err(Refused::new(error_code::INVALID_JOB, "heavier than a block may be"));
            }
            let transaction = Arc::new(transaction);
            known.insert(Arc::clone(&transaction));
            *place = Some(transaction);
        }
        Ok(())
    }

    /// All transactions; an error if one is not there.
    pub(super) fn complete(&self) -> Result<Vec<Arc<Transaction>>, Refused> {
        let all: Option<Vec<_>> = self.transactions.iter().cloned().collect();
        all.ok_or_else(|| Refused::new(error_code::MISSING_TXS, "transactions are still missing"))
    }
}

/// Reads the list of a declaration: bounded, and without one that stands there twice.
pub(super) fn read_wtxids(list: impl ExactSizeIterator<Item = [u8; 32]>) -> Result<Vec<Wtxid>, Refused> {
    if list.len() > MAX_TRANSACTIONS {
        let why = format!("{} transactions, no block has more than {MAX_TRANSACTIONS}", list.len());
        return Err(Refused::new(error_code::INVALID_JOB, why));
    }
    let wtxids: Vec<Wtxid> = list.map(Wtxid::from_byte_array).collect();
    let mut sorted = wtxids.clone();
    sorted.sort_unstable();
    if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Refused::new(error_code::INVALID_JOB, "a transaction stands in the list twice"));
    }
    Ok(wtxids)
}
