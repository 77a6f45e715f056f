//! The server on real sockets. Its rules about time are tested beside it, on a paused clock.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use telemetry::{Latencies, Limits, METRICS, SLOW_AFTER, Server, Snapshot};
use tokio::sync::oneshot;

use crate::exposition::parse;

/// Longer than anything takes, on any machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `test` beside a server on a runtime thread of its own, as the product does; gives what the test gave
/// and how many snapshots were taken.
fn beside_a_server<T>(test: impl FnOnce(SocketAddr) -> T) -> (T, u64) {
    let taken = Arc::new(AtomicU64::new(0));
    let count = taken.clone();
    let provider = Arc::new(move || {
        count.fetch_add(1, Relaxed);
        Snapshot { version: "x".repeat(100_000).into(), ..Snapshot::default() }
    });
    // On a loopback address that nobody's connections come from: once it is closed the port is given to none of them.
    let listener = std::net::TcpListener::bind("127.78.1.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("it can be set");
    let address = listener.local_addr().expect("it is bound");
    let (stop, stopped) = oneshot::channel::<()>();
    let result = std::thread::scope(|scope| {
        scope.spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("inside a runtime");
                let server =
                    Server::new(provider, Latencies::default(), Limits::default()).expect("it is right");
                server.serve(listener, async { drop(stopped.await) }).await;
            });
        });
        let result = test(address);
        drop(stop);
        result
    });
    (result, taken.load(Relaxed))
}

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers and closes");
    text
}

/// The same until there is a whole answer. A client that is slow while others wait is closed, and on a busy machine that may be
/// any of them.
fn get_whole(address: SocketAddr, path: &str) -> String {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    };
    let is_whole = |text: &String| {
        text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            length.is_some_and(|length| length == body.len().to_string())
        })
    };
    let began = Instant::now();
    loop {
        if let Some(text) = ask().ok().filter(is_whole) {
            return text;
        }
        assert!(began.elapsed() < PATIENCE, "{path} is never answered in full");
    }
}

#[test]
fn many_clients_at_once_are_all_answered_in_full() {
    let (answers, snapshots) = beside_a_server(|address| {
        std::thread::scope(|scope| {
            let clients: Vec<_> =
                (0..150).map(|_| scope.spawn(move || get_whole(address, "/api/v1/status"))).collect();
            clients.into_iter().map(|c| c.join().expect("no panic")).collect::<Vec<_>>()
        })
    });
    assert_eq!(answers.len(), 150);
    for answer in &answers {
        let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
        assert!(head.starts_with("HTTP/1.1 200 OK"));
        let status: serde_json::Value = serde_json::from_str(body).expect("whole JSON");
        assert_eq!(status["version"].as_str().map(str::len), Some(100_000));
    }
    assert!(snapshots < 150, "{snapshots} snapshots");
}

#[test]
fn clients_that_say_nothing_keep_neither_those_of_their_own_address_nor_others_waiting_for_long() {
    let ((same, other), _) = beside_a_server(|address| {
        let silent: Vec<TcpStream> =
            (0..300).map(|_| TcpStream::connect(address).expect("it listens")).collect();
        // Whether it is answered: one of an address that has too many may be closed.
        let asks = |from: Ipv4Addr| -> std::io::Result<bool> {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            socket.bind(&SocketAddr::from((from, 0)).into())?;
            socket.connect(&address.into())?;
            let mut stream = TcpStream::from(socket);
            write!(stream, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok(text.contains("200 OK"))
        };
        let took = |from: Ipv4Addr| {
            let began = Instant::now();
            while !asks(from).unwrap_or(false) {
                assert!(began.elapsed() < PATIENCE, "{from} is never served");
            }
            began.elapsed()
        };
        // A machine that stands still for a moment is not in the middle of so many.
        let mut others = [(); 9].map(|()| took(Ipv4Addr::new(127, 0, 0, 2)));
        others.sort_unstable();
        let other = others[4];
        let same = took(Ipv4Addr::LOCALHOST);
        drop(silent);
        (same, other)
    });
    println!("another address waited {other:?}, the same {same:?}");
    assert!(other < SLOW_AFTER / 2, "{other:?}");
    // Not until the deadline of those that say nothing.
    assert!(same < Limits::default().exchange_deadline, "{same:?}");
}

#[test]
fn a_dropped_listener_frees_its_port() {
    let (address, _) = beside_a_server(|address| {
        assert!(get(address, "/healthz").contains("200 OK"));
        address
    });
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn the_server_adds_its_own_metrics_as_the_table_says() {
    let ((), _) = beside_a_server(|address| {
        get(address, "/healthz");
        get(address, "/nothing");
        let text = get(address, "/metrics");
        let (_, body) = text.split_once("\r\n\r\n").expect("head and body");
        let scrape = parse(body).expect("it can be read");
        for metric in METRICS.iter().filter(|m| m.name.starts_with("adit_http_")) {
            let family = &scrape[metric.name];
            assert_eq!((family.kind.as_str(), family.help.as_str()), (metric.kind.as_str(), metric.help));
            for sample in &family.samples {
                let labels: Vec<_> = sample.labels.iter().map(|(name, _)| name.as_str()).collect();
                assert_eq!(labels, metric.labels, "{}", metric.name);
            }
        }
        let requests = |path: &str, code: &str| {
            let mut samples = scrape["adit_http_requests_total"].samples.iter();
            samples.find(|s| s.label("path") == Some(path) && s.label("code") == Some(code)).map(|s| s.value)
        };
        assert_eq!(requests("/healthz", "200"), Some(1.0));
        assert_eq!(requests("other", "404"), Some(1.0));
        assert_eq!(requests("/readyz", "200"), Some(0.0));
    });
}
