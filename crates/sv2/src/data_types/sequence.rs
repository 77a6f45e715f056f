//! SEQ0_255 and SEQ0_64K: lists with their count before them.

use std::fmt;

use bytes::{BufMut, BytesMut};

use super::{DataType, LengthError};
use crate::error::FieldError;

/// Bytes that a list's elements may take together: a frame's longest payload less 128 KiB, so that
/// every message with one list fits a frame whatever its other fields hold. Only a list of
/// B0_16M (transactions) can reach it, with four times what a block can weigh.
pub const MAX_LIST_LEN: usize = 0x00ff_ffff - 0x0002_0000;

/// A list is either bytes off the wire, already checked, or the sender's slice.
#[derive(Clone, Copy)]
enum Elements<'a, T> {
    Wire { count: u16, bytes: &'a [u8] },
    Slice(&'a [T]),
}

/// Goes through the elements of a [`Seq0255`] or [`Seq064K`], reading each as it comes.
#[derive(Clone)]
pub struct SeqIter<'a, T>(Elements<'a, T>);

impl<'a, T: DataType<'a>> Iterator for SeqIter<'a, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        match &mut self.0 {
            Elements::Wire { count, bytes } => {
                *count = count.checked_sub(1)?;
                // Every element was read once when the list was: this cannot fail.
                T::read(bytes).ok()
            }
            Elements::Slice(slice) => {
                let (first, rest) = slice.split_first()?;
                *slice = rest;
                Some(*first)
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match self.0 {
            Elements::Wire { count, .. } => usize::from(count),
            Elements::Slice(slice) => slice.len(),
        };
        (left, Some(left))
    }
}

impl<'a, T: DataType<'a>> ExactSizeIterator for SeqIter<'a, T> {}

/// Takes `count` elements off `input` without keeping any but their bytes.
fn take_elements<'a, T: DataType<'a>>(
    input: &mut &'a [u8],
    count: u16,
) -> Result<Elements<'a, T>, FieldError> {
    let all = *input;
    let len = if T::MIN_LEN == T::MAX_LEN {
        usize::from(count) * T::MIN_LEN
    } else {
        let mut rest = all;
        for _ in 0..count {
            T::read(&mut rest)?;
        }
        all.len() - rest.len()
    };
    if len > MAX_LIST_LEN {
        return Err(FieldError::TooLong { max: MAX_LIST_LEN, len });
    }
    let Some((bytes, rest)) = all.split_at_checked(len) else {
        return Err(FieldError::Truncated { needed: len, left: all.len() });
    };
    *input = rest;
    Ok(Elements::Wire { count, bytes })
}

macro_rules! sequence {
    ($(
        $(#[$doc:meta])*
        $name:ident = $spec:literal, prefix $prefix:literal as $count:ty;
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub struct $name<'a, T>(Elements<'a, T>);

        impl<'a, T: DataType<'a>> $name<'a, T> {
            /// The most elements that fit.
            pub const MAX: usize = <$count>::MAX as usize;

            /// Wraps a slice, for sending.
            ///
            /// # Errors
            /// [`LengthError`] when there are more than [`Self::MAX`] elements, or when they take more
            /// than [`MAX_LIST_LEN`] bytes together.
            pub fn from_slice(elements: &'a [T]) -> Result<Self, LengthError> {
                let (max, len) = (Self::MAX, elements.len());
                if len > max {
                    return Err(LengthError { data_type: $spec, unit: "elements", max, len });
                }
                let len = elements.iter().map(T::encoded_len).sum();
                if len > MAX_LIST_LEN {
                    return Err(LengthError { data_type: $spec, unit: "bytes", max: MAX_LIST_LEN, len });
                }
                Ok(Self(Elements::Slice(elements)))
            }

            /// The elements in their order.
            #[must_use]
            pub fn iter(&self) -> SeqIter<'a, T> {
                SeqIter(self.0)
            }

            /// How many elements there are.
            #[must_use]
            pub fn len(&self) -> usize {
                self.iter().len()
            }

            /// Whether there are none.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }
        }

        impl<'a, T: DataType<'a>> TryFrom<&'a [T]> for $name<'a, T> {
            type Error = LengthError;

            fn try_from(elements: &'a [T]) -> Result<Self, LengthError> {
                Self::from_slice(elements)
            }
        }

        impl<T> Default for $name<'_, T> {
            fn default() -> Self {
                Self(Elements::Slice(&[]))
            }
        }

        impl<'a, T: DataType<'a>> IntoIterator for $name<'a, T> {
            type Item = T;
            type IntoIter = SeqIter<'a, T>;

            fn into_iter(self) -> SeqIter<'a, T> {
                SeqIter(self.0)
            }
        }

        impl<'a, T: DataType<'a>> IntoIterator for &$name<'a, T> {
            type Item = T;
            type IntoIter = SeqIter<'a, T>;

            fn into_iter(self) -> SeqIter<'a, T> {
                self.iter()
            }
        }

        /// Equal when the elements are, wherever they lie.
        impl<'a, T: DataType<'a> + PartialEq> PartialEq for $name<'a, T> {
            fn eq(&self, other: &Self) -> bool {
                self.iter().eq(other.iter())
            }
        }

        impl<'a, T: DataType<'a> + Eq> Eq for $name<'a, T> {}

        impl<'a, T: DataType<'a>> fmt::Debug for $name<'a, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.show(f)
            }
        }

        impl<'a, T: DataType<'a>> DataType<'a> for $name<'a, T> {
            const MIN_LEN: usize = $prefix;
            const MAX_LEN: usize = $prefix + {
                let elements = Self::MAX * T::MAX_LEN;
                if elements < MAX_LIST_LEN { elements } else { MAX_LIST_LEN }
            };

            fn read(input: &mut &'a [u8]) -> Result<Self, FieldError> {
                let mut rest = *input;
                let count = <$count>::read(&mut rest)?;
                let elements = take_elements(&mut rest, u16::from(count))?;
                *input = rest;
                Ok(Self(elements))
            }

            fn encoded_len(&self) -> usize {
                $prefix + match self.0 {
                    Elements::Wire { bytes, .. } => bytes.len(),
                    Elements::Slice(elements) => elements.iter().map(T::encoded_len).sum(),
                }
            }

            fn write(&self, out: &mut BytesMut) {
                out.put_uint_le(self.len() as u64, $prefix);
                match self.0 {
                    Elements::Wire { bytes, .. } => out.put_slice(bytes),
                    Elements::Slice(elements) => elements.iter().for_each(|element| element.write(out)),
                }
            }

            fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                show_elements(self.iter(), f)
            }
        }
    )*};
}

sequence! {
    /// `SEQ0_255[T]`: up to 255 elements; count in one byte. Reading checks every element and copies
    /// none.
    Seq0255 = "SEQ0_255", prefix 1 as u8;
    /// `SEQ0_64K[T]`: up to 65,535 elements; count in two bytes, little-endian. Reading checks every
    /// element and copies none.
    Seq064K = "SEQ0_64K", prefix 2 as u16;
}

/// Elements beyond this many are counted, not printed.
const SHOWN_ELEMENTS: usize = 4;

fn show_elements<'a, T: DataType<'a>>(elements: SeqIter<'a, T>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let count = elements.len();
    f.write_str("[")?;
    for (index, element) in elements.take(SHOWN_ELEMENTS).enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        element.show(f)?;
    }
    if count > SHOWN_ELEMENTS {
        write!(f, ", ..({count} elements)")?;
    }
    f.write_str("]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_types::{B016M, U256};

    #[test]
    fn a_list_off_the_wire_equals_the_slice_it_was_written_from() {
        let hashes: [U256; 3] = [[1; 32], [2; 32], [3; 32]];
        let sent = Seq0255::from_slice(&hashes).unwrap();
        let mut out = BytesMut::new();
        sent.write(&mut out);
        let mut input = &out[..];
        let read = Seq0255::<U256>::read(&mut input).unwrap();
        assert!(input.is_empty());
        assert_eq!(read, sent);
        assert_eq!(read.iter().collect::<Vec<_>>(), hashes);
        assert_eq!((read.len(), read.encoded_len()), (3, 97));
    }

    #[test]
    fn a_declared_count_is_believed_only_when_the_bytes_are_there() {
        let bytes = [0xff, 0xff, 1, 0, 2, 0];
        assert_eq!(
            Seq064K::<u16>::read(&mut &bytes[..]),
            Err(FieldError::Truncated { needed: 131_070, left: 4 })
        );
        assert_eq!(
            Seq064K::<B016M<'_>>::read(&mut &bytes[..]),
            Err(FieldError::Truncated { needed: 131_073, left: 1 })
        );
    }

    #[test]
    fn no_more_elements_fit_than_the_count_can_say() {
        let numbers = vec![0_u32; 65_536];
        assert!(Seq0255::from_slice(&numbers[..255]).is_ok());
        assert_eq!(Seq0255::from_slice(&numbers[..256]).map_err(|e| (e.unit, e.len)), Err(("elements", 256)));
        assert!(Seq064K::from_slice(&numbers[..65_535]).is_ok());
        assert!(Seq064K::from_slice(&numbers).is_err());
    }

    #[test]
    fn a_list_is_never_too_long_for_a_frame() {
        let transaction = vec![0; MAX_LIST_LEN - 3];
        let just = [B016M::new(&transaction).unwrap()];
        let list = Seq064K::from_slice(&just).unwrap();
        assert_eq!(list.encoded_len(), 2 + MAX_LIST_LEN);
        let over = [just[0], B016M::EMPTY];
        assert_eq!(Seq064K::from_slice(&over).map_err(|e| (e.unit, e.len)), Err(("bytes", MAX_LIST_LEN + 3)));

        let mut out = BytesMut::new();
        out.put_u16_le(2);
        over.iter().for_each(|transaction| transaction.write(&mut out));
        assert_eq!(
            Seq064K::<B016M<'_>>::read(&mut &out[..]),
            Err(FieldError::TooLong { max: MAX_LIST_LEN, len: MAX_LIST_LEN + 3 })
        );
    }

    #[test]
    fn long_lists_are_shown_by_their_beginning() {
        assert_eq!(format!("{:?}", Seq0255::from_slice(&[1_u16, 2]).unwrap()), "[1, 2]");
        assert_eq!(
            format!("{:?}", Seq0255::from_slice(&[7_u16; 9]).unwrap()),
            "[7, 7, 7, 7, ..(9 elements)]"
        );
    }
}
