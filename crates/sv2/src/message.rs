//! What every message can do, and how a frame is written.

use bytes::BytesMut;

use crate::data_types::{LengthError, U24};
use crate::error::DecodeError;
use crate::frame::FrameHeader;
use crate::tlv::{Tlv, TlvByteOrder, Tlvs};

/// A message of the specification. `'a` is the lifetime of the payload that a decoded message points
/// into, or of what it was built from.
pub trait Message<'a>: Sized {
    /// The specification's name, such as `OpenExtendedMiningChannel.Success`.
    const NAME: &'static str;
    /// Extension that defined the message, 0 for the core protocols; without the `channel_msg` bit.
    const EXTENSION_TYPE: u16;
    /// Number within the extension (section 8).
    const MSG_TYPE: u8;
    /// Whether the message is addressed to a channel (section 8).
    const CHANNEL_MSG: bool;
    /// Bytes of the shortest payload.
    const MIN_LEN: usize;
    /// Bytes of the longest payload without TLV fields; for every message a frame can hold it.
    const MAX_LEN: usize;

    /// Reads the message's fields from the start of `payload` and gives back what follows them.
    ///
    /// # Errors
    /// [`DecodeError::Field`], naming the field.
    fn decode_prefix(payload: &'a [u8]) -> Result<(Self, &'a [u8]), DecodeError>;

    /// Reads the message; nothing may follow its fields.
    ///
    /// # Errors
    /// [`DecodeError::Field`] or [`DecodeError::Trailing`].
    fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let (message, rest) = Self::decode_prefix(payload)?;
        if rest.is_empty() {
            Ok(message)
        } else {
            Err(DecodeError::Trailing { message: Self::NAME, extra: rest.len() })
        }
    }

    /// Reads the message and the TLV fields that follow it (section 3.4.3). `negotiated` are the
    /// extensions that both sides agreed on; fields of any other extension are ignored and counted in
    /// [`Tlvs::unexpected`], so an empty slice means: ignore whatever TLV fields there are.
    ///
    /// # Errors
    /// [`DecodeError::Field`], or [`DecodeError::Tlv`] when the rest is no list of TLV fields or a
    /// negotiated extension's field breaks its rule.
    fn decode_with_tlvs(payload: &'a [u8], negotiated: &[u16]) -> Result<(Self, Tlvs<'a>), DecodeError> {
        let (message, rest) = Self::decode_prefix(payload)?;
        let tlvs =
            Tlvs::parse(rest, negotiated).map_err(|error| DecodeError::Tlv { message: Self::NAME, error })?;
        Ok((message, tlvs))
    }

    /// Bytes of the payload, without header and TLV fields.
    fn encoded_len(&self) -> usize;

    /// Appends the payload, without header.
    fn encode(&self, out: &mut BytesMut);
}

/// Appends a whole frame, header and payload, in one pass.
pub fn write_frame<'a, M: Message<'a>>(message: &M, out: &mut BytesMut) {
    const { assert!(M::MAX_LEN <= U24::MAX as usize, "every payload fits the header's length") };
    // The order is that of no TLV field.
    append_frame(message, &[], TlvByteOrder::BigEndian, out);
}

/// Appends a whole frame whose payload ends with TLV fields (section 3.4.3). The caller puts them in
/// the order of their extensions and only sends those of extensions that were negotiated; see
/// [`TlvByteOrder`] for which order a peer understands.
///
/// # Errors
/// [`LengthError`], and nothing is appended, when the payload would exceed [`U24::MAX`].
pub fn write_frame_with_tlvs<'a, M: Message<'a>>(
    message: &M,
    tlvs: &[Tlv<'_>],
    order: TlvByteOrder,
    out: &mut BytesMut,
) -> Result<(), LengthError> {
    U24::try_from(payload_len(message, tlvs))?;
    append_frame(message, tlvs, order, out);
    Ok(())
}

fn payload_len<'a, M: Message<'a>>(message: &M, tlvs: &[Tlv<'_>]) -> usize {
    message.encoded_len() + tlvs.iter().map(Tlv::encoded_len).sum::<usize>()
}

/// Appends a frame whose payload is known to fit.
pub(crate) fn append_frame<'a, M: Message<'a>>(
    message: &M,
    tlvs: &[Tlv<'_>],
    order: TlvByteOrder,
    out: &mut BytesMut,
) {
    let length = payload_len(message, tlvs);
    out.reserve(FrameHeader::SIZE + length);
    FrameHeader::of::<M>(U24::saturating_from(length)).write(out);
    message.encode(out);
    for tlv in tlvs {
        tlv.write(order, out);
    }
}
