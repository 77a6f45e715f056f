//! Keys and signatures of BIP 340.

use std::fmt;
use std::str::FromStr;

use secp256k1::schnorr;
use secp256k1::{Keypair, Message, SECP256K1, SecretKey as Scalar, XOnlyPublicKey};
use serde::{Serialize, Serializer};
use thiserror::Error;
use zeroize::Zeroizing;

/// A public key: the x coordinate of a point of secp256k1. Its text is 64 hex digits, as for Bitcoin's x-only keys.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// From the 32 bytes of an x coordinate, big-endian.
    ///
    /// # Errors
    /// No point of the curve has it.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, KeyError> {
        XOnlyPublicKey::from_slice(&bytes).map(|_| Self(bytes)).map_err(|_| KeyError::NotOnCurve)
    }

    /// The 32 bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    /// Whether this key signed that message.
    #[must_use]
    pub fn verifies(&self, message: [u8; 32], signature: &Signature) -> bool {
        let (Ok(key), Ok(signature)) =
            (XOnlyPublicKey::from_slice(&self.0), schnorr::Signature::from_slice(&signature.0))
        else {
            return false;
        };
        SECP256K1.verify_schnorr(&signature, &Message::from_digest(message), &key).is_ok()
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::from_bytes(unhex(text)?)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// A secret key. Wiped when dropped, never printed by `Debug`.
#[derive(Clone)]
pub struct SecretKey(Zeroizing<[u8; 32]>);

impl SecretKey {
    /// From 32 bytes, big-endian; for a new key they must be fresh randomness.
    ///
    /// # Errors
    /// Zero, or a number not below the order of the curve.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, KeyError> {
        let bytes = Zeroizing::new(bytes);
        let mut scalar = Scalar::from_slice(&*bytes).map_err(|_| KeyError::SecretOutOfRange)?;
        scalar.non_secure_erase();
        Ok(Self(bytes))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.with_pair(|pair| PublicKey(pair.x_only_public_key().0.serialize()))
    }

    /// Signs, always in the same way.
    #[must_use]
    pub fn sign(&self, message: [u8; 32]) -> Signature {
        let message = Message::from_digest(message);
        self.with_pair(|pair| Signature(SECP256K1.sign_schnorr_no_aux_rand(&message, pair).serialize()))
    }

    /// The secret in 64 hex digits, to be kept in a file.
    #[must_use]
    pub fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex(&*self.0))
    }

    fn with_pair<T>(&self, use_it: impl FnOnce(&Keypair) -> T) -> T {
        let mut pair = Keypair::from_seckey_slice(SECP256K1, &*self.0)
            .expect("the range was checked when this key was made");
        let result = use_it(&pair);
        pair.non_secure_erase();
        result
    }
}

impl FromStr for SecretKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::from_bytes(unhex(text)?)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public())
    }
}

/// A signature of BIP 340.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", hex(&self.0))
    }
}

/// Why a text or bytes are no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Not 64 hex digits.
    #[error("a key is 64 hex digits; this has {got} characters, or others than 0-9 and a-f")]
    NotHex {
        /// How many characters came.
        got: usize,
    },
    /// No point of the curve has that x coordinate.
    #[error("these 32 bytes are no public key: no point of secp256k1 has that x coordinate")]
    NotOnCurve,
    /// Zero or too large.
    #[error("this is no secret key: it is zero or not below the order of secp256k1; make another")]
    SecretOutOfRange,
}

/// Bytes in hex, as they stand.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// A hash in hex, turned around as explorers print it.
pub(crate) fn hex_of_hash(hash: &[u8; 32]) -> String {
    let mut turned = *hash;
    turned.reverse();
    hex(&turned)
}

fn unhex(text: &str) -> Result<[u8; 32], KeyError> {
    let wrong = KeyError::NotHex { got: text.len() };
    let digit =
        |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).ok_or(wrong);
    let digits: &[u8; 64] = text.as_bytes().try_into().map_err(|_| wrong)?;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BIP 340's first test vector: secret 3.
    const PUBLIC: &str = "f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9";

    #[test]
    fn keys_are_bip_340s_and_their_texts_read_back() {
        let mut secret = [0; 32];
        secret[31] = 3;
        let secret = SecretKey::from_bytes(secret).unwrap();
        assert_eq!(secret.public().to_string(), PUBLIC);
        assert_eq!(PUBLIC.parse(), Ok(secret.public()));
        assert_eq!(secret.to_hex().parse::<SecretKey>().unwrap().public(), secret.public());
        // That vector's signature, of 32 zero bytes, with 32 zero bytes for the auxiliary randomness, differs from one
        // without any; what counts is that it is checked right.
        let signature = secret.sign([0; 32]);
        assert!(secret.public().verifies([0; 32], &signature));
        assert!(!secret.public().verifies([1; 32], &signature));
        assert_eq!(format!("{secret:?}"), format!("SecretKey(of {PUBLIC})"));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert_eq!("f93".parse::<PublicKey>(), Err(KeyError::NotHex { got: 3 }));
        assert_eq!("zz".repeat(32).parse::<PublicKey>(), Err(KeyError::NotHex { got: 64 }));
        assert_eq!("ff".repeat(32).parse::<PublicKey>(), Err(KeyError::NotOnCurve));
        assert!(SecretKey::from_bytes([0; 32]).is_err());
        assert!(SecretKey::from_bytes([0xff; 32]).is_err());
    }
}
