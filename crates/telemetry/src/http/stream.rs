//! `/api/v1/stream`: server-sent events (HTML standard, 9.2): the status once a second, and what happens.
//!
//! A stream gives its place among the connections back and takes one of a few places of its own, so that scrapes find
//! theirs however many streams there are. Nothing waits in Adit for a slow reader: the next status is made when the one
//! before has been taken, and who takes nothing is closed as any slow client.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Interval, MissedTickBehavior};

use super::answer::{body, problem};
use super::pages::Pages;
use super::places::Place;
use super::query::BadQuery;
use crate::events::Event;

/// Streams at once.
pub const MAX_STREAMS: usize = 16;
/// How often the status is sent.
pub const STREAM_EVERY: Duration = Duration::from_secs(1);
/// Events that are sent together.
const TOGETHER: usize = 100;

/// A connection's place among those that are served at once; a stream gives it back.
#[derive(Clone, Debug)]
pub(super) struct Seat(Arc<Mutex<Option<Place>>>);

impl Seat {
    pub(super) fn new(place: Place) -> Self {
        Self(Arc::new(Mutex::new(Some(place))))
    }

    fn give_back(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// The places of streams, and what ends them.
#[derive(Debug)]
pub(super) struct Streams {
    places: Arc<Semaphore>,
    end: watch::Sender<bool>,
}

impl Default for Streams {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(MAX_STREAMS)), end: watch::Sender::new(false) }
    }
}

impl Streams {
    /// All streams end.
    pub(super) fn end(&self) {
        self.end.send_replace(true);
    }

    /// Open now.
    pub(super) fn open(&self) -> u64 {
        (MAX_STREAMS - self.places.available_permits()) as u64
    }
}

/// What may be asked of a stream.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StreamQuery {
    after: Option<u64>,
}

/// One stream.
struct Stream {
    pages: Arc<Pages>,
    _place: OwnedSemaphorePermit,
    tick: Interval,
    end: watch::Receiver<bool>,
    newest: watch::Receiver<u64>,
    /// The last event that was sent, or was there before.
    last: u64,
    waiting: VecDeque<Bytes>,
}

impl Stream {
    /// The next piece; nothing at the end.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        loop {
            if let Some(piece) = self.waiting.pop_front() {
                return Some((Ok(piece), self));
            }
            if *self.newest.borrow_and_update() > self.last {
                for event in self.pages.events.after(self.last, TOGETHER) {
                    self.last = event.id;
                    self.waiting.push_back(frame(&event));
                }
                // The ids that are left to come may have been pushed out of the list.
                if self.waiting.is_empty() {
                    self.last = *self.newest.borrow();
                }
                continue;
            }
            tokio::select! {
                biased;
                _ = self.end.wait_for(|end| *end) => return None,
                _ = self.newest.changed() => {}
                _ = self.tick.tick() => {
                    let status = self.pages.cache.status().ok()?;
                    // The text is shared with all who ask at this time.
                    let pieces = [Bytes::from_static(b"event: status\ndata: "), status, Bytes::from_static(b"\n\n")];
                    self.waiting.extend(pieces);
                }
            }
        }
    }
}

fn frame(event: &Event) -> Bytes {
    // JSON has no line ends in it.
    let text = serde_json::to_string(event).unwrap_or_default();
    format!("event: log\nid: {}\ndata: {text}\n\n", event.id).into()
}

pub(super) async fn stream(
    State(pages): State<Arc<Pages>>,
    seat: Option<Extension<Seat>>,
    query: Result<Query<StreamQuery>, QueryRejection>,
) -> Response {
    let Query(query) = match query {
        Ok(query) => query,
        Err(rejection) => return BadQuery::from(rejection).response(),
    };
    let Ok(place) = Arc::clone(&pages.streams.places).try_acquire_owned() else {
        let message = format!("{MAX_STREAMS} streams are open already: ask for /api/v1/status instead");
        let mut response = problem(StatusCode::SERVICE_UNAVAILABLE, "streams_full", &message);
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
        return response;
    };
    let mut tick = tokio::time::interval(STREAM_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let newest = pages.events.watch();
    let last = query.after.unwrap_or_else(|| *newest.borrow());
    let end = pages.streams.end.subscribe();
    let waiting = VecDeque::from([Bytes::from_static(b"retry: 3000\n\n")]);
    let stream = Stream { pages, _place: place, tick, end, newest, last, waiting };
    if let Some(Extension(seat)) = seat {
        seat.give_back();
    }
    let mut response =
        body(StatusCode::OK, "text/event-stream", Body::from_stream(stream::unfold(stream, Stream::next)));
    // The connection has no place any more: it takes no further request.
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
