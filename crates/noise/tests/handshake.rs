//! What an attacker can do to a handshake: nothing but break it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use common::{NOW, authority, certificate, frame, link, static_key};
use noise::{
    ACT1_LEN, ACT2_LEN, Certificate, CertificateError, DEFAULT_LEEWAY_S, HandshakeError, Initiator,
    OpenError, Responder, Transport,
};

fn dial() -> (Initiator, [u8; ACT1_LEN]) {
    Initiator::new(Some(authority().public()), [1; 32])
}

fn listen(act1: &[u8; ACT1_LEN]) -> ([u8; ACT2_LEN], Transport) {
    Responder::new(&static_key(), certificate(), [2; 32]).respond(act1).unwrap()
}

#[test]
fn a_handshake_is_a_function_of_its_entropy() {
    let (_, act1) = dial();
    assert_eq!(act1, dial().1);
    assert_eq!(listen(&act1).0, listen(&act1).0);
    let (_, other) = Initiator::new(Some(authority().public()), [9; 32]);
    assert_ne!(act1, other);
}

#[test]
fn every_flipped_bit_of_act_1_ends_the_handshake() {
    for bit in 0..ACT1_LEN * 8 {
        let (initiator, mut act1) = dial();
        act1[bit / 8] ^= 1 << (bit % 8);
        let (act2, _) = listen(&act1);
        let verdict = initiator.finish(&act2, NOW, DEFAULT_LEEWAY_S);
        assert_eq!(verdict.unwrap_err(), HandshakeError::NotAuthentic, "bit {bit}");
    }
}

#[test]
fn every_flipped_bit_of_act_2_ends_the_handshake() {
    let (_, act1) = dial();
    let (good, _) = listen(&act1);
    for bit in 0..ACT2_LEN * 8 {
        let mut act2 = good;
        act2[bit / 8] ^= 1 << (bit % 8);
        for authority in [Some(authority().public()), None] {
            let (initiator, _) = Initiator::new(authority, [1; 32]);
            let verdict = initiator.finish(&act2, NOW, DEFAULT_LEEWAY_S);
            assert_eq!(verdict.unwrap_err(), HandshakeError::NotAuthentic, "bit {bit}");
        }
    }
}

#[test]
fn garbage_is_not_authentic_whatever_it_is() {
    for byte in [0, 1, 0x80, 0xff] {
        let (initiator, _) = dial();
        let verdict = initiator.finish(&[byte; ACT2_LEN], NOW, DEFAULT_LEEWAY_S);
        assert_eq!(verdict.unwrap_err(), HandshakeError::NotAuthentic);
        // Any 64 bytes are somebody's key: a responder answers, and then reads nothing.
        let (_, transport) = listen(&[byte; ACT1_LEN]);
        let (_, mut opener) = transport.split();
        let opened = opener.open(&mut common::buffer(&[byte; 22]), 100);
        assert_eq!(opened, Err(OpenError::NotAuthentic));
    }
}

#[test]
fn a_replayed_act_2_is_refused_by_the_next_connection() {
    let (_, act1) = dial();
    let (act2, _) = listen(&act1);
    let (next, _) = Initiator::new(Some(authority().public()), [7; 32]);
    assert_eq!(next.finish(&act2, NOW, DEFAULT_LEEWAY_S).unwrap_err(), HandshakeError::NotAuthentic);
}

#[test]
fn a_replayed_act_1_with_the_recorded_frames_opens_nothing() {
    let (initiator, act1) = dial();
    let (act2, _) = listen(&act1);
    let (mut sealer, _) = initiator.finish(&act2, NOW, DEFAULT_LEEWAY_S).unwrap().split();
    let mut recorded = common::buffer(&[]);
    sealer.seal_frame(&frame(1, 30), &mut recorded).unwrap();

    // The server's own fresh entropy makes the second connection another one.
    let (_, again) = Responder::new(&static_key(), certificate(), [3; 32]).respond(&act1).unwrap();
    assert_eq!(again.split().1.open(&mut recorded, 100), Err(OpenError::NotAuthentic));
}

#[test]
fn the_first_frame_shows_when_both_sides_saw_different_acts() {
    let (client, _) = link(1);
    let (_, server) = link(2);
    let mut wire = common::buffer(&[]);
    client.split().0.seal_frame(&frame(1, 30), &mut wire).unwrap();
    assert_eq!(server.split().1.open(&mut wire, 100), Err(OpenError::NotAuthentic));
}

#[test]
fn a_frame_cannot_be_sent_back_to_where_it_came_from() {
    let (client, _) = link(1);
    let (mut sealer, mut opener) = client.split();
    let mut wire = common::buffer(&[]);
    sealer.seal_frame(&frame(1, 30), &mut wire).unwrap();
    assert_eq!(opener.open(&mut wire, 100), Err(OpenError::NotAuthentic));
}

#[test]
fn each_fault_of_a_certificate_is_named_through_the_handshake() {
    use CertificateError as E;
    let expected = authority().public();
    let other = noise::AuthoritySecretKey::from_bytes([0x44; 32]).unwrap();
    let other_server = noise::StaticKeypair::from_secret_bytes([0x55; 32]).unwrap();
    let now = u32::try_from(NOW).unwrap();
    let issue = |from, until| Certificate::issue(&authority(), &static_key(), from, until, [0; 32]);
    let altered = |change: fn(&mut Certificate)| {
        let mut certificate = certificate();
        change(&mut certificate);
        certificate
    };
    for (certificate, fault) in [
        (issue(now - 10, now - 6), None),
        (issue(now + 6, now + 10), None),
        (issue(0, now - 11), Some(E::Expired { expired_for_s: 11, leeway_s: 10 })),
        (issue(now + 60, u32::MAX), Some(E::NotYetValid { valid_in_s: 60, leeway_s: 10 })),
        (
            Certificate::issue(&other, &static_key(), 0, u32::MAX, [0; 32]),
            Some(E::WrongAuthority { expected }),
        ),
        (
            Certificate::issue(&authority(), &other_server, 0, u32::MAX, [0; 32]),
            Some(E::WrongAuthority { expected }),
        ),
        (altered(|it| it.version = 1), Some(E::Version { got: 1 })),
        (altered(|it| it.valid_from -= 1), Some(E::WrongAuthority { expected })),
        (altered(|it| it.not_valid_after += 1), Some(E::WrongAuthority { expected })),
        (altered(|it| it.signature[63] ^= 1), Some(E::WrongAuthority { expected })),
        (altered(|it| it.signature = [0xff; 64]), Some(E::MalformedSignature)),
    ] {
        let (initiator, act1) = dial();
        let (act2, _) = Responder::new(&static_key(), certificate, [2; 32]).respond(&act1).unwrap();
        let verdict = initiator.finish(&act2, NOW, DEFAULT_LEEWAY_S).map(drop).err();
        assert_eq!(verdict, fault.map(HandshakeError::Certificate), "{certificate:?}");
    }
}

#[test]
fn an_insecure_link_is_never_taken_for_an_authenticated_one() {
    let (initiator, act1) = Initiator::new(None, [1; 32]);
    let (act2, server) = listen(&act1);
    let client = initiator.finish(&act2, NOW, DEFAULT_LEEWAY_S).unwrap();
    assert_eq!(client.peer().authenticated(), None);
    assert_eq!(server.peer().authenticated(), None);
    // Even there a certificate of another format is refused: its fields could mean anything.
    let mut certificate = certificate();
    certificate.version = 7;
    let (initiator, act1) = Initiator::new(None, [1; 32]);
    let (act2, _) = Responder::new(&static_key(), certificate, [2; 32]).respond(&act1).unwrap();
    assert_eq!(
        initiator.finish(&act2, NOW, DEFAULT_LEEWAY_S).unwrap_err(),
        HandshakeError::Certificate(CertificateError::Version { got: 7 })
    );
}

#[test]
fn debug_output_shows_no_key() {
    let (initiator, act1) = dial();
    let shown = format!("{initiator:?} {:?} {:?}", static_key(), listen(&act1).1);
    for secret in [[0x11; 32], [0x22; 32], [1; 32], [2; 32]] {
        let list = format!("{secret:?}");
        assert!(
            !shown.contains(&list[1..list.len() - 1]) && !shown.contains(&hex::encode(secret)),
            "{shown}"
        );
    }
}
