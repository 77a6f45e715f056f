//! The tag of a lease: bytes in the filler of every share, which say whose it is (docs/receipts.md, "Tags").

use core::fmt;

use thiserror::Error;

/// The longest tag, in bytes.
pub const MAX_LEASE_TAG: u8 = 8;

/// How long a tag may be, in bytes.
const LENGTHS: core::ops::RangeInclusive<usize> = 4..=MAX_LEASE_TAG as usize;

/// A lease's tag, in place. By default there is none.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct LeaseTag {
    bytes: [u8; MAX_LEASE_TAG as usize],
    len: u8,
}

impl LeaseTag {
    /// No tag: fillers are zeros.
    pub const NONE: Self = Self { bytes: [0; MAX_LEASE_TAG as usize], len: 0 };

    /// A tag of these bytes; without any there is none.
    ///
    /// # Errors
    /// A length that is neither 0 nor 4 to 8.
    pub fn new(bytes: &[u8]) -> Result<Self, LeaseTagError> {
        if bytes.is_empty() {
            return Ok(Self::NONE);
        }
        let (len, true) = (u8::try_from(bytes.len()).unwrap_or(u8::MAX), LENGTHS.contains(&bytes.len()))
        else {
            return Err(LeaseTagError { got: bytes.len() });
        };
        let mut tag = Self { len, ..Self::NONE };
        tag.bytes.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Ok(tag)
    }

    /// The bytes; none without a tag.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len.min(MAX_LEASE_TAG))]
    }

    /// How many bytes it has; 0 without a tag.
    #[must_use]
    pub fn len(&self) -> u8 {
        self.len
    }

    /// There is no tag.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl fmt::Display for LeaseTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for LeaseTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LeaseTag({self})")
    }
}

/// A tag of a length that there is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a lease's tag of {got} bytes: it has 4 to 8, or there is none")]
pub struct LeaseTagError {
    /// How many there are.
    pub got: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_has_four_to_eight_bytes_or_there_is_none() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        for length in 0..=bytes.len() {
            let tag = LeaseTag::new(&bytes[..length]);
            if matches!(length, 0 | 4..=8) {
                assert_eq!(tag.unwrap().as_slice(), &bytes[..length]);
            } else {
                assert_eq!(tag, Err(LeaseTagError { got: length }));
            }
        }
        assert!(LeaseTag::new(&[]).unwrap().is_empty() && LeaseTag::NONE == LeaseTag::default());
        assert_eq!(LeaseTag::new(&bytes[..4]).unwrap().to_string(), "01020304");
    }
}
