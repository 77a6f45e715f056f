//! STR0_255: text with its length in one byte.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::str::Utf8Error;

use bytes::{BufMut, BytesMut};

use super::byte_array::take_prefixed;
use super::{DataType, LengthError};
use crate::error::FieldError;

/// STR0_255: up to 255 bytes, meant to be UTF-8. The specification calls some of these fields an
/// "unconstrained sequence of bytes", so a message with other bytes is read as well; who needs text asks
/// for it. Printed with control characters escaped, so a peer cannot write into a log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Str0255<'a>(&'a [u8]);

impl<'a> Str0255<'a> {
    /// The most bytes that fit.
    pub const MAX: usize = 255;
    /// No text.
    pub const EMPTY: Self = Self(&[]);

    /// Wraps `bytes`.
    ///
    /// # Errors
    /// [`LengthError`] when there are more than [`Self::MAX`].
    pub const fn new(bytes: &'a [u8]) -> Result<Self, LengthError> {
        let (max, len) = (Self::MAX, bytes.len());
        if len > max {
            return Err(LengthError { data_type: "STR0_255", unit: "bytes", max, len });
        }
        Ok(Self(bytes))
    }

    /// As much of `text` as fits, cut between two characters. For texts whose end may be lost, such as
    /// an error code of our own.
    #[must_use]
    pub fn truncated(text: &'a str) -> Self {
        let end = (0..=text.len().min(Self::MAX)).rev().find(|end| text.is_char_boundary(*end));
        Self(text.get(..end.unwrap_or(0)).unwrap_or_default().as_bytes())
    }

    /// The bytes, which live as long as the buffer that they came from.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// The text, if it is one.
    ///
    /// # Errors
    /// [`Utf8Error`] with the place of the first byte that is not UTF-8.
    pub const fn to_str(&self) -> Result<&'a str, Utf8Error> {
        std::str::from_utf8(self.0)
    }

    /// The text with U+FFFD for whatever is not UTF-8.
    #[must_use]
    pub fn to_str_lossy(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.0)
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

impl<'a> TryFrom<&'a str> for Str0255<'a> {
    type Error = LengthError;

    fn try_from(text: &'a str) -> Result<Self, LengthError> {
        Self::new(text.as_bytes())
    }
}

impl<'a> TryFrom<&'a [u8]> for Str0255<'a> {
    type Error = LengthError;

    fn try_from(bytes: &'a [u8]) -> Result<Self, LengthError> {
        Self::new(bytes)
    }
}

impl PartialEq<str> for Str0255<'_> {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for Str0255<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

/// The text with control characters escaped and U+FFFD for what is not UTF-8.
impl fmt::Display for Str0255<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            write!(f, "{}", chunk.valid().escape_debug())?;
            if !chunk.invalid().is_empty() {
                f.write_char(char::REPLACEMENT_CHARACTER)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Str0255<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl<'a> DataType<'a> for Str0255<'a> {
    const MIN_LEN: usize = 1;
    const MAX_LEN: usize = 1 + Self::MAX;

    fn read(input: &mut &'a [u8]) -> Result<Self, FieldError> {
        take_prefixed(input, 1, Self::MAX).map(Self)
    }

    fn encoded_len(&self) -> usize {
        1 + self.0.len()
    }

    fn write(&self, out: &mut BytesMut) {
        out.put_uint_le(self.0.len() as u64, 1);
        out.put_slice(self.0);
    }

    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_255_bytes_fit() {
        let text = "x".repeat(256);
        assert!(Str0255::try_from(&text[..255]).is_ok());
        assert_eq!(Str0255::try_from(text.as_str()).map_err(|e| (e.max, e.len)), Err((255, 256)));
    }

    #[test]
    fn a_cut_text_ends_with_a_whole_character() {
        let text = "é".repeat(200);
        assert_eq!(Str0255::truncated(&text).len(), 254);
        assert_eq!(Str0255::truncated(&text).to_str().map(|t| t.chars().count()), Ok(127));
        assert_eq!(Str0255::truncated("stale-share"), "stale-share");
    }

    #[test]
    fn other_bytes_than_utf_8_are_read_and_shown_without_control_characters() {
        let text = Str0255::read(&mut &[4, b'a', 0xff, b'\n', b'"'][..]).unwrap();
        assert!(text.to_str().is_err());
        assert_eq!(text.to_str_lossy(), "a\u{fffd}\n\"");
        assert_eq!(text.to_string(), "a\u{fffd}\\n\\\"");
    }
}
