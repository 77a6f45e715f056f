//! Base58check: how keys are written for people (section 4.7).

use thiserror::Error;
use zeroize::Zeroizing;

/// Longest text that is looked at: the real ones have 48 to 52 characters.
const TEXT_MAX: usize = 80;
/// `TEXT_MAX` base58 characters decode to at most this many bytes (each leading `1` is one byte).
const DECODED_MAX: usize = 80;
/// Version that precedes a public key's 32 bytes: U16, little-endian.
pub(crate) const PUBLIC_KEY_VERSION: u16 = 1;
const PUBLIC_LEN: usize = 34;
const SECRET_LEN: usize = 32;

/// Why a text or bytes are not a key. The text itself is never repeated: it may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Nothing was given.
    #[error("the key is empty: expected base58check text of about 50 characters")]
    Empty,
    /// A character that base58 does not have, often a look-alike.
    #[error(
        "the key has the character {character:?} at position {position}: base58 has no 0, O, I, l, spaces \
         or punctuation; copy the key again"
    )]
    Character {
        /// The offending character.
        character: char,
        /// Where it stands, counted from 1 in characters.
        position: usize,
    },
    /// All characters are base58 but the checksum does not match.
    #[error("the key's checksum does not match: a character is wrong, missing or added; copy the key again")]
    Checksum,
    /// So few or so many characters that it cannot be a key at all.
    #[error("the key has {got} characters where about 50 are right: copy the key again")]
    TextLength {
        /// Characters found.
        got: usize,
    },
    /// The checksum is right, the number of bytes is not.
    #[error(
        "the key has the wrong length: {got} bytes where {expected} are right (base58check, checksum not \
         counted)"
    )]
    Length {
        /// Bytes found, without the checksum.
        got: usize,
        /// Bytes a key of this kind has, with its version prefix if it has one.
        expected: usize,
    },
    /// A public key's version prefix is not the one that the specification defines.
    #[error("the public key has version {got} where {PUBLIC_KEY_VERSION} is right (prefix bytes [1, 0])")]
    Version {
        /// The version found.
        got: u16,
    },
    /// 32 bytes without version where a public key belongs.
    #[error("this looks like a secret key: the authority's public key belongs here (it starts with 9)")]
    SecretForPublic,
    /// A version prefix and 32 bytes where a secret key belongs.
    #[error("this looks like a public key: the authority's secret key belongs here")]
    PublicForSecret,
    /// The 32 bytes are not the x coordinate of a point of secp256k1.
    #[error("the public key's 32 bytes are not a point of the secp256k1 curve")]
    NotOnCurve,
    /// The 32 bytes are zero or not below the order of secp256k1.
    #[error("the secret key is zero or not below the order of secp256k1: generate another")]
    SecretOutOfRange,
}

/// Base58check with the checksum verified and removed; the buffer is wiped when dropped.
fn decode(text: &str) -> Result<(Zeroizing<[u8; DECODED_MAX]>, usize), KeyError> {
    if text.is_empty() {
        return Err(KeyError::Empty);
    }
    // Base58 costs the square of the length: nobody's text is looked at beyond what a key can have.
    if text.chars().nth(TEXT_MAX).is_some() {
        return Err(KeyError::TextLength { got: text.chars().count() });
    }
    let mut bytes = Zeroizing::new([0_u8; DECODED_MAX]);
    match bs58::decode(text).with_check(None).onto(&mut bytes[..]) {
        Ok(len) => Ok((bytes, len)),
        Err(bs58::decode::Error::NoChecksum) => Err(KeyError::TextLength { got: text.chars().count() }),
        Err(
            bs58::decode::Error::InvalidCharacter { index, .. }
            | bs58::decode::Error::NonAsciiCharacter { index },
        ) => {
            // The index counts bytes, and all before it are ASCII.
            let character = text.chars().nth(index).unwrap_or(char::REPLACEMENT_CHARACTER);
            Err(KeyError::Character { character, position: index + 1 })
        }
        Err(_) => Err(KeyError::Checksum),
    }
}

/// The 32 bytes of a public key's text.
pub(crate) fn decode_public(text: &str) -> Result<[u8; 32], KeyError> {
    let (bytes, len) = decode(text)?;
    match len {
        PUBLIC_LEN => {}
        SECRET_LEN => return Err(KeyError::SecretForPublic),
        got => {
            return Err(KeyError::Length { got, expected: PUBLIC_LEN });
        }
    }
    let got = u16::from_le_bytes([bytes[0], bytes[1]]);
    if got != PUBLIC_KEY_VERSION {
        return Err(KeyError::Version { got });
    }
    let mut key = [0; 32];
    key.copy_from_slice(&bytes[2..PUBLIC_LEN]);
    Ok(key)
}

/// The 32 bytes of a secret key's text, as the reference implementation writes it: no version prefix.
pub(crate) fn decode_secret(text: &str) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let (bytes, len) = decode(text)?;
    match len {
        SECRET_LEN => {}
        PUBLIC_LEN => return Err(KeyError::PublicForSecret),
        got => {
            return Err(KeyError::Length { got, expected: SECRET_LEN });
        }
    }
    let mut key = Zeroizing::new([0; 32]);
    key.copy_from_slice(&bytes[..SECRET_LEN]);
    Ok(key)
}

/// A public key's text: version prefix, 32 bytes, checksum.
pub(crate) fn encode_public(key: &[u8; 32]) -> String {
    let mut bytes = [0; PUBLIC_LEN];
    bytes[..2].copy_from_slice(&PUBLIC_KEY_VERSION.to_le_bytes());
    bytes[2..].copy_from_slice(key);
    bs58::encode(bytes).with_check().into_string()
}

/// A secret key's text: 32 bytes, checksum.
pub(crate) fn encode_secret(key: &[u8; 32]) -> Zeroizing<String> {
    Zeroizing::new(bs58::encode(key).with_check().into_string())
}
