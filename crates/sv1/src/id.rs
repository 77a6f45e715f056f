//! Request ids: whatever JSON the peer chose, echoed as it came.

/// Longest `id` that is echoed, in bytes of its JSON text. Firmware uses small integers, some proxies use
/// UUID strings.
pub const MAX_ID: usize = 64;

/// A request's `id` as JSON text of any kind (number, string, `null`, object, list) or missing.
///
/// Replies carry it verbatim; a missing one is answered with `null`.
#[derive(Debug, Clone, Copy)]
pub struct Id<'a>(Repr<'a>);

#[derive(Debug, Clone, Copy)]
enum Repr<'a> {
    Missing,
    Number(u64),
    Text(&'a str),
}

impl<'a> Id<'a> {
    /// The id of a request that has none; written as `null`.
    pub const MISSING: Self = Id(Repr::Missing);

    /// A numeric id, as our own requests use.
    #[must_use]
    pub const fn number(number: u64) -> Self {
        Id(Repr::Number(number))
    }

    /// An id from text that is known to be one JSON value; `None` if it is longer than [`MAX_ID`] or
    /// holds a line end (white space inside an object), which would break the reply in two.
    #[inline]
    pub(crate) fn from_json(text: &'a str) -> Option<Self> {
        (text.len() <= MAX_ID && !text.bytes().any(|byte| byte < b' ')).then_some(Id(Repr::Text(text)))
    }

    /// Whether the request had no `id` at all.
    #[must_use]
    pub const fn is_missing(self) -> bool {
        matches!(self.0, Repr::Missing)
    }

    /// Whether the id is missing or `null`: a notification, strictly speaking.
    #[must_use]
    pub fn is_null(self) -> bool {
        matches!(self.0, Repr::Missing | Repr::Text("null"))
    }

    /// The id as an unsigned integer, if it is one written plainly.
    #[must_use]
    pub fn as_u64(self) -> Option<u64> {
        match self.0 {
            Repr::Missing => None,
            Repr::Number(number) => Some(number),
            Repr::Text(text) => {
                let plain = text.bytes().all(|byte| byte.is_ascii_digit())
                    && (text.len() == 1 || !text.starts_with('0'));
                plain.then(|| text.parse().ok()).flatten()
            }
        }
    }

    /// A copy that outlives the line; allocates only for ids that are not plain integers.
    #[must_use]
    pub fn to_owned(self) -> IdBuf {
        match (self.as_u64(), self.0) {
            (Some(number), _) | (None, Repr::Number(number)) => IdBuf(ReprBuf::Number(number)),
            (None, Repr::Missing) => IdBuf(ReprBuf::Missing),
            (None, Repr::Text(text)) => IdBuf(ReprBuf::Text(text.into())),
        }
    }

    /// Appends the id's JSON text.
    #[inline]
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        match self.0 {
            Repr::Missing => out.extend_from_slice(b"null"),
            Repr::Text(text) => out.extend_from_slice(text.as_bytes()),
            Repr::Number(number) => push_decimal(out, number),
        }
    }
}

impl std::fmt::Display for Id<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Repr::Missing => f.write_str("null"),
            Repr::Number(number) => number.fmt(f),
            Repr::Text(text) => f.write_str(text),
        }
    }
}

impl PartialEq for Id<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self.0, other.0) {
            (Repr::Missing, Repr::Missing) => true,
            (Repr::Text(a), Repr::Text(b)) => a == b,
            (Repr::Missing, _) | (_, Repr::Missing) => false,
            _ => self.as_u64().is_some() && self.as_u64() == other.as_u64(),
        }
    }
}

impl Eq for Id<'_> {}

/// An [`Id`] kept beyond its line, for an answer that is given later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdBuf(ReprBuf);

#[derive(Debug, Clone, PartialEq, Eq)]
enum ReprBuf {
    Missing,
    Number(u64),
    Text(Box<str>),
}

impl IdBuf {
    /// The id, to be written.
    #[must_use]
    pub fn as_id(&self) -> Id<'_> {
        Id(match &self.0 {
            ReprBuf::Missing => Repr::Missing,
            ReprBuf::Number(number) => Repr::Number(*number),
            ReprBuf::Text(text) => Repr::Text(text),
        })
    }
}

impl From<u64> for Id<'_> {
    fn from(number: u64) -> Self {
        Id::number(number)
    }
}

/// Appends `number` in decimal.
pub(crate) fn push_decimal(out: &mut Vec<u8>, mut number: u64) {
    // 2^64 has 20 digits.
    let mut digits = [0_u8; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_of_every_kind_come_back_as_they_were() {
        for text in
            ["0", "7", "007", "-1", "1.0", "1e3", "18446744073709551616", "\"a\"", "null", "{\"a\":[1]}"]
        {
            let id = Id::from_json(text).unwrap();
            let mut out = Vec::new();
            id.to_owned().as_id().write(&mut out);
            assert_eq!(out, text.as_bytes());
            assert_eq!(id.to_string(), text);
            assert_eq!(id.to_owned().as_id(), id);
        }
        assert!(Id::from_json("null").unwrap().is_null());
        assert!(!Id::from_json("null").unwrap().is_missing());
        assert_eq!(Id::MISSING.to_string(), "null");
        assert_ne!(Id::from_json("1.0").unwrap(), Id::number(1));
        assert_eq!(Id::from_json("1").unwrap(), Id::number(1));
    }

    #[test]
    fn ids_that_would_break_the_reply_are_refused() {
        assert!(Id::from_json("[1,\n2]").is_none());
        assert!(Id::from_json(&"9".repeat(MAX_ID)).is_some());
        assert!(Id::from_json(&"9".repeat(MAX_ID + 1)).is_none());
    }

    proptest! {
        #[test]
        fn decimal_is_what_std_writes(number: u64) {
            let mut out = Vec::new();
            push_decimal(&mut out, number);
            prop_assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
        }
    }
}
