//! The certificate by which an authority vouches for a server's static key (sections 4.5.2 and 4.5.3).

use secp256k1::schnorr::Signature;
use secp256k1::{Message, SECP256K1, Scalar, XOnlyPublicKey};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::authority_key::{AuthorityPublicKey, AuthoritySecretKey};
use crate::static_key::StaticKeypair;

/// The only certificate version that exists.
pub const CERTIFICATE_VERSION: u16 = 0;
/// Length of a `SIGNATURE_NOISE_MESSAGE` in bytes.
pub const CERTIFICATE_LEN: usize = 74;
/// How far clocks may differ before a certificate is refused, in seconds: the reference implementation's
/// figure.
pub const DEFAULT_LEEWAY_S: u32 = 10;
/// Bytes of the message that are signed, before the server's key.
const SIGNED_HEAD_LEN: usize = 10;

/// What a server shows in act 2 (`SIGNATURE_NOISE_MESSAGE`). The server's static key, which it also signs,
/// travels beside it. Integers are little-endian on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Certificate {
    /// Format version, [`CERTIFICATE_VERSION`].
    pub version: u16,
    /// First second of validity, Unix time.
    pub valid_from: u32,
    /// Last second of validity, Unix time.
    pub not_valid_after: u32,
    /// The authority's BIP 340 signature over SHA-256(version || valid_from || not_valid_after ||
    /// x coordinate of the server's static key).
    pub signature: [u8; 64],
}

/// Why a certificate does not prove who the server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CertificateError {
    /// Its last second of validity lies in the past by more than the leeway.
    #[error(
        "the server's certificate expired {expired_for_s} s ago (leeway {leeway_s} s): if other clients \
         connect, this machine's clock is ahead, synchronise it (NTP); else the pool must renew it"
    )]
    Expired {
        /// Seconds since the end of validity, leeway not counted.
        expired_for_s: u64,
        /// The leeway that was granted.
        leeway_s: u32,
    },
    /// Its first second of validity lies in the future by more than the leeway.
    #[error(
        "the server's certificate becomes valid in {valid_in_s} s (leeway {leeway_s} s): this machine's \
         clock is probably behind, synchronise it (NTP)"
    )]
    NotYetValid {
        /// Seconds until the start of validity, leeway not counted.
        valid_in_s: u64,
        /// The leeway that was granted.
        leeway_s: u32,
    },
    /// A well-formed signature that is not the expected authority's over these fields and this server key.
    #[error(
        "the server's certificate is not signed by the authority {expected}: the key in the configuration \
         is not this pool's (compare it with the one the pool publishes), or this is not the pool"
    )]
    WrongAuthority {
        /// The authority that the caller trusts.
        expected: AuthorityPublicKey,
    },
    /// A version that nobody has defined.
    #[error("the server's certificate has version {got} where {CERTIFICATE_VERSION} is right")]
    Version {
        /// The version found.
        got: u16,
    },
    /// The 64 bytes cannot be a signature of any key: R is not on the curve or s is not below its order.
    #[error("the server's certificate has a malformed signature, valid under no key at all")]
    MalformedSignature,
}

impl Certificate {
    /// Signs that `static_key` belongs to `authority` from `valid_from` to `not_valid_after`, both
    /// included, in Unix seconds. `aux_rand` is fresh randomness that hardens the signing (BIP 340); the
    /// certificate is as valid without it being secret.
    #[must_use]
    pub fn issue(
        authority: &AuthoritySecretKey,
        static_key: &StaticKeypair,
        valid_from: u32,
        not_valid_after: u32,
        aux_rand: [u8; 32],
    ) -> Self {
        let mut certificate =
            Self { version: CERTIFICATE_VERSION, valid_from, not_valid_after, signature: [0; 64] };
        let message = certificate.signed_message(&static_key.x_only());
        certificate.signature = authority
            .with_keypair(|pair| SECP256K1.sign_schnorr_with_aux_rand(&message, pair, &aux_rand))
            .serialize();
        certificate
    }

    /// Checks that `authority` vouches, at `now_unix`, for the server whose static key has the x coordinate
    /// `server_static_xonly`. The signature is checked before the dates, so that a date is only spoken of
    /// when it is the authority's own.
    ///
    /// # Errors
    /// Every way in which it does not, see [`CertificateError`].
    pub fn verify(
        &self,
        server_static_xonly: &[u8; 32],
        authority: &AuthorityPublicKey,
        now_unix: u64,
        leeway_s: u32,
    ) -> Result<(), CertificateError> {
        self.check_version()?;
        let (r, s) = self.signature.split_at(32);
        let mut s_bytes = [0; 32];
        s_bytes.copy_from_slice(s);
        if XOnlyPublicKey::from_slice(r).is_err() || Scalar::from_be_bytes(s_bytes).is_err() {
            return Err(CertificateError::MalformedSignature);
        }
        let signature =
            Signature::from_slice(&self.signature).map_err(|_| CertificateError::MalformedSignature)?;
        let message = self.signed_message(server_static_xonly);
        SECP256K1
            .verify_schnorr(&signature, &message, authority.x_only())
            .map_err(|_| CertificateError::WrongAuthority { expected: *authority })?;

        let (from, until) = (u64::from(self.valid_from), u64::from(self.not_valid_after));
        let leeway = u64::from(leeway_s);
        if now_unix.saturating_add(leeway) < from {
            return Err(CertificateError::NotYetValid { valid_in_s: from - now_unix, leeway_s });
        }
        if now_unix > until.saturating_add(leeway) {
            return Err(CertificateError::Expired { expired_for_s: now_unix - until, leeway_s });
        }
        Ok(())
    }

    pub(crate) fn check_version(&self) -> Result<(), CertificateError> {
        if self.version == CERTIFICATE_VERSION {
            Ok(())
        } else {
            Err(CertificateError::Version { got: self.version })
        }
    }

    /// The 74 bytes of the wire.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; CERTIFICATE_LEN] {
        let mut bytes = [0; CERTIFICATE_LEN];
        bytes[..2].copy_from_slice(&self.version.to_le_bytes());
        bytes[2..6].copy_from_slice(&self.valid_from.to_le_bytes());
        bytes[6..SIGNED_HEAD_LEN].copy_from_slice(&self.not_valid_after.to_le_bytes());
        bytes[SIGNED_HEAD_LEN..].copy_from_slice(&self.signature);
        bytes
    }

    /// From the 74 bytes of the wire. Nothing is checked here: that is [`Certificate::verify`].
    #[must_use]
    pub fn from_bytes(bytes: &[u8; CERTIFICATE_LEN]) -> Self {
        let u32_at = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let mut signature = [0; 64];
        signature.copy_from_slice(&bytes[SIGNED_HEAD_LEN..]);
        Self {
            version: u16::from_le_bytes([bytes[0], bytes[1]]),
            valid_from: u32_at(2),
            not_valid_after: u32_at(6),
            signature,
        }
    }

    fn signed_message(&self, server_static_xonly: &[u8; 32]) -> Message {
        let digest = Sha256::new()
            .chain_update(&self.to_bytes()[..SIGNED_HEAD_LEN])
            .chain_update(server_static_xonly)
            .finalize();
        Message::from_digest(digest.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: u32 = 1_700_000_000;
    const UNTIL: u32 = FROM + 3_600;

    fn authority(byte: u8) -> AuthoritySecretKey {
        AuthoritySecretKey::from_bytes([byte; 32]).unwrap()
    }

    fn server(byte: u8) -> StaticKeypair {
        StaticKeypair::from_secret_bytes([byte; 32]).unwrap()
    }

    fn certificate() -> Certificate {
        Certificate::issue(&authority(1), &server(2), FROM, UNTIL, [5; 32])
    }

    #[test]
    fn bytes_round_trip() {
        let certificate = certificate();
        assert_eq!(Certificate::from_bytes(&certificate.to_bytes()), certificate);
    }

    #[test]
    fn the_validity_window_has_its_leeway_on_both_sides_and_says_by_how_much_it_is_missed() {
        let check = |now: i64, leeway: u32| {
            let now = u64::try_from(i64::from(FROM) + now).unwrap();
            certificate().verify(&server(2).x_only(), &authority(1).public(), now, leeway)
        };
        let early = |valid_in_s, leeway_s| Err(CertificateError::NotYetValid { valid_in_s, leeway_s });
        let late = |expired_for_s, leeway_s| Err(CertificateError::Expired { expired_for_s, leeway_s });
        for (now, leeway, expected) in [
            (0, 0, Ok(())),
            (-1, 0, early(1, 0)),
            (-10, 10, Ok(())),
            (-11, 10, early(11, 10)),
            (-60, 10, early(60, 10)),
            (3_600, 0, Ok(())),
            (3_601, 0, late(1, 0)),
            (3_610, 10, Ok(())),
            (3_611, 10, late(11, 10)),
            (-1_000_000_000, u32::MAX, Ok(())),
        ] {
            assert_eq!(check(now, leeway), expected, "now {now}, leeway {leeway}");
        }
    }

    #[test]
    fn extreme_times_neither_wrap_nor_panic() {
        for (from, until) in [(0, 0), (0, u32::MAX), (u32::MAX, u32::MAX), (u32::MAX, 0)] {
            let certificate = Certificate::issue(&authority(1), &server(2), from, until, [0; 32]);
            for now in [0, u64::from(u32::MAX), u64::MAX] {
                for leeway in [0, DEFAULT_LEEWAY_S, u32::MAX] {
                    let verdict =
                        certificate.verify(&server(2).x_only(), &authority(1).public(), now, leeway);
                    let inside = now + u64::from(leeway).min(u64::MAX - now) >= u64::from(from)
                        && now <= u64::from(until) + u64::from(leeway);
                    assert_eq!(verdict.is_ok(), inside, "{from} {until} {now} {leeway}");
                }
            }
        }
    }

    #[test]
    fn clock_errors_speak_of_the_clock() {
        let late = CertificateError::Expired { expired_for_s: 61, leeway_s: 10 }.to_string();
        let early = CertificateError::NotYetValid { valid_in_s: 6, leeway_s: 5 }.to_string();
        assert!(late.contains("61 s") && late.contains("clock"), "{late}");
        assert!(early.contains("6 s") && early.contains("clock"), "{early}");
    }

    #[test]
    fn another_authority_or_another_server_key_is_refused() {
        let now = u64::from(FROM);
        let expected = authority(3).public();
        assert_eq!(
            certificate().verify(&server(2).x_only(), &expected, now, 0),
            Err(CertificateError::WrongAuthority { expected })
        );
        let expected = authority(1).public();
        assert_eq!(
            certificate().verify(&server(4).x_only(), &expected, now, 0),
            Err(CertificateError::WrongAuthority { expected })
        );
    }

    #[test]
    fn a_foreign_certificate_is_never_called_expired() {
        let expected = authority(3).public();
        assert_eq!(
            certificate().verify(&server(2).x_only(), &expected, 0, 0),
            Err(CertificateError::WrongAuthority { expected })
        );
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let good = certificate().to_bytes();
        for bit in 0..CERTIFICATE_LEN * 8 {
            let mut bytes = good;
            bytes[bit / 8] ^= 1 << (bit % 8);
            let verdict = Certificate::from_bytes(&bytes).verify(
                &server(2).x_only(),
                &authority(1).public(),
                u64::from(FROM),
                DEFAULT_LEEWAY_S,
            );
            match (bit / 8, verdict.unwrap_err()) {
                (0..2, CertificateError::Version { got }) => assert_ne!(got, CERTIFICATE_VERSION),
                (2.., CertificateError::WrongAuthority { .. } | CertificateError::MalformedSignature) => {}
                (byte, other) => panic!("byte {byte}: {other}"),
            }
        }
    }

    #[test]
    fn a_signature_that_no_key_can_make_is_told_apart() {
        let mut certificate = certificate();
        certificate.signature[32..].fill(0xff);
        assert_eq!(
            certificate.verify(&server(2).x_only(), &authority(1).public(), u64::from(FROM), 0),
            Err(CertificateError::MalformedSignature)
        );
    }
}
