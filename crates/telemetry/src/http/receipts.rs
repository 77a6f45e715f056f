//! Receipts: those that were issued, and verifying any.

use std::sync::Arc;

use axum::body::{Bytes, to_bytes};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path as Segment, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;

use super::answer::{body, json, problem};
use super::pages::Pages;
use super::query::BadQuery;
use crate::snapshot::{ReceiptSnapshot, ReceiptsSnapshot, RootSnapshot, TermsSnapshot};

/// The longest receipt that is verified, bytes: many times what one of a day has.
pub const RECEIPT_LENGTH_MAX: usize = 4 * 1024 * 1024;

/// The longest counter-signed root that is taken, bytes.
pub const COUNTER_LENGTH_MAX: usize = 32 * 1024;

/// The most that are listed in one answer: each is read to its end once.
const RECEIPTS_MAX: usize = 100;

/// What receipts are sent as. A page of another site cannot set this type without the browser asking first.
const KIND: &str = "application/octet-stream";

/// Whoever has receipts, and can verify them. It is called on a thread that may wait for the disk: to list or give one call at
/// a time, and to verify likewise.
pub trait Receipts: Send + Sync {
    /// Those that were issued, the newest first, so many behind the first `offset`; and terms that are not over, and roots.
    fn list(&self, offset: usize, limit: usize) -> ReceiptsSnapshot;
    /// A receipt or a root as a file; nothing if there is none of this name.
    fn file(&self, name: &str) -> Option<Vec<u8>>;
    /// Verifies a file.
    fn verify(&self, file: &[u8]) -> serde_json::Value;
    /// Keeps a counter-signed root for the receipt that is to come, if it is one. Gives the name of its file, or why it is not kept.
    ///
    /// # Errors
    /// It is none, is of nothing that is issued here, or comes too late.
    fn keep_counter(&self, file: &[u8]) -> Result<String, String>;
}

/// Which of them are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ReceiptsQuery {
    offset: usize,
    limit: Option<usize>,
}

/// `GET /api/v1/receipts`
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ReceiptsAnswer {
    /// Whether this process issues receipts.
    issues: bool,
    /// Receipts on all pages.
    total: usize,
    /// The first one's place among them.
    offset: usize,
    /// The most that were to be given.
    limit: usize,
    /// The newest first.
    receipts: Vec<ReceiptSnapshot>,
    /// Terms that are not over, at most 1,000; those that end first come first.
    terms: Vec<TermsSnapshot>,
    /// Roots of periods that still run, to be counter-signed; the newest first, at most 100.
    roots: Vec<RootSnapshot>,
    /// The longest receipt that is verified here, bytes.
    verified_bytes_max: usize,
}

pub(super) async fn list(
    State(pages): State<Arc<Pages>>,
    query: Result<Query<ReceiptsQuery>, QueryRejection>,
) -> Response {
    let ReceiptsQuery { offset, limit } = match query {
        Ok(Query(query)) => query,
        Err(rejection) => return BadQuery::from(rejection).response(),
    };
    let limit = match limit.unwrap_or(RECEIPTS_MAX) {
        limit @ 1..=RECEIPTS_MAX => limit,
        other => {
            return BadQuery(format!("limit: expected 1 to {RECEIPTS_MAX}, found {other}")).response();
        }
    };
    match on_shelf(&pages, move |receipts| receipts.list(offset, limit)).await {
        Ok(listed) => {
            let ReceiptsSnapshot { issues, total, receipts, terms, roots } = listed.unwrap_or_default();
            let verified_bytes_max = RECEIPT_LENGTH_MAX;
            let answer =
                ReceiptsAnswer { issues, total, offset, limit, receipts, terms, roots, verified_bytes_max };
            json(StatusCode::OK, &answer)
        }
        Err(failed) => failed,
    }
}

pub(super) async fn one(
    State(pages): State<Arc<Pages>>,
    name: Result<Segment<String>, PathRejection>,
) -> Response {
    let Ok(Segment(name)) = name else {
        return BadQuery("the receipt's name is no UTF-8".to_owned()).response();
    };
    match on_shelf(&pages, move |receipts| receipts.file(&name)).await {
        Ok(Some(Some(file))) => body(StatusCode::OK, KIND, file),
        Ok(_) => problem(
            StatusCode::NOT_FOUND,
            "not_found",
            "no receipt has this name; /api/v1/receipts lists them",
        ),
        Err(failed) => failed,
    }
}

/// Nothing of it is kept.
pub(super) async fn verify(State(pages): State<Arc<Pages>>, request: Request) -> Response {
    let too_long = || {
        format!("at most {RECEIPT_LENGTH_MAX} bytes are verified here; adit receipt verify takes longer ones")
    };
    let sent = match sent(request, RECEIPT_LENGTH_MAX, "not_verified", too_long).await {
        Ok(sent) => sent,
        Err(refused) => return refused,
    };
    // Who verifies takes the time of a processor: nobody waits in a line for it.
    let Ok(turn) = Arc::clone(&pages.verify_turn).try_acquire_owned() else {
        let message = "a receipt is verified for somebody else at this moment: ask again";
        return problem(StatusCode::SERVICE_UNAVAILABLE, "busy", message);
    };
    match ask(&pages, turn, move |receipts| receipts.verify(&sent)).await {
        Ok(Some(report)) => json(StatusCode::OK, &report),
        Ok(None) => problem(
            StatusCode::FORBIDDEN,
            "not_verified",
            "this process verifies none: adit receipt verify does",
        ),
        Err(failed) => failed,
    }
}

/// `POST /api/v1/receipts/counter`
#[derive(Debug, Serialize)]
struct KeptAnswer {
    /// The file that it is kept in.
    name: String,
}

/// A counter-signed root is kept until its receipt is issued; nothing else is.
pub(super) async fn counter(State(pages): State<Arc<Pages>>, request: Request) -> Response {
    const CODE: &str = "not_kept";
    let too_long = || format!("no counter-signed root is longer than {COUNTER_LENGTH_MAX} bytes");
    let sent = match sent(request, COUNTER_LENGTH_MAX, CODE, too_long).await {
        Ok(sent) => sent,
        Err(refused) => return refused,
    };
    match on_shelf(&pages, move |receipts| receipts.keep_counter(&sent)).await {
        Ok(Some(Ok(name))) => json(StatusCode::OK, &KeptAnswer { name }),
        Ok(Some(Err(why))) => problem(StatusCode::UNPROCESSABLE_ENTITY, CODE, &why),
        Ok(None) => problem(StatusCode::FORBIDDEN, CODE, "this process issues no receipts"),
        Err(failed) => failed,
    }
}

/// The bytes that were sent.
async fn sent(
    request: Request,
    most: usize,
    code: &'static str,
    too_long: impl FnOnce() -> String,
) -> Result<Bytes, Response> {
    let headers = request.headers();
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !text(header::CONTENT_TYPE).eq_ignore_ascii_case(KIND) {
        let message = "send the file's bytes, with content-type: application/octet-stream";
        return Err(problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, code, message));
    }
    // Before any of it is read, where its length is told.
    let is_long = text(header::CONTENT_LENGTH).parse().is_ok_and(|length: usize| length > most);
    let sent = if is_long { None } else { to_bytes(request.into_body(), most).await.ok() };
    sent.ok_or_else(|| problem(StatusCode::PAYLOAD_TOO_LARGE, code, &too_long()))
}

/// Asks for what is on the disk, after those who asked before.
async fn on_shelf<T: Send + 'static>(
    pages: &Pages,
    what: impl FnOnce(&dyn Receipts) -> T + Send + 'static,
) -> Result<Option<T>, Response> {
    match Arc::clone(&pages.shelf_turn).acquire_owned().await {
        Ok(turn) => ask(pages, turn, what).await,
        Err(_) => Err(mistake()),
    }
}

/// Asks on a thread of its own, whose turn it is.
async fn ask<T: Send + 'static>(
    pages: &Pages,
    turn: OwnedSemaphorePermit,
    what: impl FnOnce(&dyn Receipts) -> T + Send + 'static,
) -> Result<Option<T>, Response> {
    let Some(receipts) = pages.receipts.clone() else { return Ok(None) };
    let asked = tokio::task::spawn_blocking(move || {
        // Whoever asked may be gone: the turn ends when this does.
        let _turn = turn;
        what(&*receipts)
    });
    asked.await.map(Some).map_err(|_| mistake())
}

fn mistake() -> Response {
    problem(StatusCode::INTERNAL_SERVER_ERROR, "unavailable", "a mistake of Adit: see its log")
}
