//! Terms with the signatures of those who agree to them.
//!
//! A signature carries a time, and that is its signer's word: that terms were agreed on *before* the period is proven to the
//! receiver, who knows when it signed, and to nobody else against both sides together.

use thiserror::Error;

use crate::coding::{Cursor, Encoder};
use crate::key::{PublicKey, SecretKey, Signature};
use crate::tagged;
use crate::terms::{Terms, TermsError};

/// Signatures at most: the issuer's and the receiver's.
pub const MAX_SIGNATURES: usize = 2;
/// The first bytes of a file of terms.
pub const TERMS_MAGIC: [u8; 8] = *b"ADITRC\x01\x03";
/// The longest terms, in bytes: what all their parts at their longest come to, and some room.
pub const MAX_TERMS: usize = 16 * 1024;

/// Somebody's agreement to terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// Who agrees.
    pub key: PublicKey,
    /// When, by the signer's word, Unix seconds.
    pub at: u64,
    /// The signature of [`Agreement::message`].
    pub signature: Signature,
}

impl Agreement {
    /// Signs terms.
    #[must_use]
    pub fn sign(terms: &Terms, at: u64, key: &SecretKey) -> Self {
        let signature = key.sign(Self::message(terms.hash(), at));
        Self { key: key.public(), at, signature }
    }

    /// What is signed.
    #[must_use]
    pub fn message(terms: [u8; 32], at: u64) -> [u8; 32] {
        tagged::hash(tagged::AGREEMENT, &[&terms, &at.to_le_bytes()])
    }

    /// Whether the signature holds for terms of that hash.
    #[must_use]
    pub fn holds(&self, terms: [u8; 32]) -> bool {
        self.key.verifies(Self::message(terms, self.at), &self.signature)
    }
}

/// Terms and who agrees to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedTerms {
    /// The terms.
    pub terms: Terms,
    /// Who agrees, each key once. Whether they hold is [`Agreement::holds`]'s to say.
    pub agreements: Vec<Agreement>,
}

impl SignedTerms {
    /// Terms that nobody has agreed to yet.
    ///
    /// # Errors
    /// They are none ([`Terms::check`]).
    pub fn new(terms: Terms) -> Result<Self, TermsError> {
        terms.check()?;
        Ok(Self { terms, agreements: Vec::new() })
    }

    /// Puts a salt into them that the receiver drew now that all else is fixed: whoever wrote the terms cannot have looked for
    /// others with their tag.
    ///
    /// # Errors
    /// The key is not the receiver's, or somebody has signed them as they were.
    pub fn draw_salt(&mut self, salt: [u8; 16], receiver: &PublicKey) -> Result<(), AgreementError> {
        if self.terms.receiver.as_ref() != Some(receiver) {
            return Err(AgreementError::NoReceiver { key: *receiver });
        }
        if !self.agreements.is_empty() {
            return Err(AgreementError::SignedAlready);
        }
        self.terms.salt = salt;
        Ok(())
    }

    /// Signs them for one side. Who signed before signs anew.
    ///
    /// # Errors
    /// The key is neither the issuer's nor the receiver's.
    pub fn sign(&mut self, at: u64, key: &SecretKey) -> Result<(), AgreementError> {
        let public = key.public();
        if public != self.terms.issuer && Some(public) != self.terms.receiver {
            return Err(AgreementError::NoParty { key: public });
        }
        self.agreements.retain(|agreement| agreement.key != public);
        self.agreements.push(Agreement::sign(&self.terms, at, key));
        Ok(())
    }

    /// The agreement of that key, if it holds.
    #[must_use]
    pub fn agreed(&self, key: &PublicKey) -> Option<&Agreement> {
        let hash = self.terms.hash();
        self.agreements.iter().find(|agreement| agreement.key == *key && agreement.holds(hash))
    }

    /// As a file of its own.
    #[must_use]
    pub fn to_file(&self) -> Vec<u8> {
        [&TERMS_MAGIC[..], &self.encode()].concat()
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It is none.
    pub fn from_file(file: &[u8]) -> Result<Self, AgreementError> {
        let body = file.strip_prefix(&TERMS_MAGIC[..]).ok_or(AgreementError::NoTerms)?;
        Self::decode(body)
    }

    /// As they stand in a receipt.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut to = Encoder::default();
        to.string(&self.terms.encode());
        to.number(self.agreements.len() as u64);
        for Agreement { key, at, signature } in &self.agreements {
            to.raw(&key.to_bytes());
            to.number(*at);
            to.raw(&signature.0);
        }
        to.bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, AgreementError> {
        let mut cursor = Cursor::new(bytes);
        let terms = Terms::decode(cursor.string(MAX_TERMS).ok_or(TermsError::Unreadable)?)?;
        let agreements = Self::read_agreements(&mut cursor).ok_or(TermsError::Unreadable)?;
        if !cursor.is_empty() {
            return Err(TermsError::Unreadable.into());
        }
        Ok(Self { terms, agreements })
    }

    fn read_agreements(cursor: &mut Cursor<'_>) -> Option<Vec<Agreement>> {
        let count = usize::try_from(cursor.number()?).ok().filter(|count| *count <= MAX_SIGNATURES)?;
        let mut agreements: Vec<Agreement> = Vec::with_capacity(count);
        for _ in 0..count {
            let key = PublicKey::from_bytes(cursor.array()?).ok()?;
            if agreements.iter().any(|other| other.key == key) {
                return None;
            }
            agreements.push(Agreement { key, at: cursor.number()?, signature: Signature(cursor.array()?) });
        }
        Some(agreements)
    }
}

/// What is wrong with terms or who signs them.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AgreementError {
    /// The file is no file of terms.
    #[error("this is no file of terms: it does not begin with ADITRC, version 1, kind 3")]
    NoTerms,
    /// The terms are none.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// Somebody else signs.
    #[error(
        "key {key} is neither the issuer's nor the receiver's: the terms name whose signatures they want"
    )]
    NoParty {
        /// Whose.
        key: PublicKey,
    },
    /// Somebody else draws the salt.
    #[error(
        "key {key} is not the receiver's: only a salt that the receiver drew shows that nobody looked for other terms"
    )]
    NoReceiver {
        /// Whose.
        key: PublicKey,
    },
    /// A salt would make them other terms than those that were signed.
    #[error(
        "somebody has signed these terms: the receiver draws the salt, and signs, before anybody else does"
    )]
    SignedAlready,
}
