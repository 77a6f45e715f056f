//! The server's promises, on in-memory connections and a paused clock: nothing here waits for real.

mod api;
mod streams;

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::server::Accept;
use super::{
    Access, CACHE_FOR, Changes, EXCHANGE_DEADLINE, Limits, MAX_CONNECTIONS, Provider, SHUTDOWN_GRACE,
    SLOW_AFTER, Server, Tokens,
};
use crate::latency::Latencies;
use crate::snapshot::{Readiness, Snapshot};

/// Hands the server the other ends of the connections that a test makes.
struct Pipes {
    queue: mpsc::Receiver<io::Result<DuplexStream>>,
    accepted: Arc<AtomicUsize>,
}

impl Accept for Pipes {
    type Io = DuplexStream;

    async fn accept(&mut self) -> io::Result<DuplexStream> {
        match self.queue.recv().await {
            Some(next) => {
                self.accepted.fetch_add(1, Relaxed);
                next
            }
            None => std::future::pending().await,
        }
    }
}

/// A running server.
struct Lab {
    queue: mpsc::Sender<io::Result<DuplexStream>>,
    accepted: Arc<AtomicUsize>,
    snapshots: Arc<AtomicU64>,
    ready: Arc<Mutex<Readiness>>,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<()>,
}

impl Lab {
    fn start() -> Self {
        Self::start_with(|server| server)
    }

    /// With what else the server is to have.
    fn start_with(equip: impl FnOnce(Server) -> Server) -> Self {
        Self::start_full(Snapshot::default, equip)
    }

    /// With what the snapshots say besides.
    fn start_full(snapshot: fn() -> Snapshot, equip: impl FnOnce(Server) -> Server) -> Self {
        let (queue, receiver) = mpsc::channel(2000);
        let accepted = Arc::new(AtomicUsize::new(0));
        let snapshots = Arc::new(AtomicU64::new(0));
        let ready = Arc::new(Mutex::new(Readiness { ready: true, reasons: vec![] }));
        let provider: Provider = Arc::new({
            let (snapshots, ready) = (snapshots.clone(), ready.clone());
            move || {
                let unix_time = snapshots.fetch_add(1, Relaxed);
                Snapshot { unix_time, readiness: ready.lock().unwrap().clone(), ..snapshot() }
            }
        });
        let server = equip(Server::new(provider, Latencies::default(), Limits::default()).unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let pipes = Pipes { queue: receiver, accepted: accepted.clone() };
        let server = tokio::spawn(server.run(pipes, async { drop(stopped.await) }));
        Self { queue, accepted, snapshots, ready, stop: Some(stop), server }
    }

    /// A new connection whose socket buffers hold `buffer` bytes each way.
    async fn connect(&self, buffer: usize) -> DuplexStream {
        let (near, far) = tokio::io::duplex(buffer);
        self.queue.send(Ok(far)).await.unwrap();
        near
    }

    /// One request on a connection of its own.
    async fn ask(&self, request: &str) -> Answer {
        let mut pipe = self.connect(1 << 20).await;
        pipe.write_all(request.as_bytes()).await.unwrap();
        read_answer(&mut pipe, request.starts_with("HEAD")).await.unwrap()
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await
    }

    /// The value of a metric without labels.
    async fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").await.body;
        let line = text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(' ')).unwrap();
        line.parse().unwrap()
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HashMap<String, String>,
    body: String,
}

async fn read_answer(pipe: &mut DuplexStream, head_only: bool) -> Option<Answer> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(pipe.read_u8().await.ok()?);
    }
    let head = String::from_utf8(bytes).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: HashMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length = if head_only { 0 } else { headers["content-length"].parse().unwrap() };
    let mut body = vec![0; length];
    pipe.read_exact(&mut body).await.ok()?;
    Some(Answer { status, headers, body: String::from_utf8(body).unwrap() })
}

/// Reads until the server closes, and how long that took.
async fn closed_after(pipe: &mut DuplexStream) -> Duration {
    let started = Instant::now();
    let mut rest = Vec::new();
    let _ = pipe.read_to_end(&mut rest).await;
    started.elapsed()
}

#[tokio::test(start_paused = true)]
async fn every_path_answers_in_its_own_format() {
    let lab = Lab::start();
    let metrics = lab.get("/metrics").await;
    assert_eq!((metrics.status, metrics.headers["content-type"].as_str()), (200, crate::TEXT_FORMAT));
    assert!(metrics.body.contains("# TYPE adit_build_info gauge\n"));
    for path in ["/healthz", "/readyz", "/api/v1/status"] {
        let answer = lab.get(path).await;
        assert_eq!((answer.status, answer.headers["content-type"].as_str()), (200, "application/json"));
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert!(serde_json::from_str::<serde_json::Value>(&answer.body).unwrap().is_object());
    }
    let query = lab.get("/healthz?verbose=1").await;
    assert_eq!(query.status, 200);
}

#[tokio::test(start_paused = true)]
async fn the_page_comes_with_a_policy_and_its_files_and_history_only_where_one_is_kept() {
    let lab = Lab::start();
    let page = lab.get("/").await;
    assert_eq!((page.status, page.headers["content-type"].as_str()), (200, "text/html; charset=utf-8"));
    assert!(page.headers["content-security-policy"].starts_with("default-src 'none'; script-src 'self';"));
    let script = lab.get("/page/app.js").await;
    assert_eq!((script.status, script.headers["x-content-type-options"].as_str()), (200, "nosniff"));
    for missing in ["/page/none.js", "/page/", "/page/..%2Fmod.rs", "/page/a/b"] {
        assert_eq!(lab.get(missing).await.status, 404, "{missing}");
    }
    let history = lab.get("/api/v1/history").await;
    assert_eq!(history.status, 404);
    assert!(history.body.contains("keeps no history"), "{}", history.body);
}

#[tokio::test(start_paused = true)]
async fn head_answers_without_a_body_and_other_methods_and_paths_are_refused_in_json() {
    let lab = Lab::start();
    let head = lab.ask("HEAD /api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(head.status, 200);
    assert_ne!(head.headers["content-length"], "0");

    for method in ["POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
        let refused = lab
            .ask(&format!("{method} /metrics HTTP/1.1\r\nHost: localhost\r\ncontent-length: 0\r\n\r\n"))
            .await;
        assert_eq!((refused.status, refused.headers["allow"].as_str()), (405, "GET, HEAD"), "{method}");
        let body: serde_json::Value = serde_json::from_str(&refused.body).unwrap();
        assert_eq!(body["error"], "method_not_allowed");
        assert!(body["message"].as_str().unwrap().starts_with(method));
    }

    for path in ["/page", "/metrics/", "/api/v1/statuses", "/..%2f..%2fetc/passwd", "//metrics"] {
        let missing = lab.get(path).await;
        assert_eq!(missing.status, 404, "{path}");
        let body: serde_json::Value = serde_json::from_str(&missing.body).unwrap();
        assert_eq!(body["error"], "not_found");
        assert_eq!(body["paths"][0], "/metrics");
    }
}

#[tokio::test(start_paused = true)]
async fn with_a_read_token_only_probes_are_open_and_what_is_refused_is_counted() {
    let tokens =
        Tokens { read: Some("read-0123456789abcdef".into()), admin: Some("admin-0123456789abcdef".into()) };
    let changes: Changes = Arc::new(|_| Ok(()));
    let access = Arc::new(Access::new(tokens));
    let lab = Lab::start_with(|server| server.with_access(access).with_changes(changes));
    let ask = async |method: &str, path: &str, token: Option<&str>| {
        let token = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        let kind = "content-type: application/json\r\ncontent-length: 2";
        lab.ask(&format!("{method} {path} HTTP/1.1\r\nHost: a.example\r\n{token}{kind}\r\n\r\n{{}}")).await
    };
    for path in ["/healthz", "/readyz"] {
        assert_eq!(ask("GET", path, None).await.status, 200, "{path}");
    }
    for path in ["/metrics", "/api/v1/status", "/api/v1/routes", "/none"] {
        let refused = ask("GET", path, None).await;
        assert_eq!(refused.status, 401, "{path}");
        assert!(refused.headers["www-authenticate"].starts_with("Bearer realm=\"adit\""));
        let body: serde_json::Value = serde_json::from_str(&refused.body).unwrap();
        assert_eq!(body["error"], "token_missing");
        assert_eq!(ask("GET", path, Some("read-0123456789abcdeF")).await.status, 401, "{path}");
        let found = if path == "/none" { 404 } else { 200 };
        for token in ["read-0123456789abcdef", "admin-0123456789abcdef"] {
            assert_eq!(ask("GET", path, Some(token)).await.status, found, "{path}");
        }
    }
    let change = async |token| ask("PATCH", "/api/v1/routes", token).await.status;
    assert_eq!(change(None).await, 401);
    assert_eq!(change(Some("read-0123456789abcdef")).await, 403);
    assert_eq!(change(Some("admin-0123456789abcdef")).await, 200);

    tokio::time::advance(CACHE_FOR).await;
    let metrics = ask("GET", "/metrics", Some("read-0123456789abcdef")).await.body;
    for (reason, count) in
        [("token_missing", 5), ("token_wrong", 4), ("token_read_only", 1), ("not_local", 0)]
    {
        let line = format!("adit_http_refused_total{{reason=\"{reason}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_an_admin_token_changes_come_from_this_machine_alone() {
    let taken = Arc::new(AtomicU64::new(0));
    let count = taken.clone();
    let changes: Changes = Arc::new(move |_| {
        count.fetch_add(1, Relaxed);
        Ok(())
    });
    let lab = Lab::start_with(|server| server.with_changes(changes));
    // A pipe is from nowhere.
    let refused = lab
        .ask("PATCH /api/v1/routes HTTP/1.1\r\nHost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
        .await;
    assert_eq!((refused.status, taken.load(Relaxed)), (403, 0));
    assert!(refused.body.contains("http.admin_token"), "{}", refused.body);
}

#[tokio::test(start_paused = true)]
async fn readyz_says_what_is_in_the_way_while_healthz_only_says_that_it_lives() {
    let lab = Lab::start();
    *lab.ready.lock().unwrap() =
        Readiness { ready: false, reasons: vec!["route \"a\": no active source".into()] };
    let answer = lab.get("/readyz").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.body, r#"{"ready":false,"reasons":["route \"a\": no active source"]}"#);
    assert_eq!(lab.get("/healthz").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_scrapes_at_once_cost_one_snapshot_and_all_are_answered() {
    let lab = Arc::new(Lab::start());
    let scrapes: Vec<_> = (0..1000)
        .map(|_| {
            let lab = lab.clone();
            // Each keeps its connection open afterwards, as Prometheus does.
            tokio::spawn(async move {
                let mut pipe = lab.connect(1 << 20).await;
                pipe.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
                let answer = read_answer(&mut pipe, false).await.unwrap();
                (answer, pipe)
            })
        })
        .collect();
    let started = Instant::now();
    let mut kept = Vec::new();
    let mut bodies = std::collections::HashSet::new();
    for scrape in scrapes {
        let (answer, pipe) = scrape.await.unwrap();
        assert_eq!(answer.status, 200);
        bodies.insert(answer.body);
        kept.push(pipe);
    }
    assert_eq!(lab.snapshots.load(Relaxed), 1);
    assert_eq!(bodies.len(), 1);
    // The clock only moves when everybody waits: nobody had to wait for another one's deadline.
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn no_more_connections_are_served_than_may_be_and_silent_ones_make_room_for_who_asks() {
    let lab = Lab::start();
    let mut silent = Vec::new();
    for _ in 0..MAX_CONNECTIONS + 10 {
        silent.push(lab.connect(1024).await);
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    let started = Instant::now();
    assert_eq!(lab.get("/healthz").await.status, 200);
    // Not until their deadline.
    assert!(started.elapsed() <= SLOW_AFTER, "{:?}", started.elapsed());
    assert!(lab.metric("adit_http_connections").await <= 64.0);
    assert!(lab.metric("adit_http_slow_clients_total").await >= 11.0);
    // No more than may be are taken from the system's queue either.
    for _ in 0..MAX_CONNECTIONS * 10 {
        silent.push(lab.connect(1024).await);
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(lab.accepted.load(Relaxed) < MAX_CONNECTIONS * 6);
}

#[tokio::test(start_paused = true)]
async fn whoever_says_nothing_or_trickles_its_request_is_closed_by_the_deadline() {
    let lab = Lab::start();
    let mut silent = lab.connect(1024).await;
    assert_eq!(closed_after(&mut silent).await, EXCHANGE_DEADLINE);

    let pipe = lab.connect(1024).await;
    let (mut reading, mut writing) = tokio::io::split(pipe);
    let trickle = tokio::spawn(async move {
        for byte in b"GET /metrics HTTP/1.1\r\nX-Long-Header: ".iter().chain(std::iter::repeat(&b'a')) {
            if writing.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(900)).await;
        }
    });
    let started = Instant::now();
    let mut rest = Vec::new();
    let _ = reading.read_to_end(&mut rest).await;
    assert_eq!(started.elapsed(), EXCHANGE_DEADLINE);
    trickle.await.unwrap();
    assert_eq!(lab.metric("adit_http_slow_clients_total").await, 2.0);
}

#[tokio::test(start_paused = true)]
async fn whoever_takes_the_answer_too_slowly_is_closed_by_the_deadline() {
    let lab = Lab::start();
    let mut pipe = lab.connect(64).await;
    pipe.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let started = Instant::now();
    let mut taken = 0;
    // A byte every half second: progress, but never an end.
    while pipe.read_u8().await.is_ok() {
        taken += 1;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let took = started.elapsed();
    // What was in the socket's buffer at the deadline can still be read.
    assert!(took >= EXCHANGE_DEADLINE && took < EXCHANGE_DEADLINE + Duration::from_secs(40), "{took:?}");
    assert!(taken < 200, "{taken}");
    assert_eq!(lab.metric("adit_http_slow_clients_total").await, 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_kept_between_scrapes_and_given_up_when_idle_without_blame() {
    let lab = Lab::start();
    let mut pipe = lab.connect(1 << 20).await;
    for _ in 0..5 {
        pipe.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        assert_eq!(read_answer(&mut pipe, false).await.unwrap().status, 200);
        tokio::time::sleep(EXCHANGE_DEADLINE - Duration::from_millis(10)).await;
    }
    assert_eq!(lab.accepted.load(Relaxed), 1);
    assert_eq!(closed_after(&mut pipe).await, Duration::from_millis(10));
    assert_eq!(lab.metric("adit_http_slow_clients_total").await, 0.0);
    assert_eq!(lab.metric("adit_http_connections").await, 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_comes_does_not_hold_the_connection() {
    let lab = Lab::start();
    let mut pipe = lab.connect(1 << 20).await;
    pipe.write_all(b"POST /metrics HTTP/1.1\r\nHost: localhost\r\ncontent-length: 1000000\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(read_answer(&mut pipe, false).await.unwrap().status, 405);
    assert!(closed_after(&mut pipe).await <= EXCHANGE_DEADLINE);
}

#[tokio::test(start_paused = true)]
async fn junk_and_oversized_requests_end_their_own_connection_only() {
    let lab = Lab::start();
    let head = [b"GET / HTTP/1.1\r\nX: ".to_vec(), vec![b'a'; 64 * 1024]].concat();
    let many: Vec<u8> = [b"GET / HTTP/1.1\r\n".to_vec(), b"A: b\r\n".repeat(500), b"\r\n".to_vec()].concat();
    for junk in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n"[..],
        b"\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        &head,
        &many,
    ] {
        let mut pipe = lab.connect(1 << 20).await;
        pipe.write_all(junk).await.unwrap();
        let mut text = Vec::new();
        pipe.read_to_end(&mut text).await.unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 4"), "{text}");
    }
    assert_eq!(lab.get("/healthz").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_failing_accept_rests_is_counted_and_goes_on() {
    let lab = Lab::start();
    let started = Instant::now();
    for _ in 0..5 {
        lab.queue.send(Err(io::Error::other("no file descriptor"))).await.unwrap();
    }
    assert_eq!(lab.metric("adit_http_accept_errors_total").await, 5.0);
    assert_eq!(started.elapsed(), Duration::from_millis(500));
}

#[tokio::test(start_paused = true)]
async fn shutdown_stops_accepting_ends_idle_connections_and_waits_no_longer_than_its_grace() {
    let mut lab = Lab::start();
    let mut idle = lab.connect(1 << 20).await;
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    read_answer(&mut idle, false).await.unwrap();
    let mut half = lab.connect(1 << 20).await;
    half.write_all(b"GET /hea").await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;

    lab.stop.take().unwrap().send(()).unwrap();
    assert_eq!(closed_after(&mut idle).await, Duration::ZERO);
    half.write_all(b"lthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let last = read_answer(&mut half, false).await.unwrap();
    assert_eq!((last.status, last.headers["connection"].as_str()), (200, "close"));
    lab.server.await.unwrap();

    let mut lab = Lab::start();
    let _silent = lab.connect(1024).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    lab.stop.take().unwrap().send(()).unwrap();
    let started = Instant::now();
    lab.server.await.unwrap();
    assert_eq!(started.elapsed(), SHUTDOWN_GRACE);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_is_sent_ends_by_the_deadline_and_harms_nobody(
        start in prop::sample::select(&["", "GET ", "GET /metrics HTTP/1.1\r\n", "POST /readyz HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"][..]),
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let lab = Lab::start();
            let pipe = lab.connect(1 << 20).await;
            let (mut reading, mut writing) = tokio::io::split(pipe);
            let started = Instant::now();
            let sender = tokio::spawn(async move {
                let _ = writing.write_all(start.as_bytes()).await;
                for chunk in chunks {
                    let _ = writing.write_all(&chunk).await;
                    tokio::time::sleep(Duration::from_millis(700)).await;
                }
                // Kept open: the server has to end it.
                writing
            });
            let mut said = Vec::new();
            let _ = reading.read_to_end(&mut said).await;
            // Every whole answer begins a new deadline; there is room for one per chunk.
            assert!(started.elapsed() <= EXCHANGE_DEADLINE * 9);
            assert_eq!(lab.get("/healthz").await.status, 200);
            drop(sender);
        });
    }
}
