//! The two acts of the NX handshake, for both roles (section 4.5).

use std::fmt;

use secp256k1::PublicKey;
use secp256k1::ellswift::ElligatorSwift;
use snow::HandshakeState;
use thiserror::Error;

use crate::authority_key::AuthorityPublicKey;
use crate::certificate::{CERTIFICATE_LEN, Certificate, CertificateError};
use crate::ellswift::{ELLSWIFT_LEN, Party, Resolver, noise_params};
use crate::entropy::Expansion;
use crate::frame::MAC_LEN;
use crate::static_key::StaticKeypair;
use crate::transport::{Authenticated, Peer, Transport};

/// Length of act 1 in bytes: the initiator's ephemeral key.
pub const ACT1_LEN: usize = ELLSWIFT_LEN;
/// Length of act 2 in bytes: the responder's ephemeral key, its encrypted static key and its encrypted
/// certificate. The specification's text says 170, which its own table contradicts; every implementation
/// sends 234.
pub const ACT2_LEN: usize = ELLSWIFT_LEN + ELLSWIFT_LEN + MAC_LEN + CERTIFICATE_LEN + MAC_LEN;

/// Why a handshake came to nothing. The connection must be closed.
#[derive(Debug, PartialEq, Error)]
pub enum HandshakeError {
    /// Act 2 was altered on its way, answers another act 1, or is not Noise NX at all.
    #[error(
        "the server's answer is not a Noise NX handshake message for this connection: it was altered on \
         its way, or what listens there does not speak encrypted Stratum V2"
    )]
    NotAuthentic,
    /// The link is encrypted, but not proven to lead to the pool.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// snow refused a step that cannot fail; a defect of ours.
    #[error("the noise library refused a handshake step: {0}")]
    Library(snow::Error),
}

impl From<snow::Error> for HandshakeError {
    fn from(error: snow::Error) -> Self {
        match error {
            snow::Error::Decrypt | snow::Error::Dh | snow::Error::Input => Self::NotAuthentic,
            other => Self::Library(other),
        }
    }
}

fn handshake_state(
    party: Party,
    static_key: Option<&StaticKeypair>,
    entropy: [u8; 32],
) -> Result<HandshakeState, snow::Error> {
    let resolver = Resolver { party, entropy: Expansion::new(entropy), static_key: static_key.cloned() };
    let builder = snow::Builder::with_resolver(noise_params(), Box::new(resolver));
    match static_key {
        Some(key) => builder.local_private_key(&key.secret()[..])?.build_responder(),
        None => builder.build_initiator(),
    }
}

/// The side that dials: sends act 1, then judges act 2.
pub struct Initiator {
    state: HandshakeState,
    authority: Option<AuthorityPublicKey>,
}

impl Initiator {
    /// Starts a handshake and gives act 1, to be sent as it is.
    ///
    /// `authority` is the key that the server's certificate must be signed by. `None` accepts any server
    /// and gives a link that is encrypted but proves nothing: only for a source that its owner configured
    /// as insecure.
    ///
    /// `entropy` is 32 bytes of fresh randomness, never used before; whoever knows it reads the
    /// connection.
    ///
    /// # Panics
    /// Never: nothing here depends on a peer.
    #[must_use]
    pub fn new(authority: Option<AuthorityPublicKey>, entropy: [u8; 32]) -> (Self, [u8; ACT1_LEN]) {
        let mut state = handshake_state(Party::A, None, entropy)
            .expect("the pattern is fixed and NX asks nothing of an initiator");
        // snow wants room for a MAC, which act 1 does not have.
        let mut message = [0; ACT1_LEN + MAC_LEN];
        state.write_message(&[], &mut message).expect("the buffer has room and the turn is ours");
        let mut act1 = [0; ACT1_LEN];
        act1.copy_from_slice(&message[..ACT1_LEN]);
        (Self { state, authority }, act1)
    }

    /// Judges act 2 at `now_unix` (Unix seconds); `leeway_s` is how far the clocks may differ, by default
    /// [`DEFAULT_LEEWAY_S`](crate::DEFAULT_LEEWAY_S).
    ///
    /// # Errors
    /// [`HandshakeError`]; the connection must be closed and nothing else sent.
    pub fn finish(
        mut self,
        act2: &[u8; ACT2_LEN],
        now_unix: u64,
        leeway_s: u32,
    ) -> Result<Transport, HandshakeError> {
        let mut payload = [0; CERTIFICATE_LEN + MAC_LEN];
        self.state.read_message(act2, &mut payload)?;
        let mut bytes = [0; CERTIFICATE_LEN];
        bytes.copy_from_slice(&payload[..CERTIFICATE_LEN]);
        let certificate = Certificate::from_bytes(&bytes);

        let peer = match self.authority {
            None => {
                certificate.check_version()?;
                Peer::Unauthenticated
            }
            Some(authority) => {
                let static_key = self.server_static_xonly()?;
                certificate.verify(&static_key, &authority, now_unix, leeway_s)?;
                Peer::Authenticated(Authenticated::verified(authority, certificate, static_key))
            }
        };
        Transport::new(self.state, peer)
    }

    fn server_static_xonly(&self) -> Result<[u8; 32], HandshakeError> {
        let key = self.state.get_remote_static().and_then(|key| key.first_chunk::<ELLSWIFT_LEN>());
        let key = ElligatorSwift::from_array(*key.ok_or(HandshakeError::NotAuthentic)?);
        Ok(PublicKey::from_ellswift(key).x_only_public_key().0.serialize())
    }
}

impl fmt::Debug for Initiator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Initiator").field("authority", &self.authority).finish_non_exhaustive()
    }
}

/// The side that listens: reads act 1, answers with act 2.
pub struct Responder {
    state: HandshakeState,
    certificate: Certificate,
}

impl Responder {
    /// Prepares for one connection. `certificate` must be the one issued for `static_key`; a wrong one is
    /// noticed by every client. `entropy` is 32 bytes of fresh randomness, never used before.
    ///
    /// # Panics
    /// Never: nothing here depends on a peer.
    #[must_use]
    pub fn new(static_key: &StaticKeypair, certificate: Certificate, entropy: [u8; 32]) -> Self {
        let state = handshake_state(Party::B, Some(static_key), entropy)
            .expect("the pattern is fixed and the static key is there");
        Self { state, certificate }
    }

    /// Answers act 1 with act 2, to be sent as it is. The link is ready at once; that the initiator holds
    /// the same keys shows with its first frame. Its [`Peer`] is unauthenticated: NX proves nothing about
    /// an initiator.
    ///
    /// # Errors
    /// [`HandshakeError::Library`] only; any 64 bytes are a valid act 1.
    pub fn respond(mut self, act1: &[u8; ACT1_LEN]) -> Result<([u8; ACT2_LEN], Transport), HandshakeError> {
        self.state.read_message(act1, &mut [])?;
        let mut act2 = [0; ACT2_LEN];
        self.state.write_message(&self.certificate.to_bytes(), &mut act2)?;
        Ok((act2, Transport::new(self.state, Peer::Unauthenticated)?))
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responder").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}
