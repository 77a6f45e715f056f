//! Extension 0x0001, with which others are negotiated, and extension 0x0002, which lets a pool tell the
//! workers behind one channel apart.

use std::borrow::Cow;

use bytes::BytesMut;

use crate::data_types::LengthError;
use crate::message::append_frame;
use crate::mining::SubmitSharesExtended;
use crate::tlv::TlvByteOrder;

/// Number of the extension that negotiates extensions.
pub const EXTENSION_NEGOTIATION: u16 = 0x0001;
/// Number of the extension that puts a worker's name to a share: a TLV field, no message.
pub const WORKER_HASHRATE_TRACKING: u16 = 0x0002;

messages! {
    /// A message of extension 0x0001.
    ExtensionsMessage in AnyMessage::Extensions, extension 0x0001

    /// Asks for extensions, right after `SetupConnection.Success`. (Client -> Server)
    [0x00, channel_msg 0, "RequestExtensions"]
    RequestExtensions<'a> {
        /// The client's number for the request.
        request_id: U16,
        /// The extensions' numbers.
        requested_extensions: SEQ0_64K[U16],
    }

    /// The extensions that may be used from now on. (Server -> Client)
    [0x01, channel_msg 0, "RequestExtensions.Success"]
    RequestExtensionsSuccess<'a> {
        /// The request's number.
        request_id: U16,
        /// Those requested that the server supports.
        supported_extensions: SEQ0_64K[U16],
    }

    /// None of the extensions can be used, or others are required. (Server -> Client)
    [0x02, channel_msg 0, "RequestExtensions.Error"]
    RequestExtensionsError<'a> {
        /// The request's number.
        request_id: U16,
        /// Those requested that the server does not support.
        unsupported_extensions: SEQ0_64K[U16],
        /// Those not requested that the server insists on.
        required_extensions: SEQ0_64K[U16],
    }
}

/// The worker's name that extension 0x0002 appends to a `SubmitSharesExtended`: up to 32 bytes, meant
/// to be UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UserIdentity<'a>(&'a [u8]);

impl<'a> UserIdentity<'a> {
    /// The most bytes that fit.
    pub const MAX: usize = 32;
    /// `field_type` of the TLV field.
    pub const FIELD_TYPE: u8 = 0x01;

    /// Wraps `name`.
    ///
    /// # Errors
    /// [`LengthError`] when it has more than [`Self::MAX`] bytes.
    pub const fn new(name: &'a [u8]) -> Result<Self, LengthError> {
        let (max, len) = (Self::MAX, name.len());
        if len > max {
            return Err(LengthError { data_type: "user_identity", unit: "bytes", max, len });
        }
        Ok(Self(name))
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// The name with U+FFFD for whatever is not UTF-8.
    #[must_use]
    pub fn to_str_lossy(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.0)
    }
}

impl<'a> TryFrom<&'a str> for UserIdentity<'a> {
    type Error = LengthError;

    fn try_from(name: &'a str) -> Result<Self, LengthError> {
        Self::new(name.as_bytes())
    }
}

/// Appends a share's whole frame with the worker's name behind it, as extension 0x0002 wants it once it
/// is negotiated. For the byte order see [`TlvByteOrder`].
pub fn write_share_with_worker(
    share: &SubmitSharesExtended<'_>,
    worker: UserIdentity<'_>,
    order: TlvByteOrder,
    out: &mut BytesMut,
) {
    // At most 57 + 37 bytes: far from what a frame holds.
    append_frame(share, &[worker.into()], order, out);
}
