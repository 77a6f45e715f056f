//! The data types that messages are made of (specification, section 3.1). Integers are little-endian on
//! the wire; types of variable length borrow.

mod byte_array;
mod fixed;
mod sequence;
mod text;

use std::fmt;

use bytes::BytesMut;
use thiserror::Error;

pub use byte_array::{B016M, B032, B064K, B0255};
pub use fixed::{Mac, PubKey, Signature, U24, U256};
pub use sequence::{MAX_LIST_LEN, Seq064K, Seq0255, SeqIter};
pub use text::Str0255;

use crate::error::FieldError;

/// A type that a message's field, or a list's element, can have.
pub trait DataType<'a>: Copy {
    /// Bytes of the shortest value on the wire.
    const MIN_LEN: usize;
    /// Bytes of the longest value on the wire. Equal to [`Self::MIN_LEN`] if the length is fixed.
    const MAX_LEN: usize;

    /// Takes the value off the front of `input`, which is left as it was on error.
    ///
    /// # Errors
    /// [`FieldError`] when the bytes end inside the value or a length is beyond the type's bound.
    fn read(input: &mut &'a [u8]) -> Result<Self, FieldError>;

    /// Bytes that the value takes on the wire.
    fn encoded_len(&self) -> usize;

    /// Appends the value.
    fn write(&self, out: &mut BytesMut);

    /// Prints the value for people: bytes as hex, numbers as such, a peer's text with its control
    /// characters escaped.
    ///
    /// # Errors
    /// Those of the formatter.
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// A value that is longer than the type that it is to be sent as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{len} {unit} do not fit {data_type}, which takes at most {max}")]
pub struct LengthError {
    /// The specification's name of the type.
    pub data_type: &'static str,
    /// What `max` and `len` count: bytes or elements.
    pub unit: &'static str,
    /// The most that fits.
    pub max: usize,
    /// What was given.
    pub len: usize,
}

/// Takes `N` bytes off the front of `input`.
fn take_chunk<'a, const N: usize>(input: &mut &'a [u8]) -> Result<&'a [u8; N], FieldError> {
    let Some((chunk, rest)) = input.split_first_chunk() else {
        return Err(FieldError::Truncated { needed: N, left: input.len() });
    };
    *input = rest;
    Ok(chunk)
}

/// Prints a field the way its type shows itself; for the messages' `Debug`.
pub(crate) struct Shown<'v, T>(pub(crate) &'v T);

impl<'a, T: DataType<'a>> fmt::Debug for Shown<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.show(f)
    }
}
