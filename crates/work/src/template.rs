//! A block to be mined, less its coinbase: what every template provider gives, whatever it speaks.

use std::sync::Arc;

use thiserror::Error;

use crate::coinbase::{BuildError, Coinbase, CoinbaseTemplate, Output};
use crate::constraints::CoinbaseConstraints;
use crate::header::Header;
use crate::job::{Job, JobError, JobParts, MAX_MERKLE_PATH};
use crate::merkle;
use crate::target::{CompactError, Target};

/// The most that a block may weigh, by consensus.
pub const MAX_BLOCK_WEIGHT: u64 = 4_000_000;

/// A transaction of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateTransaction {
    /// As it stands in the block, witness included.
    pub bytes: Arc<[u8]>,
    /// Double SHA-256 without the witness, internal order.
    pub txid: [u8; 32],
    /// Double SHA-256 with the witness, internal order.
    pub wtxid: [u8; 32],
}

/// A template on its tip.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Template {
    /// The provider's number for it.
    pub template_id: u64,
    /// The tip that it builds on, internal order.
    pub prev_hash: [u8; 32],
    /// The header's version, before rolling.
    pub version: u32,
    /// The smallest time that a header may have, Unix seconds. The same for all templates of one tip.
    pub min_ntime: u32,
    /// The network's target in compact form.
    pub nbits: u32,
    /// The network's target.
    pub network_target: Target,
    /// What it says of the coinbase.
    pub coinbase: CoinbaseTemplate,
    /// The coinbase's merkle path, deepest first, internal order.
    pub merkle_path: Box<[[u8; 32]]>,
    /// The block's other transactions in their order, where the provider gave them.
    pub transactions: Option<Arc<[TemplateTransaction]>>,
    /// What it leaves room for: a coinbase with larger outputs may make the block too heavy.
    pub constraints: CoinbaseConstraints,
}

/// What a [`Template`] is made from.
#[derive(Clone, Debug)]
pub struct TemplateParts {
    /// The provider's number for it.
    pub template_id: u64,
    /// The tip that it builds on, internal order.
    pub prev_hash: [u8; 32],
    /// The header's version.
    pub version: u32,
    /// The smallest time that a header may have, Unix seconds.
    pub min_ntime: u32,
    /// The network's target in compact form.
    pub nbits: u32,
    /// What it says of the coinbase.
    pub coinbase: CoinbaseTemplate,
    /// The coinbase's merkle path, if the provider computes it; it must agree with the transactions where both are
    /// there.
    pub merkle_path: Option<Box<[[u8; 32]]>>,
    /// The block's other transactions in their order, where the provider gives them.
    pub transactions: Option<Arc<[TemplateTransaction]>>,
    /// What it leaves room for.
    pub constraints: CoinbaseConstraints,
}

impl Template {
    /// Checks and makes a template.
    ///
    /// # Errors
    /// `nbits` is no target; neither path nor transactions are there, or they disagree; the transactions weigh more than
    /// a block may.
    pub fn new(parts: TemplateParts) -> Result<Self, TemplateError> {
        let network_target = Target::from_compact(parts.nbits)?;
        let computed = parts.transactions.as_ref().map(|transactions| {
            let txids: Vec<[u8; 32]> = transactions.iter().map(|transaction| transaction.txid).collect();
            merkle::path(&txids)
        });
        let merkle_path = match (parts.merkle_path, computed) {
            (None, None) => return Err(TemplateError::Nothing),
            (Some(given), Some(computed)) if *given != *computed => return Err(TemplateError::MerklePath),
            (Some(given), _) => given,
            (None, Some(computed)) => computed.into(),
        };
        if merkle_path.len() > MAX_MERKLE_PATH {
            return Err(JobError::MerklePathTooLong { got: merkle_path.len() }.into());
        }
        if let Some(transactions) = &parts.transactions {
            // A transaction weighs at least its bytes.
            let bytes =
                transactions.iter().fold(0_u64, |sum, transaction| sum + transaction.bytes.len() as u64);
            if bytes > MAX_BLOCK_WEIGHT {
                return Err(TemplateError::TooHeavy { bytes });
            }
        }
        Ok(Self {
            template_id: parts.template_id,
            prev_hash: parts.prev_hash,
            version: parts.version,
            min_ntime: parts.min_ntime,
            nbits: parts.nbits,
            network_target,
            coinbase: parts.coinbase,
            merkle_path,
            transactions: parts.transactions,
            constraints: parts.constraints,
        })
    }

    /// The coinbase with `outputs` before the template's own, `tag` after the height, and an extranonce of
    /// `extranonce_len` bytes.
    ///
    /// # Errors
    /// As [`Coinbase::new`].
    pub fn coinbase(
        &self,
        tag: &[u8],
        extranonce_len: u8,
        outputs: &[Output],
    ) -> Result<Coinbase, BuildError> {
        Coinbase::new(&self.coinbase, tag, extranonce_len, outputs)
    }

    /// The job of this template with this coinbase, under the number `id`.
    ///
    /// # Errors
    /// As [`Job::new`].
    pub fn job(&self, id: u32, coinbase: &Coinbase) -> Result<Job, JobError> {
        let parts = JobParts {
            id,
            version: self.version,
            version_rolling_allowed: true,
            prev_hash: self.prev_hash,
            nbits: self.nbits,
            min_ntime: self.min_ntime,
            merkle_path: self.merkle_path.clone(),
            coinbase_tx_prefix: coinbase.prefix().into(),
            coinbase_tx_suffix: coinbase.suffix().into(),
        };
        Job::new(parts, usize::from(coinbase.extranonce_len()))
    }

    /// The whole block of a solution: header, this coinbase with this extranonce, and the transactions.
    ///
    /// # Errors
    /// The provider gave no transactions, the extranonce has another length, or the header's merkle root is not that of
    /// this coinbase: the solution belongs to another job.
    pub fn block(
        &self,
        header: &Header,
        coinbase: &Coinbase,
        extranonce: &[u8],
    ) -> Result<Vec<u8>, BlockError> {
        if self.transactions.is_none() {
            return Err(BlockError::NoTransactions);
        }
        let first = coinbase
            .transaction(extranonce)
            .ok_or(BlockError::Extranonce { got: extranonce.len(), expected: coinbase.extranonce_len() })?;
        let stripped = [&*coinbase.prefix(), extranonce, &*coinbase.suffix()].concat();
        let root = merkle::root(crate::sha256d::hash(&stripped), &self.merkle_path);
        if root != header.merkle_root || header.prev_hash != self.prev_hash {
            return Err(BlockError::AnotherJob);
        }
        self.block_with(header, &first).ok_or(BlockError::NoTransactions)
    }

    /// The whole block with this header and coinbase, whatever they are; `None` without transactions. The coinbase is
    /// whole, with its witness.
    #[must_use]
    pub fn block_with(&self, header: &Header, coinbase: &[u8]) -> Option<Vec<u8>> {
        self.transactions.as_ref().map(|transactions| whole_block(header, coinbase, transactions))
    }
}

/// A block as it goes over the network: its header, its coinbase with the witness, its other transactions in their order.
#[must_use]
pub fn whole_block(header: &Header, coinbase: &[u8], transactions: &[TemplateTransaction]) -> Vec<u8> {
    let size =
        transactions.iter().fold(coinbase.len() + 89, |sum, transaction| sum + transaction.bytes.len());
    let mut block = Vec::with_capacity(size);
    block.extend_from_slice(&header.to_bytes());
    crate::coinbase::write_compact_size(transactions.len() + 1, &mut block);
    block.extend_from_slice(coinbase);
    transactions.iter().for_each(|transaction| block.extend_from_slice(&transaction.bytes));
    block
}

/// Why a provider's template cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// `nbits` is no target.
    #[error(transparent)]
    Nbits(#[from] CompactError),
    /// No merkle path and no transactions.
    #[error("the template has neither a merkle path nor transactions")]
    Nothing,
    /// The path is not that of the transactions.
    #[error(
        "the template's merkle path is not that of its transactions: the provider speaks another version"
    )]
    MerklePath,
    /// No block can hold it.
    #[error(
        "the template's transactions have {bytes} bytes: no block may weigh more than {MAX_BLOCK_WEIGHT}"
    )]
    TooHeavy {
        /// Their bytes.
        bytes: u64,
    },
    /// It cannot be a job.
    #[error(transparent)]
    Job(#[from] JobError),
}

/// Why a solution does not make a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BlockError {
    /// The provider has them.
    #[error("the template came without its transactions")]
    NoTransactions,
    /// Another length.
    #[error("the extranonce has {got} bytes, the coinbase was built for {expected}")]
    Extranonce {
        /// What came.
        got: usize,
        /// What was built for.
        expected: u8,
    },
    /// Merkle root or tip differ.
    #[error("the header's merkle root or prev_hash is not that of this template and coinbase")]
    AnotherJob,
}

#[cfg(test)]
mod tests {
    use bitcoin::hashes::Hash as _;
    use bitcoin::{Block, Transaction, consensus};
    use proptest::prelude::*;

    use super::*;

    /// A transaction that spends nothing anybody has; with a witness or without.
    fn transaction(number: u64, witness: bool) -> TemplateTransaction {
        let mut transaction = Transaction {
            version: bitcoin::transaction::Version::TWO,
            lock_time: bitcoin::absolute::LockTime::ZERO,
            input: vec![bitcoin::TxIn::default()],
            output: vec![bitcoin::TxOut {
                value: bitcoin::Amount::from_sat(number),
                script_pubkey: bitcoin::ScriptBuf::new(),
            }],
        };
        if witness {
            transaction.input[0].witness.push([7; 3]);
        }
        TemplateTransaction {
            bytes: consensus::serialize(&transaction).into(),
            txid: transaction.compute_txid().to_byte_array(),
            wtxid: transaction.compute_wtxid().to_byte_array(),
        }
    }

    fn parts(transactions: Vec<TemplateTransaction>) -> TemplateParts {
        TemplateParts {
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
                outputs: vec![Output { value: 0, script_pubkey: vec![0x6a; 38].into() }],
                locktime: 0,
                witness_reserved_value: Some([0; 32]),
            },
            merkle_path: None,
            transactions: Some(transactions.into()),
            constraints: CoinbaseConstraints::default(),
        }
    }

    proptest! {
        #[test]
        fn a_solution_is_the_block_that_the_bitcoin_crate_reads(
            witnesses in proptest::collection::vec(any::<bool>(), 0..300),
            extranonce: [u8; 12],
            nonce: u32,
        ) {
            let transactions: Vec<_> = (0..).zip(&witnesses).map(|(n, witness)| transaction(n, *witness)).collect();
            let template = Template::new(parts(transactions.clone())).unwrap();
            let payout = Output { value: 50, script_pubkey: vec![0x51].into() };
            let coinbase = template.coinbase(b"\x04Adit", 12, &[payout]).unwrap();
            let job = template.job(3, &coinbase).unwrap();

            // The header as a miner of the job makes it.
            let halves = [&*job.coinbase_tx_prefix, &extranonce, &*job.coinbase_tx_suffix].concat();
            let merkle_root = merkle::root(crate::sha256d::hash(&halves), &job.merkle_path);
            let header = Header {
                version: job.version,
                prev_hash: job.prev_hash,
                merkle_root,
                ntime: job.min_ntime,
                nbits: job.nbits,
                nonce,
            };
            let bytes = template.block(&header, &coinbase, &extranonce).unwrap();
            let block: Block = consensus::deserialize(&bytes).unwrap();
            prop_assert!(block.check_merkle_root());
            prop_assert_eq!(block.txdata.len(), transactions.len() + 1);
            prop_assert_eq!(block.block_hash().to_byte_array(), header.hash().to_bytes());
            prop_assert_eq!(consensus::serialize(&block.txdata[0]), coinbase.transaction(&extranonce).unwrap());

            let mut other = extranonce;
            other[0] ^= 1;
            prop_assert_eq!(template.block(&header, &coinbase, &other), Err(BlockError::AnotherJob));
        }
    }

    #[test]
    fn a_path_that_is_not_that_of_the_transactions_is_refused() {
        let good = parts(vec![transaction(1, true), transaction(2, false)]);
        let path = Template::new(good.clone()).unwrap().merkle_path;
        assert!(Template::new(TemplateParts { merkle_path: Some(path.clone()), ..good.clone() }).is_ok());
        let mut wrong = path;
        wrong[0][0] ^= 1;
        let wrong = Template::new(TemplateParts { merkle_path: Some(wrong), ..good.clone() });
        assert_eq!(wrong.unwrap_err(), TemplateError::MerklePath);
        let nothing = Template::new(TemplateParts { transactions: None, ..good });
        assert_eq!(nothing.unwrap_err(), TemplateError::Nothing);
    }

    #[test]
    fn without_transactions_there_is_a_job_but_no_block() {
        let template =
            TemplateParts { merkle_path: Some(Box::default()), transactions: None, ..parts(Vec::new()) };
        let template = Template::new(template).unwrap();
        let payout = Output { value: 1, script_pubkey: vec![0x51].into() };
        let coinbase = template.coinbase(&[], 8, &[payout]).unwrap();
        let header = Header::from_bytes(&[0; 80]);
        assert!(template.job(1, &coinbase).is_ok());
        assert_eq!(template.block(&header, &coinbase, &[0; 8]), Err(BlockError::NoTransactions));
    }
}
