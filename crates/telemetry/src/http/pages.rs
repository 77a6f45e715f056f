//! The paths and their answers.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Extension, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use axum::routing::{get, patch};
use serde::Serialize;

use super::cache::{Cache, Unavailable};
use super::changes::{CHANGE_LENGTH_MAX, Changes, Local, allowed, take};
use super::counters::{Counters, Path};
use crate::metrics::TEXT_FORMAT;

const JSON: &str = "application/json";

/// What all answers are made from.
pub(super) struct Pages {
    pub(super) cache: Cache,
    pub(super) counters: Arc<Counters>,
    pub(super) changes: Option<Changes>,
}

/// Why a request was not answered with what it asked for.
#[derive(Serialize)]
struct Problem<'a> {
    /// One word for programs.
    error: &'static str,
    /// A sentence for people.
    message: &'a str,
    /// What could be asked for instead.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    paths: Vec<&'static str>,
}

impl Pages {
    fn answer(&self, path: Path, status: StatusCode, kind: &'static str, body: Bytes) -> Response {
        self.counters.answered(path, status);
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }

    fn json(&self, path: Path, status: StatusCode, value: &impl Serialize) -> Response {
        // Plain structs with text keys always serialise; an empty body would still carry the status.
        let body = serde_json::to_vec(value).unwrap_or_default();
        self.answer(path, status, JSON, body.into())
    }

    fn unavailable(&self, path: Path, problem: Unavailable) -> Response {
        let problem = Problem { error: "unavailable", message: problem.0, paths: Vec::new() };
        self.json(path, StatusCode::INTERNAL_SERVER_ERROR, &problem)
    }
}

/// All paths.
pub(super) fn router(pages: Arc<Pages>) -> Router {
    Router::new()
        .route(Path::Metrics.as_str(), get(metrics))
        .route(Path::Healthz.as_str(), get(healthz))
        .route(Path::Readyz.as_str(), get(readyz))
        .route(Path::Status.as_str(), get(status))
        .route(Path::Routes.as_str(), patch(routes))
        .layer(DefaultBodyLimit::max(CHANGE_LENGTH_MAX))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(pages)
}

async fn metrics(State(pages): State<Arc<Pages>>) -> Response {
    match pages.cache.metrics() {
        Ok(text) => pages.answer(Path::Metrics, StatusCode::OK, TEXT_FORMAT, text),
        Err(problem) => pages.unavailable(Path::Metrics, problem),
    }
}

async fn status(State(pages): State<Arc<Pages>>) -> Response {
    match pages.cache.status() {
        Ok(text) => pages.answer(Path::Status, StatusCode::OK, JSON, text),
        Err(problem) => pages.unavailable(Path::Status, problem),
    }
}

/// Does not ask for a snapshot: it says that the process lives, whatever else is wrong.
async fn healthz(State(pages): State<Arc<Pages>>) -> Response {
    pages.answer(Path::Healthz, StatusCode::OK, JSON, Bytes::from_static(br#"{"healthy":true}"#))
}

async fn readyz(State(pages): State<Arc<Pages>>) -> Response {
    match pages.cache.readiness() {
        Ok(verdict) if verdict.ready => pages.json(Path::Readyz, StatusCode::OK, &verdict),
        Ok(verdict) => pages.json(Path::Readyz, StatusCode::SERVICE_UNAVAILABLE, &verdict),
        Err(problem) => pages.unavailable(Path::Readyz, problem),
    }
}

async fn routes(
    State(pages): State<Arc<Pages>>,
    local: Option<Extension<Local>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let local = local.map_or(Local(false), |Extension(local)| local);
    let taken = allowed(local, &headers)
        .map_err(|(status, message)| (status, message.to_owned()))
        .and_then(|()| take(pages.changes.as_ref(), &body));
    match taken {
        Ok(()) => {
            pages.answer(Path::Routes, StatusCode::OK, JSON, Bytes::from_static(br#"{"changed":true}"#))
        }
        Err((status, message)) => {
            let problem = Problem { error: "not_changed", message: &message, paths: Vec::new() };
            pages.json(Path::Routes, status, &problem)
        }
    }
}

async fn not_found(State(pages): State<Arc<Pages>>) -> Response {
    let paths = Path::served().collect();
    let problem = Problem { error: "not_found", message: "there is nothing at this path", paths };
    pages.json(Path::Other, StatusCode::NOT_FOUND, &problem)
}

async fn method_not_allowed(State(pages): State<Arc<Pages>>, method: Method, uri: Uri) -> Response {
    let (use_instead, allow) = match Path::of(uri.path()) {
        Path::Routes => ("PATCH", "PATCH"),
        _ => ("GET or HEAD", "GET, HEAD"),
    };
    let message = format!("{method} is not served here: use {use_instead}");
    let problem = Problem { error: "method_not_allowed", message: &message, paths: Vec::new() };
    let mut response = pages.json(Path::of(uri.path()), StatusCode::METHOD_NOT_ALLOWED, &problem);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}
