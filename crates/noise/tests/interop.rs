//! Both roles against the published reference implementation: the handshake of `noise_sv2`, and frames of
//! every awkward size through `codec_sv2`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use codec_sv2::{Decrypted, EncodableFrame, Handshake, NoiseDecoder, NoiseEncoder, TransportDecryptState};
use common::{authority, certificate, concat, frame, static_key};
use noise::{
    ACT2_LEN, Certificate, CertificateError, DEFAULT_LEEWAY_S, HandshakeError, Initiator, Opener,
    PAYLOAD_LEN_MAX, Responder, Sealer,
};

const PAYLOADS: [usize; 10] =
    [0, 1, 64, 495, 496, 497, noise::BLOCK_PLAINTEXT_MAX, noise::BLOCK_PLAINTEXT_MAX + 1, 131_038, 200_000];

fn reference_responder() -> Box<noise_sv2::Responder> {
    let secret = authority();
    noise_sv2::Responder::from_authority_kp(
        &secret.public().to_bytes(),
        &[0x11; 32],
        Duration::from_secs(3_600),
    )
    .unwrap()
}

/// The reference reads the machine's clock; only these tests do so too.
#[expect(clippy::disallowed_methods, reason = "the reference's handshake dates its certificate by the clock")]
fn clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

struct Raw(Vec<u8>);

impl EncodableFrame for Raw {
    fn encoded_length(&self) -> usize {
        self.0.len()
    }

    fn encode_into(self, dst: &mut [u8]) -> Result<(), framing_sv2::Error> {
        dst[..self.0.len()].copy_from_slice(&self.0);
        Ok(())
    }
}

/// Every payload size from us to the reference and back, one after the other on the same link.
fn exchange(mut sealer: Sealer, mut opener: Opener, theirs: codec_sv2::Transport) {
    let (mut their_encryptor, mut their_decryptor) = theirs.split();
    let (mut encoder, mut decoder) = (NoiseEncoder::new(), NoiseDecoder::new());
    for (message_type, payload_len) in (0..).zip(PAYLOADS) {
        let plain = frame(message_type, payload_len);

        let mut wire = BytesMut::new();
        sealer.seal_frame(&plain, &mut wire).unwrap();
        assert_eq!(wire.len(), 22 + noise::sealed_payload_len(payload_len));
        let (read, next) = reference_reads(&mut decoder, their_decryptor, &wire);
        their_decryptor = next;
        assert!(read == plain, "the reference read another frame of {payload_len} bytes");

        let sent = encoder.encode_transport(Raw(plain.clone()), &mut their_encryptor).unwrap();
        let mut input = BytesMut::from(AsRef::<[u8]>::as_ref(&sent));
        let opened = opener.open(&mut input, PAYLOAD_LEN_MAX).unwrap().unwrap();
        assert!(concat(&opened) == plain, "we read another frame of {payload_len} bytes");
        assert!(input.is_empty());
    }
}

fn reference_reads(
    decoder: &mut NoiseDecoder,
    mut state: TransportDecryptState,
    mut wire: &[u8],
) -> (Vec<u8>, TransportDecryptState) {
    loop {
        let writable = decoder.writable();
        let (now, later) = wire.split_at(writable.len().min(wire.len()));
        writable[..now.len()].copy_from_slice(now);
        wire = later;
        match decoder.next_transport_frame(state).unwrap() {
            Decrypted::Frame(frame, state) => {
                assert!(wire.is_empty());
                return (frame.as_bytes().to_vec(), state);
            }
            Decrypted::Incomplete(_, next) => state = next,
        }
    }
}

#[test]
fn we_dial_the_reference() {
    let (initiator, act1) = Initiator::new(Some(authority().public()), [1; 32]);
    let (act2, theirs) = Handshake::responder(reference_responder()).step_1(act1).unwrap();
    let act2: [u8; ACT2_LEN] = act2.payload().try_into().unwrap();
    let ours = initiator.finish(&act2, clock(), DEFAULT_LEEWAY_S).unwrap();
    assert_eq!(*ours.peer().authenticated().unwrap().authority(), authority().public());
    let (sealer, opener) = ours.split();
    exchange(sealer, opener, theirs);
}

#[test]
fn the_reference_dials_us() {
    let role = noise_sv2::Initiator::from_raw_k(authority().public().to_bytes()).unwrap();
    let (act1, theirs) = Handshake::initiator(role).step_0().unwrap();
    let (act2, ours) = Responder::new(&static_key(), certificate(), [2; 32])
        .respond(&act1.payload().try_into().unwrap())
        .unwrap();
    let now = u32::try_from(common::NOW).unwrap();
    let theirs = theirs.step_2_with_now(act2, now).unwrap();
    let (sealer, opener) = ours.split();
    exchange(sealer, opener, theirs);
}

#[test]
fn the_reference_and_we_agree_on_when_a_certificate_holds() {
    let start = i64::from(common::VALID_FROM);
    let end = i64::from(common::NOT_VALID_AFTER);
    for now in [start - 11, start - 10, start, end, end + 10, end + 11] {
        let role = noise_sv2::Initiator::from_raw_k(authority().public().to_bytes()).unwrap();
        let (act1, theirs) = Handshake::initiator(role).step_0().unwrap();
        let (act2, _) = Responder::new(&static_key(), certificate(), [2; 32])
            .respond(&act1.payload().try_into().unwrap())
            .unwrap();
        let reference = theirs.step_2_with_now(act2, u32::try_from(now).unwrap());

        let (initiator, act1) = Initiator::new(Some(authority().public()), [1; 32]);
        let (act2, _) = Responder::new(&static_key(), certificate(), [2; 32]).respond(&act1).unwrap();
        let ours = initiator.finish(&act2, u64::try_from(now).unwrap(), DEFAULT_LEEWAY_S);
        assert_eq!(reference.is_ok(), ours.is_ok(), "at {now}");
    }
}

#[test]
fn a_reference_server_with_another_authority_is_refused() {
    let other = noise::AuthoritySecretKey::from_bytes([0x44; 32]).unwrap().public();
    let (initiator, act1) = Initiator::new(Some(other), [1; 32]);
    let (act2, _) = reference_responder().step_1(act1).unwrap();
    assert_eq!(
        initiator.finish(&act2, clock(), DEFAULT_LEEWAY_S).unwrap_err(),
        HandshakeError::Certificate(CertificateError::WrongAuthority { expected: other })
    );
}

#[test]
fn the_reference_refuses_our_certificate_under_another_key() {
    let role = noise_sv2::Initiator::from_raw_k(authority().public().to_bytes()).unwrap();
    let (act1, theirs) = Handshake::initiator(role).step_0().unwrap();
    let another = noise::AuthoritySecretKey::from_bytes([0x44; 32]).unwrap();
    let certificate =
        Certificate::issue(&another, &static_key(), common::VALID_FROM, common::NOT_VALID_AFTER, [0; 32]);
    let (act2, _) = Responder::new(&static_key(), certificate, [2; 32])
        .respond(&act1.payload().try_into().unwrap())
        .unwrap();
    assert!(theirs.step_2_with_now(act2, u32::try_from(common::NOW).unwrap()).is_err());
}

#[test]
fn an_insecure_link_to_the_reference_is_encrypted_but_proves_nothing() {
    let (initiator, act1) = Initiator::new(None, [1; 32]);
    let (act2, theirs) = Handshake::responder(reference_responder()).step_1(act1).unwrap();
    let act2: [u8; ACT2_LEN] = act2.payload().try_into().unwrap();
    // Whatever the clock says: nothing is verified.
    let ours = initiator.finish(&act2, 0, 0).unwrap();
    assert_eq!(ours.peer().authenticated(), None);
    let (sealer, opener) = ours.split();
    exchange(sealer, opener, theirs);
}
