//! Dummy transactions: they fill templates so that merkle paths are not empty. They spend nothing real.

use std::sync::Arc;

use bitcoin::absolute::LockTime;
use bitcoin::hashes::{Hash, HashEngine};
use bitcoin::script::PushBytes;
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, BlockHash, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness, opcodes,
};

use super::DevChainOptions;

/// What the coins that dummy transactions spend are supposed to hold where fees are paid, satoshi.
pub const DUMMY_COIN: u64 = 100_000;

/// What a dummy transaction pays out where no fees are paid, satoshi.
const DUMMY_OUTPUT: u64 = 1_000;

/// What a transaction pays if each of its inputs holds [`DUMMY_COIN`], satoshi.
pub(super) fn fee(transaction: &Transaction) -> u64 {
    let held = DUMMY_COIN.saturating_mul(transaction.input.len() as u64);
    let paid = transaction.output.iter().fold(0_u64, |sum, output| sum.saturating_add(output.value.to_sat()));
    held.saturating_sub(paid)
}

/// The coinbase of the genesis block.
pub(super) fn genesis_coinbase(seed: u64) -> Transaction {
    let script_sig = ScriptBuf::builder()
        .push_int(0)
        .push_slice(seed.to_le_bytes())
        .push_slice::<&PushBytes>(b"adit dev chain".into())
        .into_script();
    Transaction {
        version: Version::ONE,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig,
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: vec![TxOut { value: Amount::ZERO, script_pubkey: anyone_can_spend() }],
    }
}

/// An output script that needs no key: dev coins are worth nothing.
pub(super) fn anyone_can_spend() -> ScriptBuf {
    ScriptBuf::builder().push_opcode(opcodes::OP_TRUE).into_script()
}

/// A mempool of dummies: a full set for each tip, of which one transaction changes with each template.
#[derive(Debug)]
pub(super) struct DummyPool {
    seed: u64,
    size: usize,
    /// Whether the transactions carry witnesses.
    witnesses: bool,
    /// Further bytes of those.
    padding: usize,
    /// Whether they pay fees.
    fees: bool,
    /// Transactions made so far: no two are alike.
    made: u64,
    tip: Option<BlockHash>,
    current: Arc<[Transaction]>,
    /// Position that the next template replaces.
    next: usize,
}

impl DummyPool {
    pub(super) fn new(options: &DevChainOptions) -> DummyPool {
        DummyPool {
            seed: options.seed,
            size: options.dummy_transactions,
            witnesses: options.witness_commitment,
            padding: options.witness_padding,
            fees: options.fees,
            made: 0,
            tip: None,
            current: Arc::new([]),
            next: 0,
        }
    }

    /// What a set weighs, weight units.
    pub(super) fn weight(&self) -> u64 {
        let one = self.transaction(0).weight().to_wu();
        one.saturating_mul(self.size as u64)
    }

    /// The transactions of the next template on `tip`, without the coinbase.
    pub(super) fn next_set(&mut self, tip: BlockHash) -> Arc<[Transaction]> {
        if self.tip != Some(tip) {
            self.tip = Some(tip);
            self.next = 0;
            self.current = (0..self.size).map(|_| self.make()).collect();
        } else if self.size > 0 {
            let fresh = self.make();
            let mut set = self.current.to_vec();
            set[self.next % self.size] = fresh;
            self.next = (self.next + 1) % self.size;
            self.current = set.into();
        }
        Arc::clone(&self.current)
    }

    fn make(&mut self) -> Transaction {
        self.made += 1;
        self.transaction(self.made)
    }

    fn transaction(&self, number: u64) -> Transaction {
        let mut engine = Txid::engine();
        engine.input(&self.seed.to_le_bytes());
        engine.input(&number.to_le_bytes());
        let mut witness = Witness::new();
        if self.witnesses {
            witness.push([1]);
            if self.padding > 0 {
                witness.push(vec![0x5a; self.padding]);
            }
        }
        // Each pays one satoshi more than the last, up to all that it has.
        let value =
            if self.fees { DUMMY_COIN.saturating_sub(500).saturating_sub(number) } else { DUMMY_OUTPUT };
        Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn {
                previous_output: OutPoint { txid: Txid::from_engine(engine), vout: 0 },
                script_sig: ScriptBuf::new(),
                sequence: Sequence::MAX,
                witness,
            }],
            output: vec![TxOut { value: Amount::from_sat(value), script_pubkey: anyone_can_spend() }],
        }
    }
}
