//! Extranonce bytes, held inline.

use crate::hex;

/// Most bytes an extranonce can have: SV2's `extranonce` is a `B0_32`, and no SV1 pool is known to use more.
pub const MAX_EXTRANONCE: usize = 32;

/// Up to [`MAX_EXTRANONCE`] bytes of `extranonce1` or `extranonce2`, in the order in which they stand in
/// the coinbase transaction. Held inline, so that reading a share allocates nothing.
#[derive(Clone, Copy)]
pub struct Extranonce {
    bytes: [u8; MAX_EXTRANONCE],
    len: u8,
}

impl Extranonce {
    /// `None` if there are more than [`MAX_EXTRANONCE`] bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut this = Self { bytes: [0; MAX_EXTRANONCE], len: u8::try_from(bytes.len()).ok()? };
        this.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(this)
    }

    /// From an even number of hex digits of either case, at most [`MAX_EXTRANONCE`] bytes of them.
    #[must_use]
    #[inline]
    pub fn from_hex(text: &[u8]) -> Option<Self> {
        let mut bytes = [0; MAX_EXTRANONCE];
        let len = hex::decode(text, &mut bytes)?;
        Some(Self { bytes, len: u8::try_from(len).ok()? })
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl std::ops::Deref for Extranonce {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl AsRef<[u8]> for Extranonce {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl PartialEq for Extranonce {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Extranonce {}

impl std::fmt::Debug for Extranonce {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Extranonce(")?;
        for byte in self.as_slice() {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_does_not_make_another_extranonce_but_length_does() {
        assert_eq!(Extranonce::from_hex(b"00aaBB"), Extranonce::new(&[0, 0xaa, 0xbb]));
        assert_ne!(Extranonce::from_hex(b"0000aabb"), Extranonce::new(&[0, 0xaa, 0xbb]));
        assert_eq!(format!("{:?}", Extranonce::from_hex(b"00Ab").unwrap()), "Extranonce(00ab)");
    }

    #[test]
    fn thirty_two_bytes_are_the_most() {
        assert_eq!(Extranonce::from_hex(&[b'a'; 64]).unwrap().len(), 32);
        assert!(Extranonce::from_hex(&[b'a'; 66]).is_none());
        assert!(Extranonce::new(&[0; 33]).is_none());
        assert!(Extranonce::new(&[0; 300]).is_none());
        assert!(Extranonce::from_hex(b"abc").is_none());
    }
}
