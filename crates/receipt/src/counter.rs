//! Counter-signatures: somebody else saw so many shares at a time.

use crate::coding::{Cursor, Encoder};
use crate::key::{PublicKey, SecretKey, Signature};
use crate::tagged;

/// A running root, signed by somebody else than the issuer: so many shares were there at that time, by the signer's clock.
/// They cannot have been made later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterSignature {
    /// How many shares: those before its place in the receipt.
    pub shares: u64,
    /// The root over them ([`crate::RunningRoot::root`]).
    pub root: [u8; 32],
    /// When, by the signer's clock, Unix seconds.
    pub at: u64,
    /// Whose.
    pub key: PublicKey,
    /// The signature of [`CounterSignature::message`].
    pub signature: Signature,
}

impl CounterSignature {
    /// Signs a running root of a receipt under terms of that hash.
    #[must_use]
    pub fn sign(terms: [u8; 32], shares: u64, root: [u8; 32], at: u64, key: &SecretKey) -> Self {
        let signature = key.sign(Self::message(terms, shares, root, at));
        Self { shares, root, at, key: key.public(), signature }
    }

    /// What is signed.
    #[must_use]
    pub fn message(terms: [u8; 32], shares: u64, root: [u8; 32], at: u64) -> [u8; 32] {
        tagged::hash(tagged::COUNTER, &[&terms, &shares.to_le_bytes(), &root, &at.to_le_bytes()])
    }

    /// Whether the signature holds.
    #[must_use]
    pub fn holds(&self, terms: [u8; 32]) -> bool {
        self.key.verifies(Self::message(terms, self.shares, self.root, self.at), &self.signature)
    }

    /// The bytes that stand for it: in a receipt, and on its way between the two sides.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Encoder::default();
        to.number(self.shares);
        to.raw(&self.root);
        to.number(self.at);
        to.raw(&self.key.to_bytes());
        to.raw(&self.signature.0);
        to.bytes
    }

    /// Reads them.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Cursor::new(bytes);
        let read = Self {
            shares: from.number()?,
            root: from.array()?,
            at: from.number()?,
            key: PublicKey::from_bytes(from.array()?).ok()?,
            signature: Signature(from.array()?),
        };
        from.is_empty().then_some(read)
    }
}
