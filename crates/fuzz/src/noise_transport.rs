//! The encrypted link: the handshake of both roles, frames on their way, keys and URLs that people paste.
//!
//! Input: a byte that chooses what is tried, then what it needs.
//!
//! Promises:
//! - no act 2 is taken but the one that answers our act 1, made by the configured authority's server;
//! - any 64 bytes are an act 1, and who sent others cannot use the answer;
//! - whatever happens to ciphertext on its way (bytes changed, cut out, put in, frames repeated or swapped), exactly
//!   the frames before the first wrong byte are given out, and the message that it stands in is refused as soon as
//!   it is complete; nothing is read after that;
//! - a payload above the limit is refused when its header has arrived;
//! - a pool URL that is read and written again reads as itself.

use std::sync::LazyLock;

use arbitrary::Unstructured;
use bytes::BytesMut;
use noise::{
    ACT1_LEN, ACT2_LEN, AuthoritySecretKey, BLOCK_PLAINTEXT_MAX, Certificate, Initiator, MAC_LEN, OpenError,
    Opener, PoolUrl, Responder, SEALED_HEADER_LEN, Sealer, StaticKeypair,
};

const NOW: u64 = 2_000;
const LEEWAY: u32 = 10;

struct Server {
    authority: AuthoritySecretKey,
    key: StaticKeypair,
    certificate: Certificate,
}

static SERVER: LazyLock<Server> = LazyLock::new(|| {
    let authority = AuthoritySecretKey::from_bytes([7; 32]).expect("a valid scalar");
    let key = StaticKeypair::from_secret_bytes([8; 32]).expect("a valid scalar");
    let certificate = Certificate::issue(&authority, &key, 1_000, 5_000, [9; 32]);
    Server { authority, key, certificate }
});

fn dial() -> (Initiator, [u8; ACT1_LEN]) {
    Initiator::new(Some(SERVER.authority.public()), [1; 32])
}

fn listen() -> Responder {
    Responder::new(&SERVER.key, SERVER.certificate, [2; 32])
}

/// See the module.
pub fn target(data: &[u8]) {
    check(data, false);
}

/// With `planted` the middleman's changes do not reach the opener.
pub(crate) fn check(data: &[u8], planted: bool) {
    let [kind, rest @ ..] = data else { return };
    match kind % 8 {
        0 => act2(rest),
        1 => act1(rest),
        2 => text(rest),
        _ => frames(rest, planted).unwrap_or(()),
    }
}

/// Act 2 as it is, with some bytes of it changed, or any other bytes.
fn act2(data: &[u8]) {
    let (initiator, act1) = dial();
    let (good, _) = listen().respond(&act1).expect("any 64 bytes are an act 1");
    let mut sent = good;
    match data {
        [0, rest @ ..] => {
            sent = [0; ACT2_LEN];
            sent.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        }
        [_, changes @ ..] => {
            for change in changes.as_chunks::<2>().0 {
                sent[usize::from(change[0]) % ACT2_LEN] ^= change[1];
            }
        }
        [] => {}
    }
    let verdict = initiator.finish(&sent, NOW, LEEWAY);
    assert_eq!(verdict.is_ok(), sent == good, "an altered act 2 is taken: {verdict:?}");
}

fn act1(data: &[u8]) {
    let (initiator, act1) = dial();
    let mut sent = act1;
    sent.iter_mut().zip(data).for_each(|(to, change)| *to ^= change);
    let (act2, at_server) = listen().respond(&sent).expect("any 64 bytes are an act 1");
    assert!(at_server.peer().authenticated().is_none(), "NX proves nothing about an initiator");
    assert_eq!(initiator.finish(&act2, NOW, LEEWAY).is_ok(), sent == act1);
}

fn text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for url in [text.parse::<PoolUrl>(), PoolUrl::parse_insecure(&text)] {
        match url {
            Ok(url) => {
                let written = url.to_string();
                let again = PoolUrl::parse_insecure(&written);
                assert_eq!(again.as_ref(), Ok(&url), "{written} reads as another URL");
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    if let Ok(key) = text.parse::<noise::AuthorityPublicKey>() {
        assert_eq!(key.to_string().parse(), Ok(key));
    }
    // Nothing of a secret key may stand in its errors.
    if let Err(error) = text.parse::<AuthoritySecretKey>() {
        let shown = error.to_string();
        assert!(text.trim().len() < 40 || !shown.contains(text.trim()), "an error shows the key: {shown}");
    }
}

/// An AEAD message on the wire: where it ends, and the frame that is whole with it.
struct Sealed {
    end: usize,
    completes: Option<usize>,
}

fn frames(data: &[u8], planted: bool) -> arbitrary::Result<()> {
    let mut u = Unstructured::new(data);
    let (mut sealer, mut opener) = link(u.arbitrary()?);
    let limit = [64, 4_096, 200_000][usize::from(u.arbitrary::<u8>()? % 3)];
    let mut plain: Vec<Vec<u8>> = Vec::new();
    let mut wire = BytesMut::new();
    let mut messages: Vec<Sealed> = Vec::new();
    let mut frame_ends = vec![0];
    for _ in 0..u.int_in_range(1..=5)? {
        let (kind, fill): (u8, u8) = (u.arbitrary()?, u.arbitrary()?);
        // Around the sizes at which something changes: none, small, in place, one block, several.
        let size = match kind % 8 {
            0 => 0,
            1 => usize::from(fill) % 16,
            2 => 480 + usize::from(fill) % 64,
            3 if kind > 200 => BLOCK_PLAINTEXT_MAX - 2 + usize::from(fill) % 5,
            4 if kind > 200 => 2 * BLOCK_PLAINTEXT_MAX + usize::from(fill),
            _ => usize::from(fill),
        };
        let [low, middle, high, _] = u32::try_from(size).unwrap_or(0).to_le_bytes();
        let mut frame = vec![kind, 0x80, fill, low, middle, high];
        frame.resize(frame.len() + size, fill);
        sealer.seal_frame(&frame, &mut wire).expect("a whole frame");
        let mut end = *frame_ends.last().unwrap_or(&0) + SEALED_HEADER_LEN;
        messages.push(Sealed { end, completes: (size == 0).then_some(plain.len()) });
        let mut left = size;
        while left > 0 {
            let block = left.min(BLOCK_PLAINTEXT_MAX);
            left -= block;
            end += block + MAC_LEN;
            messages.push(Sealed { end, completes: (left == 0).then_some(plain.len()) });
        }
        frame_ends.push(end);
        plain.push(frame);
    }
    assert_eq!(frame_ends.last(), Some(&wire.len()), "ciphertext of another length than stated");
    let good = wire.to_vec();
    let altered = alter(&good, &frame_ends, &mut u)?;
    let cut: u8 = u.arbitrary()?;

    // What has to come of it.
    let same = good.iter().zip(&altered).take_while(|(a, b)| a == b).count();
    let mut expected = Vec::new();
    let mut fault = None;
    for sealed in &messages {
        let begins = sealed.end;
        if begins <= same {
            let frame = sealed.completes;
            expected.extend(frame);
            continue;
        }
        // The first message that is not as it was sent: refused once all of it is there.
        if same < altered.len() && altered.len() >= sealed.end {
            fault = Some(OpenError::NotAuthentic);
        }
        break;
    }
    if messages.last().is_some_and(|last| last.end <= same) && altered.len() >= same + SEALED_HEADER_LEN {
        fault = Some(OpenError::NotAuthentic);
    }
    // A header that declares too much ends the link before any of its payload is looked at.
    for (number, frame) in plain.iter().enumerate() {
        let declared = frame.len() - noise::HEADER_LEN;
        if declared > limit && frame_ends[number] + SEALED_HEADER_LEN <= same {
            expected.retain(|done| *done < number);
            fault = Some(OpenError::TooLong { declared, limit });
            break;
        }
    }

    let delivered = if planted { &good } else { &altered };
    let (got, error) = deliver(&mut opener, delivered, usize::from(cut), limit);
    assert_eq!(got.len(), expected.len(), "frames given out; fault {fault:?}, got {error:?}");
    for (got, number) in got.iter().zip(expected) {
        assert_eq!(got, &plain[number], "a frame was altered on its way");
    }
    assert_eq!(error, fault, "what was altered was not noticed, or something else was");
    if error.is_some() {
        let mut more = BytesMut::from(&good[..]);
        assert_eq!(opener.open(&mut more, limit), Err(OpenError::Closed));
        assert_eq!(opener.missing(0), 0);
    }
    Ok(())
}

/// One direction of a link: its sender's sealer and its receiver's opener.
fn link(from_server: bool) -> (Sealer, Opener) {
    let (initiator, act1) = dial();
    let (act2, server) = listen().respond(&act1).expect("any 64 bytes are an act 1");
    let client = initiator.finish(&act2, NOW, LEEWAY).expect("an untouched handshake");
    let ((client_sealer, client_opener), (server_sealer, server_opener)) = (client.split(), server.split());
    if from_server { (server_sealer, client_opener) } else { (client_sealer, server_opener) }
}

/// What a middleman makes of the wire.
fn alter(good: &[u8], ends: &[usize], u: &mut Unstructured<'_>) -> arbitrary::Result<Vec<u8>> {
    let mut wire = good.to_vec();
    for _ in 0..u.int_in_range(0..=3)? {
        let (how, place): (u8, u16) = (u.arbitrary()?, u.arbitrary()?);
        let at = usize::from(place) % (wire.len() + 1);
        let frame = usize::from(place) % (ends.len() - 1);
        let piece = good[ends[frame]..ends[frame + 1]].to_vec();
        match how % 6 {
            0 => {
                let change: u8 = u.arbitrary()?;
                if let Some(byte) = wire.get_mut(at) {
                    *byte ^= change;
                }
            }
            1 => wire.truncate(at),
            2 => drop(wire.drain(at..(at + usize::from(how)).min(wire.len()))),
            3 => drop(wire.splice(at..at, vec![how; usize::from(how) % 64])),
            // A frame once more, at its end or anywhere.
            4 => {
                let to = if how > 128 { ends[frame + 1].min(wire.len()) } else { at };
                wire.splice(to..to, piece);
            }
            // The last frame first.
            _ => {
                let to = ends[frame].min(wire.len());
                wire.splice(to..to, good[ends[ends.len() - 2]..].to_vec());
            }
        }
    }
    Ok(wire)
}

fn deliver(opener: &mut Opener, wire: &[u8], cut: usize, limit: usize) -> (Vec<Vec<u8>>, Option<OpenError>) {
    let mut input = BytesMut::new();
    let mut frames = Vec::new();
    let step = if cut == 0 { wire.len().max(1) } else { cut * 7 };
    for piece in wire.chunks(step) {
        input.extend_from_slice(piece);
        loop {
            let before = opener.missing(input.len());
            match opener.open(&mut input, limit) {
                Ok(Some(frame)) => {
                    let mut whole = frame.header.to_vec();
                    whole.extend_from_slice(&frame.payload);
                    frames.push(whole);
                }
                Ok(None) => {
                    assert!(opener.missing(input.len()) > 0, "it waits for nothing (before: {before})");
                    break;
                }
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}
