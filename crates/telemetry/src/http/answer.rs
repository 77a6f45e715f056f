//! How answers are made. Who may ask and what is counted is not decided here.

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;

pub(crate) const JSON: &str = "application/json";

/// Why a request was not answered with what it asked for.
#[derive(Debug, Serialize)]
pub(crate) struct Problem<'a> {
    /// One word for programs.
    pub(crate) error: &'static str,
    /// A sentence for people: what was expected, what came, what to do.
    pub(crate) message: &'a str,
    /// What could be asked for instead.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) paths: Vec<&'static str>,
}

/// An answer with these bytes.
pub(crate) fn body(status: StatusCode, kind: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// An answer in JSON.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    // Plain structs with text keys always serialise; an empty body would still carry the status.
    let bytes = serde_json::to_vec(value).unwrap_or_default();
    body(status, JSON, Bytes::from(bytes))
}

/// A refusal.
pub(crate) fn problem(status: StatusCode, error: &'static str, message: &str) -> Response {
    json(status, &Problem { error, message, paths: Vec::new() })
}
