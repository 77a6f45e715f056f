//! Running roots as they go between the two sides while a period lasts: the issuer's, and what somebody else makes of one by
//! signing it too.

use thiserror::Error;

use crate::agreement::{AgreementError, MAX_TERMS, SignedTerms};
use crate::coding::{Cursor, Encoder};
use crate::counter::CounterSignature;
use crate::header::Header;
use crate::key::{PublicKey, SecretKey, Signature};
use crate::sampling::{self, MAX_EXPONENT, MIN_EXPONENT};
use crate::tagged;
use crate::verify::COUNTER_TOLERANCE;

/// The first bytes of a file with a running root: kind 4.
pub const ROOT_MAGIC: [u8; 8] = *b"ADITRC\x01\x04";
/// The first bytes of a file with a counter-signed root: kind 5.
pub const COUNTER_MAGIC: [u8; 8] = *b"ADITRC\x01\x05";
/// The longest file of either kind, in bytes: terms with their signatures, and some room.
pub const MAX_ROOT_FILE: usize = 2 * MAX_TERMS;

/// What an issuer says of a period that still runs: so many shares so far, and the root over them. Others may counter-sign it.
/// One that was read is by the issuer that its terms name, and of one of their periods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRoot {
    /// The terms, with who agreed to them by then.
    pub terms: SignedTerms,
    /// The period's beginning, Unix seconds.
    pub from: u64,
    /// Its end.
    pub to: u64,
    /// The receipt difficulty so far: shares are worth 2 to this power. It only rises; when it does, this root fits no more.
    pub exponent: i8,
    /// How many shares.
    pub shares: u64,
    /// The root over them ([`crate::RunningRoot::root`]).
    pub root: [u8; 32],
    /// All shares that came before this moment are in it, Unix seconds.
    pub at: u64,
    /// The issuer's signature.
    pub signature: Signature,
}

impl SignedRoot {
    /// Signs what a [`crate::Writer`] has so far of a receipt with this header.
    ///
    /// # Errors
    /// The key is not the issuer's, or this is no root of a period that the terms fix.
    pub fn sign(
        terms: &SignedTerms,
        header: &Header,
        (shares, root): (u64, [u8; 32]),
        at: u64,
        key: &SecretKey,
    ) -> Result<Self, RootError> {
        let Header { from, to, exponent, .. } = *header;
        let mut signed = Self {
            terms: terms.clone(),
            from,
            to,
            exponent,
            shares,
            root,
            at,
            signature: Signature([0; 64]),
        };
        signed.signature = key.sign(signed.message());
        signed.check()?;
        Ok(signed)
    }

    /// What the issuer signs.
    pub(crate) fn message(&self) -> [u8; 32] {
        let parts: [&[u8]; 7] = [
            &self.terms.terms.hash(),
            &self.from.to_le_bytes(),
            &self.to.to_le_bytes(),
            &self.exponent.to_le_bytes(),
            &self.shares.to_le_bytes(),
            &self.root,
            &self.at.to_le_bytes(),
        ];
        tagged::hash(tagged::RUNNING, &parts)
    }

    fn check(&self) -> Result<(), RootError> {
        let terms = &self.terms.terms;
        let period = Header::new(terms, self.from, self.to, MIN_EXPONENT, 0, 0);
        if !period.is_fixed_by(terms) || !(self.from..=self.to).contains(&self.at) {
            return Err(RootError::Period { from: self.from, to: self.to, at: self.at });
        }
        let least = sampling::exponent(terms);
        if !(least..=MAX_EXPONENT).contains(&self.exponent) {
            return Err(RootError::Exponent { got: self.exponent, least });
        }
        let hash = terms.hash();
        let party = |key| key == terms.issuer || Some(key) == terms.receiver;
        let stranger = self.terms.agreements.iter().find(|one| !party(one.key) || !one.holds(hash));
        if let Some(agreement) = stranger {
            return Err(RootError::Agreement { key: agreement.key });
        }
        if !terms.issuer.verifies(self.message(), &self.signature) {
            return Err(RootError::Signature { issuer: terms.issuer });
        }
        Ok(())
    }

    /// As a file.
    #[must_use]
    pub fn to_file(&self) -> Vec<u8> {
        [&ROOT_MAGIC[..], &self.encode()].concat()
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It is none, or not what its issuer signed.
    pub fn from_file(file: &[u8]) -> Result<Self, RootError> {
        let body = file.strip_prefix(&ROOT_MAGIC[..]).filter(|_| file.len() <= MAX_ROOT_FILE);
        Self::decode(body.ok_or(RootError::NoRoot)?)
    }

    fn encode(&self) -> Vec<u8> {
        let mut to = Encoder::default();
        to.string(&self.terms.encode());
        to.number(self.from);
        to.number(self.to);
        to.byte(self.exponent.cast_unsigned());
        to.number(self.shares);
        to.raw(&self.root);
        to.number(self.at);
        to.raw(&self.signature.0);
        to.bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, RootError> {
        let mut from = Cursor::new(bytes);
        let terms = SignedTerms::decode(from.string(MAX_ROOT_FILE).ok_or(RootError::Damaged)?)?;
        let rest = |from: &mut Cursor<'_>| {
            Some(Self {
                terms,
                from: from.number()?,
                to: from.number()?,
                exponent: from.byte()?.cast_signed(),
                shares: from.number()?,
                root: from.array()?,
                at: from.number()?,
                signature: Signature(from.array()?),
            })
        };
        let read = rest(&mut from).filter(|_| from.is_empty()).ok_or(RootError::Damaged)?;
        read.check()?;
        Ok(read)
    }
}

/// A running root that somebody counter-signed, as it goes back to the issuer. One that was read holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterSignedRoot {
    /// What was signed.
    pub root: SignedRoot,
    /// By whom, and when by that clock: as it stands in the receipt.
    pub counter: CounterSignature,
}

impl CounterSignedRoot {
    /// Counter-signs a root. `at` is the time, Unix seconds.
    ///
    /// # Errors
    /// By that time the root is of the future: a receipt with this would be refused.
    pub fn sign(root: SignedRoot, at: u64, key: &SecretKey) -> Result<Self, RootError> {
        let counter = CounterSignature::sign(root.terms.terms.hash(), root.shares, root.root, at, key);
        let signed = Self { root, counter };
        signed.check()?;
        Ok(signed)
    }

    fn check(&self) -> Result<(), RootError> {
        let (root, CounterSignature { at, key, .. }) = (&self.root, self.counter);
        if root.at > at.saturating_add(COUNTER_TOLERANCE) {
            return Err(RootError::Early { at, root: root.at });
        }
        if !self.counter.holds(root.terms.terms.hash()) {
            return Err(RootError::CounterSignature { key });
        }
        Ok(())
    }

    /// As a file.
    #[must_use]
    pub fn to_file(&self) -> Vec<u8> {
        let mut to = Encoder::default();
        to.string(&self.root.encode());
        to.number(self.counter.at);
        to.raw(&self.counter.key.to_bytes());
        to.raw(&self.counter.signature.0);
        [&COUNTER_MAGIC[..], &to.bytes].concat()
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It is none, is not what was signed, or its time is before its root's.
    pub fn from_file(file: &[u8]) -> Result<Self, RootError> {
        let body = file.strip_prefix(&COUNTER_MAGIC[..]).filter(|_| file.len() <= MAX_ROOT_FILE);
        let mut from = Cursor::new(body.ok_or(RootError::NoCounter)?);
        let root = SignedRoot::decode(from.string(MAX_ROOT_FILE).ok_or(RootError::Damaged)?)?;
        let rest = |from: &mut Cursor<'_>| {
            Some(CounterSignature {
                shares: root.shares,
                root: root.root,
                at: from.number()?,
                key: PublicKey::from_bytes(from.array()?).ok()?,
                signature: Signature(from.array()?),
            })
        };
        let counter = rest(&mut from).filter(|_| from.is_empty()).ok_or(RootError::Damaged)?;
        let read = Self { root, counter };
        read.check()?;
        Ok(read)
    }
}

/// Why something is no running root, or none that was counter-signed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RootError {
    /// It is something else.
    #[error("this is no running root: it does not begin with ADITRC, version 1, kind 4, or is too long")]
    NoRoot,
    /// It is something else.
    #[error(
        "this is no counter-signed root: it does not begin with ADITRC, version 1, kind 5, or is too long"
    )]
    NoCounter,
    /// Its terms are none.
    #[error(transparent)]
    Terms(#[from] AgreementError),
    /// It is cut off, or something else is wrong with its bytes.
    #[error("it is damaged")]
    Damaged,
    /// It is of no period of the terms, or not of its time.
    #[error("{from} to {to} is no period of the terms, or {at} is not within it (Unix seconds)")]
    Period {
        /// The beginning that it has.
        from: u64,
        /// The end.
        to: u64,
        /// The moment.
        at: u64,
    },
    /// A difficulty that cannot be.
    #[error("its receipt difficulty is 2^{got}; by the terms it is 2^{least} at least")]
    Exponent {
        /// What it has.
        got: i8,
        /// What the terms have.
        least: i8,
    },
    /// Somebody has not agreed to its terms who is said to.
    #[error("the signature on its terms by {key} does not hold, or is by somebody whom they do not name")]
    Agreement {
        /// Whose it is said to be.
        key: PublicKey,
    },
    /// It is not the issuer's.
    #[error("it is not signed by the terms' issuer, {issuer}")]
    Signature {
        /// Whose it must be.
        issuer: PublicKey,
    },
    /// It was signed before it was there.
    #[error(
        "the root is of {root}, more than {COUNTER_TOLERANCE} s after the counter-signature's time, {at} (Unix seconds): one of the \
         clocks is wrong"
    )]
    Early {
        /// When it was counter-signed.
        at: u64,
        /// Of when the root is.
        root: u64,
    },
    /// The counter-signature does not hold.
    #[error("the counter-signature by {key} does not hold for this root")]
    CounterSignature {
        /// Whose it is said to be.
        key: PublicKey,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{FROM, header, issuer, job, receiver, share, signed, terms};
    use crate::{Outcome, WriteError, Writer, verify};

    /// A writer with the first so many of the test's shares, one a minute.
    fn writer(shares: u32) -> Writer<Vec<u8>> {
        let terms = terms();
        let mut writer = Writer::new(Vec::new(), &signed(&terms), header(&terms)).unwrap();
        (0..shares).for_each(|n| push(&mut writer, n));
        writer
    }

    fn push(writer: &mut Writer<Vec<u8>>, n: u32) {
        let (terms, job) = (terms(), job(n / 4));
        let share = share(&terms, &header(&terms), &job, FROM + 60 * u64::from(n), n << 16);
        writer.share(&job, &share).unwrap();
    }

    fn root(shares: u32) -> SignedRoot {
        let (terms, at) = (terms(), FROM + 60 * u64::from(shares));
        SignedRoot::sign(&signed(&terms), &header(&terms), writer(shares).root(), at, &issuer()).unwrap()
    }

    #[test]
    fn a_root_that_was_signed_while_the_period_ran_is_at_its_place_in_the_final_receipt() {
        for shares in [0, 1, 7, 31, 59] {
            let sent = root(shares).to_file();
            let received = SignedRoot::from_file(&sent).unwrap();
            assert_eq!((received.shares, received.to_file()), (u64::from(shares), sent));
            let at = received.at + 30;
            let back = CounterSignedRoot::sign(received, at, &receiver()).unwrap().to_file();
            let CounterSignedRoot { counter, .. } = CounterSignedRoot::from_file(&back).unwrap();

            let mut writer = writer(shares);
            writer.counter_signature(&counter).unwrap();
            (shares..60).for_each(|n| push(&mut writer, n));
            let (file, _) = writer.finish(FROM + 7_200, &issuer()).unwrap();
            let report = verify(&file[..], None);
            assert_eq!(report.outcome, Outcome::Holds, "{report:?}");
            let seen = report.counter_signed.unwrap();
            assert_eq!((seen.shares, seen.at), (u64::from(shares), at));
        }
    }

    #[test]
    fn one_whose_time_is_before_the_shares_that_it_saw_is_taken_by_nobody() {
        let root = root(30);
        let early = root.at - COUNTER_TOLERANCE - 1;
        let refused = CounterSignedRoot::sign(root.clone(), early, &receiver());
        assert_eq!(refused, Err(RootError::Early { at: early, root: root.at }));
        // By the writer neither: a verifier would refuse the whole receipt for it.
        let hash = terms().hash();
        let counter = CounterSignature::sign(hash, root.shares, root.root, FROM, &receiver());
        assert!(matches!(writer(30).counter_signature(&counter), Err(WriteError::CounterTime { .. })));
    }

    #[test]
    fn whatever_is_changed_in_them_is_noticed() {
        let root = root(12);
        let at = root.at;
        let files = [root.to_file(), CounterSignedRoot::sign(root, at, &receiver()).unwrap().to_file()];
        let read =
            |file: &[u8]| SignedRoot::from_file(file).is_ok() || CounterSignedRoot::from_file(file).is_ok();
        for file in files {
            assert!(read(&file));
            for at in 0..file.len() {
                assert!(!read(&file[..at]), "cut off at {at}");
                let mut changed = file.clone();
                changed[at] ^= 1;
                assert!(!read(&changed), "byte {at}");
            }
            assert!(!read(&[&file[..], &[0]].concat()), "something follows");
        }
    }

    #[test]
    fn only_the_issuer_makes_one_and_only_of_a_period_of_the_terms() {
        let terms = terms();
        let (header, root) = (header(&terms), writer(3).root());
        let sign =
            |header: &Header, at, key: &SecretKey| SignedRoot::sign(&signed(&terms), header, root, at, key);
        let stranger = sign(&header, FROM + 200, &receiver());
        assert_eq!(stranger, Err(RootError::Signature { issuer: issuer().public() }));
        let other = Header { from: header.from + 1, ..header };
        assert!(matches!(sign(&other, FROM + 200, &issuer()), Err(RootError::Period { .. })));
        assert!(matches!(sign(&header, header.to + 1, &issuer()), Err(RootError::Period { .. })));
        let easier = Header { exponent: header.exponent - 1, ..header };
        assert!(matches!(sign(&easier, FROM + 200, &issuer()), Err(RootError::Exponent { .. })));
    }
}
