//! Numbers and texts as they stand in a receipt: whole numbers as LEB128 in the shortest form, texts and byte strings with
//! their length before them, everything of fixed size little-endian.

/// Writes the parts of a record.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    pub(crate) bytes: Vec<u8>,
}

impl Encoder {
    pub(crate) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub(crate) fn number(&mut self, number: u64) {
        self.wide(u128::from(number));
    }

    pub(crate) fn wide(&mut self, mut number: u128) {
        loop {
            let low = number.to_le_bytes()[0] & 0x7f;
            number >>= 7;
            if number == 0 {
                self.bytes.push(low);
                return;
            }
            self.bytes.push(low | 0x80);
        }
    }

    pub(crate) fn fixed(&mut self, number: u32) {
        self.raw(&number.to_le_bytes());
    }

    pub(crate) fn float(&mut self, number: f64) {
        self.raw(&number.to_bits().to_le_bytes());
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn string(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.raw(bytes);
    }
}

/// Reads them again. `None`: there is not what was looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        self.wide()?.try_into().ok()
    }

    /// A number in its shortest form: each has one only, so that what is signed has one only.
    pub(crate) fn wide(&mut self) -> Option<u128> {
        let mut number = 0u128;
        for shift in (0..).step_by(7) {
            let byte = self.byte()?;
            let part = u128::from(byte & 0x7f);
            number |= part.checked_shl(shift).filter(|placed| placed >> shift == part)?;
            if byte & 0x80 == 0 {
                return (byte != 0 || shift == 0).then_some(number);
            }
        }
        None
    }

    pub(crate) fn fixed(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// A finite number.
    pub(crate) fn float(&mut self) -> Option<f64> {
        Some(f64::from_bits(u64::from_le_bytes(self.array()?))).filter(|number| number.is_finite())
    }

    /// A byte string of at most so many bytes.
    pub(crate) fn string(&mut self, most: usize) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok().filter(|length| *length <= most)?;
        self.take(length)
    }

    pub(crate) fn text(&mut self, most: usize) -> Option<&'a str> {
        str::from_utf8(self.string(most)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(number: u64, wide: u128, float in -1e300..1e300, text in ".{0,40}") {
            let mut encoder = Encoder::default();
            encoder.number(number);
            encoder.wide(wide);
            encoder.float(float);
            encoder.string(text.as_bytes());
            let mut cursor = Cursor::new(&encoder.bytes);
            prop_assert_eq!(cursor.number(), Some(number));
            prop_assert_eq!(cursor.wide(), Some(wide));
            prop_assert_eq!(cursor.float(), Some(float));
            prop_assert_eq!(cursor.text(200), Some(&*text));
            prop_assert!(cursor.is_empty());
        }

        #[test]
        fn a_number_has_one_form(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            let mut cursor = Cursor::new(&bytes);
            if let Some(number) = cursor.wide() {
                let mut encoder = Encoder::default();
                encoder.wide(number);
                prop_assert!(bytes.starts_with(&encoder.bytes));
                prop_assert_eq!(cursor.rest.len() + encoder.bytes.len(), bytes.len());
            }
        }
    }

    #[test]
    fn longer_forms_and_numbers_that_do_not_fit_are_refused() {
        assert_eq!(Cursor::new(&[0x80, 0x00]).wide(), None, "zero in two bytes");
        assert_eq!(Cursor::new(&[0xff; 19]).wide(), None, "no end");
        assert_eq!(Cursor::new(&[0xff; 9]).number(), None, "cut off");
        assert_eq!(Cursor::new(&[5, 1, 2]).string(4), None, "over the limit");
    }
}
