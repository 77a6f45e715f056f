//! One type for every message.

use std::fmt;

use bytes::BytesMut;

use crate::common::CommonMessage;
use crate::error::DecodeError;
use crate::extensions::ExtensionsMessage;
use crate::frame::FrameHeader;
use crate::job_declaration::JobDeclarationMessage;
use crate::mining::MiningMessage;
use crate::template_distribution::TemplateDistributionMessage;
use crate::tlv::Tlvs;

/// Any message of the specification. The protocols' numbers do not overlap, so a header names one
/// message; whether a connection may carry it is for the connection's owner to say.
#[derive(Clone, Copy, PartialEq)]
pub enum AnyMessage<'a> {
    /// Section 3.6.
    Common(CommonMessage<'a>),
    /// Section 5.
    Mining(MiningMessage<'a>),
    /// Section 6.
    JobDeclaration(JobDeclarationMessage<'a>),
    /// Section 7.
    TemplateDistribution(TemplateDistributionMessage<'a>),
    /// Extension 0x0001.
    Extensions(ExtensionsMessage<'a>),
}

/// Runs an expression for whichever protocol's message it is.
macro_rules! of_each {
    ($any:expr, $message:ident => $result:expr) => {
        match $any {
            AnyMessage::Common($message) => $result,
            AnyMessage::Mining($message) => $result,
            AnyMessage::JobDeclaration($message) => $result,
            AnyMessage::TemplateDistribution($message) => $result,
            AnyMessage::Extensions($message) => $result,
        }
    };
}

/// Runs an expression for the protocol that the header names.
macro_rules! of_named {
    ($header:expr, $protocol:ident => $result:expr) => {{
        let header: &FrameHeader = $header;
        if CommonMessage::is_named_by(header) {
            type $protocol<'a> = CommonMessage<'a>;
            $result
        } else if MiningMessage::is_named_by(header) {
            type $protocol<'a> = MiningMessage<'a>;
            $result
        } else if JobDeclarationMessage::is_named_by(header) {
            type $protocol<'a> = JobDeclarationMessage<'a>;
            $result
        } else if TemplateDistributionMessage::is_named_by(header) {
            type $protocol<'a> = TemplateDistributionMessage<'a>;
            $result
        } else if ExtensionsMessage::is_named_by(header) {
            type $protocol<'a> = ExtensionsMessage<'a>;
            $result
        } else if matches!(header.extension_type, 0 | ExtensionsMessage::EXTENSION_TYPE) {
            Err(DecodeError::UnknownMessageType { protocol: "AnyMessage", msg_type: header.msg_type })
        } else {
            Err(header.unknown_extension())
        }
    }};
}

impl<'a> AnyMessage<'a> {
    /// Reads the message that `header` names. Strict: see the crate's documentation.
    ///
    /// # Errors
    /// Every kind of [`DecodeError`] but `Tlv`.
    pub fn decode(header: &FrameHeader, payload: &'a [u8]) -> Result<Self, DecodeError> {
        of_named!(header, Protocol => Protocol::decode(header, payload).map(Self::from))
    }

    /// Reads the message that `header` names and the TLV fields after it, forgiving a wrong
    /// `channel_msg` bit and TLV fields of extensions that are not among `negotiated`: see the crate's
    /// documentation, also for how to notice either.
    ///
    /// # Errors
    /// Every kind of [`DecodeError`] but `WrongChannelMsg` and `Trailing`.
    pub fn decode_lenient(
        header: &FrameHeader,
        payload: &'a [u8],
        negotiated: &[u16],
    ) -> Result<(Self, Tlvs<'a>), DecodeError> {
        of_named!(header, Protocol => {
            Protocol::decode_lenient(header, payload, negotiated)
                .map(|(message, tlvs)| (Self::from(message), tlvs))
        })
    }

    /// Appends the message's whole frame.
    pub fn write_frame(&self, out: &mut BytesMut) {
        of_each!(self, message => message.write_frame(out));
    }

    /// Bytes of the payload.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        of_each!(self, message => message.encoded_len())
    }

    /// The specification's name of the message.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        of_each!(self, message => message.name())
    }

    /// The extension that defines the message, 0 for the core protocols.
    #[must_use]
    pub const fn extension_type(&self) -> u16 {
        match self {
            Self::Extensions(_) => ExtensionsMessage::EXTENSION_TYPE,
            _ => 0,
        }
    }

    /// The message's number within its extension.
    #[must_use]
    pub const fn msg_type(&self) -> u8 {
        of_each!(self, message => message.msg_type())
    }

    /// The `channel_msg` bit that the specification gives the message.
    #[must_use]
    pub const fn channel_msg(&self) -> bool {
        of_each!(self, message => message.channel_msg())
    }
}

impl fmt::Debug for AnyMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        of_each!(self, message => message.fmt(f))
    }
}
