//! The data types as tests see them: a plain value, how to make one, and what it is in `sv2`, in the
//! reference implementation and in the vectors' JSON.

use std::fmt::Debug;

use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;
use serde_json::{Value, json};

/// A data type of the specification.
pub(crate) trait Kind {
    /// A value that owns what it holds. Floats are kept as their bits, so that NaN equals itself.
    type Plain: Clone + Debug + PartialEq;
    type Ours<'a>: sv2::DataType<'a>;
    type Theirs<'a>;

    fn any() -> BoxedStrategy<Self::Plain>;
    /// A value for the vectors, another one for every `number`.
    fn typical(number: u8) -> Self::Plain;
    /// The shortest value, and the smallest of those.
    fn smallest() -> Self::Plain;
    /// The longest value, and the largest of those (a list of transactions: the most, of 100 bytes each).
    fn longest() -> Self::Plain;

    fn ours(plain: &Self::Plain) -> Self::Ours<'_>;
    fn theirs(plain: &Self::Plain) -> Self::Theirs<'_>;
    fn from_ours(value: Self::Ours<'_>) -> Self::Plain;
    fn from_theirs(value: &Self::Theirs<'_>) -> Self::Plain;

    fn to_json(plain: &Self::Plain) -> Value;
    fn from_json(value: &Value) -> Self::Plain;
}

macro_rules! numbers {
    ($($kind:ident = $number:ty),* $(,)?) => {$(
        pub(crate) struct $kind;

        impl Kind for $kind {
            type Plain = $number;
            type Ours<'a> = $number;
            type Theirs<'a> = $number;

            fn any() -> BoxedStrategy<$number> {
                prop_oneof![8 => any::<$number>(), 1 => Just(0), 1 => Just(<$number>::MAX)].boxed()
            }
            fn typical(number: u8) -> $number {
                // Every byte differs, so that a wrong byte order shows.
                let mut bytes = [0; size_of::<$number>()];
                for (index, byte) in (0_u8..).zip(&mut bytes) {
                    *byte = number.wrapping_mul(16).wrapping_add(index);
                }
                <$number>::from_le_bytes(bytes)
            }
            fn smallest() -> $number {
                0
            }
            fn longest() -> $number {
                <$number>::MAX
            }
            fn ours(plain: &$number) -> $number {
                *plain
            }
            fn theirs(plain: &$number) -> $number {
                *plain
            }
            fn from_ours(value: $number) -> $number {
                value
            }
            fn from_theirs(value: &$number) -> $number {
                *value
            }
            fn to_json(plain: &$number) -> Value {
                json!(plain)
            }
            fn from_json(value: &Value) -> $number {
                value.as_u64().unwrap().try_into().unwrap()
            }
        }
    )*};
}

numbers! { U8 = u8, U16 = u16, U32 = u32, U64 = u64 }

/// `SetupConnection.protocol`, which the reference implementation has an enum for.
pub(crate) struct Protocol;

impl Kind for Protocol {
    type Plain = u8;
    type Ours<'a> = u8;
    type Theirs<'a> = common_messages_sv2::Protocol;

    fn any() -> BoxedStrategy<u8> {
        (0..=2_u8).boxed()
    }
    fn typical(_: u8) -> u8 {
        sv2::common::PROTOCOL_JOB_DECLARATION
    }
    fn smallest() -> u8 {
        sv2::common::PROTOCOL_MINING
    }
    fn longest() -> u8 {
        sv2::common::PROTOCOL_TEMPLATE_DISTRIBUTION
    }
    fn ours(plain: &u8) -> u8 {
        *plain
    }
    fn theirs(plain: &u8) -> common_messages_sv2::Protocol {
        (*plain).try_into().unwrap()
    }
    fn from_ours(value: u8) -> u8 {
        value
    }
    fn from_theirs(value: &common_messages_sv2::Protocol) -> u8 {
        *value as u8
    }
    fn to_json(plain: &u8) -> Value {
        json!(plain)
    }
    fn from_json(value: &Value) -> u8 {
        U8::from_json(value)
    }
}

pub(crate) struct Bool;

impl Kind for Bool {
    type Plain = bool;
    type Ours<'a> = bool;
    type Theirs<'a> = bool;

    fn any() -> BoxedStrategy<bool> {
        any::<bool>().boxed()
    }
    fn typical(_: u8) -> bool {
        true
    }
    fn smallest() -> bool {
        false
    }
    fn longest() -> bool {
        true
    }
    fn ours(plain: &bool) -> bool {
        *plain
    }
    fn theirs(plain: &bool) -> bool {
        *plain
    }
    fn from_ours(value: bool) -> bool {
        value
    }
    fn from_theirs(value: &bool) -> bool {
        *value
    }
    fn to_json(plain: &bool) -> Value {
        json!(plain)
    }
    fn from_json(value: &Value) -> bool {
        value.as_bool().unwrap()
    }
}

/// F32, as its bits.
pub(crate) struct F32;

impl Kind for F32 {
    type Plain = u32;
    type Ours<'a> = f32;
    type Theirs<'a> = f32;

    fn any() -> BoxedStrategy<u32> {
        // Every bit pattern: not-a-number, infinities and subnormals among them.
        prop_oneof![4 => any::<u32>(), 1 => Just(f32::NAN.to_bits()), 1 => Just(f32::INFINITY.to_bits())]
            .boxed()
    }
    fn typical(_: u8) -> u32 {
        // 100 TH/s, exactly what a f32 holds of it.
        100_000_000_000_000_f32.to_bits()
    }
    fn smallest() -> u32 {
        0
    }
    fn longest() -> u32 {
        u32::MAX
    }
    fn ours(plain: &u32) -> f32 {
        f32::from_bits(*plain)
    }
    fn theirs(plain: &u32) -> f32 {
        f32::from_bits(*plain)
    }
    fn from_ours(value: f32) -> u32 {
        value.to_bits()
    }
    fn from_theirs(value: &f32) -> u32 {
        value.to_bits()
    }
    fn to_json(plain: &u32) -> Value {
        json!(f64::from(f32::from_bits(*plain)))
    }
    #[expect(clippy::cast_possible_truncation, reason = "written from a f32")]
    fn from_json(value: &Value) -> u32 {
        (value.as_f64().unwrap() as f32).to_bits()
    }
}

pub(crate) struct U256;

impl Kind for U256 {
    type Plain = [u8; 32];
    type Ours<'a> = sv2::U256;
    type Theirs<'a> = binary_sv2::U256<'a>;

    fn any() -> BoxedStrategy<[u8; 32]> {
        any::<[u8; 32]>().boxed()
    }
    fn typical(number: u8) -> [u8; 32] {
        std::array::from_fn(|index| number.wrapping_mul(7).wrapping_add(index.try_into().unwrap()))
    }
    fn smallest() -> [u8; 32] {
        [0; 32]
    }
    fn longest() -> [u8; 32] {
        [0xff; 32]
    }
    fn ours(plain: &[u8; 32]) -> sv2::U256 {
        *plain
    }
    fn theirs(plain: &[u8; 32]) -> binary_sv2::U256<'_> {
        plain.into()
    }
    fn from_ours(value: sv2::U256) -> [u8; 32] {
        value
    }
    fn from_theirs(value: &binary_sv2::U256<'_>) -> [u8; 32] {
        *value.as_array()
    }
    fn to_json(plain: &[u8; 32]) -> Value {
        json!(hex::encode(plain))
    }
    fn from_json(value: &Value) -> [u8; 32] {
        hex::decode(value.as_str().unwrap()).unwrap().try_into().unwrap()
    }
}

macro_rules! byte_arrays {
    ($($kind:ident = $name:ident, as_bytes $as_bytes:ident, max $max:literal;)*) => {$(
        pub(crate) struct $kind;

        impl Kind for $kind {
            type Plain = Vec<u8>;
            type Ours<'a> = sv2::$name<'a>;
            type Theirs<'a> = binary_sv2::$name<'a>;

            fn any() -> BoxedStrategy<Vec<u8>> {
                let short = proptest::collection::vec(any::<u8>(), 0..=$max.min(64));
                // The longest that cross-checking stays fast with; the bounds have tests of their own.
                let longest = any::<u8>().prop_map(|byte| vec![byte; $max.min(70_000)]);
                prop_oneof![15 => short, 1 => longest].boxed()
            }
            fn typical(number: u8) -> Vec<u8> {
                (0..4 + number % 8).map(|index| number.wrapping_mul(16).wrapping_add(index)).collect()
            }
            fn smallest() -> Vec<u8> {
                Vec::new()
            }
            fn longest() -> Vec<u8> {
                vec![0xff; $max]
            }
            fn ours(plain: &Vec<u8>) -> sv2::$name<'_> {
                plain.as_slice().try_into().unwrap()
            }
            fn theirs(plain: &Vec<u8>) -> binary_sv2::$name<'_> {
                plain.as_slice().try_into().unwrap()
            }
            fn from_ours(value: sv2::$name<'_>) -> Vec<u8> {
                value.$as_bytes().to_vec()
            }
            fn from_theirs(value: &binary_sv2::$name<'_>) -> Vec<u8> {
                value.as_bytes().to_vec()
            }
            fn to_json(plain: &Vec<u8>) -> Value {
                json!(hex::encode(plain))
            }
            fn from_json(value: &Value) -> Vec<u8> {
                hex::decode(value.as_str().unwrap()).unwrap()
            }
        }
    )*};
}

byte_arrays! {
    B032 = B032, as_bytes as_slice, max 32;
    B0255 = B0255, as_bytes as_slice, max 255;
    B064K = B064K, as_bytes as_slice, max 65_535;
    B016M = B016M, as_bytes as_slice, max 16_777_215;
    StrBytes = Str0255, as_bytes as_bytes, max 255;
}

/// STR0_255: other than in the vectors, any bytes.
pub(crate) struct Str;

impl Kind for Str {
    type Plain = Vec<u8>;
    type Ours<'a> = sv2::Str0255<'a>;
    type Theirs<'a> = binary_sv2::Str0255<'a>;

    fn any() -> BoxedStrategy<Vec<u8>> {
        StrBytes::any()
    }
    fn typical(number: u8) -> Vec<u8> {
        format!("text-{number}").into_bytes()
    }
    fn smallest() -> Vec<u8> {
        Vec::new()
    }
    fn longest() -> Vec<u8> {
        StrBytes::longest()
    }
    fn ours(plain: &Vec<u8>) -> sv2::Str0255<'_> {
        StrBytes::ours(plain)
    }
    fn theirs(plain: &Vec<u8>) -> binary_sv2::Str0255<'_> {
        StrBytes::theirs(plain)
    }
    fn from_ours(value: sv2::Str0255<'_>) -> Vec<u8> {
        StrBytes::from_ours(value)
    }
    fn from_theirs(value: &binary_sv2::Str0255<'_>) -> Vec<u8> {
        StrBytes::from_theirs(value)
    }
    fn to_json(plain: &Vec<u8>) -> Value {
        json!(std::str::from_utf8(plain).unwrap())
    }
    fn from_json(value: &Value) -> Vec<u8> {
        value.as_str().unwrap().as_bytes().to_vec()
    }
}

/// `OPTION[U32]`
pub(crate) struct OptionU32;

impl Kind for OptionU32 {
    type Plain = Option<u32>;
    type Ours<'a> = Option<u32>;
    type Theirs<'a> = binary_sv2::Sv2Option<'a, u32>;

    fn any() -> BoxedStrategy<Option<u32>> {
        any::<Option<u32>>().boxed()
    }
    fn typical(number: u8) -> Option<u32> {
        Some(U32::typical(number))
    }
    fn smallest() -> Option<u32> {
        None
    }
    fn longest() -> Option<u32> {
        Some(u32::MAX)
    }
    fn ours(plain: &Option<u32>) -> Option<u32> {
        *plain
    }
    fn theirs(plain: &Option<u32>) -> binary_sv2::Sv2Option<'_, u32> {
        binary_sv2::Sv2Option::new(*plain)
    }
    fn from_ours(value: Option<u32>) -> Option<u32> {
        value
    }
    fn from_theirs(value: &binary_sv2::Sv2Option<'_, u32>) -> Option<u32> {
        value.as_ref().copied()
    }
    fn to_json(plain: &Option<u32>) -> Value {
        json!(plain)
    }
    fn from_json(value: &Value) -> Option<u32> {
        (!value.is_null()).then(|| U32::from_json(value))
    }
}

macro_rules! lists {
    ($($kind:ident = $list:ident of $element:ident, $plain:ty, ours $ours:ty, theirs $theirs:ty,
        longest of $longest_element:expr;)*) => {$(
        pub(crate) struct $kind;

        impl Kind for $kind {
            type Plain = Vec<$plain>;
            type Ours<'a> = sv2::$list<'a, $ours>;
            type Theirs<'a> = binary_sv2::$list<'a, $theirs>;

            fn any() -> BoxedStrategy<Vec<$plain>> {
                proptest::collection::vec($element::any(), 0..20).boxed()
            }
            fn typical(number: u8) -> Vec<$plain> {
                (0..3).map(|index| $element::typical(number + index)).collect()
            }
            fn smallest() -> Vec<$plain> {
                Vec::new()
            }
            fn longest() -> Vec<$plain> {
                let element = $longest_element;
                vec![element; sv2::$list::<u8>::MAX]
            }
            fn ours<'a>(plain: &'a Vec<$plain>) -> sv2::$list<'a, $ours> {
                let elements: Vec<$ours> = plain.iter().map($element::ours).collect();
                // The list borrows its elements, which have to live as long as the plain value: a test
                // can afford to leak them.
                sv2::$list::from_slice(elements.leak()).unwrap()
            }
            fn theirs<'a>(plain: &'a Vec<$plain>) -> binary_sv2::$list<'a, $theirs> {
                binary_sv2::$list::new(plain.iter().map($element::theirs).collect()).unwrap()
            }
            fn from_ours<'a>(value: sv2::$list<'a, $ours>) -> Vec<$plain> {
                assert_eq!(value.iter().count(), value.len());
                value.iter().map($element::from_ours).collect()
            }
            fn from_theirs<'a>(value: &binary_sv2::$list<'a, $theirs>) -> Vec<$plain> {
                value.iter().map($element::from_theirs).collect()
            }
            fn to_json(plain: &Vec<$plain>) -> Value {
                plain.iter().map($element::to_json).collect()
            }
            fn from_json(value: &Value) -> Vec<$plain> {
                value.as_array().unwrap().iter().map($element::from_json).collect()
            }
        }
    )*};
}

lists! {
    Seq0255U256 = Seq0255 of U256, [u8; 32], ours sv2::U256, theirs binary_sv2::U256<'a>, longest of U256::longest();
    Seq064KU16 = Seq064K of U16, u16, ours u16, theirs u16, longest of u16::MAX;
    Seq064KU32 = Seq064K of U32, u32, ours u32, theirs u32, longest of u32::MAX;
    Seq064KU256 = Seq064K of U256, [u8; 32], ours sv2::U256, theirs binary_sv2::U256<'a>, longest of U256::longest();
    Seq064KB016M = Seq064K of B016M, Vec<u8>, ours sv2::B016M<'a>, theirs binary_sv2::B016M<'a>, longest of vec![0xff; 100];
}
