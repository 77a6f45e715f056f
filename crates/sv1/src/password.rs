//! Difficulty hints in passwords: where a renter can set nothing but host, user and password.

use crate::MAX_DIFFICULTY;

/// What a password asks for. Each value is finite, above 0 and at most [`MAX_DIFFICULTY`].
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PasswordHints {
    /// `d=`: the difficulty to start with.
    pub start: Option<f64>,
    /// `md=`: never go below.
    pub minimum: Option<f64>,
    /// `fd=`: stay there.
    pub fixed: Option<f64>,
}

impl PasswordHints {
    /// Reads `key=value` pairs, separated by commas, semicolons or white space, white space around `=`
    /// allowed, keys of either case: `x`, `x,d=1024`, `d=1024;md=512`, `D = 0.5`. Everything else in the
    /// password, unknown keys and values that make no sense are passed over; of a key that stands twice
    /// the last counts.
    #[must_use]
    pub fn parse(password: &str) -> Self {
        let mut hints = Self::default();
        for part in password.split([',', ';']) {
            for (at, _) in part.match_indices('=') {
                let key = part[..at].trim_end().rsplit([' ', '\t', '=']).next().unwrap_or_default();
                let value = part[at + 1..].trim_start().split([' ', '\t', '=']).next().unwrap_or_default();
                let slot = match key.as_bytes() {
                    [b'd' | b'D'] => &mut hints.start,
                    [b'm' | b'M', b'd' | b'D'] => &mut hints.minimum,
                    [b'f' | b'F', b'd' | b'D'] => &mut hints.fixed,
                    _ => continue,
                };
                if let Some(value) = difficulty(value) {
                    *slot = Some(value);
                }
            }
        }
        hints
    }
}

fn difficulty(text: &str) -> Option<f64> {
    // As people write numbers, `1e6` too. What Rust takes besides, "inf" and "nan", is not what anybody means.
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'-'));
    let value: f64 = plain.then(|| text.parse().ok()).flatten()?;
    (value > 0.0 && value <= MAX_DIFFICULTY).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hints(start: Option<f64>, minimum: Option<f64>, fixed: Option<f64>) -> PasswordHints {
        PasswordHints { start, minimum, fixed }
    }

    #[test]
    fn hints_are_found_in_the_passwords_that_people_use() {
        for (password, expected) in [
            ("", hints(None, None, None)),
            ("x", hints(None, None, None)),
            ("123", hints(None, None, None)),
            ("d=1024", hints(Some(1024.0), None, None)),
            ("x,d=1024", hints(Some(1024.0), None, None)),
            ("d=1024;md=512", hints(Some(1024.0), Some(512.0), None)),
            ("x d=1024 fd=2048", hints(Some(1024.0), None, Some(2048.0))),
            (" MD = 0.5 , x", hints(None, Some(0.5), None)),
            ("d=1,d=2", hints(Some(2.0), None, None)),
            ("d=1e-8,md=5E5", hints(Some(1e-8), Some(500_000.0), None)),
            ("d=e,md=1e,fd=--1", hints(None, None, None)),
            ("word=d=5", hints(Some(5.0), None, None)),
            ("id=5,add=6,xd=7", hints(None, None, None)),
            ("d=,md=x,fd=-1", hints(None, None, None)),
            ("d=0,md=inf,fd=1e308", hints(None, None, None)),
            ("d=99999999999999999999", hints(None, None, None)),
        ] {
            assert_eq!(PasswordHints::parse(password), expected, "{password:?}");
        }
    }

    proptest! {
        #[test]
        fn no_password_gives_a_difficulty_out_of_range(password in "[dmf=,; .0-9e\\-]{0,30}|.{0,30}") {
            let hints = PasswordHints::parse(&password);
            for value in [hints.start, hints.minimum, hints.fixed].into_iter().flatten() {
                prop_assert!(value > 0.0 && value <= MAX_DIFFICULTY);
            }
        }
    }
}
