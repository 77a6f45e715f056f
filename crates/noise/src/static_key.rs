//! The server's static key pair, the one that a certificate speaks for.

use std::fmt;

use secp256k1::ellswift::ElligatorSwift;
use secp256k1::{Keypair, SECP256K1, SecretKey};
use zeroize::Zeroizing;

use crate::key_text::KeyError;

/// A responder's static secp256k1 key pair. The secret is wiped when dropped; the EllSwift encoding of the
/// public key is computed once here, so that each handshake need not.
#[derive(Clone)]
pub struct StaticKeypair {
    secret: Zeroizing<[u8; 32]>,
    ellswift: [u8; 64],
    x_only: [u8; 32],
}

impl StaticKeypair {
    /// From 32 secret bytes, big-endian, which must be fresh randomness or come from safe storage.
    ///
    /// # Errors
    /// [`KeyError::SecretOutOfRange`] for zero or a number not below the order of the curve.
    pub fn from_secret_bytes(bytes: [u8; 32]) -> Result<Self, KeyError> {
        let bytes = Zeroizing::new(bytes);
        let mut secret = SecretKey::from_slice(&*bytes).map_err(|_| KeyError::SecretOutOfRange)?;
        let mut pair = Keypair::from_secret_key(SECP256K1, &secret);
        // No auxiliary randomness: this encoding only ever travels encrypted.
        let ellswift = ElligatorSwift::from_seckey(SECP256K1, secret, None).to_array();
        let x_only = pair.x_only_public_key().0.serialize();
        pair.non_secure_erase();
        secret.non_secure_erase();
        Ok(Self { secret: bytes, ellswift, x_only })
    }

    /// The public key's x coordinate, 32 bytes big-endian: what a certificate signs.
    #[must_use]
    pub fn x_only(&self) -> [u8; 32] {
        self.x_only
    }

    /// The public key as it travels in act 2: 64 bytes EllSwift (BIP 324).
    pub(crate) fn ellswift(&self) -> &[u8; 64] {
        &self.ellswift
    }

    pub(crate) fn secret(&self) -> &Zeroizing<[u8; 32]> {
        &self.secret
    }
}

impl fmt::Debug for StaticKeypair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticKeypair").finish_non_exhaustive()
    }
}
