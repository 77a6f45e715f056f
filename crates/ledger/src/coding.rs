//! Numbers and texts as they stand in records: whole numbers as LEB128 (seven bits a byte, the lowest first), signed
//! ones zigzag before that, texts and byte strings with their length before them.

/// Writes the parts of a record.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    pub(crate) bytes: Vec<u8>,
}

impl Encoder {
    pub(crate) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub(crate) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.bytes.push(number.to_le_bytes()[0]);
    }

    fn wide(&mut self, mut number: u128) {
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

    pub(crate) fn signed(&mut self, number: i128) {
        let zigzag = ((number << 1) ^ (number >> 127)).cast_unsigned();
        // Nearly all of them are short, and half as wide is several times faster.
        match u64::try_from(zigzag) {
            Ok(short) => self.number(short),
            Err(_) => self.wide(zigzag),
        }
    }

    pub(crate) fn float(&mut self, number: f64) {
        self.bytes.extend_from_slice(&number.to_bits().to_le_bytes());
    }

    pub(crate) fn fixed(&mut self, number: u32) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn string(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.string(text.as_bytes());
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

    fn wide(&mut self) -> Option<u128> {
        let mut number = 0u128;
        for shift in (0..).step_by(7) {
            let byte = self.byte()?;
            let part = u128::from(byte & 0x7f);
            let placed = part.checked_shl(shift).filter(|placed| placed >> shift == part)?;
            number |= placed;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    pub(crate) fn signed(&mut self) -> Option<i128> {
        let number = self.wide()?;
        Some((number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
    }

    pub(crate) fn count(&mut self) -> Option<i64> {
        self.signed()?.try_into().ok()
    }

    /// A finite number.
    pub(crate) fn float(&mut self) -> Option<f64> {
        Some(f64::from_bits(u64::from_le_bytes(self.array()?))).filter(|number| number.is_finite())
    }

    pub(crate) fn fixed(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn string(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        self.take(length)
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        str::from_utf8(self.string()?).ok()
    }

    /// How many things follow: each needs a byte at least, so that no room is made for what cannot be there.
    pub(crate) fn length(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok().filter(|length| *length <= self.rest.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(number: u64, signed: i128, short: i64, float in any::<f64>(), text in ".{0,40}") {
            let mut encoder = Encoder::default();
            encoder.number(number);
            encoder.signed(signed);
            encoder.signed(short.into());
            encoder.float(float);
            encoder.text(&text);
            let mut cursor = Cursor::new(&encoder.bytes);
            prop_assert_eq!(cursor.number(), Some(number));
            prop_assert_eq!(cursor.signed(), Some(signed));
            prop_assert_eq!(cursor.count(), Some(short));
            let read = cursor.float();
            if float.is_finite() {
                prop_assert_eq!(read, Some(float));
                prop_assert_eq!(cursor.text(), Some(&*text));
                prop_assert!(cursor.is_empty());
            } else {
                prop_assert_eq!(read, None);
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut cursor = Cursor::new(&bytes);
            while !cursor.is_empty() && cursor.wide().is_some() {}
        }
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        assert_eq!(Cursor::new(&[0xff; 19]).wide(), None, "no end");
        let mut too_wide = [0xff; 19];
        too_wide[18] = 0x7f;
        assert_eq!(Cursor::new(&too_wide).wide(), None, "133 bits");
        too_wide[18] = 0x03;
        assert_eq!(Cursor::new(&too_wide).wide(), Some(u128::MAX));
        assert_eq!(Cursor::new(&[0xff; 9]).number(), None);
    }
}
