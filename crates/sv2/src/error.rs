//! Why bytes were not taken as a message.

use thiserror::Error;

use crate::tlv::TlvError;

/// Why a frame or a payload is not a message of the specification. Every variant is the peer's
/// doing, none is caused by our own state. Small and without heap, so that hostile input costs
/// nothing beyond its own bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The `extension_type` (without the `channel_msg` bit) belongs to no extension that this crate
    /// knows. Not an offence: the specification (section 3.4.1) has the receiver discard the message,
    /// or pass it on to the channel's endpoint when `channel_msg` is set ([`crate::FrameHeader::channel_id`]).
    #[error(
        "extension_type {extension_type:#06x} is unknown (msg_type {msg_type:#04x}, channel_msg {channel_msg}): \
         discard the message, or pass it on by its channel_id if channel_msg is set"
    )]
    UnknownExtension {
        /// As sent, without the `channel_msg` bit.
        extension_type: u16,
        /// As sent.
        msg_type: u8,
        /// As sent.
        channel_msg: bool,
    },
    /// The protocol has no message of that number.
    #[error("{protocol} has no message of msg_type {msg_type:#04x}")]
    UnknownMessageType {
        /// The protocol (or union of protocols) that was looked in.
        protocol: &'static str,
        /// As sent.
        msg_type: u8,
    },
    /// The `channel_msg` bit is not the one that section 8 gives the message. Recoverable: the payload's
    /// layout does not depend on the bit, `decode_lenient` reads the same bytes without this check.
    #[error(
        "{message} came with channel_msg {}, the specification says {}: read it with decode_lenient to accept",
        u8::from(!expected), u8::from(*expected)
    )]
    WrongChannelMsg {
        /// The message that the frame's type names.
        message: &'static str,
        /// What the specification says.
        expected: bool,
    },
    /// The header's `msg_length` is not the number of payload bytes that the caller handed over.
    #[error("the header declares {declared} payload bytes, {got} were given")]
    LengthMismatch {
        /// `msg_length`, in bytes.
        declared: u32,
        /// Length of the payload given, in bytes.
        got: usize,
    },
    /// A field cannot be read.
    #[error("{message}: field {field}: {error}")]
    Field {
        /// The message's name in the specification.
        message: &'static str,
        /// The field's name.
        field: &'static str,
        /// What is wrong with it.
        error: FieldError,
    },
    /// Bytes follow the last field, and the caller expects none.
    #[error("{message}: {extra} bytes follow the last field, expected none")]
    Trailing {
        /// The message's name in the specification.
        message: &'static str,
        /// How many bytes are left over.
        extra: usize,
    },
    /// Bytes follow the last field and are no well-formed TLV fields, or break their extension's rule.
    #[error("{message}: after the last field: {error}")]
    Tlv {
        /// The message's name in the specification.
        message: &'static str,
        /// What is wrong with them.
        error: TlvError,
    },
}

/// Why a single field cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FieldError {
    /// The payload ends inside the field.
    #[error("truncated: needs {needed} bytes, {left} are left")]
    Truncated {
        /// Bytes that the field (or the element of a list that is being read) takes.
        needed: usize,
        /// Bytes that the payload still has there.
        left: usize,
    },
    /// The length is beyond what the type allows (B0_32: 32; a list: [`crate::data_types::MAX_LIST_LEN`]).
    #[error("too long: {len} bytes, at most {max} are allowed")]
    TooLong {
        /// Bytes that the type allows.
        max: usize,
        /// Bytes that were declared.
        len: usize,
    },
    /// An OPTION's count is neither 0 nor 1.
    #[error("OPTION with {0} elements, expected 0 or 1")]
    OptionCount(u8),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_came_and_what_was_expected() {
        let truncated = FieldError::Truncated { needed: 32, left: 5 };
        let error = DecodeError::Field { message: "SetTarget", field: "maximum_target", error: truncated };
        assert_eq!(
            error.to_string(),
            "SetTarget: field maximum_target: truncated: needs 32 bytes, 5 are left"
        );
        let error = DecodeError::WrongChannelMsg { message: "NewMiningJob", expected: true };
        assert!(
            error.to_string().starts_with("NewMiningJob came with channel_msg 0, the specification says 1")
        );
    }
}
