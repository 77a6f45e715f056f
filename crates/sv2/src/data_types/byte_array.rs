//! B0_32, B0_255, B0_64K and B0_16M: bytes with a length before them.

use std::fmt;

use bytes::{BufMut, BytesMut};

use super::{DataType, LengthError};
use crate::error::FieldError;

/// Bytes beyond this many are counted, not printed.
const SHOWN_BYTES: usize = 64;

/// Prints bytes as hex, of long ones the beginning.
pub(super) fn show_bytes(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (shown, rest) = bytes.split_at(bytes.len().min(SHOWN_BYTES));
    for byte in shown {
        write!(f, "{byte:02x}")?;
    }
    if rest.is_empty() { Ok(()) } else { write!(f, "..({} bytes)", bytes.len()) }
}

/// Takes a length of `prefix` bytes (little-endian) and as many bytes as it says off `input`.
pub(super) fn take_prefixed<'a>(
    input: &mut &'a [u8],
    prefix: usize,
    max: usize,
) -> Result<&'a [u8], FieldError> {
    let Some((length, rest)) = input.split_at_checked(prefix) else {
        return Err(FieldError::Truncated { needed: prefix, left: input.len() });
    };
    let len = length.iter().rev().fold(0, |len, byte| len << 8 | usize::from(*byte));
    if len > max {
        return Err(FieldError::TooLong { max, len });
    }
    let Some((bytes, rest)) = rest.split_at_checked(len) else {
        return Err(FieldError::Truncated { needed: len, left: rest.len() });
    };
    *input = rest;
    Ok(bytes)
}

macro_rules! byte_array {
    ($(
        $(#[$doc:meta])*
        $name:ident = $spec:literal, prefix $prefix:literal, max $max:literal;
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name<'a>(&'a [u8]);

        impl<'a> $name<'a> {
            /// The most bytes that fit.
            pub const MAX: usize = $max;
            /// No bytes.
            pub const EMPTY: Self = Self(&[]);

            /// Wraps `bytes`.
            ///
            /// # Errors
            /// [`LengthError`] when there are more than [`Self::MAX`].
            pub const fn new(bytes: &'a [u8]) -> Result<Self, LengthError> {
                let (max, len) = (Self::MAX, bytes.len());
                if len > max {
                    return Err(LengthError { data_type: $spec, unit: "bytes", max, len });
                }
                Ok(Self(bytes))
            }

            /// The bytes, which live as long as the buffer that they came from.
            #[must_use]
            pub const fn as_slice(&self) -> &'a [u8] {
                self.0
            }

            /// How many bytes there are.
            #[must_use]
            pub const fn len(&self) -> usize {
                self.0.len()
            }

            /// Whether there are none.
            #[must_use]
            pub const fn is_empty(&self) -> bool {
                self.0.is_empty()
            }
        }

        impl<'a> TryFrom<&'a [u8]> for $name<'a> {
            type Error = LengthError;

            fn try_from(bytes: &'a [u8]) -> Result<Self, LengthError> {
                Self::new(bytes)
            }
        }

        impl AsRef<[u8]> for $name<'_> {
            fn as_ref(&self) -> &[u8] {
                self.0
            }
        }

        impl fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.show(f)
            }
        }

        impl<'a> DataType<'a> for $name<'a> {
            const MIN_LEN: usize = $prefix;
            const MAX_LEN: usize = $prefix + $max;

            fn read(input: &mut &'a [u8]) -> Result<Self, FieldError> {
                take_prefixed(input, $prefix, $max).map(Self)
            }

            fn encoded_len(&self) -> usize {
                $prefix + self.0.len()
            }

            fn write(&self, out: &mut BytesMut) {
                out.put_uint_le(self.0.len() as u64, $prefix);
                out.put_slice(self.0);
            }

            fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                show_bytes(self.0, f)
            }
        }
    )*};
}

byte_array! {
    /// B0_32: up to 32 bytes; length in one byte.
    B032 = "B0_32", prefix 1, max 32;
    /// B0_255: up to 255 bytes; length in one byte.
    B0255 = "B0_255", prefix 1, max 255;
    /// B0_64K: up to 65,535 bytes; length in two bytes, little-endian.
    B064K = "B0_64K", prefix 2, max 65_535;
    /// B0_16M: up to 16,777,215 bytes; length in three bytes, little-endian.
    B016M = "B0_16M", prefix 3, max 16_777_215;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_b0_32_is_refused_above_32_bytes_even_when_they_are_there() {
        let mut bytes = [7; 256];
        for len in 0..=u8::MAX {
            bytes[0] = len;
            let read = B032::read(&mut &bytes[..]);
            if len <= 32 {
                assert_eq!(read.map(|b| b.len()), Ok(usize::from(len)));
            } else {
                assert_eq!(read, Err(FieldError::TooLong { max: 32, len: usize::from(len) }));
            }
        }
        assert!(B032::new(&bytes[..32]).is_ok());
        assert_eq!(
            B032::new(&bytes[..33]),
            Err(LengthError { data_type: "B0_32", unit: "bytes", max: 32, len: 33 })
        );
    }

    #[test]
    fn every_type_takes_its_longest_value_and_no_byte_more() {
        fn longest<'a, T: DataType<'a>>(value: &T, max: usize) {
            let mut out = BytesMut::new();
            value.write(&mut out);
            assert_eq!((out.len(), value.encoded_len(), T::MAX_LEN), (max, max, max));
        }
        let bytes = vec![1; 16_777_216];
        longest(&B0255::new(&bytes[..255]).unwrap(), 256);
        longest(&B064K::new(&bytes[..65_535]).unwrap(), 65_537);
        longest(&B016M::new(&bytes[..16_777_215]).unwrap(), 16_777_218);
        assert!(B0255::new(&bytes[..256]).is_err());
        assert!(B064K::new(&bytes[..65_536]).is_err());
        assert!(B016M::new(&bytes).is_err());
    }

    #[test]
    fn the_length_prefix_is_little_endian() {
        assert_eq!(B064K::read(&mut &[2, 0, 8, 9][..]).map(|b| b.as_slice()), Ok(&[8, 9][..]));
        assert_eq!(B016M::read(&mut &[1, 0, 0, 8][..]).map(|b| b.as_slice()), Ok(&[8][..]));
        assert_eq!(B016M::read(&mut &[0, 1, 0, 8][..]), Err(FieldError::Truncated { needed: 256, left: 1 }));
    }

    #[test]
    fn long_bytes_are_shown_by_their_beginning() {
        assert_eq!(format!("{:?}", B064K::new(&[0xab; 2]).unwrap()), "abab");
        let shown = format!("{:?}", B064K::new(&[0xab; 4_000]).unwrap());
        assert!(shown.len() < 160 && shown.ends_with("ab..(4000 bytes)"), "{shown}");
    }
}
