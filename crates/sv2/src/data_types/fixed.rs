//! Types whose length on the wire is fixed, and OPTION of them.

use std::fmt;

use bytes::{BufMut, BytesMut};

use super::{DataType, LengthError, take_chunk};
use crate::error::FieldError;

/// U256: 32 bytes, the least significant first. Hashes are as SHA-256 puts them out, that is reversed
/// from how explorers print them.
pub type U256 = [u8; 32];
/// MAC: the 16 bytes that authenticated encryption adds.
pub type Mac = [u8; 16];
/// PUBKEY: the X coordinate of a secp256k1 key (BIP 340).
pub type PubKey = [u8; 32];
/// SIGNATURE: a Schnorr signature on secp256k1 (BIP 340).
pub type Signature = [u8; 64];

/// U24: a number that fits three bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct U24(u32);

impl U24 {
    /// The largest value, 16,777,215: also the longest payload of a frame, in bytes.
    pub const MAX: u32 = 0x00ff_ffff;

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// `value`, or [`U24::MAX`] if that is smaller.
    #[must_use]
    pub fn saturating_from(value: usize) -> Self {
        Self::try_from(value).unwrap_or(Self(Self::MAX))
    }
}

impl TryFrom<usize> for U24 {
    type Error = LengthError;

    fn try_from(value: usize) -> Result<Self, LengthError> {
        match u32::try_from(value) {
            Ok(number) if number <= Self::MAX => Ok(Self(number)),
            _ => {
                let max = Self::MAX as usize;
                Err(LengthError { data_type: "U24", unit: "bytes", max, len: value })
            }
        }
    }
}

impl TryFrom<u32> for U24 {
    type Error = LengthError;

    fn try_from(value: u32) -> Result<Self, LengthError> {
        Self::try_from(value as usize)
    }
}

impl From<U24> for u32 {
    fn from(value: U24) -> Self {
        value.0
    }
}

impl DataType<'_> for U24 {
    const MIN_LEN: usize = 3;
    const MAX_LEN: usize = 3;

    fn read(input: &mut &[u8]) -> Result<Self, FieldError> {
        let &[a, b, c] = take_chunk(input)?;
        Ok(Self(u32::from_le_bytes([a, b, c, 0])))
    }

    fn encoded_len(&self) -> usize {
        3
    }

    fn write(&self, out: &mut BytesMut) {
        let [bytes @ .., _] = self.0.to_le_bytes();
        out.put_slice(&bytes);
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// BOOL: only the lowest bit has a meaning; the others may be anything when read and are 0 when
/// written.
impl DataType<'_> for bool {
    const MIN_LEN: usize = 1;
    const MAX_LEN: usize = 1;

    fn read(input: &mut &[u8]) -> Result<Self, FieldError> {
        let &[byte] = take_chunk(input)?;
        Ok(byte & 1 == 1)
    }

    fn encoded_len(&self) -> usize {
        1
    }

    fn write(&self, out: &mut BytesMut) {
        out.put_u8(u8::from(*self));
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

macro_rules! little_endian {
    ($($number:ty),*) => {$(
        impl DataType<'_> for $number {
            const MIN_LEN: usize = size_of::<$number>();
            const MAX_LEN: usize = size_of::<$number>();

            fn read(input: &mut &[u8]) -> Result<Self, FieldError> {
                take_chunk(input).map(|bytes| Self::from_le_bytes(*bytes))
            }

            fn encoded_len(&self) -> usize {
                size_of::<$number>()
            }

            fn write(&self, out: &mut BytesMut) {
                out.put_slice(&self.to_le_bytes());
            }

            fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self, f)
            }
        }
    )*};
}

// F32 is IEEE 754: not-a-number and infinities are read as they are, judging them is the receiver's.
little_endian!(u8, u16, u32, u64, f32);

/// U256, MAC, PUBKEY and SIGNATURE: bytes as they stand.
impl<const N: usize> DataType<'_> for [u8; N] {
    const MIN_LEN: usize = N;
    const MAX_LEN: usize = N;

    fn read(input: &mut &[u8]) -> Result<Self, FieldError> {
        take_chunk(input).copied()
    }

    fn encoded_len(&self) -> usize {
        N
    }

    fn write(&self, out: &mut BytesMut) {
        out.put_slice(self);
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        super::byte_array::show_bytes(self, f)
    }
}

/// `OPTION[T]`: a list of no or one element.
impl<'a, T: DataType<'a>> DataType<'a> for Option<T> {
    const MIN_LEN: usize = 1;
    const MAX_LEN: usize = 1 + T::MAX_LEN;

    fn read(input: &mut &'a [u8]) -> Result<Self, FieldError> {
        let mut rest = *input;
        let value = match u8::read(&mut rest)? {
            0 => None,
            1 => Some(T::read(&mut rest)?),
            count => return Err(FieldError::OptionCount(count)),
        };
        *input = rest;
        Ok(value)
    }

    fn encoded_len(&self) -> usize {
        1 + self.as_ref().map_or(0, T::encoded_len)
    }

    fn write(&self, out: &mut BytesMut) {
        out.put_u8(u8::from(self.is_some()));
        if let Some(value) = self {
            value.write(out);
        }
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Some(value) => value.show(f),
            None => f.write_str("none"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_whole<'a, T: DataType<'a>>(mut bytes: &'a [u8]) -> Result<T, FieldError> {
        let value = T::read(&mut bytes)?;
        assert!(bytes.is_empty());
        Ok(value)
    }

    #[test]
    fn numbers_are_little_endian() {
        assert_eq!(read_whole::<u16>(&[1, 2]), Ok(0x0201));
        assert_eq!(read_whole::<U24>(&[1, 2, 3]).map(U24::get), Ok(0x03_0201));
        assert_eq!(read_whole::<u32>(&[1, 2, 3, 4]), Ok(0x0403_0201));
        assert_eq!(read_whole::<u64>(&[1, 2, 3, 4, 5, 6, 7, 8]), Ok(0x0807_0605_0403_0201));
        assert_eq!(read_whole::<f32>(&[0, 0, 0x80, 0x3f]), Ok(1.0));
    }

    #[test]
    fn a_u24_takes_no_more_than_three_bytes() {
        assert_eq!(U24::try_from(U24::MAX).map(U24::get), Ok(U24::MAX));
        assert_eq!(U24::try_from(U24::MAX + 1).map_err(|e| e.len), Err(0x0100_0000));
        assert_eq!(U24::saturating_from(usize::MAX).get(), U24::MAX);
        let mut out = BytesMut::new();
        U24::saturating_from(0x03_0201).write(&mut out);
        assert_eq!(out[..], [1, 2, 3]);
    }

    #[test]
    fn only_the_lowest_bit_of_a_bool_counts() {
        for byte in 0..=u8::MAX {
            assert_eq!(read_whole::<bool>(&[byte]), Ok(byte % 2 == 1));
        }
    }

    #[test]
    fn an_option_holds_no_or_one_value() {
        assert_eq!(read_whole::<Option<u32>>(&[0]), Ok(None));
        assert_eq!(read_whole::<Option<u32>>(&[1, 5, 0, 0, 0]), Ok(Some(5)));
        assert_eq!(read_whole::<Option<u32>>(&[2, 5, 0, 0, 0]), Err(FieldError::OptionCount(2)));
        assert_eq!(read_whole::<Option<u32>>(&[1, 5, 0]), Err(FieldError::Truncated { needed: 4, left: 2 }));
    }

    #[test]
    fn what_cannot_be_read_is_not_taken() {
        let bytes = [1, 5, 0];
        let mut input = &bytes[..];
        assert!(Option::<u32>::read(&mut input).is_err());
        assert_eq!(input, bytes);
    }
}
