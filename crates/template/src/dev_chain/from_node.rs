//! Templates of a node in the form of the dev chain's, for a pool that is on the node's chain.

use std::sync::Arc;

use bitcoin::hashes::Hash;
use bitcoin::{Amount, BlockHash, CompactTarget, ScriptBuf, Target, Transaction, TxOut};
use work::Template;

use super::template::DevTemplate;

/// How far the smallest time that a node would take may be below the one that it suggests, seconds: the node does not
/// tell, and the median of eleven blocks is seldom older.
const MEDIAN_TIME_LAG: u32 = 7_200;

impl DevTemplate {
    /// A node's template; `None` if it cannot be read: no height at the beginning of the coinbase, a transaction that does
    /// not decode. The transactions are empty if the provider has not told them.
    pub fn from_node(template: &Template) -> Option<DevTemplate> {
        let coinbase_prefix = template.coinbase.prefix.to_vec();
        let transactions = template.transactions.as_deref().unwrap_or_default();
        let transactions: Result<Vec<Transaction>, _> = transactions
            .iter()
            .map(|transaction| bitcoin::consensus::deserialize(&transaction.bytes))
            .collect();
        let nbits = CompactTarget::from_consensus(template.nbits);
        let output = |output: &work::coinbase::Output| TxOut {
            value: Amount::from_sat(output.value),
            script_pubkey: ScriptBuf::from_bytes(output.script_pubkey.to_vec()),
        };
        Some(DevTemplate {
            template_id: template.template_id,
            height: height(&coinbase_prefix)?,
            prev_hash: BlockHash::from_byte_array(template.prev_hash),
            version: template.version,
            header_timestamp: template.min_ntime,
            min_time: template.min_ntime.saturating_sub(MEDIAN_TIME_LAG),
            nbits,
            target: Target::from_compact(nbits),
            coinbase_prefix,
            coinbase_tx_value_remaining: template.coinbase.value_remaining,
            coinbase_tx_outputs: template.coinbase.outputs.iter().map(output).collect(),
            merkle_path: template.merkle_path.to_vec(),
            transactions: Arc::from(transactions.ok()?),
        })
    }
}

/// The height that a coinbase's input script begins with (BIP 34).
fn height(script: &[u8]) -> Option<u32> {
    match *script.first()? {
        small @ 0x51..=0x60 => Some(u32::from(small - 0x50)),
        len @ 1..=4 => {
            let bytes = script.get(1..=usize::from(len))?;
            Some(bytes.iter().rev().fold(0, |height, byte| height << 8 | u32::from(*byte)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::template::height_push;
    use super::*;

    #[test]
    fn heights_are_read_as_they_are_written() {
        for wanted in [1, 16, 17, 127, 128, 255, 256, 65_535, 65_536, 840_000, 16_777_216] {
            assert_eq!(height(height_push(wanted).as_bytes()), Some(wanted));
        }
        assert_eq!(height(&[]), None);
        assert_eq!(height(&[3, 1, 1]), None);
    }
}
