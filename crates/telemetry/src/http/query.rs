//! What stands behind the `?` of lists.

use axum::extract::rejection::QueryRejection;
use axum::http::StatusCode;
use axum::response::Response;

use super::answer::problem;

/// Entries of a list that are given when nobody says how many.
pub(super) const LIMIT_DEFAULT: usize = 100;
/// The most entries of a list in one answer.
pub const LIMIT_MAX: usize = 1000;

/// A question that cannot be understood, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadQuery(pub(super) String);

impl BadQuery {
    pub(super) fn response(&self) -> Response {
        problem(StatusCode::BAD_REQUEST, "bad_query", &self.0)
    }
}

impl From<QueryRejection> for BadQuery {
    fn from(rejection: QueryRejection) -> Self {
        Self(rejection.body_text())
    }
}

/// How many entries are given.
pub(super) fn limit(asked: Option<usize>) -> Result<usize, BadQuery> {
    match asked {
        None => Ok(LIMIT_DEFAULT),
        Some(limit @ 1..=LIMIT_MAX) => Ok(limit),
        Some(other) => Err(BadQuery(format!("limit: expected 1 to {LIMIT_MAX}, found {other}"))),
    }
}
