//! Transactions that the pool's side knows: those of its own templates and of declarations, the newest of them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bitcoin::{Transaction, Wtxid};

/// Most transactions.
const MAX_COUNT: usize = 32_768;

/// Most bytes of them all.
const MAX_BYTES: usize = 16_000_000;

#[derive(Debug, Default)]
pub(super) struct Known {
    by_wtxid: HashMap<Wtxid, Arc<Transaction>>,
    /// Oldest first.
    order: VecDeque<Wtxid>,
    bytes: usize,
}

impl Known {
    pub(super) fn get(&self, wtxid: &Wtxid) -> Option<&Arc<Transaction>> {
        self.by_wtxid.get(wtxid)
    }

    pub(super) fn insert(&mut self, transaction: Arc<Transaction>) {
        let wtxid = transaction.compute_wtxid();
        let size = transaction.total_size();
        if self.by_wtxid.contains_key(&wtxid) || size > MAX_BYTES {
            return;
        }
        self.bytes += size;
        self.order.push_back(wtxid);
        self.by_wtxid.insert(wtxid, transaction);
        while self.order.len() > MAX_COUNT || self.bytes > MAX_BYTES {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(gone) = self.by_wtxid.remove(&oldest) {
                self.bytes -= gone.total_size();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::{Amount, ScriptBuf, TxIn, TxOut};

    use super::*;

    fn transaction(number: u64, size: usize) -> Arc<Transaction> {
        Arc::new(Transaction {
            version: bitcoin::transaction::Version::TWO,
            lock_time: bitcoin::absolute::LockTime::ZERO,
            input: vec![TxIn::default()],
            output: vec![TxOut {
                value: Amount::from_sat(number),
                script_pubkey: ScriptBuf::from_bytes(vec![0; size]),
            }],
        })
    }

    #[test]
    fn the_oldest_go_when_they_are_too_many_bytes() {
        let mut known = Known::default();
        let first = transaction(0, 1_000_000);
        for number in 0..40 {
            known.insert(transaction(number, 1_000_000));
            known.insert(transaction(number, 1_000_000));
        }
        assert!(known.bytes <= MAX_BYTES && known.order.len() == 15 && known.by_wtxid.len() == 15);
        assert!(known.get(&first.compute_wtxid()).is_none());
        assert!(known.get(&transaction(39, 1_000_000).compute_wtxid()).is_some());
    }
}
