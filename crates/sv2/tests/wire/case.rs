//! A message as tests see it: its plain values, and what they are in `sv2` and in the reference
//! implementation. Written out once more in `cases`, independently of the crate's own tables.

use std::fmt::Debug;

use codec_sv2::{Decoded, MessageFrame};
use proptest::strategy::BoxedStrategy;
use serde_json::{Map, Value};

pub(crate) trait Case {
    /// The message's fields as plain values.
    type Values: Clone + Debug + PartialEq;

    /// Name, extension, number and `channel_msg` bit, the latter three as the reference has them.
    const NAME: &'static str;
    const EXTENSION_TYPE: u16;
    const MSG_TYPE: u8;
    const CHANNEL_MSG: bool;
    /// The published crate that the message is checked against.
    const SOURCE: &'static str;

    fn any() -> BoxedStrategy<Self::Values>;
    fn typical() -> Self::Values;
    fn smallest() -> Self::Values;
    fn longest() -> Self::Values;
    /// `Message::MIN_LEN` and `Message::MAX_LEN`.
    fn bounds() -> (usize, usize);
    fn to_json(values: &Self::Values) -> Vec<(&'static str, Value)>;
    fn from_json(fields: &Map<String, Value>) -> Self::Values;

    /// The message, as [`sv2`] has it, given to `with`.
    fn ours<R>(values: &Self::Values, with: impl FnOnce(sv2::AnyMessage<'_>) -> R) -> R;
    /// Its fields' names and where each ends in the payload.
    fn field_ends(values: &Self::Values) -> Vec<(&'static str, usize)>;
    /// The fields of a message that [`sv2`] has read; panics if it is another one.
    fn from_ours(message: &sv2::AnyMessage<'_>) -> Self::Values;
    /// What `Message::decode` says to a payload.
    fn decode(payload: &[u8]) -> Result<Self::Values, sv2::DecodeError>;

    /// The frame that the reference writes.
    fn their_frame(values: &Self::Values) -> Vec<u8>;
    /// The fields that the reference reads from a payload.
    fn from_theirs(payload: &mut [u8]) -> Self::Values;
}

/// Our frame of a message.
pub(crate) fn our_frame<C: Case>(values: &C::Values) -> Vec<u8> {
    let mut out = bytes::BytesMut::new();
    C::ours(values, |message| message.write_frame(&mut out));
    out.to_vec()
}

/// A frame as `codec_sv2` writes it.
pub(crate) fn encode_theirs<M>(message: M, msg_type: u8, extension_type: u16, channel_msg: bool) -> Vec<u8>
where
    M: binary_sv2::Serialize + binary_sv2::GetSize,
{
    let frame = MessageFrame::from_message(message, msg_type, extension_type, channel_msg).unwrap();
    codec_sv2::Encoder::new().encode(frame).unwrap()
}

/// Header and payload of a frame as `codec_sv2` reads it.
pub(crate) fn split_theirs(frame: &[u8]) -> (framing_sv2::header::Header, Vec<u8>) {
    let mut decoder = codec_sv2::Decoder::new();
    let mut rest = frame;
    loop {
        let writable = decoder.writable();
        let (now, later) = rest.split_at(writable.len());
        writable.copy_from_slice(now);
        rest = later;
        if let Decoded::Frame(mut frame) = decoder.next_frame().unwrap() {
            assert!(rest.is_empty());
            return (frame.header(), frame.payload().to_vec());
        }
    }
}

/// A message as the reference writes it.
pub(crate) struct Vector {
    pub name: &'static str,
    /// Each field's name and value, in the order of the wire.
    pub fields: Vec<(&'static str, Value)>,
    pub frame: Vec<u8>,
}

/// The checks of one message, for a table of all of them.
#[derive(Clone, Copy)]
pub(crate) struct Checks {
    pub name: &'static str,
    pub extension_type: u16,
    pub msg_type: u8,
    pub channel_msg: bool,
    pub source: &'static str,
    /// The message's vectors.
    pub vectors: fn() -> Vec<Vector>,
    /// Checks a committed vector's fields and frame against ours.
    pub check_vector: fn(&Map<String, Value>, &[u8]),
    pub cross_check: fn(),
    pub truncate: fn(),
    pub append: fn(),
}

impl Checks {
    pub(crate) fn of<C: Case>() -> Self {
        Self {
            name: C::NAME,
            extension_type: C::EXTENSION_TYPE,
            msg_type: C::MSG_TYPE,
            channel_msg: C::CHANNEL_MSG,
            source: C::SOURCE,
            vectors: crate::vectors::of::<C>,
            check_vector: crate::vectors::check::<C>,
            cross_check: crate::cross_check::run::<C>,
            truncate: crate::hostile::truncate::<C>,
            append: crate::hostile::append::<C>,
        }
    }
}

/// Declares a protocol's cases. A field reads `name: Kind`; where the reference has another name for
/// it, the message is marked `renamed` and every field reads `name their_name: Kind`.
macro_rules! cases {
    (
        $source:literal, $theirs:ident, $any:ident, $protocol:ident, $module:ident, $extension:expr;
        $(
            $message:ident = $name:literal, $msg_type:ident, $channel_bit:ident
            $($renamed:ident)? { $($fields:tt)* }
        )*
    ) => {
        $(
            case! {
                $source, $theirs, $any, $protocol, $module, $extension,
                $message = $name, $msg_type, $channel_bit
                $($renamed)? { $($fields)* }
            }
        )*

        pub(crate) fn all() -> Vec<$crate::case::Checks> {
            vec![$($crate::case::Checks::of::<$message>()),*]
        }
    };
}

macro_rules! case {
    (
        $source:literal, $theirs:ident, $any:ident, $protocol:ident, $module:ident, $extension:expr,
        $message:ident = $name:literal, $msg_type:ident, $channel_bit:ident
        { $($field:ident: $kind:ident),* $(,)? }
    ) => {
        case! {
            $source, $theirs, $any, $protocol, $module, $extension,
            $message = $name, $msg_type, $channel_bit
            renamed { $($field $field: $kind),* }
        }
    };
    (
        $source:literal, $theirs:ident, $any:ident, $protocol:ident, $module:ident, $extension:expr,
        $message:ident = $name:literal, $msg_type:ident, $channel_bit:ident
        renamed { $($field:ident $their_field:ident: $kind:ident),* $(,)? }
    ) => {
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) struct $message {
            $( pub $field: <$crate::kind::$kind as $crate::kind::Kind>::Plain, )*
        }

        impl $crate::case::Case for $message {
            type Values = Self;

            const NAME: &'static str = $name;
            const EXTENSION_TYPE: u16 = $extension;
            const MSG_TYPE: u8 = $theirs::$msg_type;
            const CHANNEL_MSG: bool = $theirs::$channel_bit;
            const SOURCE: &'static str = $source;

            fn any() -> proptest::strategy::BoxedStrategy<Self> {
                use proptest::strategy::Strategy as _;
                let start = proptest::strategy::Just(Self::smallest()).boxed();
                $(
                    let start = (start, <$crate::kind::$kind as $crate::kind::Kind>::any())
                        .prop_map(|(mut values, field)| {
                            values.$field = field;
                            values
                        })
                        .boxed();
                )*
                start
            }

            fn typical() -> Self {
                let mut number = 0_u8;
                $(
                    number += 1;
                    let $field = <$crate::kind::$kind as $crate::kind::Kind>::typical(number);
                )*
                Self { $($field),* }
            }

            fn smallest() -> Self {
                Self { $( $field: <$crate::kind::$kind as $crate::kind::Kind>::smallest(), )* }
            }

            fn longest() -> Self {
                Self { $( $field: <$crate::kind::$kind as $crate::kind::Kind>::longest(), )* }
            }

            fn bounds() -> (usize, usize) {
                fn of<'a, M: sv2::Message<'a>>(_: impl Fn(&'a [u8]) -> Result<M, sv2::DecodeError>) -> (usize, usize) {
                    (M::MIN_LEN, M::MAX_LEN)
                }
                use sv2::Message as _;
                of(sv2::$module::$message::decode)
            }

            fn to_json(values: &Self) -> Vec<(&'static str, serde_json::Value)> {
                vec![$((
                    stringify!($field),
                    <$crate::kind::$kind as $crate::kind::Kind>::to_json(&values.$field),
                )),*]
            }

            fn from_json(fields: &serde_json::Map<String, serde_json::Value>) -> Self {
                Self {
                    $( $field: <$crate::kind::$kind as $crate::kind::Kind>::from_json(
                        &fields[stringify!($field)]
                    ), )*
                }
            }

            fn ours<R>(values: &Self, with: impl FnOnce(sv2::AnyMessage<'_>) -> R) -> R {
                let message = sv2::$module::$message {
                    $( $field: <$crate::kind::$kind as $crate::kind::Kind>::ours(&values.$field), )*
                };
                with(message.into())
            }

            fn field_ends(values: &Self) -> Vec<(&'static str, usize)> {
                let mut end = 0;
                vec![$({
                    let field = <$crate::kind::$kind as $crate::kind::Kind>::ours(&values.$field);
                    end += sv2::DataType::encoded_len(&field);
                    (stringify!($field), end)
                }),*]
            }

            fn from_ours(message: &sv2::AnyMessage<'_>) -> Self {
                let sv2::AnyMessage::$any(sv2::$protocol::$message(message)) = message else {
                    panic!("expected {}, got {message:?}", Self::NAME);
                };
                Self {
                    $( $field: <$crate::kind::$kind as $crate::kind::Kind>::from_ours(message.$field), )*
                }
            }

            fn decode(payload: &[u8]) -> Result<Self, sv2::DecodeError> {
                use sv2::Message as _;
                sv2::$module::$message::decode(payload)
                    .map(|message| Self::from_ours(&message.into()))
            }

            fn their_frame(values: &Self) -> Vec<u8> {
                let message = $theirs::$message {
                    $( $their_field: <$crate::kind::$kind as $crate::kind::Kind>::theirs(&values.$field), )*
                };
                $crate::case::encode_theirs(
                    message, Self::MSG_TYPE, Self::EXTENSION_TYPE, Self::CHANNEL_MSG,
                )
            }

            fn from_theirs(payload: &mut [u8]) -> Self {
                let $theirs::$message { $($their_field),* } = binary_sv2::from_bytes(payload).unwrap();
                Self {
                    $( $field: <$crate::kind::$kind as $crate::kind::Kind>::from_theirs(
                        &$their_field
                    ), )*
                }
            }
        }
    };
}

pub(crate) use {case, cases};
