//! The pool's Job Declarator Server (specification, chapter 6): tokens, declarations, missing transactions, solutions.
//!
//! It judges as the reference's does and with its codes, in both modes: a full-template connection reveals its
//! transactions, a coinbase-only one takes tokens and nothing else. Coinbases and blocks are read with the `bitcoin` crate
//! alone: a second pair of eyes for what the proxy declares.
//!
//! What it does not check is whether transactions spend something: the dev chain's are made up, and a pool that follows a
//! node leaves it to that node.

mod coinbase;
mod connection;
mod counters;
mod custom;
mod declared;
mod faults;
mod known;
mod link;
mod missing;
mod options;
mod solution;
mod tokens;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bitcoin::{Amount, ScriptBuf, Transaction, TxOut, Wtxid};
use tracing::warn;

pub(super) use connection::Declarator;
pub use counters::JdsStats;
pub(super) use custom::{CustomTerms, judge as judge_custom_job};
pub(super) use declared::{DeclaredJob, Solved};
pub use faults::{AskFor, JdsFaults};
pub(super) use link::accept;
pub use options::{JdsMode, JdsOptions};
pub(super) use tokens::TokenUse;

use counters::Counters;
use known::Known;
use tokens::Tokens;

/// What all of the server's connections use, and the pool's mining connections beside them.
#[derive(Debug)]
pub(super) struct Jds {
    pub(super) options: JdsOptions,
    pub(super) counters: Counters,
    faults: Mutex<JdsFaults>,
    /// What coinbases must contain under tokens to come, the pool's payout first.
    outputs: Mutex<Arc<[TxOut]>>,
    tokens: Mutex<Tokens>,
    known: Mutex<Known>,
}

impl Jds {
    pub(super) fn new(options: JdsOptions) -> Jds {
        Jds {
            faults: Mutex::new(options.faults.clone()),
            outputs: Mutex::new(outputs_of(&options.outputs)),
            tokens: Mutex::default(),
            known: Mutex::default(),
            counters: Counters::default(),
            options,
        }
    }

    pub(super) fn faults(&self) -> JdsFaults {
        lock(&self.faults).clone()
    }

    pub(super) fn set_faults(&self, faults: JdsFaults) {
        *lock(&self.faults) = faults;
    }

    pub(super) fn set_outputs(&self, scripts: &[Vec<u8>]) {
        *lock(&self.outputs) = outputs_of(scripts);
    }

    fn outputs(&self) -> Arc<[TxOut]> {
        Arc::clone(&lock(&self.outputs))
    }

    pub(super) fn tokens(&self) -> MutexGuard<'_, Tokens> {
        lock(&self.tokens)
    }

    /// Transactions that the pool's node has, as far as the pool heard of them.
    pub(super) fn learn<'a>(&self, transactions: impl IntoIterator<Item = &'a Transaction>) {
        let mut known = lock(&self.known);
        transactions.into_iter().for_each(|transaction| known.insert(Arc::new(transaction.clone())));
    }

    /// As [`learn`](Self::learn), by id and bytes as a provider tells them. Most of a template's stood in the one before.
    pub(super) fn learn_bytes<'a>(&self, transactions: impl IntoIterator<Item = (Wtxid, &'a [u8])>) {
        let mut known = lock(&self.known);
        for (wtxid, bytes) in transactions {
            if known.get(&wtxid).is_some() {
                continue;
            }
            match bitcoin::consensus::deserialize(bytes) {
                Ok(transaction) => known.insert(Arc::new(transaction)),
                Err(error) => warn!(%error, "a transaction of the node cannot be read"),
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        lock(&self.known)
    }
}

/// What is behind these locks is whole between any two calls.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Outputs of no value, as `AllocateMiningJobToken.Success` carries them.
fn outputs_of(scripts: &[Vec<u8>]) -> Arc<[TxOut]> {
    let output = |script: &Vec<u8>| TxOut {
        value: Amount::ZERO,
        script_pubkey: ScriptBuf::from_bytes(script.clone()),
    };
    scripts.iter().map(output).collect()
}

/// Why a declaration is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Refused {
    code: &'static str,
    details: String,
}

impl Refused {
    fn new(code: &'static str, details: impl Into<String>) -> Refused {
        Refused { code, details: details.into() }
    }
}
