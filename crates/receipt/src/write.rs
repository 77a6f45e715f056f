//! Writes a receipt, share by share.

use std::collections::BTreeSet;
use std::io::{self, Write};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use thiserror::Error;
use work::Target;

use crate::agreement::SignedTerms;
use crate::claim::{Claim, Figures};
use crate::coding::Encoder;
use crate::counter::CounterSignature;
use crate::header::Header;
use crate::job::{Job, MAX_EXTRANONCE, Share};
use crate::key::{PublicKey, SecretKey, Signature};
use crate::records::{MAGIC, MAX_COUNTER_SIGNATURES, MAX_HASHED, MAX_JOBS, MAX_SHARES, MAX_UNPACKED, kind};
use crate::sampling;
use crate::terms::{Terms, TermsError};
use crate::times;
use crate::tree::RunningRoot;
use crate::verify::COUNTER_TOLERANCE;
use crate::window::JobWindow;

/// What became of a share that was given to a [`Writer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It stands in the receipt.
    Taken,
    /// It is easier than the receipt difficulty: it belongs to no receipt.
    Below,
    /// It stands there already.
    Again,
}

/// Writes a receipt. Memory: the newest jobs, and sixteen bytes a share.
#[derive(Debug)]
pub struct Writer<W: Write> {
    out: ZlibEncoder<W>,
    terms: Terms,
    header: Header,
    target: Target,
    jobs: JobWindow,
    seen: BTreeSet<[u8; 16]>,
    root: RunningRoot,
    last: u64,
    counter_signatures: u64,
    written: u64,
    whole_jobs: u64,
    hashed: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a receipt. The header is [`Header::new`]'s.
    ///
    /// # Errors
    /// Terms that are none, a header that does not follow from them, or an error of `out`.
    pub fn new(mut out: W, terms: &SignedTerms, header: Header) -> Result<Self, WriteError> {
        terms.terms.check()?;
        let (from, to) = (header.from, header.to);
        if from >= to || from < terms.terms.from || to > terms.terms.to {
            return Err(WriteError::Period {
                from,
                to,
                terms_from: terms.terms.from,
                terms_to: terms.terms.to,
            });
        }
        let right = sampling::exponent_with(&terms.terms, header.highest);
        if header.exponent != right {
            return Err(WriteError::Exponent { got: header.exponent, right });
        }
        out.write_all(&MAGIC)?;
        let mut writer = Self {
            out: ZlibEncoder::new(out, Compression::best()),
            terms: terms.terms.clone(),
            header,
            target: sampling::target(header.exponent),
            jobs: JobWindow::default(),
            seen: BTreeSet::new(),
            root: RunningRoot::default(),
            last: header.from,
            counter_signatures: 0,
            written: 0,
            whole_jobs: 0,
            hashed: 0,
        };
        writer.record(kind::TERMS, &terms.encode())?;
        writer.record(kind::HEADER, &header.encode())?;
        Ok(writer)
    }

    /// Takes a share with its job, in the order of [`Share::at`]. Any share may be given: those that are easier than the
    /// receipt difficulty, and those that it has, it leaves out. `job` need not be one that was given before; it is written once.
    ///
    /// # Errors
    /// The share cannot stand in this receipt: its time, or something that is over a limit. Nothing was written.
    pub fn share(&mut self, job: &Job, share: &Share) -> Result<Written, WriteError> {
        if !job.is_writable() || share.extranonce.len() > MAX_EXTRANONCE {
            return Err(WriteError::TooLarge);
        }
        let hash = share.block_hash(job);
        if !hash.meets(&self.target) {
            return Ok(Written::Below);
        }
        let key = short(hash.to_bytes());
        if self.seen.contains(&key) {
            return Ok(Written::Again);
        }
        if share.at < self.last {
            return Err(WriteError::Order { at: share.at, last: self.last });
        }
        times::check(share, job, &self.header)?;
        let hashed = (job.coinbase_prefix.len() + job.coinbase_suffix.len()) as u64;
        if self.root.leaves() >= MAX_SHARES || self.hashed + hashed > MAX_HASHED {
            return Err(WriteError::Full { shares: self.root.leaves() });
        }
        let job_hash = job.hash();
        let back = match self.jobs.find(&job_hash) {
            Some(back) => back,
            None => {
                self.job(job, job_hash)?;
                0
            }
        };
        self.record(kind::SHARE, &share.encode(back, self.last))?;
        self.hashed += hashed;
        self.seen.insert(key);
        self.root.push(share.leaf(&job_hash));
        self.last = share.at;
        Ok(Written::Taken)
    }

    fn job(&mut self, job: &Job, hash: [u8; 32]) -> Result<(), WriteError> {
        self.whole_jobs += job.len() as u64;
        if self.whole_jobs > MAX_JOBS {
            return Err(WriteError::Full { shares: self.root.leaves() });
        }
        let record = match self.jobs.newest() {
            Some(before) => job.encode(&before.job),
            None => job.encode(&Job::default()),
        };
        self.record(kind::JOB, &record)?;
        self.jobs.push(job.clone(), hash);
        Ok(())
    }

    /// The running root so far: what is to be counter-signed, with [`terms_hash`](Self::terms_hash).
    #[must_use]
    pub fn root(&self) -> (u64, [u8; 32]) {
        (self.root.leaves(), self.root.root())
    }

    /// What the terms are known by.
    #[must_use]
    pub fn terms_hash(&self) -> [u8; 32] {
        self.terms.hash()
    }

    /// Puts a counter-signature at its place: when as many shares were taken as it says.
    ///
    /// # Errors
    /// It is for other shares, does not hold, or has a time before theirs. Nothing was written.
    pub fn counter_signature(&mut self, signature: &CounterSignature) -> Result<(), WriteError> {
        if (signature.shares, signature.root) != self.root() {
            return Err(WriteError::CounterShares { got: signature.shares, here: self.root.leaves() });
        }
        if !signature.holds(self.terms.hash()) {
            return Err(WriteError::CounterSignature { key: signature.key });
        }
        if self.last > signature.at.saturating_add(COUNTER_TOLERANCE) {
            return Err(WriteError::CounterTime { at: signature.at, last: self.last });
        }
        if self.counter_signatures >= MAX_COUNTER_SIGNATURES {
            return Err(WriteError::Full { shares: self.root.leaves() });
        }
        self.counter_signatures += 1;
        self.record(kind::COUNTER, &signature.encode())
    }

    /// Signs the claim and ends the receipt. `at` is the time, Unix seconds.
    ///
    /// # Errors
    /// The key is not the issuer's, or an error of `out`.
    pub fn finish(mut self, at: u64, key: &SecretKey) -> Result<(W, Claim), WriteError> {
        if key.public() != self.terms.issuer {
            return Err(WriteError::Issuer { key: key.public(), issuer: self.terms.issuer });
        }
        let (shares, root) = self.root();
        let Figures { hashes, low, high, hashrate, .. } = Figures::of(shares, &self.terms, &self.header);
        let mut claim =
            Claim { root, at, shares, hashes, low, high, hashrate, signature: Signature([0; 64]) };
        claim.signature = key.sign(claim.message(self.terms.hash(), self.header.hash()));
        self.record(kind::CLAIM, &claim.encode())?;
        Ok((self.out.finish()?, claim))
    }

    fn record(&mut self, kind: u8, body: &[u8]) -> Result<(), WriteError> {
        let mut head = Encoder::default();
        head.byte(kind);
        head.number(body.len() as u64);
        // Something is left for the claim.
        self.written += (head.bytes.len() + body.len()) as u64;
        if kind != kind::CLAIM && self.written > MAX_UNPACKED - 1_024 {
            return Err(WriteError::Full { shares: self.root.leaves() });
        }
        self.out.write_all(&head.bytes)?;
        self.out.write_all(body)?;
        Ok(())
    }
}

/// The half of a hash that proof of work leaves as it comes.
pub(crate) fn short(hash: [u8; 32]) -> [u8; 16] {
    let (half, _) = hash.split_first_chunk().expect("32 bytes begin with 16");
    *half
}

/// Why something cannot stand in a receipt.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The terms are none.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// The period is not within that of the terms.
    #[error(
        "the receipt would be from {from} to {to}: it must lie within the terms' period, {terms_from} to {terms_to}"
    )]
    Period {
        /// The receipt's beginning.
        from: u64,
        /// Its end.
        to: u64,
        /// The terms' beginning.
        terms_from: u64,
        /// Their end.
        terms_to: u64,
    },
    /// The receipt difficulty does not follow from the terms.
    #[error("the receipt difficulty would be 2^{got}; from the terms and the miners follows 2^{right}")]
    Exponent {
        /// What was given.
        got: i8,
        /// What follows.
        right: i8,
    },
    /// A share that came before the one before it.
    #[error("a share of {at} comes after one of {last}: give them in the order of their time")]
    Order {
        /// When it came.
        at: u64,
        /// The newest so far.
        last: u64,
    },
    /// A share from another time.
    #[error(transparent)]
    Time(#[from] times::TimeError),
    /// A coinbase, a path or an extranonce over its limit.
    #[error(
        "a coinbase half is over 65,535 bytes, a merkle path over 32 nodes, or an extranonce over 32 bytes: no job has such"
    )]
    TooLarge,
    /// No more fits.
    #[error(
        "the receipt is full with {shares} shares: choose a shorter period, or a hashrate nearer to the true one"
    )]
    Full {
        /// How many it has.
        shares: u64,
    },
    /// A counter-signature for other shares.
    #[error(
        "the counter-signature is for other shares than these {here} (it says {got}): its place is after those it saw"
    )]
    CounterShares {
        /// How many it is for.
        got: u64,
        /// How many there are.
        here: u64,
    },
    /// A counter-signature that does not hold.
    #[error("the counter-signature by {key} does not hold for these terms and shares")]
    CounterSignature {
        /// Whose it is said to be.
        key: PublicKey,
    },
    /// A counter-signature from before its shares.
    #[error(
        "the counter-signature is of {at}, and the last share that it saw of {last} (Unix seconds): one of the clocks is wrong"
    )]
    CounterTime {
        /// When it was made.
        at: u64,
        /// When the last share came.
        last: u64,
    },
    /// Somebody else's key.
    #[error("the key {key} is not the issuer's, {issuer}: the terms say who issues")]
    Issuer {
        /// Whose it is.
        key: PublicKey,
        /// Whose it has to be.
        issuer: PublicKey,
    },
    /// It cannot be written.
    #[error("the receipt cannot be written: {0}")]
    Io(#[from] io::Error),
}
