//! Transactions of a provider's templates, each kept once: one template has most of what the last one had, and dozens of
//! templates are kept for late blocks.

use std::collections::HashMap;
use std::sync::Arc;

use work::TemplateTransaction;

/// Those of the newest list.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    by_wtxid: HashMap<[u8; 32], Arc<[u8]>>,
}

impl Transactions {
    /// The same list, with the bytes that are in memory already in the place of their copies.
    pub(super) fn share(&mut self, mut list: Arc<[TemplateTransaction]>) -> Arc<[TemplateTransaction]> {
        let mut newest = HashMap::with_capacity(list.len());
        for transaction in Arc::make_mut(&mut list) {
            // A provider's word for its wtxid is not enough.
            let known = self.by_wtxid.get(&transaction.wtxid).filter(|bytes| **bytes == transaction.bytes);
            if let Some(known) = known {
                transaction.bytes = Arc::clone(known);
            }
            newest.insert(transaction.wtxid, Arc::clone(&transaction.bytes));
        }
        self.by_wtxid = newest;
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(ids: &[u8]) -> Arc<[TemplateTransaction]> {
        ids.iter()
            .map(|id| TemplateTransaction { bytes: vec![*id; 9].into(), txid: [*id; 32], wtxid: [*id; 32] })
            .collect()
    }

    #[test]
    fn what_the_last_template_had_is_in_memory_once_and_what_it_had_not_is_given_up() {
        let mut transactions = Transactions::default();
        let first = transactions.share(list(&[1, 2, 3]));
        let second = transactions.share(list(&[3, 4, 1]));
        assert_eq!(second, list(&[3, 4, 1]));
        for (one, other) in [(&first[0], &second[2]), (&first[2], &second[0])] {
            assert!(Arc::ptr_eq(&one.bytes, &other.bytes));
        }
        assert_eq!(transactions.by_wtxid.len(), 3);
        let third = transactions.share(list(&[2]));
        assert!(!Arc::ptr_eq(&first[1].bytes, &third[0].bytes), "it was not in the one before");
    }

    #[test]
    fn other_bytes_under_the_same_name_are_other_bytes() {
        let mut transactions = Transactions::default();
        transactions.share(list(&[1]));
        let mut other = list(&[2]);
        Arc::make_mut(&mut other)[0].wtxid = [1; 32];
        assert_eq!(*transactions.share(other)[0].bytes, [2; 9]);
    }
}
