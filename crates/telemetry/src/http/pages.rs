//! The paths and their answers.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use tokio::sync::Semaphore;

use super::access::{Access, Local};
use super::answer::{self, JSON, Problem, json, problem};
use super::cache::{Cache, Unavailable};
use super::changes::{CHANGE_LENGTH_MAX, Changes, take};
use super::counters::Counters;
use super::details::{self, Details};
use super::history::history;
use super::openapi;
use super::paths::Path;
use super::receipts::{self, Receipts};
use super::stream::{self, Streams};
use super::workers::{self, WorkersCache};
use crate::events::Events;
use crate::history::History;
use crate::metrics::TEXT_FORMAT;

/// What all answers are made from.
pub(super) struct Pages {
    pub(super) cache: Cache,
    pub(super) counters: Arc<Counters>,
    pub(super) access: Arc<Access>,
    pub(super) changes: Option<Changes>,
    /// Nothing where none is kept.
    pub(super) history: Option<History>,
    pub(super) details: Option<Arc<dyn Details>>,
    pub(super) events: Arc<Events>,
    pub(super) streams: Arc<Streams>,
    pub(super) workers: WorkersCache,
    pub(super) receipts: Option<Arc<dyn Receipts>>,
    /// Whose turn it is to be given receipts.
    pub(super) shelf_turn: Arc<Semaphore>,
    /// Whose turn it is to have one verified.
    pub(super) verify_turn: Arc<Semaphore>,
}

/// All paths. Whoever asks passes [`guard`] first, which counts as well: the pages themselves do neither.
pub(super) fn router(pages: Arc<Pages>) -> Router {
    Router::new()
        .route(Path::Metrics.as_str(), get(metrics))
        .route(Path::Healthz.as_str(), get(healthz))
        .route(Path::Readyz.as_str(), get(readyz))
        .route(Path::Status.as_str(), get(status))
        .route(Path::Workers.as_str(), get(workers::list))
        .route(Path::Worker.as_str(), get(workers::one))
        .route(Path::Sources.as_str(), get(details::sources))
        .route(Path::Source.as_str(), get(details::source))
        .route(Path::Routes.as_str(), get(details::routes).patch(change_routes))
        .route(Path::Jobs.as_str(), get(details::jobs))
        .route(Path::Books.as_str(), get(details::books))
        .route(Path::Events.as_str(), get(details::events))
        .route(Path::Config.as_str(), get(details::config))
        .route(Path::Openapi.as_str(), get(openapi::openapi))
        .route(Path::Stream.as_str(), get(stream::stream))
        .route(Path::History.as_str(), get(history))
        .route(Path::Receipts.as_str(), get(receipts::list))
        .route(Path::Receipt.as_str(), get(receipts::one))
        .route(Path::VerifyReceipt.as_str(), post(receipts::verify))
        .route(Path::CounterSign.as_str(), post(receipts::counter))
        .merge(crate::page::router())
        .layer(DefaultBodyLimit::max(CHANGE_LENGTH_MAX))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(pages.clone(), guard))
        .with_state(pages)
}

async fn guard(State(pages): State<Arc<Pages>>, request: Request, next: Next) -> Response {
    let path = Path::of(request.uri().path());
    let local = request.extensions().get::<Local>().copied().unwrap_or(Local(false));
    let judged = pages.access.judge(path.scope(request.method()), request.headers(), local);
    let response = match judged {
        Ok(()) => next.run(request).await,
        Err(refusal) => {
            pages.counters.refused(refusal);
            refusal.response()
        }
    };
    pages.counters.answered(path, response.status());
    response
}

impl Unavailable {
    pub(super) fn response(self) -> Response {
        problem(StatusCode::INTERNAL_SERVER_ERROR, "unavailable", self.0)
    }
}

async fn metrics(State(pages): State<Arc<Pages>>) -> Response {
    match pages.cache.metrics() {
        Ok(text) => answer::body(StatusCode::OK, TEXT_FORMAT, text),
        Err(problem) => problem.response(),
    }
}

async fn status(State(pages): State<Arc<Pages>>) -> Response {
    match pages.cache.status() {
        Ok(text) => answer::body(StatusCode::OK, JSON, text),
        Err(problem) => problem.response(),
    }
}

/// Does not ask for a snapshot: it says that the process lives, whatever else is wrong.
async fn healthz() -> Response {
    answer::body(StatusCode::OK, JSON, Bytes::from_static(br#"{"healthy":true}"#))
}

async fn readyz(State(pages): State<Arc<Pages>>) -> Response {
    match pages.cache.readiness() {
        Ok(verdict) if verdict.ready => json(StatusCode::OK, &verdict),
        Ok(verdict) => json(StatusCode::SERVICE_UNAVAILABLE, &verdict),
        Err(problem) => problem.response(),
    }
}

async fn change_routes(State(pages): State<Arc<Pages>>, headers: HeaderMap, body: Bytes) -> Response {
    match take(pages.changes.as_ref(), &headers, &body) {
        Ok(()) => answer::body(StatusCode::OK, JSON, Bytes::from_static(br#"{"changed":true}"#)),
        Err((status, message)) => problem(status, "not_changed", &message),
    }
}

async fn not_found() -> Response {
    let paths = Path::served().map(Path::as_str).collect();
    let problem = Problem { error: "not_found", message: "there is nothing at this path", paths };
    json(StatusCode::NOT_FOUND, &problem)
}

async fn method_not_allowed(method: Method, uri: Uri) -> Response {
    let allow = Path::of(uri.path()).methods();
    let message = format!("{method} is not served here: use {allow}");
    let mut response = problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &message);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}
