//! The specification's own list of messages.

use bytes::BytesMut;
use sv2::{AnyMessage, FrameHeader};

use crate::case::Vector;
use crate::cases;

/// Section 8, "Message Types", of the specification of 2026-08: number, `channel_msg` bit, name. Without
/// 0x1e, which is reserved.
const SECTION_8: &str = "
    0x00 0 SetupConnection
    0x01 0 SetupConnection.Success
    0x02 0 SetupConnection.Error
    0x03 1 ChannelEndpointChanged
    0x04 0 Reconnect
    0x10 0 OpenStandardMiningChannel
    0x11 0 OpenStandardMiningChannel.Success
    0x12 0 OpenMiningChannel.Error
    0x13 0 OpenExtendedMiningChannel
    0x14 0 OpenExtendedMiningChannel.Success
    0x15 1 NewMiningJob
    0x16 1 UpdateChannel
    0x17 1 UpdateChannel.Error
    0x18 1 CloseChannel
    0x19 1 SetExtranoncePrefix
    0x1a 1 SubmitSharesStandard
    0x1b 1 SubmitSharesExtended
    0x1c 1 SubmitShares.Success
    0x1d 1 SubmitShares.Error
    0x1f 1 NewExtendedMiningJob
    0x20 1 SetNewPrevHash
    0x21 1 SetTarget
    0x22 1 SetCustomMiningJob
    0x23 1 SetCustomMiningJob.Success
    0x24 1 SetCustomMiningJob.Error
    0x25 0 SetGroupChannel
    0x50 0 AllocateMiningJobToken
    0x51 0 AllocateMiningJobToken.Success
    0x55 0 ProvideMissingTransactions
    0x56 0 ProvideMissingTransactions.Success
    0x57 0 DeclareMiningJob
    0x58 0 DeclareMiningJob.Success
    0x59 0 DeclareMiningJob.Error
    0x60 0 PushSolution
    0x70 0 CoinbaseOutputConstraints
    0x71 0 NewTemplate
    0x72 0 SetNewPrevHash
    0x73 0 RequestTransactionData
    0x74 0 RequestTransactionData.Success
    0x75 0 RequestTransactionData.Error
    0x76 0 SubmitSolution
";

/// Section 3 of extension 0x0001.
const EXTENSION_1: &str = "
    0x00 0 RequestExtensions
    0x01 0 RequestExtensions.Success
    0x02 0 RequestExtensions.Error
";

fn rows(table: &str, extension_type: u16) -> Vec<(u16, u8, bool, &str)> {
    let lines = table.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            let [number, bit, name] = line.split_whitespace().collect::<Vec<_>>()[..] else {
                panic!("{line}");
            };
            let number = u8::from_str_radix(number.trim_start_matches("0x"), 16).unwrap();
            (extension_type, number, bit == "1", name)
        })
        .collect()
}

fn specified() -> Vec<(u16, u8, bool, &'static str)> {
    [rows(SECTION_8, 0), rows(EXTENSION_1, 1)].concat()
}

#[test]
fn every_message_of_the_specification_is_there_with_its_number_and_bit() {
    let mut checked: Vec<_> =
        cases::all().iter().map(|c| (c.extension_type, c.msg_type, c.channel_msg, c.name)).collect();
    let mut specified = specified();
    checked.sort_unstable();
    specified.sort_unstable();
    assert_eq!(checked, specified);
}

#[test]
fn no_other_number_is_a_message() {
    let specified = specified();
    for extension_type in [0_u16, 1, 2, 3, 0x4000, 0x7fff] {
        for msg_type in 0..=u8::MAX {
            if specified.iter().any(|row| (row.0, row.1) == (extension_type, msg_type)) {
                continue;
            }
            let header = FrameHeader { extension_type, channel_msg: true, msg_type, length: 4 };
            let strict = AnyMessage::decode(&header, &[0; 4]).unwrap_err();
            let lenient = AnyMessage::decode_lenient(&header, &[0; 4], &[]).unwrap_err();
            assert_eq!(strict, lenient);
            let unknown_extension = matches!(
                strict,
                sv2::DecodeError::UnknownExtension { extension_type: e, msg_type: m, channel_msg: true }
                    if (e, m) == (extension_type, msg_type)
            );
            let unknown_type =
                matches!(strict, sv2::DecodeError::UnknownMessageType { msg_type: m, .. } if m == msg_type);
            assert_eq!((unknown_extension, unknown_type), (extension_type > 1, extension_type <= 1));
        }
    }
}

#[test]
fn a_wrong_channel_msg_bit_is_named_by_decode_and_forgiven_by_decode_lenient() {
    for case in cases::all() {
        for Vector { frame, .. } in (case.vectors)() {
            let (header, payload, _) = FrameHeader::split(&frame).unwrap();
            let wrong = FrameHeader { channel_msg: !header.channel_msg, ..header };
            let expected = header.channel_msg;
            assert_eq!(
                AnyMessage::decode(&wrong, payload),
                Err(sv2::DecodeError::WrongChannelMsg { message: case.name, expected })
            );
            let (message, _) = AnyMessage::decode_lenient(&wrong, payload, &[]).unwrap();
            assert_eq!(message.channel_msg(), expected);
            let mut again = BytesMut::new();
            message.write_frame(&mut again);
            assert_eq!(again, frame);
        }
    }
}

#[test]
fn a_payload_of_another_length_than_declared_is_refused() {
    for case in cases::all() {
        for Vector { frame, .. } in (case.vectors)() {
            let (header, payload, _) = FrameHeader::split(&frame).unwrap();
            for length in [header.length + 1, header.length - 1] {
                let header = FrameHeader { length, ..header };
                let error = sv2::DecodeError::LengthMismatch { declared: length, got: payload.len() };
                assert_eq!(AnyMessage::decode(&header, payload), Err(error));
                assert_eq!(AnyMessage::decode_lenient(&header, payload, &[]), Err(error));
            }
        }
    }
}
