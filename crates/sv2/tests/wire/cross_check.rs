//! What one implementation writes, the other reads as the same message, byte for byte.

use proptest::test_runner::{Config, TestRunner};
use sv2::{AnyMessage, FrameHeader};

use crate::case::{Case, our_frame, split_theirs};
use crate::cases;

/// Values tried for each message.
const TRIES: u32 = 64;

pub(crate) fn config(cases: u32) -> Config {
    Config { cases, failure_persistence: None, ..Config::default() }
}

pub(crate) fn run<C: Case>() {
    check::<C>(&C::typical());
    check::<C>(&C::smallest());
    check::<C>(&C::longest());
    check_bounds::<C>();
    TestRunner::new(config(TRIES))
        .run(&C::any(), |values| {
            check::<C>(&values);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{}: {error}", C::NAME));
}

fn check<C: Case>(values: &C::Values) {
    // Both write the same bytes, and ours are as long as they said.
    let frame = our_frame::<C>(values);
    assert_eq!(hex::encode(&frame), hex::encode(C::their_frame(values)), "{}", C::NAME);
    C::ours(values, |message| assert_eq!(message.encoded_len() + FrameHeader::SIZE, frame.len()));

    // They read ours.
    let (header, mut payload) = split_theirs(&frame);
    assert_eq!(header.ext_type_without_channel_msg(), C::EXTENSION_TYPE);
    assert_eq!((header.msg_type(), header.channel_msg()), (C::MSG_TYPE, C::CHANNEL_MSG));
    assert_eq!(&C::from_theirs(&mut payload), values, "{}", C::NAME);

    // We read theirs, strictly and leniently.
    let (header, payload, rest) = FrameHeader::split(&frame).unwrap();
    assert!(rest.is_empty());
    let read = AnyMessage::decode(&header, payload).unwrap();
    assert_eq!(&C::from_ours(&read), values);
    assert_eq!(&C::decode(payload).unwrap(), values);
    let (read, tlvs) = AnyMessage::decode_lenient(&header, payload, &[]).unwrap();
    assert_eq!(&C::from_ours(&read), values);
    assert!(tlvs.is_empty());
    assert_eq!(
        (read.name(), read.extension_type(), read.msg_type(), read.channel_msg()),
        (C::NAME, C::EXTENSION_TYPE, C::MSG_TYPE, C::CHANNEL_MSG)
    );

    // What was read off the wire is written again as it was.
    let mut again = bytes::BytesMut::new();
    read.write_frame(&mut again);
    assert_eq!(again, frame);
}

/// The shortest and the longest payload are as long as the message says.
fn check_bounds<C: Case>() {
    let payload_len = |values| C::ours(&values, |message| message.encoded_len());
    let (shortest, longest) = C::bounds();
    assert_eq!(payload_len(C::smallest()), shortest, "{}", C::NAME);
    // The longest list of transactions is too much for every run; see the list's own test.
    if !C::field_ends(&C::smallest()).iter().any(|(field, _)| *field == "transaction_list") {
        assert_eq!(payload_len(C::longest()), longest, "{}", C::NAME);
    }
    assert!(longest <= sv2::U24::MAX as usize);
}

#[test]
fn every_message_is_the_same_to_the_reference_in_both_directions() {
    for case in cases::all() {
        (case.cross_check)();
    }
}
