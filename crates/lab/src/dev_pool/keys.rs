//! The keys of a dev pool.

use noise::{AuthoritySecretKey, StaticKeypair};

/// Authority key and static key.
#[derive(Clone, Debug)]
pub struct DevPoolKeys {
    /// Signs the certificates.
    pub authority: AuthoritySecretKey,
    /// What the certificates speak for.
    pub server: StaticKeypair,
}

impl DevPoolKeys {
    /// New keys.
    pub fn random() -> DevPoolKeys {
        loop {
            // All but one in 2^127 numbers are keys.
            if let (Ok(authority), Ok(server)) = (
                AuthoritySecretKey::from_bytes(rand::random()),
                StaticKeypair::from_secret_bytes(rand::random()),
            ) {
                return DevPoolKeys { authority, server };
            }
        }
    }

    /// With a given authority key (so that clients need not be told a new one) and a new static key.
    pub fn with_authority(authority: AuthoritySecretKey) -> DevPoolKeys {
        DevPoolKeys { authority, ..DevPoolKeys::random() }
    }
}
