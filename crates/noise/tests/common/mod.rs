//! Keys, links and frames that several tests share.
#![allow(dead_code, reason = "each test file uses its own part of this")]

use bytes::BytesMut;
use noise::{
    AuthoritySecretKey, Certificate, DEFAULT_LEEWAY_S, HEADER_LEN, Initiator, Responder, StaticKeypair,
    Transport,
};

pub(crate) const NOW: u64 = 1_790_000_000;
pub(crate) const VALID_FROM: u32 = 1_789_999_000;
pub(crate) const NOT_VALID_AFTER: u32 = 1_790_003_600;

pub(crate) fn authority() -> AuthoritySecretKey {
    AuthoritySecretKey::from_bytes([0x11; 32]).unwrap()
}

pub(crate) fn static_key() -> StaticKeypair {
    StaticKeypair::from_secret_bytes([0x22; 32]).unwrap()
}

pub(crate) fn certificate() -> Certificate {
    Certificate::issue(&authority(), &static_key(), VALID_FROM, NOT_VALID_AFTER, [0x33; 32])
}

/// An initiator's and a responder's end of one link, the same ones for the same seed.
pub(crate) fn link(seed: u8) -> (Transport, Transport) {
    let (initiator, act1) = Initiator::new(Some(authority().public()), [seed; 32]);
    let (act2, responder) = Responder::new(&static_key(), certificate(), [!seed; 32]).respond(&act1).unwrap();
    (initiator.finish(&act2, NOW, DEFAULT_LEEWAY_S).unwrap(), responder)
}

/// A plaintext frame: header and a payload whose bytes tell their place.
pub(crate) fn frame(message_type: u8, payload_len: usize) -> Vec<u8> {
    let len = u32::try_from(payload_len).unwrap().to_le_bytes();
    let mut frame = vec![0x00, 0x80, message_type, len[0], len[1], len[2]];
    frame.extend((0..payload_len).map(|at| u8::try_from(at * 31 % 251).unwrap() ^ message_type));
    assert_eq!(frame.len(), HEADER_LEN + payload_len);
    frame
}

pub(crate) fn concat(opened: &noise::OpenedFrame) -> Vec<u8> {
    let mut frame = opened.header.to_vec();
    frame.extend_from_slice(&opened.payload);
    frame
}

pub(crate) fn buffer(bytes: &[u8]) -> BytesMut {
    BytesMut::from(bytes)
}
