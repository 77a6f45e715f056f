//! Extension 0x0002 against the specification's bytes and the reference implementation.

use bytes::BytesMut;
use parsers_sv2::{TlvList, parse_message_frame_with_tlvs};
use proptest::prelude::*;
use sv2::extensions::WORKER_HASHRATE_TRACKING;
use sv2::mining::SubmitSharesExtended;
use sv2::{
    AnyMessage, DecodeError, FrameHeader, Message, MiningMessage, Tlv, TlvByteOrder, TlvError, UserIdentity,
    write_frame, write_frame_with_tlvs, write_share_with_worker,
};

use crate::case::{encode_theirs, split_theirs};
use crate::cross_check::config;

const NEGOTIATED: [u16; 1] = [WORKER_HASHRATE_TRACKING];

fn share(extranonce: &[u8]) -> SubmitSharesExtended<'_> {
    SubmitSharesExtended {
        channel_id: 1,
        sequence_number: 2,
        job_id: 3,
        nonce: 4,
        ntime: 5,
        version: 6,
        extranonce: extranonce.try_into().unwrap(),
    }
}

fn with_worker(worker: &[u8], order: TlvByteOrder) -> BytesMut {
    let mut out = BytesMut::new();
    write_share_with_worker(&share(&[7; 8]), UserIdentity::new(worker).unwrap(), order, &mut out);
    out
}

/// What the reference finds behind the message: the fields of extension 0x0002.
fn their_tlvs(frame: &[u8]) -> Vec<Vec<u8>> {
    let (header, mut payload) = split_theirs(frame);
    let (_, tlvs) = parse_message_frame_with_tlvs(header, &mut payload, &NEGOTIATED).unwrap();
    tlvs.unwrap_or_default().into_iter().map(|tlv| tlv.value).collect()
}

/// The two vectors of a share with a worker's name: the specification's example bytes behind a share, and
/// the same as the reference writes it.
pub(crate) fn vectors() -> Vec<String> {
    let specified = [&their_share()[..], b"\x00\x02\x01\x00\x0aWorker_001"].concat();
    let published = their_frame(b"Worker_001");
    let specified = [&published[..FrameHeader::SIZE], &specified[FrameHeader::SIZE..]].concat();
    [
        ("user_identity, big-endian", "specification, extension 0x0002 section 2", specified),
        ("user_identity, little-endian", "parsers_sv2 0.6.0", published),
    ]
    .into_iter()
    .map(|(vector, source, frame)| {
        format!(
            "  {{\"message\": \"SubmitSharesExtended\", \"vector\": \"{vector}\", \"source\": \"{source}\", \
             \"extension_type\": 0, \"msg_type\": 27, \"channel_msg\": true, \"fields\": {{\"channel_id\": 1, \
             \"sequence_number\": 2, \"job_id\": 3, \"nonce\": 4, \"ntime\": 5, \"version\": 6, \
             \"extranonce\": \"0707070707070707\"}}, \"user_identity\": \"Worker_001\", \"frame\": \"{}\"}}",
            hex::encode(frame)
        )
    })
    .collect()
}

/// Checks one of [`vectors`], as it is committed.
pub(crate) fn check_vector(vector: &serde_json::Value, frame: &[u8]) {
    let order = match vector["vector"].as_str().unwrap() {
        "user_identity, big-endian" => TlvByteOrder::BigEndian,
        "user_identity, little-endian" => TlvByteOrder::LittleEndian,
        other => panic!("{other}"),
    };
    let worker = vector["user_identity"].as_str().unwrap();
    assert_eq!(frame, with_worker(worker.as_bytes(), order));
    let (header, payload, _) = FrameHeader::split(frame).unwrap();
    let (message, tlvs) = MiningMessage::decode_lenient(&header, payload, &NEGOTIATED).unwrap();
    assert_eq!(message, share(&[7; 8]).into());
    assert_eq!(tlvs.user_identity().unwrap().to_str_lossy(), worker);
    assert_eq!(tlvs.byte_order(), order);
}

/// The share, as the reference has it.
fn their_message(extranonce: &[u8]) -> mining_sv2::SubmitSharesExtended<'_> {
    mining_sv2::SubmitSharesExtended {
        channel_id: 1,
        sequence_number: 2,
        job_id: 3,
        nonce: 4,
        ntime: 5,
        version: 6,
        extranonce: extranonce.try_into().unwrap(),
    }
}

/// The share's frame without a worker, as the reference writes it.
fn their_share() -> Vec<u8> {
    encode_theirs(
        their_message(&[7; 8]),
        mining_sv2::MESSAGE_TYPE_SUBMIT_SHARES_EXTENDED,
        0,
        mining_sv2::CHANNEL_BIT_SUBMIT_SHARES_EXTENDED,
    )
}

/// The share's frame with a worker's name, as the reference writes it.
fn their_frame(worker: &[u8]) -> Vec<u8> {
    let tlv = parsers_sv2::Tlv::new(WORKER_HASHRATE_TRACKING, UserIdentity::FIELD_TYPE, worker.to_vec());
    TlvList::from_slice(&[tlv])
        .unwrap()
        .build_frame_bytes_with_tlvs(parsers_sv2::Mining::SubmitSharesExtended(their_message(&[7; 8])))
        .unwrap()
}

#[test]
fn the_share_with_a_worker_ends_with_the_specifications_bytes() {
    let frame = with_worker(b"Worker_001", TlvByteOrder::BigEndian);
    let mut base = BytesMut::new();
    write_frame(&share(&[7; 8]), &mut base);
    assert_eq!(frame[FrameHeader::SIZE..base.len()], base[FrameHeader::SIZE..]);
    assert_eq!(hex::encode(&frame[base.len()..]), "000201000a576f726b65725f303031");
    // The frame's extension stays that of the message (section 3.4.1).
    let (header, _, _) = FrameHeader::split(&frame).unwrap();
    assert_eq!((header.extension_type, header.channel_msg, header.length), (0, true, 33 + 15));
}

/// If this fails, the reference has begun to read the specification's example order: then `BigEndian` is
/// what pools on it need.
#[test]
fn the_reference_finds_the_workers_name_only_in_little_endian() {
    assert_eq!(their_tlvs(&with_worker(b"Worker_001", TlvByteOrder::LittleEndian)), [b"Worker_001"]);
    assert_eq!(their_tlvs(&with_worker(b"Worker_001", TlvByteOrder::BigEndian)), [[0_u8; 0]; 0]);
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn the_reference_reads_our_worker_and_we_read_theirs(worker in proptest::collection::vec(any::<u8>(), 0..=32)) {
        prop_assert_eq!(their_tlvs(&with_worker(&worker, TlvByteOrder::LittleEndian)), [worker.clone()]);

        let frame = their_frame(&worker);
        prop_assert_eq!(&frame[..], &with_worker(&worker, TlvByteOrder::LittleEndian)[..]);
        let (header, payload, _) = FrameHeader::split(&frame).unwrap();
        let (message, tlvs) = MiningMessage::decode_lenient(&header, payload, &NEGOTIATED).unwrap();
        prop_assert_eq!(message, MiningMessage::SubmitSharesExtended(share(&[7; 8])));
        prop_assert_eq!(tlvs.user_identity().map(|name| name.as_bytes().to_vec()), Some(worker));
        prop_assert_eq!(tlvs.byte_order(), TlvByteOrder::LittleEndian);
    }
}

#[test]
fn a_worker_that_was_not_negotiated_is_refused_strictly_and_ignored_leniently() {
    for order in [TlvByteOrder::BigEndian, TlvByteOrder::LittleEndian] {
        let frame = with_worker(b"Worker_001", order);
        let (header, payload, _) = FrameHeader::split(&frame).unwrap();
        assert_eq!(
            AnyMessage::decode(&header, payload),
            Err(DecodeError::Trailing { message: "SubmitSharesExtended", extra: 15 })
        );
        let (message, tlvs) = AnyMessage::decode_lenient(&header, payload, &[]).unwrap();
        assert_eq!(message, share(&[7; 8]).into());
        assert_eq!((tlvs.unexpected(), tlvs.user_identity()), (1, None));
        let (message, tlvs) = SubmitSharesExtended::decode_with_tlvs(payload, &NEGOTIATED).unwrap();
        assert_eq!(message, share(&[7; 8]));
        assert_eq!((tlvs.unexpected(), tlvs.byte_order()), (0, order));
        assert_eq!(tlvs.user_identity().unwrap().to_str_lossy(), "Worker_001");
    }
}

#[test]
fn garbage_behind_a_share_is_refused_by_everyone() {
    let mut frame = BytesMut::new();
    write_frame(&share(&[7; 8]), &mut frame);
    let payload = [&frame[FrameHeader::SIZE..], b"no tlv"].concat();
    let (header, _, _) = FrameHeader::split(&frame).unwrap();
    let header = FrameHeader { length: header.length + 6, ..header };
    assert!(matches!(
        MiningMessage::decode_lenient(&header, &payload, &NEGOTIATED),
        Err(DecodeError::Tlv {
            message: "SubmitSharesExtended",
            error: TlvError::Malformed { offset: 0, .. }
        })
    ));
}

#[test]
fn more_fields_than_a_frame_holds_are_refused_and_nothing_is_written() {
    let value = vec![0; Tlv::MAX_VALUE_LEN];
    let tlvs = vec![Tlv::new(0x4000, 1, &value).unwrap(); 256];
    let mut out = BytesMut::new();
    let error = write_frame_with_tlvs(&share(&[]), &tlvs, TlvByteOrder::BigEndian, &mut out).unwrap_err();
    assert_eq!((error.len, out.len()), (25 + 256 * 65_540, 0));
    write_frame_with_tlvs(&share(&[]), &tlvs[..255], TlvByteOrder::BigEndian, &mut out).unwrap();
    let (header, payload, _) = FrameHeader::split(&out).unwrap();
    let (_, read) = MiningMessage::decode_lenient(&header, payload, &[]).unwrap();
    assert_eq!((read.unexpected(), read.iter().count()), (255, 255));
}
