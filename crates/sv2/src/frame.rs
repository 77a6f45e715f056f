//! The six bytes before every message (specification, section 3.2).

use bytes::{BufMut, BytesMut};

use crate::data_types::U24;
use crate::error::DecodeError;
use crate::message::Message;

/// Bit 15 of the `extension_type` on the wire: the message is addressed to a channel.
const CHANNEL_MSG: u16 = 0x8000;

/// A frame's header, taken apart: `extension_type` (U16), `msg_type` (U8), `msg_length` (U24), all
/// little-endian, six bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Extension that defined the message, 0 for the core protocols, **without** the `channel_msg` bit
    /// (0..=0x7fff; a higher bit 15 is ignored when written).
    pub extension_type: u16,
    /// Bit 15 of the wire's `extension_type`: the payload begins with a `channel_id`.
    pub channel_msg: bool,
    /// Number of the message within its extension.
    pub msg_type: u8,
    /// Payload length in bytes, without this header: at most [`U24::MAX`].
    pub length: u32,
}

impl FrameHeader {
    /// Bytes of a header on the wire.
    pub const SIZE: usize = 6;

    /// Reads a header. Every six bytes are one; whether its values make sense is for `decode` to say,
    /// and how long a payload may be for the connection.
    #[must_use]
    pub const fn parse(bytes: &[u8; Self::SIZE]) -> Self {
        let extension_type = u16::from_le_bytes([bytes[0], bytes[1]]);
        Self {
            extension_type: extension_type & !CHANNEL_MSG,
            channel_msg: extension_type & CHANNEL_MSG != 0,
            msg_type: bytes[2],
            length: u32::from_le_bytes([bytes[3], bytes[4], bytes[5], 0]),
        }
    }

    /// The header of a message with a payload of `length` bytes.
    #[must_use]
    pub fn of<'a, M: Message<'a>>(length: U24) -> Self {
        Self {
            extension_type: M::EXTENSION_TYPE,
            channel_msg: M::CHANNEL_MSG,
            msg_type: M::MSG_TYPE,
            length: length.get(),
        }
    }

    /// Appends the six bytes. Of `length` the lower 24 bits are written: the wire has no more.
    pub fn write(&self, out: &mut BytesMut) {
        debug_assert!(self.length <= U24::MAX, "a payload of {} bytes fits no frame", self.length);
        let channel_msg = if self.channel_msg { CHANNEL_MSG } else { 0 };
        let extension_type = (self.extension_type & !CHANNEL_MSG) | channel_msg;
        let [length @ .., _] = self.length.to_le_bytes();
        out.put_u16_le(extension_type);
        out.put_u8(self.msg_type);
        out.put_slice(&length);
    }

    /// Cuts the first whole frame off `bytes`: header, payload, and what follows it. `None` while the
    /// frame is not complete. For streams that are not encrypted, and for fixtures.
    #[must_use]
    pub fn split(bytes: &[u8]) -> Option<(Self, &[u8], &[u8])> {
        let (header, rest) = bytes.split_first_chunk()?;
        let header = Self::parse(header);
        let length = usize::try_from(header.length).ok()?;
        let (payload, rest) = rest.split_at_checked(length)?;
        Some((header, payload, rest))
    }

    /// The `channel_id` that the payload begins with, if `channel_msg` is set (section 3.2.1): what a
    /// proxy needs to pass on a message of an extension that it does not know.
    #[must_use]
    pub fn channel_id(&self, payload: &[u8]) -> Option<u32> {
        let id = payload.first_chunk()?;
        self.channel_msg.then(|| u32::from_le_bytes(*id))
    }

    /// Refuses a payload of another length than `msg_length`.
    pub(crate) fn check_length(&self, payload: &[u8]) -> Result<(), DecodeError> {
        if usize::try_from(self.length).is_ok_and(|declared| declared == payload.len()) {
            Ok(())
        } else {
            Err(DecodeError::LengthMismatch { declared: self.length, got: payload.len() })
        }
    }

    /// Refuses a `channel_msg` bit other than the one of message `M`.
    pub(crate) fn check_channel_msg<'a, M: Message<'a>>(&self) -> Result<(), DecodeError> {
        if self.channel_msg == M::CHANNEL_MSG {
            Ok(())
        } else {
            Err(DecodeError::WrongChannelMsg { message: M::NAME, expected: M::CHANNEL_MSG })
        }
    }

    /// The error for an `extension_type` that nobody here knows.
    pub(crate) fn unknown_extension(&self) -> DecodeError {
        DecodeError::UnknownExtension {
            extension_type: self.extension_type,
            msg_type: self.msg_type,
            channel_msg: self.channel_msg,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_header_survives_a_round_trip() {
        for extension_type in [0, 1, 2, 0x0abc, 0x4000, 0x7fff] {
            for channel_msg in [false, true] {
                for length in [0, 1, 0xff, 0x0100, 0x00ff_ffff] {
                    let header = FrameHeader { extension_type, channel_msg, msg_type: 0x1b, length };
                    let mut out = BytesMut::new();
                    header.write(&mut out);
                    let bytes: [u8; FrameHeader::SIZE] = out[..].try_into().unwrap();
                    assert_eq!(FrameHeader::parse(&bytes), header);
                }
            }
        }
    }

    #[test]
    fn the_channel_msg_bit_is_the_highest_of_extension_type_and_not_part_of_it() {
        let header = FrameHeader::parse(&[0xbc, 0x8a, 0x42, 0x04, 0x00, 0x00]);
        assert_eq!(
            header,
            FrameHeader { extension_type: 0x0abc, channel_msg: true, msg_type: 0x42, length: 4 }
        );
        assert_eq!(header.channel_id(&[1, 2, 0, 0]), Some(0x0201));
        assert_eq!(header.channel_id(&[1, 2, 0]), None);
        assert_eq!(FrameHeader { channel_msg: false, ..header }.channel_id(&[1, 2, 0, 0]), None);
    }

    #[test]
    fn a_frame_is_cut_off_only_when_it_is_complete() {
        let bytes = [0, 0, 0x73, 2, 0, 0, 7, 8, 9];
        for end in 0..8 {
            assert_eq!(FrameHeader::split(&bytes[..end]), None);
        }
        let (header, payload, rest) = FrameHeader::split(&bytes).unwrap();
        assert_eq!((header.msg_type, payload, rest), (0x73, &[7, 8][..], &[9][..]));
    }
}
