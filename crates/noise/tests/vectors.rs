//! The recorded handshakes of `protocol-fixtures/noise`, replayed byte for byte. Its README says where
//! each comes from; `cargo test -p adit-noise --test vectors -- --ignored` records them anew.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use std::path::PathBuf;

use bytes::BytesMut;
use codec_sv2::{EncodableFrame, Handshake, NoiseEncoder};
use common::{concat, frame};
use noise::{
    AuthorityPublicKey, AuthoritySecretKey, Certificate, DEFAULT_LEEWAY_S, Initiator, Opener,
    PAYLOAD_LEN_MAX, Responder, Sealer, StaticKeypair,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

type Hex = String;

fn array<const N: usize>(hex: &str) -> [u8; N] {
    hex::decode(hex).unwrap().try_into().unwrap()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../protocol-fixtures/noise")
}

fn read<T: DeserializeOwned>(name: &str) -> T {
    serde_json::from_slice(&std::fs::read(folder().join(name)).unwrap()).unwrap()
}

fn write(name: &str, vectors: &impl Serialize) {
    let text = serde_json::to_string_pretty(vectors).unwrap();
    std::fs::write(folder().join(name), text + "\n").unwrap();
}

/// One plaintext frame and what it is on the wire.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Message {
    from: String,
    plaintext: Hex,
    ciphertext: Hex,
}

/// A handshake between two Adits: every byte follows from the inputs.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Deterministic {
    authority_secret: Hex,
    authority_public: String,
    server_static_secret: Hex,
    server_static_x_only: Hex,
    certificate_aux_rand: Hex,
    valid_from: u32,
    not_valid_after: u32,
    certificate: Hex,
    initiator_entropy: Hex,
    responder_entropy: Hex,
    now_unix: u64,
    act1: Hex,
    act2: Hex,
    messages: Vec<Message>,
}

fn seal(sealer: &mut Sealer, plain: &[u8], from: &str) -> Message {
    let mut wire = BytesMut::new();
    sealer.seal_frame(plain, &mut wire).unwrap();
    Message { from: from.to_owned(), plaintext: hex::encode(plain), ciphertext: hex::encode(wire) }
}

fn deterministic(n: u8) -> Deterministic {
    let authority = AuthoritySecretKey::from_bytes([n; 32]).unwrap();
    let server = StaticKeypair::from_secret_bytes([n + 0x10; 32]).unwrap();
    let (valid_from, not_valid_after) = (1_790_000_000 + u32::from(n), 1_790_003_600 + u32::from(n));
    let (aux, e_initiator, e_responder) = ([n + 0x20; 32], [n + 0x30; 32], [n + 0x40; 32]);
    let certificate = Certificate::issue(&authority, &server, valid_from, not_valid_after, aux);
    let now_unix = u64::from(valid_from) + 5;

    let (initiator, act1) = Initiator::new(Some(authority.public()), e_initiator);
    let (act2, at_server) = Responder::new(&server, certificate, e_responder).respond(&act1).unwrap();
    let at_client = initiator.finish(&act2, now_unix, DEFAULT_LEEWAY_S).unwrap();
    let ((mut up, _), (mut down, _)) = (at_client.split(), at_server.split());
    let messages = vec![
        seal(&mut up, &frame(n, 0), "initiator"),
        seal(&mut up, &frame(n, 1), "initiator"),
        seal(&mut down, &frame(n, 70), "responder"),
        seal(&mut up, &frame(n, 300), "initiator"),
    ];
    Deterministic {
        authority_secret: hex::encode([n; 32]),
        authority_public: authority.public().to_string(),
        server_static_secret: hex::encode([n + 0x10; 32]),
        server_static_x_only: hex::encode(server.x_only()),
        certificate_aux_rand: hex::encode(aux),
        valid_from,
        not_valid_after,
        certificate: hex::encode(certificate.to_bytes()),
        initiator_entropy: hex::encode(e_initiator),
        responder_entropy: hex::encode(e_responder),
        now_unix,
        act1: hex::encode(act1),
        act2: hex::encode(act2),
        messages,
    }
}

#[test]
fn our_own_handshakes_are_byte_for_byte_what_they_were() {
    let recorded: Vec<Deterministic> = read("deterministic.json");
    assert!(recorded.len() >= 4);
    for (n, recorded) in (1..).zip(recorded) {
        assert_eq!(deterministic(n), recorded);
    }
}

/// We dialled the reference implementation's responder.
#[derive(Serialize, Deserialize)]
struct ReferenceAsResponder {
    recorded_with: String,
    authority_public: String,
    initiator_entropy: Hex,
    now_unix: u64,
    act1: Hex,
    act2: Hex,
    messages: Vec<Message>,
}

/// The reference implementation's initiator dialled us.
#[derive(Serialize, Deserialize)]
struct ReferenceAsInitiator {
    recorded_with: String,
    server_static_secret: Hex,
    certificate: Hex,
    responder_entropy: Hex,
    act1: Hex,
    act2: Hex,
    messages: Vec<Message>,
}

fn opens_everything(opener: &mut Opener, messages: &[Message]) {
    assert!(messages.len() >= 4);
    for message in messages {
        let mut wire = BytesMut::from(&hex::decode(&message.ciphertext).unwrap()[..]);
        let opened = opener.open(&mut wire, PAYLOAD_LEN_MAX).unwrap().unwrap();
        assert_eq!(hex::encode(concat(&opened)), message.plaintext);
        assert!(wire.is_empty());
    }
}

#[test]
fn what_the_reference_responder_sent_still_opens() {
    for recorded in read::<Vec<ReferenceAsResponder>>("reference-responder.json") {
        let authority: AuthorityPublicKey = recorded.authority_public.parse().unwrap();
        let (initiator, act1) = Initiator::new(Some(authority), array(&recorded.initiator_entropy));
        assert_eq!(hex::encode(act1), recorded.act1);
        let link = initiator.finish(&array(&recorded.act2), recorded.now_unix, DEFAULT_LEEWAY_S).unwrap();
        assert_eq!(link.peer().authenticated().unwrap().authority(), &authority);
        opens_everything(&mut link.split().1, &recorded.messages);
    }
}

#[test]
fn what_the_reference_initiator_sent_still_opens() {
    for recorded in read::<Vec<ReferenceAsInitiator>>("reference-initiator.json") {
        let server = StaticKeypair::from_secret_bytes(array(&recorded.server_static_secret)).unwrap();
        let certificate = Certificate::from_bytes(&array(&recorded.certificate));
        let (act2, link) = Responder::new(&server, certificate, array(&recorded.responder_entropy))
            .respond(&array(&recorded.act1))
            .unwrap();
        assert_eq!(hex::encode(act2), recorded.act2);
        opens_everything(&mut link.split().1, &recorded.messages);
    }
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

fn reference_messages(theirs: codec_sv2::Transport, from: &str) -> Vec<Message> {
    let (mut encryptor, _) = theirs.split();
    let mut encoder = NoiseEncoder::new();
    let mut record = |payload_len| {
        let plain = frame(0x1b, payload_len);
        let sealed = encoder.encode_transport(Raw(plain.clone()), &mut encryptor).unwrap();
        let ciphertext = hex::encode(AsRef::<[u8]>::as_ref(&sealed));
        Message { from: from.to_owned(), plaintext: hex::encode(plain), ciphertext }
    };
    [0, 1, 39, 600].map(&mut record).into()
}

const RECORDED_WITH: &str = "noise_sv2 2.0.0, codec_sv2 7.0.0";

#[test]
#[ignore = "writes the vectors anew: only when the format of the files or the expansion of entropy changes"]
fn record() {
    write("deterministic.json", &(1..=4).map(deterministic).collect::<Vec<_>>());

    let secret = AuthoritySecretKey::from_bytes([0x11; 32]).unwrap();
    let authority = secret.public();
    let as_responder = |n: u8| {
        let role = noise_sv2::Responder::from_authority_kp(
            &authority.to_bytes(),
            &[0x11; 32],
            std::time::Duration::from_secs(3_600),
        );
        let (initiator, act1) = Initiator::new(Some(authority), [n; 32]);
        let (act2, theirs) = Handshake::responder(role.unwrap()).step_1(act1).unwrap();
        let act2: [u8; noise::ACT2_LEN] = act2.payload().try_into().unwrap();
        let now_unix = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let ours = initiator.finish(&act2, now_unix, DEFAULT_LEEWAY_S).unwrap();
        ReferenceAsResponder {
            recorded_with: RECORDED_WITH.to_owned(),
            authority_public: authority.to_string(),
            initiator_entropy: hex::encode([n; 32]),
            // The reference dates its certificate by the clock: the vector holds at that moment.
            now_unix: ours.peer().authenticated().unwrap().certificate().valid_from.into(),
            act1: hex::encode(act1),
            act2: hex::encode(act2),
            messages: reference_messages(theirs, "responder"),
        }
    };
    write("reference-responder.json", &[as_responder(1), as_responder(2)]);

    let as_initiator = |n: u8| {
        let role = noise_sv2::Initiator::from_raw_k(authority.to_bytes()).unwrap();
        let (act1, theirs) = Handshake::initiator(role).step_0().unwrap();
        let act1 = act1.payload().try_into().unwrap();
        let server = StaticKeypair::from_secret_bytes([n; 32]).unwrap();
        let certificate = Certificate::issue(&secret, &server, 0, u32::MAX, [0; 32]);
        let (act2, _) = Responder::new(&server, certificate, [n; 32]).respond(&act1).unwrap();
        let theirs = theirs.step_2_with_now(act2, 1).unwrap();
        ReferenceAsInitiator {
            recorded_with: RECORDED_WITH.to_owned(),
            server_static_secret: hex::encode([n; 32]),
            certificate: hex::encode(certificate.to_bytes()),
            responder_entropy: hex::encode([n; 32]),
            act1: hex::encode(act1),
            act2: hex::encode(act2),
            messages: reference_messages(theirs, "initiator"),
        }
    };
    write("reference-initiator.json", &[as_initiator(3), as_initiator(4)]);
}
