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
        Self {
            authority,
            certificate,
            static_key,
        }
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

impl Drop for Keys {
    fn drop(&mut self) {
        // ring does not wipe its keys: overwrite them in place.
        self.0.rekey_manually(Some(&[0; 32]), Some(&[0; 32]));
    }
}

/// An encrypted link, ready for frames.
pub struct Transport {
    keys: Keys,
    peer: Peer,
}

impl Transport {
    pub(crate) fn new(state: HandshakeState, peer: Peer) -> Result<Self, HandshakeError> {
        let keys = Keys(
            state
                .into_stateless_transport_mode()
                .map_err(HandshakeError::Library)?,
        );
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
        f.debug_struct("Transport")
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}
