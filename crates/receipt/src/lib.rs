//! Receipts: delivered hashrate that a stranger can verify, offline, with one file.
//!
//! A receipt holds, for one lease, route or worker and one period, all shares that are worth the *receipt difficulty*, with
//! everything that it takes to hash them again; a claim that follows from their number; and signatures. The format is
//! specified in `docs/receipts.md`. This crate does no IO of its own, reads no clock and draws no randomness: readers,
//! writers, times and keys are arguments.
//!
//! # Making one
//! 1. [`Terms`], checked and signed by one or both sides: [`SignedTerms::sign`]. A signature bears a time, which is its signer's
//!    word; that terms stood *before* the period is proven to the receiver, who signed them, and to nobody against both.
//! 2. [`Header::new`] computes the receipt difficulty from the terms and from the highest difficulty that held for an included
//!    miner, assigned or kept from ([`sampling`]).
//! 3. A [`Writer`] takes shares with their jobs in the order of time, leaves out those that are easier and those that it has,
//!    and writes each job once. [`Writer::root`] is what others may counter-sign meanwhile; their
//!    [`CounterSignature`]s are put in when as many shares were given ([`Writer::counter_signature`]). Between the two sides go
//!    a [`SignedRoot`] and, back, a [`CounterSignedRoot`].
//! 4. [`Writer::finish`] signs the claim.
//!
//! # Verifying one
//! [`verify_file`] reads a receipt, or several that a [`Merger`] put into one file, and says in a [`Report`] what was found, what
//! is proven and what is not. A [`HeaderSource`] tells it of blocks: [`Headers`] of a file, or a node behind the same trait.

mod agreement;
mod chain;
mod claim;
mod coding;
mod counter;
#[cfg(test)]
mod fixture;
mod gamma;
mod header;
mod interval;
mod job;
mod key;
mod merge;
mod read;
pub mod records;
mod running;
pub mod sampling;
pub mod tagged;
mod terms;
#[cfg(test)]
mod tests;
mod times;
mod tree;
mod verify;
mod window;
mod write;

pub use agreement::{Agreement, AgreementError, MAX_SIGNATURES, MAX_TERMS, SignedTerms, TERMS_MAGIC};
pub use chain::{Block, HeaderSource, HeaderSourceError, Headers, HeadersError, NextBlock};
pub use claim::{Claim, Figures};
pub use counter::CounterSignature;
pub use header::Header;
pub use interval::{Interval, weighted};
pub use job::{Job, MAX_COINBASE_PART, MAX_EXTRANONCE, MAX_MERKLE_PATH, Share};
pub use key::{KeyError, PublicKey, SecretKey, Signature};
pub use merge::{
    MAX_MERGED_SHARES, MAX_PART, MAX_PARTS, MergeError, MergedReport, Merger, Sum, Verified, verify_file,
};
pub use read::{Part, ReadError, Reader};
pub use running::{COUNTER_MAGIC, CounterSignedRoot, MAX_ROOT_FILE, ROOT_MAGIC, RootError, SignedRoot};
pub use terms::{
    Basis, Ending, MAX_HASHRATE_LOG2, MAX_NAME, MAX_NOTE, MAX_POOL_TAG, MAX_SCRIPT, MAX_SCRIPTS, MAX_TIME,
    MAX_WORK_LOG2, Network, Payout, Subject, TAG_LENGTHS, Terms, TermsError, WHOLE,
};
pub use times::{NTIME_TOLERANCE, TimeError};
pub use tree::RunningRoot;
pub use verify::{
    CHAIN_TOLERANCE, COUNTER_TOLERANCE, Claimed, CounterShown, Finding, FindingKind, NotProven, Outcome,
    PayoutShown, Proven, Report, Severity, Statement, TermsShown, in_words, utc, verify,
};
pub use window::KnownJob;
pub use write::{WriteError, Writer, Written};
