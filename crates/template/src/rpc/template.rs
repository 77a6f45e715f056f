//! `getblocktemplate` (BIP 22, 23, 145) read into a [`work::Template`].

use bitcoin::hashes::Hash as _;
use serde::Deserialize;
use work::coinbase::{CoinbaseTemplate, Output};
use work::{
    CoinbaseConstraints, Template, TemplateError, TemplateParts, TemplateTransaction, merkle, sha256d,
};

use crate::witness::{COMMITMENT, RESERVED_VALUE};

/// Where a node names no limits: consensus.
const WEIGHT_LIMIT: u64 = 4_000_000;
const SIGOP_LIMIT: u64 = 80_000;

/// The node's answer, as far as it is needed.
#[derive(Debug, Deserialize)]
pub(super) struct BlockTemplate {
    version: i64,
    previousblockhash: String,
    transactions: Vec<Transaction>,
    coinbasevalue: u64,
    /// For the next long poll.
    pub(super) longpollid: Option<String>,
    curtime: u32,
    bits: String,
    height: u32,
    /// Rules that the chain follows by now; a `!` in front: they change the block or its coinbase.
    #[serde(default)]
    rules: Vec<String>,
    default_witness_commitment: Option<String>,
    weightlimit: Option<u64>,
    sigoplimit: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Transaction {
    data: String,
    txid: String,
    /// The wtxid.
    hash: String,
    #[serde(default)]
    fee: u64,
    #[serde(default)]
    sigops: u64,
    weight: Option<u64>,
}

/// Why a node's answer is no template.
#[derive(Debug, thiserror::Error)]
pub enum GbtError {
    /// A field is not what it is to be.
    #[error("getblocktemplate: {field} is {got:?}, expected {expected}")]
    Field {
        /// Which.
        field: &'static str,
        /// What came, its beginning.
        got: String,
        /// What should have.
        expected: &'static str,
    },
    /// It is no template.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

fn bad(field: &'static str, got: &str, expected: &'static str) -> GbtError {
    GbtError::Field { field, got: got.chars().take(80).collect(), expected }
}

impl BlockTemplate {
    /// Makes the template. Transactions that would leave the coinbase too little room are dropped, from the end, where
    /// nothing depends on them; their fees with them.
    pub(super) fn read(
        &self,
        template_id: u64,
        constraints: CoinbaseConstraints,
    ) -> Result<Template, GbtError> {
        let kept = self.kept(constraints);
        let dropped: u64 = self.transactions[kept..].iter().map(|transaction| transaction.fee).sum();
        let transactions: Vec<TemplateTransaction> =
            self.transactions[..kept].iter().map(Transaction::read).collect::<Result<_, _>>()?;
        // Core names a commitment also before SegWit is active; a block with a witness is refused then.
        let default = self.default_witness_commitment.as_ref().filter(|_| self.follows_segwit());
        let commitment = match default {
            None => None,
            Some(whole) if kept == self.transactions.len() => {
                Some(hex(whole).ok_or_else(|| bad("default_witness_commitment", whole, "hex"))?)
            }
            // Other transactions, another commitment.
            Some(_) => Some(witness_commitment(&transactions)),
        };
        let nbits =
            u32::from_str_radix(&self.bits, 16).map_err(|_| bad("bits", &self.bits, "8 hex digits"))?;
        let prev_hash: bitcoin::BlockHash = self
            .previousblockhash
            .parse()
            .map_err(|_| bad("previousblockhash", &self.previousblockhash, "64 hex digits"))?;
        // BIP 22's version is signed; SV2 carries the same 32 bits.
        let version =
            i32::try_from(self.version).map(i32::cast_unsigned).or_else(|_| u32::try_from(self.version));
        let version = version.map_err(|_| bad("version", &self.version.to_string(), "32 bits"))?;
        let witness_reserved_value = commitment.is_some().then_some(RESERVED_VALUE);
        let parts = TemplateParts {
            template_id,
            prev_hash: prev_hash.to_byte_array(),
            version,
            min_ntime: self.curtime,
            nbits,
            coinbase: CoinbaseTemplate {
                tx_version: 2,
                prefix: bitcoin::ScriptBuf::builder()
                    .push_int(i64::from(self.height))
                    .into_script()
                    .to_bytes()
                    .into(),
                // A lock time of the block before, and a sequence that makes it count, as Core builds its own: no two
                // coinbases are equal then.
                input_sequence: 0xffff_fffe,
                value_remaining: self.coinbasevalue.saturating_sub(dropped),
                outputs: commitment
                    .map(|script| Output { value: 0, script_pubkey: script.into() })
                    .into_iter()
                    .collect(),
                locktime: self.height.saturating_sub(1),
                witness_reserved_value,
            },
            merkle_path: None,
            transactions: Some(transactions.into()),
            constraints,
        };
        Ok(Template::new(parts)?)
    }

    /// SegWit is active. A node that names no rules at all is older than BIP 9, or newer than naming them: it names a
    /// commitment when there is one to make.
    fn follows_segwit(&self) -> bool {
        self.rules.is_empty() || self.rules.iter().any(|rule| rule.trim_start_matches('!') == "segwit")
    }

    /// How many transactions there is room for.
    fn kept(&self, constraints: CoinbaseConstraints) -> usize {
        let weight_limit = self.weightlimit.unwrap_or(WEIGHT_LIMIT);
        let sigop_limit = self.sigoplimit.unwrap_or(SIGOP_LIMIT);
        let mut weight = constraints.reserved_weight();
        let mut sigops = u64::from(constraints.additional_sigops);
        for (at, transaction) in self.transactions.iter().enumerate() {
            // Without the node's word: as if no byte were witness.
            let heavy = transaction.weight.unwrap_or(transaction.data.len() as u64 * 2);
            weight = weight.saturating_add(heavy);
            sigops = sigops.saturating_add(transaction.sigops);
            if weight > weight_limit || sigops > sigop_limit {
                return at;
            }
        }
        self.transactions.len()
    }
}

impl Transaction {
    fn read(&self) -> Result<TemplateTransaction, GbtError> {
        let hash = |field, text: &str| {
            let hash: Result<bitcoin::Txid, _> = text.parse();
            hash.map(|hash| hash.to_byte_array()).map_err(|_| bad(field, text, "64 hex digits"))
        };
        let bytes = hex(&self.data).ok_or_else(|| bad("transactions.data", &self.data, "hex"))?;
        Ok(TemplateTransaction {
            bytes: bytes.into(),
            txid: hash("transactions.txid", &self.txid)?,
            wtxid: hash("transactions.hash", &self.hash)?,
        })
    }
}

/// BIP 141: the script with the hash of the witness root (the coinbase counts as zero) and the reserved value.
fn witness_commitment(transactions: &[TemplateTransaction]) -> Vec<u8> {
    let wtxids: Vec<[u8; 32]> = transactions.iter().map(|transaction| transaction.wtxid).collect();
    let root = merkle::root([0; 32], &merkle::path(&wtxids));
    let commitment = sha256d::hash_pair(&root, &RESERVED_VALUE);
    [&COMMITMENT[..], &commitment].concat()
}

fn hex(text: &str) -> Option<Vec<u8>> {
    bitcoin::hex::FromHex::from_hex(text).ok()
}

#[cfg(test)]
mod tests {
    use bitcoin::{Block, consensus};

    use super::*;

    /// A template of `count` transactions, every other with a witness, as a node words it.
    fn answer(count: u64) -> (serde_json::Value, Vec<bitcoin::Transaction>) {
        let transaction = |number: u64| {
            let mut input = bitcoin::TxIn::default();
            input.previous_output.vout = 1;
            if number.is_multiple_of(2) {
                input.witness.push([7; 9]);
            }
            bitcoin::Transaction {
                version: bitcoin::transaction::Version::TWO,
                lock_time: bitcoin::absolute::LockTime::ZERO,
                input: vec![input],
                output: vec![bitcoin::TxOut {
                    value: bitcoin::Amount::from_sat(number),
                    script_pubkey: bitcoin::ScriptBuf::new(),
                }],
            }
        };
        let transactions: Vec<bitcoin::Transaction> = (1..=count).map(transaction).collect();
        let read: Vec<TemplateTransaction> = transactions
            .iter()
            .map(|transaction| TemplateTransaction {
                bytes: consensus::serialize(transaction).into(),
                txid: transaction.compute_txid().to_byte_array(),
                wtxid: transaction.compute_wtxid().to_byte_array(),
            })
            .collect();
        let commitment = bitcoin::hex::DisplayHex::to_lower_hex_string(&*witness_commitment(&read));
        let listed: Vec<serde_json::Value> = transactions
            .iter()
            .map(|transaction| {
                serde_json::json!({
                    "data": consensus::encode::serialize_hex(transaction),
                    "txid": transaction.compute_txid().to_string(),
                    "hash": transaction.compute_wtxid().to_string(),
                    "fee": 1_000, "sigops": 4, "weight": transaction.weight().to_wu(),
                })
            })
            .collect();
        let answer = serde_json::json!({
            "version": 0x2000_0000, "previousblockhash": "07".repeat(32), "transactions": listed,
            "coinbasevalue": 5_000_000_000_u64 + 1_000 * count, "longpollid": "x", "curtime": 1_700_000_000,
            "mintime": 1_600_000_000, "bits": "207fffff", "height": 200,
            "default_witness_commitment": commitment, "weightlimit": 4_000_000, "sigoplimit": 80_000,
        });
        (answer, transactions)
    }

    /// The block of a template, and whether it commits to its witnesses as a node checks it.
    fn block(template: &Template) -> Block {
        let payout = Output { value: template.coinbase.value_remaining, script_pubkey: vec![0x51].into() };
        let coinbase = template.coinbase(&[], 8, &[payout]).unwrap();
        let job = template.job(1, &coinbase).unwrap();
        let halves = [&*job.coinbase_tx_prefix, &[0; 8], &*job.coinbase_tx_suffix].concat();
        let header = work::Header {
            version: job.version,
            prev_hash: job.prev_hash,
            merkle_root: merkle::root(sha256d::hash(&halves), &job.merkle_path),
            ntime: job.min_ntime,
            nbits: job.nbits,
            nonce: 0,
        };
        consensus::deserialize(&template.block(&header, &coinbase, &[0; 8]).unwrap()).unwrap()
    }

    #[test]
    fn a_template_makes_blocks_that_commit_to_their_witnesses() {
        for count in [0, 1, 2, 7] {
            let (answer, transactions) = answer(count);
            let read: BlockTemplate = serde_json::from_value(answer).unwrap();
            let template = read.read(5, CoinbaseConstraints::default()).unwrap();
            let block = block(&template);
            assert!(block.check_merkle_root() && block.check_witness_commitment(), "{count}");
            assert_eq!(block.txdata[1..], transactions);
            assert_eq!(block.bip34_block_height(), Ok(200));
            assert_eq!(template.coinbase.value_remaining, 5_000_000_000 + 1_000 * count);
        }
    }

    #[test]
    fn a_coinbase_without_room_drops_transactions_from_the_end_and_commits_anew() {
        let (mut answer, transactions) = answer(20);
        let weights: Vec<u64> = transactions.iter().map(|transaction| transaction.weight().to_wu()).collect();
        let constraints = CoinbaseConstraints { additional_size: 10_000, additional_sigops: 0 };
        let twelve: u64 = weights[..12].iter().sum();
        answer["weightlimit"] = (constraints.reserved_weight() + twelve).into();
        let read: BlockTemplate = serde_json::from_value(answer.clone()).unwrap();
        let template = read.read(5, constraints).unwrap();
        let block = block(&template);
        assert!(block.check_merkle_root() && block.check_witness_commitment());
        assert_eq!(block.txdata[1..], transactions[..12]);
        assert_eq!(template.coinbase.value_remaining, 5_000_000_000 + 12_000);

        answer["sigoplimit"] = 20.into();
        let read: BlockTemplate = serde_json::from_value(answer).unwrap();
        let sigops = CoinbaseConstraints { additional_sigops: 9, ..constraints };
        assert_eq!(read.read(5, sigops).unwrap().transactions.unwrap().len(), 2);
    }

    #[test]
    fn heights_are_written_as_bip_34_wants_them() {
        let cases: [(u32, &[u8]); 14] = [
            (1, &[0x51]),
            (16, &[0x60]),
            (17, &[1, 17]),
            (127, &[1, 0x7f]),
            (128, &[2, 0x80, 0]),
            (255, &[2, 0xff, 0]),
            (256, &[2, 0, 1]),
            (32_767, &[2, 0xff, 0x7f]),
            (32_768, &[3, 0, 0x80, 0]),
            (65_536, &[3, 0, 0, 1]),
            (840_000, &[3, 0x40, 0xd1, 0x0c]),
            (8_388_607, &[3, 0xff, 0xff, 0x7f]),
            (8_388_608, &[4, 0, 0, 0x80, 0]),
            (500_000_000, &[4, 0, 0x65, 0xcd, 0x1d]),
        ];
        for (height, wanted) in cases {
            let (mut answer, _) = answer(0);
            answer["height"] = height.into();
            let read: BlockTemplate = serde_json::from_value(answer).unwrap();
            let template = read.read(5, CoinbaseConstraints::default()).unwrap();
            assert_eq!(*template.coinbase.prefix, *wanted, "{height}");
            let told = block(&template).bip34_block_height();
            // The `bitcoin` crate reads pushes only.
            assert!(height <= 16 || told == Ok(u64::from(height)), "{told:?}");
        }
    }

    #[test]
    fn before_segwit_is_active_a_block_has_neither_commitment_nor_witness() {
        let (mut answer, _) = answer(0);
        for (rules, active) in [
            (serde_json::json!(["csv"]), false),
            (serde_json::json!(["csv", "!segwit", "taproot"]), true),
            (serde_json::json!(["segwit"]), true),
        ] {
            answer["rules"] = rules;
            let read: BlockTemplate = serde_json::from_value(answer.clone()).unwrap();
            let block = block(&read.read(5, CoinbaseConstraints::default()).unwrap());
            let coinbase = &block.txdata[0];
            assert_eq!(
                (coinbase.output.len(), coinbase.input[0].witness.len()),
                if active { (2, 1) } else { (1, 0) }
            );
        }
    }

    #[test]
    fn what_is_no_template_is_named() {
        let (good, _) = answer(1);
        for (field, value) in [
            ("bits", serde_json::json!("xyz")),
            ("previousblockhash", serde_json::json!("07")),
            ("version", serde_json::json!(1_u64 << 33)),
        ] {
            let mut answer = good.clone();
            answer[field] = value;
            let read: BlockTemplate = serde_json::from_value(answer).unwrap();
            let error = read.read(1, CoinbaseConstraints::default()).unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        }
    }
}
