//! Stratum V2's encrypted link: the Noise NX handshake with EllSwift keys, the certificate that proves
//! who a server is, the authority keys and pool URLs that people copy from a web page, and the encryption
//! of frames.
//!
//! This crate does no IO, reads no clock and draws no randomness: bytes, `now` in Unix seconds and 32
//! bytes of fresh entropy are arguments. The specification's chapter 4 ("Protocol Security") is the text
//! that it follows; section numbers in these pages are that chapter's.
//!
//! # A connection, step by step
//!
//! | side | does |
//! | --- | --- |
//! | initiator (we dial) | [`Initiator::new`] gives act 1 to send; read [`ACT2_LEN`] bytes; [`Initiator::finish`] |
//! | responder (we listen) | read [`ACT1_LEN`] bytes; [`Responder::respond`] gives act 2 to send |
//! | both | [`Transport::split`] gives a [`Sealer`] for one task and an [`Opener`] for another |
//!
//! ```
//! use bytes::BytesMut;
//! use noise::{AuthoritySecretKey, Certificate, DEFAULT_LEEWAY_S, Initiator, Responder, StaticKeypair};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let authority = AuthoritySecretKey::from_bytes([7; 32])?;
//! let server = StaticKeypair::from_secret_bytes([8; 32])?;
//! let certificate = Certificate::issue(&authority, &server, 1_000, 5_000, [9; 32]);
//!
//! let (initiator, act1) = Initiator::new(Some(authority.public()), [1; 32]);
//! let (act2, at_server) = Responder::new(&server, certificate, [2; 32]).respond(&act1)?;
//! let at_client = initiator.finish(&act2, 2_000, DEFAULT_LEEWAY_S)?;
//! assert!(at_client.peer().authenticated().is_some());
//!
//! let (mut sealer, _) = at_client.split();
//! let (_, mut opener) = at_server.split();
//! let (mut frames, mut wire) = (BytesMut::from(&[0, 0, 0x2a, 2, 0, 0, 0xaa, 0xbb][..]), BytesMut::new());
//! sealer.seal(&mut frames, &mut wire)?;
//! let frame = opener.open(&mut wire, 64 * 1024)?.expect("the whole frame has arrived");
//! assert_eq!((&frame.header[..], &frame.payload[..]), (&[0, 0, 0x2a, 2, 0, 0][..], &[0xaa, 0xbb][..]));
//! # Ok(())
//! # }
//! ```
//!
//! # What is wiped from memory, and what is not
//!
//! Authority and static secret keys, the ephemeral key and the expanded entropy are overwritten when they
//! are dropped. When the last half of a [`Transport`] goes, both cipher keys are replaced by a zero key.
//! Intermediate values inside `snow` (the chaining key, HKDF outputs on the stack) and copies that the
//! compiler makes are out of reach.

mod authority_key;
mod certificate;
mod ellswift;
mod entropy;
mod frame;
mod handshake;
mod key_text;
mod open;
mod pool_url;
mod seal;
mod static_key;
mod transport;

pub use authority_key::{
    AuthorityPublicKey, AuthoritySecretKey, PUBLISHED_EXAMPLE_KEYS, is_published_example_key,
};
pub use certificate::{
    CERTIFICATE_LEN, CERTIFICATE_VERSION, Certificate, CertificateError, DEFAULT_LEEWAY_S,
};
pub use frame::{
    BLOCK_CIPHERTEXT_MAX, BLOCK_PLAINTEXT_MAX, HEADER_LEN, MAC_LEN, PAYLOAD_LEN_MAX, SEALED_HEADER_LEN,
    sealed_payload_len,
};
pub use handshake::{ACT1_LEN, ACT2_LEN, HandshakeError, Initiator, Responder};
pub use key_text::KeyError;
pub use open::{OpenError, OpenedFrame, Opener};
pub use pool_url::{PoolUrl, PoolUrlError, SCHEME};
pub use seal::{SealError, Sealer};
pub use static_key::StaticKeypair;
pub use transport::{Authenticated, Peer, Transport};
