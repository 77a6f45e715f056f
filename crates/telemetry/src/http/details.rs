//! What the API says besides the snapshot and the workers.

use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path as Segment, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::{json, problem};
use super::pages::Pages;
use super::query::{BadQuery, limit};
use crate::events::Event;
use crate::snapshot::{
    AccountSnapshot, BooksSnapshot, JobSnapshot, RouteSnapshot, SourceSnapshot, StateChange,
};

/// Whoever knows what is asked for seldom. It is called on the thread that serves and must not block for long.
pub trait Details: Send + Sync {
    /// How a source came to where it is, the oldest change first; nothing if there is none of this name.
    fn history(&self, source: &str) -> Vec<StateChange>;
    /// What is mined now.
    fn jobs(&self) -> Vec<JobSnapshot>;
    /// The configuration in force, with its secrets masked.
    fn config(&self) -> serde_json::Value;
}

/// `GET /api/v1/routes`
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RoutesAnswer<'a> {
    /// In the order of their names.
    routes: &'a [RouteSnapshot],
}

/// `GET /api/v1/sources`
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SourcesAnswer<'a> {
    /// In the order in which they came.
    sources: &'a [SourceSnapshot],
}

/// `GET /api/v1/sources/{name}`
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SourceAnswer<'a> {
    /// As in the list.
    #[serde(flatten)]
    source: &'a SourceSnapshot,
    /// Its last changes of state, the oldest first.
    history: Vec<StateChange>,
}

/// `GET /api/v1/jobs`
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct JobsAnswer {
    /// By route and source.
    jobs: Vec<JobSnapshot>,
}

/// `GET /api/v1/books`
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct BooksAnswer<'a> {
    /// All shares.
    total: &'a BooksSnapshot,
    /// By listener, route and source.
    accounts: &'a [AccountSnapshot],
    /// Every account balances.
    balanced: bool,
}

/// `GET /api/v1/events`
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct EventsAnswer {
    /// The oldest first.
    events: Vec<Event>,
}

/// What may be asked of the events.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct EventsQuery {
    after: Option<u64>,
    limit: Option<usize>,
}

pub(super) async fn routes(State(pages): State<Arc<Pages>>) -> Response {
    match pages.cache.snapshot() {
        Ok(snapshot) => json(StatusCode::OK, &RoutesAnswer { routes: &snapshot.routes }),
        Err(problem) => problem.response(),
    }
}

pub(super) async fn sources(State(pages): State<Arc<Pages>>) -> Response {
    match pages.cache.snapshot() {
        Ok(snapshot) => json(StatusCode::OK, &SourcesAnswer { sources: &snapshot.sources }),
        Err(problem) => problem.response(),
    }
}

pub(super) async fn source(
    State(pages): State<Arc<Pages>>,
    name: Result<Segment<String>, PathRejection>,
) -> Response {
    let Ok(Segment(name)) = name else {
        return BadQuery("the source's name is no UTF-8".to_owned()).response();
    };
    let snapshot = match pages.cache.snapshot() {
        Ok(snapshot) => snapshot,
        Err(problem) => return problem.response(),
    };
    match snapshot.sources.iter().find(|source| source.name == name) {
        Some(source) => {
            let history = pages.details.as_ref().map(|details| details.history(&name)).unwrap_or_default();
            json(StatusCode::OK, &SourceAnswer { source, history })
        }
        None => {
            let known: Vec<&str> = snapshot.sources.iter().map(|source| source.name.as_str()).collect();
            let message = format!("no source has this name; there are: {}", known.join(", "));
            problem(StatusCode::NOT_FOUND, "not_found", &message)
        }
    }
}

pub(super) async fn jobs(State(pages): State<Arc<Pages>>) -> Response {
    let jobs = pages.details.as_ref().map(|details| details.jobs()).unwrap_or_default();
    json(StatusCode::OK, &JobsAnswer { jobs })
}

pub(super) async fn books(State(pages): State<Arc<Pages>>) -> Response {
    match pages.cache.snapshot() {
        Ok(snapshot) => {
            let (total, accounts) = (&snapshot.books, snapshot.accounts.as_slice());
            json(StatusCode::OK, &BooksAnswer { total, accounts, balanced: snapshot.is_balanced() })
        }
        Err(problem) => problem.response(),
    }
}

pub(super) async fn events(
    State(pages): State<Arc<Pages>>,
    query: Result<Query<EventsQuery>, QueryRejection>,
) -> Response {
    let Query(query) = match query {
        Ok(query) => query,
        Err(rejection) => return BadQuery::from(rejection).response(),
    };
    let limit = match limit(query.limit) {
        Ok(limit) => limit,
        Err(refused) => return refused.response(),
    };
    let events = match query.after {
        Some(id) => pages.events.after(id, limit),
        None => pages.events.newest(limit),
    };
    json(StatusCode::OK, &EventsAnswer { events })
}

pub(super) async fn config(State(pages): State<Arc<Pages>>) -> Response {
    let config = pages.details.as_ref().map(|details| details.config());
    json(StatusCode::OK, &config.unwrap_or_else(|| serde_json::json!({})))
}
