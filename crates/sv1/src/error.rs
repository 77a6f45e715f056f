//! What a request can be answered with when it is not granted.

use thiserror::Error;

use crate::{Id, MAX_ID};

/// The error codes of SV1: the first element of a reply's `error` list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ErrorCode {
    /// Anything without a code of its own, a request that was not understood among it.
    Other = 20,
    /// The share's job is unknown or stale: miners count it as stale.
    JobNotFound = 21,
    /// The share was sent before.
    DuplicateShare = 22,
    /// The share's hash is above the target that the miner was given.
    LowDifficulty = 23,
    /// The worker is not authorised.
    Unauthorized = 24,
    /// `mining.subscribe` has to come first.
    NotSubscribed = 25,
}

impl ErrorCode {
    /// The number on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// From the number on the wire.
    #[must_use]
    pub const fn from_code(code: i64) -> Option<Self> {
        Some(match code {
            20 => Self::Other,
            21 => Self::JobNotFound,
            22 => Self::DuplicateShare,
            23 => Self::LowDifficulty,
            24 => Self::Unauthorized,
            25 => Self::NotSubscribed,
            _ => return None,
        })
    }

    /// The customary text, for a reply that has nothing more exact to say.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Other => "Other/Unknown",
            Self::JobNotFound => "Job not found",
            Self::DuplicateShare => "Duplicate share",
            Self::LowDifficulty => "Low difficulty share",
            Self::Unauthorized => "Unauthorized worker",
            Self::NotSubscribed => "Not subscribed",
        }
    }
}

/// A line that is no request. It is answered, not punished: see [`crate::write_request_error`].
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{kind}")]
pub struct RequestError<'a> {
    /// The request's id, if it could be read before the error.
    pub id: Option<Id<'a>>,
    /// What was wrong.
    pub kind: RequestErrorKind,
}

impl RequestError<'_> {
    /// The code to answer with.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        ErrorCode::Other
    }
}

/// What was wrong with a line. Positions are bytes from the beginning of the line, counted from 1 as JSON
/// parsers do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RequestErrorKind {
    /// Not UTF-8, which JSON has to be.
    #[error("not UTF-8 at byte {at}: a Stratum V1 message is JSON text")]
    NotUtf8 {
        /// Position of the first byte that is not UTF-8.
        at: usize,
    },
    /// Not JSON.
    #[error("not valid JSON at byte {at}: {problem}")]
    NotJson {
        /// Position.
        at: usize,
        /// What the parser expected.
        problem: &'static str,
    },
    /// JSON, but not an object.
    #[error("expected a JSON object with id, method and params")]
    NotAnObject,
    /// A key stands twice: two readers could understand two different things.
    #[error("key \"{key}\" stands twice in one message")]
    DuplicateKey {
        /// The key.
        key: &'static str,
    },
    /// An `id` too long to echo, or with a line end in it.
    #[error("id of {len} bytes cannot be echoed: at most {MAX_ID} bytes, without control characters")]
    BadId {
        /// Its length in bytes.
        len: usize,
    },
    /// Neither a method nor a result.
    #[error("no method: expected a string such as \"mining.subscribe\"")]
    MissingMethod,
    /// `method` is no string.
    #[error("method is not a string: {got}")]
    BadMethod {
        /// The beginning of what came.
        got: Box<str>,
    },
    /// `params` is neither a list nor missing nor null.
    #[error("{method}: params must be a list, got {got}")]
    BadParams {
        /// The method.
        method: &'static str,
        /// The beginning of what came.
        got: Box<str>,
    },
    /// A parameter is missing.
    #[error("{method}: {param} is missing (parameter {})", .index + 1)]
    MissingParam {
        /// The method.
        method: &'static str,
        /// The parameter's name.
        param: &'static str,
        /// Its place in `params`, from 0.
        index: usize,
    },
    /// A parameter is not what it has to be.
    #[error("{method}: {param} must be {expected}, got {got}")]
    BadParam {
        /// The method.
        method: &'static str,
        /// The parameter's name.
        param: &'static str,
        /// What it has to be.
        expected: &'static str,
        /// The beginning of what came.
        got: Box<str>,
    },
}

/// Longest piece of a peer's text that an error repeats, in bytes.
const MAX_EXCERPT: usize = 40;

/// The beginning of `text`, for an error's words.
pub(crate) fn excerpt(text: &str) -> Box<str> {
    cut(text, MAX_EXCERPT).into()
}

/// The beginning of `text`, at most `limit` bytes, cut on a character boundary.
pub(crate) fn cut(text: &str, limit: usize) -> &str {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_numbers_of_the_protocol() {
        for code in 20..=25 {
            assert_eq!(i64::from(ErrorCode::from_code(code).unwrap().code()), code);
        }
        assert_eq!(ErrorCode::from_code(19), None);
        assert_eq!(ErrorCode::from_code(26), None);
        assert_eq!(ErrorCode::from_code(-3), None);
    }

    #[test]
    fn an_error_never_repeats_more_than_a_little_of_what_came() {
        assert_eq!(&*excerpt("short"), "short");
        let long = "\u{e9}".repeat(1000);
        assert!(excerpt(&long).len() <= MAX_EXCERPT);
    }
}
