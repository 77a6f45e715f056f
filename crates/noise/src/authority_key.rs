//! The authority's key pair: the public half is what a pool publishes and a miner pins (section 4.7).

use std::fmt;
use std::str::FromStr;

use secp256k1::{Keypair, SECP256K1, SecretKey, XOnlyPublicKey};
use zeroize::Zeroizing;

use crate::key_text::{self, KeyError};

/// The key that a pool publishes: 32 bytes, the x coordinate of a secp256k1 point as in BIP 340.
///
/// Its text is base58check with the version prefix `[1, 0]` and starts with `9`:
///
/// ```
/// let key: noise::AuthorityPublicKey = "9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh".parse()?;
/// assert_eq!(key.to_bytes()[..4], [118, 99, 112, 0]);
/// # Ok::<(), noise::KeyError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuthorityPublicKey(XOnlyPublicKey);

impl AuthorityPublicKey {
    /// From the 32 bytes of an x coordinate, big-endian as in BIP 340.
    ///
    /// # Errors
    /// [`KeyError::NotOnCurve`] when no point of the curve has that x coordinate.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, KeyError> {
        XOnlyPublicKey::from_slice(&bytes).map(Self).map_err(|_| KeyError::NotOnCurve)
    }

    /// The 32 bytes of the x coordinate, big-endian.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.serialize()
    }

    pub(crate) fn x_only(&self) -> &XOnlyPublicKey {
        &self.0
    }
}

impl FromStr for AuthorityPublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::from_bytes(key_text::decode_public(text)?)
    }
}

impl fmt::Display for AuthorityPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&key_text::encode_public(&self.to_bytes()))
    }
}

impl fmt::Debug for AuthorityPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthorityPublicKey({self})")
    }
}

/// The authority's secret: it signs certificates. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct AuthoritySecretKey(Zeroizing<[u8; 32]>);

impl AuthoritySecretKey {
    /// From 32 bytes, big-endian; for a new key they must be fresh randomness.
    ///
    /// # Errors
    /// [`KeyError::SecretOutOfRange`] for zero or a number not below the order of the curve.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, KeyError> {
        Self::from_wiped(Zeroizing::new(bytes))
    }

    fn from_wiped(bytes: Zeroizing<[u8; 32]>) -> Result<Self, KeyError> {
        let mut secret = SecretKey::from_slice(&*bytes).map_err(|_| KeyError::SecretOutOfRange)?;
        secret.non_secure_erase();
        Ok(Self(bytes))
    }

    /// The public half, to be published.
    #[must_use]
    pub fn public(&self) -> AuthorityPublicKey {
        self.with_keypair(|pair| AuthorityPublicKey(pair.x_only_public_key().0))
    }

    /// The secret's text as the reference implementation writes it: base58check, no version prefix.
    #[must_use]
    pub fn to_base58check(&self) -> Zeroizing<String> {
        key_text::encode_secret(&self.0)
    }

    /// Lends the key pair and wipes the copy afterwards.
    pub(crate) fn with_keypair<T>(&self, use_it: impl FnOnce(&Keypair) -> T) -> T {
        let mut pair = Keypair::from_seckey_slice(SECP256K1, &*self.0)
            .expect("the range was checked when this key was made");
        let result = use_it(&pair);
        pair.non_secure_erase();
        result
    }
}

impl FromStr for AuthoritySecretKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::from_wiped(key_text::decode_secret(text)?)
    }
}

impl fmt::Debug for AuthoritySecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthoritySecretKey(of {})", self.public())
    }
}

/// Authority public keys whose secret half, or whose example status, is public: whoever pins one of them
/// is authenticated by anybody.
///
/// In order: the key of every example configuration of the reference implementation (its secret
/// `mkDLTBB...` stands beside it), the key of that implementation's key tests (secret `zmBEmPh...`), and
/// the specification's test vector (section 4.7.1).
pub const PUBLISHED_EXAMPLE_KEYS: [&str; 3] = [
    "9auqWEzQDVyd2oe1JVGFLMLHZtCo2FFqZwtKA5gd9xbuEu7PH72",
    "9bDuixKmZqAJnrmP746n8zU1wyAQRrus7th9dxnkPg6RzQvCnan",
    "9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh",
];

/// Whether this key is one of [`PUBLISHED_EXAMPLE_KEYS`], so that a configuration must refuse it. For a
/// secret key ask about its [`AuthoritySecretKey::public`].
#[must_use]
pub fn is_published_example_key(key: &AuthorityPublicKey) -> bool {
    let text = key.to_string();
    PUBLISHED_EXAMPLE_KEYS.contains(&text.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE_SECRET: &str = "mkDLTBBRxdBv998612qipDYoTK3YUrqLe8uWw7gu3iXbSrn2n";
    const TEST_SECRET: &str = "zmBEmPhqo3A92FkiLVvyCz6htc3e53ph3ZbD4ASqGaLjwnFLi";
    const SPEC_VECTOR: [u8; 32] = [
        118, 99, 112, 0, 151, 156, 28, 17, 175, 12, 48, 11, 205, 140, 127, 228, 134, 16, 252, 233, 185, 193,
        30, 61, 174, 227, 90, 224, 176, 138, 116, 85,
    ];

    #[test]
    fn the_specifications_vector_reads_and_writes() {
        let text = PUBLISHED_EXAMPLE_KEYS[2];
        let key: AuthorityPublicKey = text.parse().unwrap();
        assert_eq!(key.to_bytes(), SPEC_VECTOR);
        assert_eq!(AuthorityPublicKey::from_bytes(SPEC_VECTOR).unwrap().to_string(), text);
    }

    #[test]
    fn published_secrets_give_published_public_keys() {
        for (secret, public) in [EXAMPLE_SECRET, TEST_SECRET].iter().zip(PUBLISHED_EXAMPLE_KEYS) {
            let secret_key: AuthoritySecretKey = secret.parse().unwrap();
            assert_eq!(secret_key.public().to_string(), public);
            assert_eq!(&**secret_key.to_base58check(), *secret);
            assert!(is_published_example_key(&secret_key.public()));
        }
        for text in PUBLISHED_EXAMPLE_KEYS {
            assert!(is_published_example_key(&text.parse().unwrap()), "{text}");
        }
        let own = AuthoritySecretKey::from_bytes([3; 32]).unwrap().public();
        assert!(!is_published_example_key(&own));
    }

    #[test]
    fn each_mistake_in_a_public_key_has_its_own_error() {
        let refuse = |text: &str| text.parse::<AuthorityPublicKey>().unwrap_err();
        let with_check = |bytes: &[u8]| bs58::encode(bytes).with_check().into_string();
        let good = PUBLISHED_EXAMPLE_KEYS[0];

        assert_eq!(refuse(""), KeyError::Empty);
        assert_eq!(refuse(&format!("{}3", &good[..good.len() - 1])), KeyError::Checksum);
        assert_eq!(refuse(&good[..good.len() - 1]), KeyError::Checksum);
        assert_eq!(refuse(" 9auq"), KeyError::Character { character: ' ', position: 1 });
        assert_eq!(refuse("9auqO"), KeyError::Character { character: 'O', position: 5 });
        assert_eq!(refuse("9aé1"), KeyError::Character { character: 'é', position: 3 });
        assert_eq!(refuse(EXAMPLE_SECRET), KeyError::SecretForPublic);
        // The reference implementation's own vector of version 12.
        assert_eq!(
            refuse("2myPhc5vkPzuC5FXNK5tee79WmP7uoLh55SxezoF8iqwF3E3rnPY"),
            KeyError::Version { got: 12 }
        );
        // and of a key that is one byte short
        assert_eq!(
            refuse("2wmHTKZkLg2QzXyEXGMBXzKP7JXDUt8yy9SA5hoQwERc92qR6c"),
            KeyError::Length { got: 33, expected: 34 }
        );
        let mut long = vec![1, 0];
        long.extend([7; 33]);
        assert_eq!(refuse(&with_check(&long)), KeyError::Length { got: 35, expected: 34 });
        assert_eq!(refuse("9a"), KeyError::TextLength { got: 2 });
        assert_eq!(refuse(&"9".repeat(100_000)), KeyError::TextLength { got: 100_000 });
        assert_eq!(refuse(&"1".repeat(80)), KeyError::Checksum);
        let mut off_curve = vec![1, 0];
        off_curve.extend([0xff; 32]);
        assert_eq!(refuse(&with_check(&off_curve)), KeyError::NotOnCurve);
    }

    #[test]
    fn each_mistake_in_a_secret_key_has_its_own_error() {
        let refuse = |text: &str| text.parse::<AuthoritySecretKey>().unwrap_err();
        assert_eq!(refuse(PUBLISHED_EXAMPLE_KEYS[0]), KeyError::PublicForSecret);
        assert_eq!(
            refuse(&bs58::encode([7; 31]).with_check().into_string()),
            KeyError::Length { got: 31, expected: 32 }
        );
        for bytes in [[0; 32], [0xff; 32]] {
            assert_eq!(refuse(&bs58::encode(bytes).with_check().into_string()), KeyError::SecretOutOfRange);
        }
    }

    #[test]
    fn debug_output_never_shows_a_secret() {
        let secret: AuthoritySecretKey = EXAMPLE_SECRET.parse().unwrap();
        let shown = format!("{secret:?}");
        assert!(!shown.contains(EXAMPLE_SECRET) && shown.contains(PUBLISHED_EXAMPLE_KEYS[0]), "{shown}");
    }
}
