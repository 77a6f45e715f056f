//! What a finished handshake leaves: two ciphers, and the knowledge of who is at the other end.

use std::fmt;
use std::sync::Arc;

use snow::{HandshakeState, StatelessTransportState};

use crate::authority_key::AuthorityPublicKey;
use crate::certificate::Certificate;
use crate::handshake::HandshakeError;
use crate::open::Opener;
use crate::seal::Sealer;

/// Proof that a server showed a valid certificate of the authority that was asked for. Only
/// [`Initiator::finish`](crate::Initiator::finish) makes one, so code that demands it cannot be reached
/// over an unverified link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated {
    authority: AuthorityPublicKey,
    certificate: Certificate,
    static_key: [u8; 32],
}

impl Authenticated {
    pub(crate) fn verified(
        authority: AuthorityPublicKey,
        certificate: Certificate,
        static_key: [u8; 32],
    ) -> Self {
        Self { authority, certificate, static_key }
    }

    /// The authority that vouches for the server.
    #[must_use]
    pub fn authority(&self) -> &AuthorityPublicKey {
        &self.authority
    }

    /// The certificate that the server showed.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The server's static key: x coordinate, 32 bytes big-endian.
    #[must_use]
    pub fn server_static_key(&self) -> &[u8; 32] {
        &self.static_key
    }
}

/// Who is at the other end of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// A server that the pinned authority vouches for.
    Authenticated(Authenticated),
    /// Anybody: a server that was dialled without an authority key, or an initiator (NX proves nothing
    /// about that side).
    Unauthenticated,
}

impl Peer {
    /// The proof, if there is one.
    #[must_use]
    pub fn authenticated(&self) -> Option<&Authenticated> {
        match self {
            Self::Authenticated(proof) => Some(proof),
            Self::Unauthenticated => None,
        }
    }
}

/// Both cipher keys, shared by the two halves; each half uses only its own and keeps its own nonce.
pub(crate) struct Keys(StatelessTransportState);

impl Keys {
    /// Encrypts one Noise message into `out`, which must be [`crate::MAC_LEN`] longer than `plain`.
    pub(crate) fn seal(&self, nonce: u64, plain: &[u8], out: &mut [u8]) -> Result<usize, snow::Error> {
        self.0.write_message(nonce, plain, out)
    }

    /// Decrypts one Noise message into `out`, which must be as long as `sealed`: that spares snow an
    /// allocation.
    pub(crate) fn open(&self, nonce: u64, sealed: &[u8], out: &mut [u8]) -> Result<usize, snow::Error> {
        self.0.read_message(nonce, sealed, out)
    }
}

impl Keys {
    /// ring does not wipe its keys: overwrites them in place.
    fn wipe(&mut self) {
        self.0.rekey_manually(Some(&[0; 32]), Some(&[0; 32]));
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.wipe();
    }
}

/// An encrypted link, ready for frames.
pub struct Transport {
    keys: Keys,
    peer: Peer,
}

impl Transport {
    pub(crate) fn new(state: HandshakeState, peer: Peer) -> Result<Self, HandshakeError> {
        let keys = Keys(state.into_stateless_transport_mode().map_err(HandshakeError::Library)?);
        Ok(Self { keys, peer })
    }

    /// Who is at the other end. Take it before [`Transport::split`].
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The two directions, which can live in different tasks.
    #[must_use]
    pub fn split(self) -> (Sealer, Opener) {
        let keys = Arc::new(self.keys);
        (Sealer::new(Arc::clone(&keys)), Opener::new(keys))
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("peer", &self.peer).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{AuthoritySecretKey, Initiator, Responder, StaticKeypair};

    /// An initiator's and a responder's end of one link, the same ones for the same seed.
    pub(crate) fn link(seed: u8) -> (Transport, Transport) {
        let authority = AuthoritySecretKey::from_bytes([1; 32]).unwrap();
        let server = StaticKeypair::from_secret_bytes([2; 32]).unwrap();
        let certificate = Certificate::issue(&authority, &server, 0, u32::MAX, [3; 32]);
        let (initiator, act1) = Initiator::new(Some(authority.public()), [seed; 32]);
        let (act2, at_server) = Responder::new(&server, certificate, [!seed; 32]).respond(&act1).unwrap();
        (initiator.finish(&act2, 1, 0).unwrap(), at_server)
    }

    #[test]
    fn the_peer_is_known_on_the_dialling_side_only() {
        let (client, server) = link(1);
        let proof = client.peer().authenticated().unwrap();
        assert_eq!(proof.authority(), &AuthoritySecretKey::from_bytes([1; 32]).unwrap().public());
        assert_eq!(proof.server_static_key(), &StaticKeypair::from_secret_bytes([2; 32]).unwrap().x_only());
        assert_eq!((proof.certificate().valid_from, proof.certificate().not_valid_after), (0, u32::MAX));
        assert_eq!(server.peer(), &Peer::Unauthenticated);
    }

    #[test]
    fn the_keys_are_overwritten_when_they_go() {
        let Transport { mut keys, .. } = link(1).0;
        let seal = |keys: &Keys| {
            let mut out = [0; 17];
            keys.seal(0, &[1], &mut out).unwrap();
            out
        };
        let before = seal(&keys);
        keys.wipe();
        assert_ne!(before, seal(&keys));
        let Transport { keys: mut other, .. } = link(2).0;
        other.wipe();
        assert_eq!(seal(&keys), seal(&other));
    }
}
