//! Hex text to integers and bytes and back; either case in, lower case out.

/// Marks a byte that is no hex digit: any value with a bit above the low four.
const NOT_HEX: u8 = 0xff;

static VALUES: [u8; 256] = {
    let mut table = [NOT_HEX; 256];
    let mut value = 0_u8;
    while value < 16 {
        let digit = b"0123456789abcdef"[value as usize];
        table[digit as usize] = value;
        table[digit.to_ascii_uppercase() as usize] = value;
        value += 1;
    }
    table
};

static DIGITS: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut table = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    table
};

/// A number of 1 to 8 hex digits, most significant first. Leading zeros and case make no difference to
/// the value; nine digits are refused even when they begin with zeros.
#[inline]
pub(crate) fn parse_u32(text: &[u8]) -> Option<u32> {
    if text.is_empty() || text.len() > 8 {
        return None;
    }
    let mut seen = 0;
    let mut value = 0_u32;
    for byte in text {
        let digit = VALUES[usize::from(*byte)];
        seen |= digit;
        value = (value << 4) | u32::from(digit & 15);
    }
    (seen < 16).then_some(value)
}

/// Like [`parse_u32`], with an optional `0x`.
pub(crate) fn parse_prefixed_u32(text: &[u8]) -> Option<u32> {
    parse_u32(text.strip_prefix(b"0x").or_else(|| text.strip_prefix(b"0X")).unwrap_or(text))
}

/// Decodes an even number of digits into the front of `out`; returns the number of bytes, or `None` if
/// `text` is no hex, odd, or more than `out` holds.
#[inline]
pub(crate) fn decode(text: &[u8], out: &mut [u8]) -> Option<usize> {
    let len = text.len() / 2;
    if !text.len().is_multiple_of(2) || len > out.len() {
        return None;
    }
    let mut seen = 0;
    for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        let (high, low) = (VALUES[usize::from(pair[0])], VALUES[usize::from(pair[1])]);
        seen |= high | low;
        *byte = (high << 4) | (low & 15);
    }
    (seen < 16).then_some(len)
}

/// Decodes text of any even length; the allocation is half the text's own length.
pub(crate) fn decode_vec(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = vec![0; text.len() / 2];
    decode(text, &mut out).map(|_| out)
}

/// Appends two lower-case digits per byte.
#[inline]
pub(crate) fn push(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    out.resize(start + bytes.len() * 2, 0);
    for (pair, byte) in out[start..].chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&DIGITS[usize::from(*byte)]);
    }
}

/// Appends the eight digits of `value`, most significant first.
#[inline]
pub(crate) fn push_u32(out: &mut Vec<u8>, value: u32) {
    push(out, &value.to_be_bytes());
}

/// Appends `value` without leading zeros.
#[inline]
pub(crate) fn push_u32_short(out: &mut Vec<u8>, value: u32) {
    let digits = (8 - value.leading_zeros() / 4).max(1);
    for place in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(value >> (place * 4) & 15) as usize]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_one_to_eight_hex_digits_are_a_number() {
        for (text, value) in
            [("0", 0), ("00000000", 0), ("fFfFffFF", u32::MAX), ("1f", 0x1f), ("0000001F", 0x1f)]
        {
            assert_eq!(parse_u32(text.as_bytes()), Some(value), "{text}");
        }
        for text in ["", "000000001", "g", "-1", " 1", "1 ", "0x1", "\u{ff11}"] {
            assert_eq!(parse_u32(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse_prefixed_u32(b"0X1f"), Some(0x1f));
        assert_eq!(parse_prefixed_u32(b"0x"), None);
        assert_eq!(parse_prefixed_u32(b"0x0x1"), None);
    }

    #[test]
    fn odd_or_too_long_or_foreign_digits_are_refused() {
        let mut out = [0; 2];
        assert_eq!(decode(b"", &mut out), Some(0));
        assert_eq!(decode(b"0aFf", &mut out), Some(2));
        assert_eq!(out, [0x0a, 0xff]);
        for text in ["0", "0g", "g0", "001122", "0x11"] {
            assert_eq!(decode(text.as_bytes(), &mut out), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value: u32, bytes: Vec<u8>) {
            let mut out = Vec::new();
            push_u32(&mut out, value);
            prop_assert_eq!(out.len(), 8);
            prop_assert_eq!(parse_u32(&out), Some(value));
            out.clear();
            push_u32_short(&mut out, value);
            prop_assert_eq!(std::str::from_utf8(&out).unwrap(), format!("{value:x}"));
            out.clear();
            push(&mut out, &bytes);
            prop_assert_eq!(std::str::from_utf8(&out).unwrap(), hex::encode(&bytes));
            prop_assert_eq!(decode_vec(&out.to_ascii_uppercase()), Some(bytes));
        }
    }
}
