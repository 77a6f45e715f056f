//! Streams: what comes, and what they cost the others.

use super::super::stream::{MAX_STREAMS, STREAM_EVERY};
use super::*;
use crate::events::{EventKind, EventLevel, Events};

/// A stream that was opened.
struct Open {
    pipe: DuplexStream,
    text: String,
}

impl Open {
    async fn new(lab: &Lab, query: &str, buffer: usize) -> Self {
        let mut pipe = lab.connect(buffer).await;
        let request = format!("GET /api/v1/stream{query} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        pipe.write_all(request.as_bytes()).await.unwrap();
        Self { pipe, text: String::new() }
    }

    /// Reads until this stands in what came; gives all up to there, and forgets it.
    async fn until(&mut self, wanted: &str) -> String {
        let mut chunk = [0; 4096];
        loop {
            if let Some(at) = self.text.find(wanted) {
                let rest = self.text.split_off(at + wanted.len());
                return std::mem::replace(&mut self.text, rest);
            }
            assert!(self.text.len() < 1 << 20, "{wanted:?} never comes");
            match self.pipe.read(&mut chunk).await {
                Ok(0) | Err(_) => panic!("the stream ended before {wanted:?}: {}", self.text),
                Ok(read) => self.text.push_str(std::str::from_utf8(&chunk[..read]).unwrap()),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_brings_the_status_each_second_and_events_at_once() {
    let events = Arc::new(Events::default());
    let shown = events.clone();
    let lab = Lab::start_with(|server| server.with_events(shown));
    events.note(EventKind::Started, EventLevel::Info, "", "before");
    let mut stream = Open::new(&lab, "", 1 << 20).await;
    let head = stream.until("event: status\ndata: ").await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("content-type: text/event-stream"), "{head}");
    assert!(!head.contains("event: log"), "what was before is not asked for");
    let started = Instant::now();
    for _ in 0..3 {
        stream.until("event: status\ndata: ").await;
    }
    assert_eq!(started.elapsed(), STREAM_EVERY * 3);
    events.note(EventKind::RouteSwitched, EventLevel::Info, "main", "from a to b");
    let told = stream.until("from a to b").await;
    assert!(told.contains("event: log\nid: ") && told.contains("\"kind\":\"route_switched\""), "{told}");
    assert_eq!(started.elapsed(), STREAM_EVERY * 3, "at once");

    let first = events.newest(10)[0].id;
    let mut again = Open::new(&lab, &format!("?after={}", first - 1), 1 << 20).await;
    let told = again.until("from a to b").await;
    assert!(told.contains("\"text\":\"before\""), "{told}");
}

#[tokio::test(start_paused = true)]
async fn streams_take_no_place_of_the_others_and_one_too_many_is_refused() {
    let lab = Lab::start();
    let mut streams = Vec::new();
    for _ in 0..MAX_STREAMS {
        let mut stream = Open::new(&lab, "", 1 << 20).await;
        stream.until("event: status").await;
        streams.push(stream);
    }
    let refused = lab.get("/api/v1/stream").await;
    assert_eq!((refused.status, refused.headers["retry-after"].as_str()), (503, "10"));
    assert!(refused.body.contains("streams_full"));
    assert_eq!(lab.metric("adit_http_streams").await, MAX_STREAMS as f64);
    // As many others as without streams.
    let mut silent = Vec::new();
    for _ in 0..MAX_CONNECTIONS - 1 {
        silent.push(lab.connect(1024).await);
    }
    let started = Instant::now();
    assert_eq!(lab.get("/metrics").await.status, 200);
    assert_eq!(started.elapsed(), Duration::ZERO);
    // A place that is given back can be had.
    streams.pop();
    tokio::time::sleep(STREAM_EVERY * 2).await;
    Open::new(&lab, "", 1 << 20).await.until("event: status").await;
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_its_stream_is_closed_and_counted() {
    let lab = Lab::start();
    let mut stuck = Open::new(&lab, "", 256).await;
    let mut reads = Open::new(&lab, "", 1 << 20).await;
    for _ in 0..30 {
        reads.until("event: status").await;
    }
    assert_eq!(lab.metric("adit_http_streams").await, 1.0);
    assert_eq!(lab.metric("adit_http_slow_clients_total").await, 1.0);
    let mut rest = Vec::new();
    stuck.pipe.read_to_end(&mut rest).await.unwrap();
    assert!(rest.len() <= 256, "{} bytes", rest.len());
}

#[tokio::test(start_paused = true)]
async fn the_end_ends_streams_at_once() {
    let mut lab = Lab::start();
    let mut stream = Open::new(&lab, "", 1 << 20).await;
    stream.until("event: status").await;
    lab.stop.take().unwrap().send(()).unwrap();
    let started = Instant::now();
    lab.server.await.unwrap();
    assert_eq!(started.elapsed(), Duration::ZERO);
    let mut rest = String::new();
    stream.pipe.read_to_string(&mut rest).await.unwrap();
    assert!(rest.ends_with("0\r\n\r\n"), "the answer is whole: {rest}");
}
