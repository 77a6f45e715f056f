//! Who Adit is to SV2 miners: an authority key that they know, and a certificate that it signs.

use std::sync::{Mutex, PoisonError};

use noise::{AuthorityPublicKey, AuthoritySecretKey, Certificate, StaticKeypair};

/// A certificate is valid from so long before it is made: miners' clocks are behind.
const BACKDATED: u32 = 3_600;
/// And for so long after.
const VALID_FOR: u32 = 24 * 3_600;
/// A new one is made when the last is so old.
const RENEWED_AFTER: u32 = 3_600;

/// The keys of a listener. The static key is made at the start and kept nowhere.
pub struct Sv2Identity {
    authority: AuthoritySecretKey,
    server: StaticKeypair,
    /// The newest certificate, and when it was made.
    certificate: Mutex<Option<(u32, Certificate)>>,
}

impl Sv2Identity {
    /// With this authority key and a new static key.
    #[must_use]
    pub fn new(authority: AuthoritySecretKey) -> Self {
        let server = loop {
            // Nearly every 32 bytes are a key.
            if let Ok(server) = StaticKeypair::from_secret_bytes(rand::random()) {
                break server;
            }
        };
        Self { authority, server, certificate: Mutex::default() }
    }

    /// What miners have to know.
    #[must_use]
    pub fn public(&self) -> AuthorityPublicKey {
        self.authority.public()
    }

    pub(super) fn server(&self) -> &StaticKeypair {
        &self.server
    }

    /// A certificate that is good at `now`, Unix seconds. Signed about once an hour, not for every miner.
    pub(super) fn certificate(&self, now: u32) -> Certificate {
        let mut newest = self.certificate.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made, certificate)) = &*newest
            // A clock that was set back makes a new one, too.
            && (*made..made.saturating_add(RENEWED_AFTER)).contains(&now)
        {
            return *certificate;
        }
        let (from, until) = (now.saturating_sub(BACKDATED), now.saturating_add(VALID_FOR));
        let certificate = Certificate::issue(&self.authority, &self.server, from, until, rand::random());
        *newest = Some((now, certificate));
        certificate
    }
}

impl std::fmt::Debug for Sv2Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sv2Identity").field("authority", &self.public()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Sv2Identity {
        Sv2Identity::new(AuthoritySecretKey::from_bytes([7; 32]).unwrap())
    }

    #[test]
    fn a_certificate_is_renewed_long_before_it_ends_and_when_the_clock_was_set_back() {
        let identity = identity();
        let now = 1_700_000_000;
        let first = identity.certificate(now);
        assert_eq!((first.valid_from, first.not_valid_after), (now - BACKDATED, now + VALID_FOR));
        assert_eq!(identity.certificate(now + RENEWED_AFTER - 1), first);
        let second = identity.certificate(now + RENEWED_AFTER);
        assert_eq!(second.not_valid_after, now + RENEWED_AFTER + VALID_FOR);
        let back = identity.certificate(now - 86_400 * 30);
        assert_eq!(back.valid_from, now - 86_400 * 30 - BACKDATED);
    }
}
