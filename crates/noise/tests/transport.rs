//! Frames through a link that delivers bytes in any portions, and through one that an attacker holds.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod common;

use bytes::BytesMut;
use common::{concat, frame, link};
use noise::{BLOCK_PLAINTEXT_MAX, OpenError, OpenedFrame, Opener, PAYLOAD_LEN_MAX, Sealer};
use proptest::prelude::*;

fn halves(seed: u8) -> (Sealer, Opener) {
    let (client, server) = link(seed);
    (client.split().0, server.split().1)
}

fn seal_each(sealer: &mut Sealer, frames: &[Vec<u8>]) -> Vec<BytesMut> {
    let seal = |frame: &Vec<u8>| {
        let mut wire = BytesMut::new();
        sealer.seal_frame(frame, &mut wire).unwrap();
        wire
    };
    frames.iter().map(seal).collect()
}

fn open_all(opener: &mut Opener, input: &mut BytesMut, into: &mut Vec<OpenedFrame>) -> Result<(), OpenError> {
    while let Some(frame) = opener.open(input, PAYLOAD_LEN_MAX)? {
        into.push(frame);
    }
    Ok(())
}

#[test]
fn payloads_of_every_awkward_size_arrive() {
    let (mut sealer, mut opener) = halves(1);
    let edges = [BLOCK_PLAINTEXT_MAX - 1, BLOCK_PLAINTEXT_MAX, BLOCK_PLAINTEXT_MAX + 1];
    let sizes = [0, 1, 495, 496, 497].into_iter().chain(edges).chain([2 * BLOCK_PLAINTEXT_MAX, 200_000]);
    for (message_type, size) in (0..).zip(sizes.chain([PAYLOAD_LEN_MAX])) {
        let plain = frame(message_type, size);
        let (mut wire, mut frames) = (BytesMut::new(), BytesMut::from(&plain[..]));
        sealer.seal(&mut frames, &mut wire).unwrap();
        let opened = opener.open(&mut wire, PAYLOAD_LEN_MAX).unwrap().unwrap();
        assert!(concat(&opened) == plain && wire.is_empty(), "{size}");
    }
}

#[test]
fn both_directions_are_independent() {
    let (client, server) = link(1);
    let ((mut up, mut from_server), (mut down, mut from_client)) = (client.split(), server.split());
    for turn in 0..20 {
        for (sealer, opener) in [(&mut up, &mut from_client), (&mut down, &mut from_server)] {
            let plain = frame(turn, usize::from(turn) * 100);
            let mut wire = BytesMut::new();
            sealer.seal_frame(&plain, &mut wire).unwrap();
            assert_eq!(concat(&opener.open(&mut wire, 10_000).unwrap().unwrap()), plain);
        }
    }
}

/// What a middleman does to five frames on their way, and how many of them still arrive.
#[test]
fn replay_reorder_loss_and_truncation_are_noticed_at_the_first_wrong_byte() {
    let frames: Vec<_> = (1..=5).map(|n| frame(n, 40)).collect();
    for (order, arrive) in [
        (vec![0, 1, 1, 2], 2), // replayed
        (vec![0, 0], 1),
        (vec![1, 0], 0), // reordered
        (vec![0, 2, 1], 1),
        (vec![0, 1, 3], 2), // one lost
        (vec![4], 0),
    ] {
        let (mut sealer, mut opener) = halves(1);
        let sealed = seal_each(&mut sealer, &frames);
        let mut input = BytesMut::new();
        for at in &order {
            input.extend_from_slice(&sealed[*at]);
        }
        let mut opened = Vec::new();
        assert_eq!(open_all(&mut opener, &mut input, &mut opened), Err(OpenError::NotAuthentic), "{order:?}");
        assert_eq!(opened.len(), arrive, "{order:?}");
    }
}

#[test]
fn a_truncated_frame_is_waited_for_and_never_taken_for_a_shorter_one() {
    let (mut sealer, _) = halves(1);
    let plain = [frame(1, 40), frame(2, 0)];
    let sealed = seal_each(&mut sealer, &plain);
    for cut in 0..sealed[0].len() {
        let (_, mut opener) = halves(1);
        let mut input = BytesMut::from(&sealed[0][..cut]);
        assert_eq!(opener.open(&mut input, 100), Ok(None));
        // The rest is lost and the next frame follows.
        input.extend_from_slice(&sealed[1]);
        let mut opened = Vec::new();
        if let Err(error) = open_all(&mut opener, &mut input, &mut opened) {
            assert_eq!(error, OpenError::NotAuthentic);
        }
        assert!(opened.is_empty(), "cut at {cut}");
    }
}

#[test]
fn every_flipped_bit_of_a_frame_is_noticed() {
    let (mut sealer, _) = halves(1);
    let sealed = &seal_each(&mut sealer, &[frame(1, 9)])[0];
    for bit in 0..sealed.len() * 8 {
        let (_, mut opener) = halves(1);
        let mut input = sealed.clone();
        input[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(opener.open(&mut input, 100), Err(OpenError::NotAuthentic), "bit {bit}");
    }
}

#[test]
fn a_flipped_bit_in_a_late_block_of_a_long_payload_is_noticed() {
    let (mut sealer, _) = halves(1);
    let sealed = &seal_each(&mut sealer, &[frame(1, 200_000)])[0];
    for at in [22, 22 + 65_534, 22 + 65_535, 22 + 2 * 65_535 + 5, sealed.len() - 1] {
        let (_, mut opener) = halves(1);
        let mut input = sealed.clone();
        input[at] ^= 0x10;
        assert_eq!(opener.open(&mut input, PAYLOAD_LEN_MAX), Err(OpenError::NotAuthentic), "byte {at}");
    }
}

fn payload_len() -> impl Strategy<Value = usize> {
    prop_oneof![
        8 => 0_usize..600,
        1 => 600_usize..5_000,
        1 => (BLOCK_PLAINTEXT_MAX - 2)..(BLOCK_PLAINTEXT_MAX + 3),
        1 => Just(140_000),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However the network cuts the stream, the same frames come out.
    #[test]
    fn any_portions_give_the_same_frames(
        sizes in prop::collection::vec(payload_len(), 1..8),
        mut cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        byte_by_byte in any::<bool>(),
    ) {
        let plain: Vec<_> = (0..).zip(&sizes).map(|(n, size)| frame(n, *size)).collect();
        let (mut sealer, mut opener) = halves(3);
        let (mut frames, mut wire) = (BytesMut::from(&plain.concat()[..]), BytesMut::new());
        sealer.seal(&mut frames, &mut wire).unwrap();
        let total = wire.len();
        let mut places: Vec<_> = cuts.drain(..).map(|cut| cut.index(total + 1)).collect();
        if byte_by_byte {
            places.extend(0..total.min(2_000));
        }
        places.push(total);
        places.sort_unstable();

        let (mut input, mut opened, mut at) = (BytesMut::new(), Vec::new(), 0);
        for place in places {
            input.extend_from_slice(&wire[at..place]);
            at = place;
            open_all(&mut opener, &mut input, &mut opened).unwrap();
        }
        let opened: Vec<_> = opened.iter().map(concat).collect();
        prop_assert!(opened == plain);
        prop_assert!(input.is_empty());
    }

    /// Whatever bytes come, in whatever portions, there is an error or a wait, never a panic or a frame.
    #[test]
    fn garbage_never_panics_and_never_makes_a_frame(
        portions in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20),
        max_payload in 0_usize..PAYLOAD_LEN_MAX,
    ) {
        let (_, mut opener) = halves(4);
        let mut input = BytesMut::new();
        for portion in portions {
            input.extend_from_slice(&portion);
            prop_assert!(!matches!(opener.open(&mut input, max_payload), Ok(Some(_))));
        }
    }

    /// A stream that is altered anywhere gives the frames before that place, then an error or a wait.
    #[test]
    fn what_is_opened_is_always_a_beginning_of_what_was_sealed(
        sizes in prop::collection::vec(0_usize..700, 1..10),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..3, any::<u8>()), 1..4),
    ) {
        let plain: Vec<_> = (0..).zip(&sizes).map(|(n, size)| frame(n, *size)).collect();
        let (mut sealer, mut opener) = halves(5);
        let mut wire: Vec<u8> = seal_each(&mut sealer, &plain).concat();
        for (place, kind, byte) in edits {
            match kind {
                0 if !wire.is_empty() => { let at = place.index(wire.len()); wire[at] = byte; }
                1 if !wire.is_empty() => { wire.remove(place.index(wire.len())); }
                _ => wire.insert(place.index(wire.len() + 1), byte),
            }
        }
        let (mut input, mut opened) = (BytesMut::from(&wire[..]), Vec::new());
        let end = open_all(&mut opener, &mut input, &mut opened);
        let opened: Vec<_> = opened.iter().map(concat).collect();
        prop_assert!(plain.starts_with(&opened), "{end:?}");
    }

    /// Texts that people paste are refused with an error, never with a panic, and what reads also writes.
    #[test]
    fn pasted_texts_never_panic(text in "(stratum2\\+tcp://)?\\PC{0,80}") {
        if let Ok(url) = noise::PoolUrl::parse_insecure(&text) {
            prop_assert_eq!(noise::PoolUrl::parse_insecure(&url.to_string()).unwrap(), url);
        }
        let _ = text.parse::<noise::AuthorityPublicKey>();
        let _ = text.parse::<noise::AuthoritySecretKey>();
    }

    #[test]
    fn every_key_reads_back_from_its_text(secret in any::<[u8; 32]>()) {
        let Ok(secret) = noise::AuthoritySecretKey::from_bytes(secret) else { return Ok(()) };
        let public = secret.public();
        prop_assert_eq!(public.to_string().parse(), Ok(public));
        prop_assert_eq!(secret.to_base58check().parse::<noise::AuthoritySecretKey>().unwrap().public(), public);
        prop_assert!(public.to_string().starts_with('9'));
    }
}
