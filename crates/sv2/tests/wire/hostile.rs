//! Bytes that are no message: every one is refused with the right words, none makes the process panic
//! or allocate.

use allocation_counter::measure;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use sv2::{AnyMessage, DecodeError, FieldError, FrameHeader};

use crate::case::{Case, Vector, our_frame};
use crate::cases;
use crate::cross_check::config;

/// Every beginning of a message is refused, with the name of the field that it ends in.
pub(crate) fn truncate<C: Case>() {
    check_truncation::<C>(&C::typical(), 1);
    TestRunner::new(config(16))
        .run(&C::any(), |values| {
            let len = C::field_ends(&values).last().map_or(0, |end| end.1);
            // Of long messages not every place, or it takes minutes.
            check_truncation::<C>(&values, len / 200 + 1);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{}: {error}", C::NAME));
}

fn check_truncation<C: Case>(values: &C::Values, step: usize) {
    let frame = our_frame::<C>(values);
    let payload = &frame[FrameHeader::SIZE..];
    let ends = C::field_ends(values);
    for cut in (0..payload.len()).step_by(step) {
        let expected = ends.iter().find(|(_, end)| cut < *end).unwrap().0;
        match C::decode(&payload[..cut]) {
            Err(DecodeError::Field { message, field, error: FieldError::Truncated { needed, left } }) => {
                assert_eq!((message, field), (C::NAME, expected), "cut at {cut}");
                assert!(needed > left && left <= cut);
            }
            other => panic!("{} cut at {cut}: {other:?}", C::NAME),
        }
    }
}

/// A message with further bytes behind it is refused, whatever they are.
pub(crate) fn append<C: Case>() {
    let frame = our_frame::<C>(&C::typical());
    let payload = &frame[FrameHeader::SIZE..];
    for extra in 1..20 {
        for byte in [0, 1, 0xff] {
            let longer = [payload, &vec![byte; extra]].concat();
            assert_eq!(C::decode(&longer), Err(DecodeError::Trailing { message: C::NAME, extra }));
        }
    }
}

#[test]
fn every_truncation_of_every_message_names_message_and_field() {
    for case in cases::all() {
        (case.truncate)();
    }
}

#[test]
fn bytes_after_the_last_field_are_refused() {
    for case in cases::all() {
        (case.append)();
    }
}

/// Reads bytes as a frame, strictly and leniently; what is taken is of the right length and can be gone
/// through. Returns whether anything was taken.
fn read(header: &FrameHeader, payload: &[u8]) -> bool {
    let strict = AnyMessage::decode(header, payload);
    let lenient = AnyMessage::decode_lenient(header, payload, &[2]);
    if let Ok(message) = strict {
        assert_eq!(message.encoded_len(), payload.len());
        assert!(lenient.is_ok_and(|(_, tlvs)| tlvs.is_empty()));
    }
    if let Ok((message, tlvs)) = lenient {
        let tlv_bytes: usize = tlvs.iter().map(|tlv| tlv.encoded_len()).sum();
        assert_eq!(message.encoded_len() + tlv_bytes, payload.len());
        let mut again = bytes::BytesMut::new();
        message.write_frame(&mut again);
        assert_eq!(again.len(), FrameHeader::SIZE + message.encoded_len());
        assert!(format!("{message:?}").len() < 16_000);
    }
    strict.is_ok()
}

/// Any message's header, with the right bit in half of the cases.
fn any_header() -> impl Strategy<Value = FrameHeader> {
    let messages: Vec<_> =
        cases::all().iter().map(|case| (case.extension_type, case.msg_type, case.channel_msg)).collect();
    (proptest::sample::select(messages), any::<bool>()).prop_map(
        |((extension_type, msg_type, channel_msg), right)| FrameHeader {
            extension_type,
            channel_msg: channel_msg == right,
            msg_type,
            length: 0,
        },
    )
}

fn with_length(header: FrameHeader, payload: &[u8]) -> FrameHeader {
    FrameHeader { length: payload.len().try_into().unwrap(), ..header }
}

proptest! {
    #![proptest_config(config(2_000))]

    #[test]
    fn random_bytes_never_panic(header in any_header(), payload in vec(any::<u8>(), 0..400)) {
        read(&with_length(header, &payload), &payload);
    }

    /// Few high bytes, so that lengths are short and the later fields are reached.
    #[test]
    fn random_small_bytes_never_panic(header in any_header(), payload in vec(0..3_u8, 0..400)) {
        read(&with_length(header, &payload), &payload);
    }

    #[test]
    fn random_frames_never_panic(frame in vec(any::<u8>(), 0..64)) {
        if let Some((header, payload, _)) = FrameHeader::split(&frame) {
            read(&header, payload);
        }
    }

    /// A valid message with some bytes changed.
    #[test]
    fn changed_messages_never_panic(
        which in any::<proptest::sample::Index>(),
        changes in vec((any::<proptest::sample::Index>(), any::<u8>()), 0..8),
    ) {
        let cases = cases::all();
        let case = which.get(&cases);
        for Vector { mut frame, .. } in (case.vectors)() {
            for (place, byte) in &changes {
                let place = FrameHeader::SIZE + place.index(frame.len() - FrameHeader::SIZE);
                frame[place] = *byte;
            }
            let (header, payload, _) = FrameHeader::split(&frame).unwrap();
            read(&header, payload);
        }
    }

    #[test]
    fn reading_hostile_bytes_allocates_nothing(header in any_header(), payload in vec(any::<u8>(), 0..400)) {
        let header = with_length(header, &payload);
        let allocated = measure(|| {
            let _ = std::hint::black_box(AnyMessage::decode(&header, &payload));
            let _ = std::hint::black_box(AnyMessage::decode_lenient(&header, &payload, &[2]));
        });
        prop_assert_eq!(allocated.count_total, 0);
    }
}

#[test]
fn the_counter_of_allocations_counts() {
    assert_eq!(measure(|| drop(std::hint::black_box(vec![0_u8; 8]))).count_total, 1);
}

#[test]
fn reading_and_going_through_valid_messages_allocates_nothing() {
    for case in cases::all() {
        for Vector { frame, .. } in (case.vectors)() {
            let (header, payload, _) = FrameHeader::split(&frame).unwrap();
            let allocated = measure(|| {
                let message = AnyMessage::decode(&header, payload).unwrap();
                // Equality goes through every field and every element.
                assert!(std::hint::black_box(message) == message);
            });
            assert_eq!(allocated.count_total, 0, "{}", case.name);
        }
    }
}

#[test]
fn writing_into_a_buffer_with_room_allocates_nothing() {
    for case in cases::all() {
        for Vector { frame, .. } in (case.vectors)() {
            let (header, payload, _) = FrameHeader::split(&frame).unwrap();
            let message = AnyMessage::decode(&header, payload).unwrap();
            let mut out = bytes::BytesMut::with_capacity(frame.len());
            let allocated = measure(|| message.write_frame(&mut out));
            assert_eq!(allocated.count_total, 0, "{}", case.name);
            assert_eq!(out, frame);
        }
    }
}

#[test]
fn a_list_that_claims_the_most_costs_nothing_when_its_bytes_are_missing() {
    use sv2::Message as _;
    let mut payload = vec![0; 8];
    payload.extend([0, 0, 0xff, 0xff]);
    let allocated = measure(|| {
        let read = sv2::template_distribution::RequestTransactionDataSuccess::decode(&payload);
        assert!(matches!(read, Err(DecodeError::Field { field: "transaction_list", .. })), "{read:?}");
    });
    assert_eq!(allocated.count_total, 0);
}
