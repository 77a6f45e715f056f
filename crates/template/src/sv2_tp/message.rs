//! What a template provider's messages carry, read.

use std::sync::Arc;

use bitcoin::consensus::Decodable as _;
use bitcoin::hashes::Hash as _;
use sv2::template_distribution::{NewTemplate, RequestTransactionDataSuccess};
use work::coinbase::{CoinbaseTemplate, read_counted_outputs};
use work::{
    CoinbaseConstraints, MAX_BLOCK_WEIGHT, Template, TemplateError, TemplateParts, TemplateTransaction,
    merkle,
};

use super::error::{TpError, protocol};
use crate::witness;

/// The longest `coinbase_prefix` (7.2), bytes.
const MAX_COINBASE_PREFIX: usize = 8;

/// A tip, as SetNewPrevHash (7.3) names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tip {
    /// Internal order.
    pub(super) prev_hash: [u8; 32],
    /// The header's nBits.
    pub(super) nbits: u32,
    /// The time to start with, Unix seconds; it stays while the tip does.
    pub(super) min_ntime: u32,
}

/// A template that may not have a tip yet.
#[derive(Clone, Debug)]
pub(super) struct Head {
    /// The server's number for it. It may come again, for another template.
    pub(super) server_id: u64,
    version: u32,
    coinbase: CoinbaseTemplate,
    merkle_path: Box<[[u8; 32]]>,
}

impl Head {
    /// Reads NewTemplate.
    pub(super) fn read(message: &NewTemplate<'_>) -> Result<Self, TpError> {
        const NAME: &str = "NewTemplate";
        let prefix = message.coinbase_prefix.as_slice();
        if prefix.len() > MAX_COINBASE_PREFIX {
            let found = format!("a coinbase_prefix of {} bytes, at most {MAX_COINBASE_PREFIX}", prefix.len());
            return Err(protocol(NAME, found));
        }
        let outputs =
            read_counted_outputs(message.coinbase_tx_outputs.as_slice(), message.coinbase_tx_outputs_count)
                .map_err(|error| protocol(NAME, format!("coinbase_tx_outputs: {error}")))?;
        // Whoever commits to witnesses does so with a reserved value of zeros (7.2).
        let commits = outputs.iter().any(witness::is_commitment);
        Ok(Self {
            server_id: message.template_id,
            version: message.version,
            coinbase: CoinbaseTemplate {
                tx_version: message.coinbase_tx_version,
                prefix: prefix.into(),
                input_sequence: message.coinbase_tx_input_sequence,
                value_remaining: message.coinbase_tx_value_remaining,
                outputs,
                locktime: message.coinbase_tx_locktime,
                witness_reserved_value: commits.then_some(witness::RESERVED_VALUE),
            },
            merkle_path: message.merkle_path.iter().collect(),
        })
    }

    /// The template that was told of this head.
    pub(super) fn of(server_id: u64, template: &Template) -> Self {
        Self {
            server_id,
            version: template.version,
            coinbase: template.coinbase.clone(),
            merkle_path: template.merkle_path.clone(),
        }
    }

    /// The template on this tip, under a number of our own.
    pub(super) fn on(
        self,
        tip: &Tip,
        template_id: u64,
        constraints: CoinbaseConstraints,
    ) -> Result<Template, TemplateError> {
        Template::new(TemplateParts {
            template_id,
            prev_hash: tip.prev_hash,
            version: self.version,
            min_ntime: tip.min_ntime,
            // `SetNewPrevHash.target` may be harder than nBits; a hash between the two is a block for the network all
            // the same, and is handed in.
            nbits: tip.nbits,
            coinbase: self.coinbase,
            merkle_path: Some(self.merkle_path),
            transactions: None,
            constraints,
        })
    }
}

/// Reads the transactions of a template, and checks that they are those of its merkle path.
pub(super) fn transactions(
    message: &RequestTransactionDataSuccess<'_>,
    template: &Template,
) -> Result<Arc<[TemplateTransaction]>, TpError> {
    const NAME: &str = "RequestTransactionData.Success";
    let mut bytes = 0;
    let mut transactions = Vec::new();
    for (at, transaction) in message.transaction_list.iter().enumerate() {
        let whole = transaction.as_slice();
        bytes += whole.len() as u64;
        if bytes > MAX_BLOCK_WEIGHT {
            return Err(TemplateError::TooHeavy { bytes }.into());
        }
        let mut rest = whole;
        let read = bitcoin::Transaction::consensus_decode(&mut rest).ok().filter(|_| rest.is_empty());
        let read =
            read.ok_or_else(|| protocol(NAME, format!("transaction {at} ({} bytes) is none", whole.len())))?;
        transactions.push(TemplateTransaction {
            bytes: whole.into(),
            txid: read.compute_txid().to_byte_array(),
            wtxid: read.compute_wtxid().to_byte_array(),
        });
    }
    let txids: Vec<[u8; 32]> = transactions.iter().map(|transaction| transaction.txid).collect();
    if *merkle::path(&txids) != *template.merkle_path {
        let found = format!("its {} transactions are not those of the template's merkle_path", txids.len());
        return Err(protocol(NAME, found));
    }
    Ok(transactions.into())
}
