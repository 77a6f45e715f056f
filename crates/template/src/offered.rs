//! A template as one of several providers gave it, with the transactions that may come after it.

use std::sync::{Arc, OnceLock};

use work::{Header, Template, TemplateTransaction, merkle, whole_block};

/// What a provider has given, and the means to make a whole block of it at any time, whatever becomes of the provider.
#[derive(Debug)]
pub struct Offered {
    provider: usize,
    template: Arc<Template>,
    /// Those that came after the template.
    transactions: OnceLock<Arc<[TemplateTransaction]>>,
}

impl Offered {
    /// A template of the provider with this number.
    #[must_use]
    pub fn new(provider: usize, template: Arc<Template>) -> Self {
        Self { provider, template, transactions: OnceLock::new() }
    }

    /// The number of the provider that gave it: its solutions go there.
    #[must_use]
    pub fn provider(&self) -> usize {
        self.provider
    }

    /// The template.
    #[must_use]
    pub fn template(&self) -> &Arc<Template> {
        &self.template
    }

    /// All but the coinbase, once they are there.
    #[must_use]
    pub fn transactions(&self) -> Option<&Arc<[TemplateTransaction]>> {
        self.template.transactions.as_ref().or_else(|| self.transactions.get())
    }

    /// Its transactions have come. Those that came first stay.
    pub fn fill(&self, transactions: Arc<[TemplateTransaction]>) {
        let _ = self.transactions.set(transactions);
    }

    /// The whole block of a solution; the coinbase is whole, with its witness. `None` while the transactions are not
    /// there, or if they are not those that the template's merkle path was made of. Costs as much as there are
    /// transactions: not for a thread that others wait for.
    #[must_use]
    pub fn block(&self, header: &Header, coinbase: &[u8]) -> Option<Vec<u8>> {
        let transactions = self.transactions()?;
        let txids: Vec<[u8; 32]> = transactions.iter().map(|transaction| transaction.txid).collect();
        let are_its_own = merkle::path(&txids)[..] == self.template.merkle_path[..];
        are_its_own.then(|| whole_block(header, coinbase, transactions))
    }
}

#[cfg(test)]
mod tests {
    use work::coinbase::CoinbaseTemplate;
    use work::{CoinbaseConstraints, TemplateParts};

    use super::*;

    #[test]
    fn a_block_is_whole_only_with_the_transactions_that_the_template_was_made_of() {
        let transaction =
            |id: u8| TemplateTransaction { bytes: Arc::new([id; 4]), txid: [id; 32], wtxid: [id; 32] };
        let parts = TemplateParts {
            template_id: 1,
            prev_hash: [9; 32],
            version: 0x2000_0000,
            min_ntime: 1_700_000_000,
            nbits: 0x207f_ffff,
            coinbase: CoinbaseTemplate {
                tx_version: 2,
                prefix: vec![1, 5].into(),
                input_sequence: u32::MAX,
                value_remaining: 50,
                outputs: Vec::new(),
                locktime: 0,
                witness_reserved_value: None,
            },
            merkle_path: Some(vec![[1; 32]].into()),
            transactions: None,
            constraints: CoinbaseConstraints::default(),
        };
        let offered = || Offered::new(3, Arc::new(Template::new(parts.clone()).expect("a template")));
        let header = Header::from_bytes(&[0; 80]);
        let block = |offered: &Offered| offered.block(&header, &[7, 7]);

        let (good, crossed) = (offered(), offered());
        assert_eq!(block(&good), None);
        good.fill(Arc::new([transaction(1)]));
        crossed.fill(Arc::new([transaction(2)]));
        assert_eq!(block(&good), Some([&[0; 80][..], &[2, 7, 7, 1, 1, 1, 1]].concat()));
        assert_eq!(block(&crossed), None, "transactions of another template");
    }
}
