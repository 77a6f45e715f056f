//! The one form in which messages are declared: a table like the specification's.
//!
//! ```text
//! messages! {
//!     /// What the protocol is for.
//!     MiningMessage in AnyMessage::Mining, extension 0x0000
//!
//!     /// What the message says. (Server -> Client, 5.3.21)
//!     [0x21, channel_msg 1, "SetTarget"]
//!     SetTarget {
//!         /// Channel identifier.
//!         channel_id: U32,
//!         /// Largest hash that will be accepted.
//!         maximum_target: U256,
//!     }
//! }
//! ```
//!
//! A row gives the message type (section 8), the `channel_msg` bit, the specification's name and the
//! fields in the order of the wire with the specification's data types. A message with a field of
//! variable length borrows, and says so with `<'a>`. From a table follow the structs with their
//! [`Message`](crate::Message) implementations, and the protocol's enum.

/// The Rust type of a data type of section 3.1.
macro_rules! rust_type {
    (BOOL) => { bool };
    (U8) => { u8 };
    (U16) => { u16 };
    (U32) => { u32 };
    (U64) => { u64 };
    (U256) => { $crate::data_types::U256 };
    (F32) => { f32 };
    (STR0_255) => { $crate::data_types::Str0255<'a> };
    (B0_32) => { $crate::data_types::B032<'a> };
    (B0_255) => { $crate::data_types::B0255<'a> };
    (B0_64K) => { $crate::data_types::B064K<'a> };
    (B0_16M) => { $crate::data_types::B016M<'a> };
    (OPTION[$inner:ident]) => { Option<rust_type!($inner)> };
    (SEQ0_255[$inner:ident]) => { $crate::data_types::Seq0255<'a, rust_type!($inner)> };
    (SEQ0_64K[$inner:ident]) => { $crate::data_types::Seq064K<'a, rust_type!($inner)> };
}

/// The value of a row's `channel_msg` column.
macro_rules! channel_msg_bit {
    (0) => {
        false
    };
    (1) => {
        true
    };
}

/// One row of a table: the struct and its [`Message`](crate::Message) implementation.
macro_rules! message {
    (
        $(#[$doc:meta])*
        [$extension:literal, $msg_type:literal, channel_msg $channel_msg:tt, $spec_name:literal]
        $message:ident $([$lifetime:lifetime])? {
            $( $(#[$field_doc:meta])* $field:ident: $data_type:ident $([$inner:ident])?, )*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq)]
        pub struct $message $(<$lifetime>)? {
            $( $(#[$field_doc])* pub $field: rust_type!($data_type $([$inner])?), )*
        }

        impl<'a> $crate::Message<'a> for $message $(<$lifetime>)? {
            const NAME: &'static str = $spec_name;
            const EXTENSION_TYPE: u16 = $extension;
            const MSG_TYPE: u8 = $msg_type;
            const CHANNEL_MSG: bool = channel_msg_bit!($channel_msg);
            const MIN_LEN: usize =
                0 $( + <rust_type!($data_type $([$inner])?) as $crate::DataType<'a>>::MIN_LEN )*;
            const MAX_LEN: usize =
                0 $( + <rust_type!($data_type $([$inner])?) as $crate::DataType<'a>>::MAX_LEN )*;

            #[inline]
            fn decode_prefix(payload: &'a [u8]) -> Result<(Self, &'a [u8]), $crate::DecodeError> {
                let mut rest = payload;
                $(
                    let $field = $crate::DataType::read(&mut rest).map_err(|error| {
                        $crate::DecodeError::Field { message: $spec_name, field: stringify!($field), error }
                    })?;
                )*
                Ok((Self { $($field),* }, rest))
            }

            #[inline]
            fn encoded_len(&self) -> usize {
                0 $( + $crate::DataType::encoded_len(&self.$field) )*
            }

            #[inline]
            fn encode(&self, out: &mut bytes::BytesMut) {
                $( $crate::DataType::write(&self.$field, out); )*
            }
        }

        impl$(<$lifetime>)? std::fmt::Debug for $message $(<$lifetime>)? {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct($spec_name)
                    $( .field(stringify!($field), &$crate::data_types::Shown(&self.$field)) )*
                    .finish()
            }
        }
    };
}

/// A protocol's table: its messages and their enum.
macro_rules! messages {
    (
        $(#[$protocol_doc:meta])*
        $protocol:ident in AnyMessage::$any:ident, extension $extension:literal
        $(
            $(#[$doc:meta])*
            [$msg_type:literal, channel_msg $channel_msg:tt, $spec_name:literal]
            $message:ident $(<$lifetime:lifetime>)? { $($fields:tt)* }
        )*
    ) => {
        $(
            message! {
                $(#[$doc])*
                #[doc = concat!(
                    "\n\n`msg_type` ", stringify!($msg_type), ", `channel_msg` ", stringify!($channel_msg),
                    ", extension ", stringify!($extension), ".",
                )]
                [$extension, $msg_type, channel_msg $channel_msg, $spec_name]
                $message $([$lifetime])? { $($fields)* }
            }
        )*

        $(#[$protocol_doc])*
        #[derive(Clone, Copy, PartialEq)]
        pub enum $protocol<'a> {
            $(
                #[doc = concat!("`", $spec_name, "`")]
                $message($message $(<$lifetime>)?),
            )*
        }

        impl<'a> $protocol<'a> {
            /// The extension that defines these messages, 0 for the core protocols.
            pub const EXTENSION_TYPE: u16 = $extension;

            /// Whether the header's extension and message type name one of these messages.
            #[must_use]
            pub fn is_named_by(header: &$crate::FrameHeader) -> bool {
                header.extension_type == Self::EXTENSION_TYPE && [$($msg_type),*].contains(&header.msg_type)
            }

            /// Reads the message that `header` names. Strict: see the crate's documentation.
            ///
            /// # Errors
            /// Every kind of [`DecodeError`](crate::DecodeError) but `Tlv`.
            pub fn decode(
                header: &$crate::FrameHeader,
                payload: &'a [u8],
            ) -> Result<Self, $crate::DecodeError> {
                header.check_length(payload)?;
                if header.extension_type != Self::EXTENSION_TYPE {
                    return Err(header.unknown_extension());
                }
                match header.msg_type {
                    $($msg_type => {
                        header.check_channel_msg::<$message $(<$lifetime>)?>()?;
                        <$message $(<$lifetime>)? as $crate::Message<'a>>::decode(payload).map(Self::$message)
                    })*
                    msg_type => Err($crate::DecodeError::UnknownMessageType {
                        protocol: stringify!($protocol),
                        msg_type,
                    }),
                }
            }

            /// Reads the message that `header` names and the TLV fields after it, forgiving a wrong
            /// `channel_msg` bit and TLV fields of extensions that are not among `negotiated`: see the
            /// crate's documentation, also for how to notice either.
            ///
            /// # Errors
            /// Every kind of [`DecodeError`](crate::DecodeError) but `WrongChannelMsg` and `Trailing`.
            pub fn decode_lenient(
                header: &$crate::FrameHeader,
                payload: &'a [u8],
                negotiated: &[u16],
            ) -> Result<(Self, $crate::Tlvs<'a>), $crate::DecodeError> {
                header.check_length(payload)?;
                if header.extension_type != Self::EXTENSION_TYPE {
                    return Err(header.unknown_extension());
                }
                match header.msg_type {
                    $($msg_type => {
                        let (message, tlvs) = <$message $(<$lifetime>)? as $crate::Message<'a>>
                            ::decode_with_tlvs(payload, negotiated)?;
                        Ok((Self::$message(message), tlvs))
                    })*
                    msg_type => Err($crate::DecodeError::UnknownMessageType {
                        protocol: stringify!($protocol),
                        msg_type,
                    }),
                }
            }

            /// Appends the message's whole frame.
            pub fn write_frame(&self, out: &mut bytes::BytesMut) {
                match self {
                    $(Self::$message(message) => $crate::write_frame(message, out),)*
                }
            }

            /// Bytes of the payload.
            #[must_use]
            pub fn encoded_len(&self) -> usize {
                match self {
                    $(Self::$message(message) => $crate::Message::encoded_len(message),)*
                }
            }

            /// The specification's name of the message.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$message(_) => $spec_name,)*
                }
            }

            /// The message's number.
            #[must_use]
            pub const fn msg_type(&self) -> u8 {
                match self {
                    $(Self::$message(_) => $msg_type,)*
                }
            }

            /// The `channel_msg` bit that the specification gives the message.
            #[must_use]
            pub const fn channel_msg(&self) -> bool {
                match self {
                    $(Self::$message(_) => channel_msg_bit!($channel_msg),)*
                }
            }
        }

        impl std::fmt::Debug for $protocol<'_> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $(Self::$message(message) => std::fmt::Debug::fmt(message, f),)*
                }
            }
        }

        impl<'a> From<$protocol<'a>> for $crate::AnyMessage<'a> {
            fn from(message: $protocol<'a>) -> Self {
                Self::$any(message)
            }
        }

        $(
            impl<'a> From<$message $(<$lifetime>)?> for $protocol<'a> {
                fn from(message: $message $(<$lifetime>)?) -> Self {
                    Self::$message(message)
                }
            }

            impl<'a> From<$message $(<$lifetime>)?> for $crate::AnyMessage<'a> {
                fn from(message: $message $(<$lifetime>)?) -> Self {
                    Self::$any($protocol::$message(message))
                }
            }
        )*
    };
}
