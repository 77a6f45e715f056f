//! A peer's frames, once decrypted: headers, every message of every protocol and extension, TLV fields.
//!
//! Input: a first byte; if it is odd, the rest is a stream of frames; if it is even, the next two bytes name a
//! message and the rest is its payload, with the length put right.
//!
//! Promises:
//! - what is decoded and encoded again is the same, byte for byte (BOOL's seven meaningless bits apart), and
//!   decodes to the same;
//! - one byte more or fewer, another declared length, another `channel_msg` bit is refused by the strict way;
//! - the lenient way takes what the strict one takes, and message and TLV fields together are the whole payload;
//! - a message says the same whatever memory it is read from.

use bytes::BytesMut;
use sv2::{AnyMessage, DecodeError, FrameHeader, Tlv, Tlvs};

/// See the module.
pub fn target(data: &[u8]) {
    check(data, false);
}

/// With `planted` the last byte of what is encoded again is changed.
pub(crate) fn check(data: &[u8], planted: bool) {
    match data {
        [kind, rest @ ..] if kind % 2 == 1 => {
            let mut stream = rest;
            while let Some((header, payload, later)) = FrameHeader::split(stream) {
                let mut written = BytesMut::new();
                header.write(&mut written);
                assert_eq!(written[..], stream[..FrameHeader::SIZE], "a header reads back as another one");
                frame(header, payload, planted);
                stream = later;
            }
        }
        [_, msg_type, extension, payload @ ..] => {
            let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
            let extension_type = u16::from(extension & 3);
            for channel_msg in [false, true] {
                let header = FrameHeader { extension_type, channel_msg, msg_type: *msg_type, length };
                frame(header, payload, planted);
            }
        }
        _ => {}
    }
}

fn frame(header: FrameHeader, payload: &[u8], planted: bool) {
    let _ = header.channel_id(payload);
    for negotiated in [&[][..], &[sv2::extensions::WORKER_HASHRATE_TRACKING]] {
        lenient(header, payload, negotiated);
    }
    let message = match AnyMessage::decode(&header, payload) {
        Ok(message) => message,
        Err(error) => {
            assert!(error.to_string().len() < 512, "an error longer than its use: {error}");
            return;
        }
    };
    assert_eq!(
        (message.extension_type(), message.msg_type(), message.channel_msg()),
        (header.extension_type, header.msg_type, header.channel_msg),
    );
    let mut out = BytesMut::new();
    message.write_frame(&mut out);
    if planted && let Some(last) = out.last_mut() {
        *last ^= 2;
    }
    let (again_header, again_payload, rest) = FrameHeader::split(&out).expect("a whole frame is written");
    assert!(rest.is_empty(), "more than the frame is written");
    assert_eq!((again_header, message.encoded_len()), (header, payload.len()));
    let again = AnyMessage::decode(&again_header, again_payload).expect("what we write can be read");
    // Not by ==, because a float may be no number.
    let shown = format!("{message:?}");
    assert_eq!(shown, format!("{again:?}"), "the message reads back as another one");
    assert_same_bytes(payload, again_payload);

    let (all, _) = AnyMessage::decode_lenient(&header, payload, &[]).expect("the lenient way takes it, too");
    assert_eq!(shown, format!("{all:?}"));
    let owned = [&[0], payload].concat();
    let elsewhere = AnyMessage::decode(&header, &owned[1..]).expect("memory makes no difference");
    assert_eq!(shown, format!("{elsewhere:?}"));

    let flipped = FrameHeader { channel_msg: !header.channel_msg, ..header };
    let refused = AnyMessage::decode(&flipped, payload).err();
    assert!(
        matches!(refused, Some(DecodeError::WrongChannelMsg { .. })),
        "another channel_msg bit: {refused:?}"
    );
    let longer = FrameHeader { length: header.length + 1, ..header };
    assert!(AnyMessage::decode(&longer, payload).is_err(), "a payload shorter than declared");
    let one_more = [payload, &[0]].concat();
    assert!(AnyMessage::decode(&longer, &one_more).is_err(), "a byte behind the message");
    if let [fewer @ .., _] = payload {
        let shorter = FrameHeader { length: header.length - 1, ..header };
        assert!(AnyMessage::decode(&shorter, fewer).is_err(), "a message without its last byte");
    }
}

fn lenient(header: FrameHeader, payload: &[u8], negotiated: &[u16]) {
    let Ok((message, tlvs)) = AnyMessage::decode_lenient(&header, payload, negotiated) else { return };
    let mut out = BytesMut::new();
    message.write_frame(&mut out);
    let mut whole = out.split_off(FrameHeader::SIZE);
    for tlv in tlvs.iter() {
        tlv.write(tlvs.byte_order(), &mut whole);
    }
    assert_same_bytes(payload, &whole);
    fields(&tlvs, negotiated);
}

fn fields(tlvs: &Tlvs<'_>, negotiated: &[u16]) {
    let unexpected = tlvs.iter().filter(|tlv| !negotiated.contains(&tlv.extension_type())).count();
    assert_eq!(tlvs.unexpected(), unexpected);
    assert_eq!(tlvs.is_empty(), tlvs.iter().count() == 0);
    for tlv in tlvs.iter() {
        let again = Tlv::new(tlv.extension_type(), tlv.field_type(), tlv.value());
        assert_eq!(again, Ok(tlv));
        assert!(tlvs.get(tlv.extension_type(), tlv.field_type()).is_some());
    }
    if let Some(identity) = tlvs.user_identity() {
        assert!(negotiated.contains(&sv2::extensions::WORKER_HASHRATE_TRACKING));
        assert!(identity.as_bytes().len() <= sv2::UserIdentity::MAX);
    }
}

/// BOOL is the one type with more than one encoding: of its byte only the lowest bit counts.
fn assert_same_bytes(came: &[u8], written: &[u8]) {
    assert_eq!(came.len(), written.len(), "the message is written with another length");
    for (at, (came, written)) in came.iter().zip(written).enumerate() {
        assert!(
            came == written || (came & 1 == *written && *written < 2),
            "byte {at} came as {came:02x} and is written as {written:02x}"
        );
    }
}
