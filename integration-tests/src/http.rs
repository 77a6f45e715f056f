//! As much HTTP as asking a server on loopback takes.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;

/// Ports that systems give to nobody who does not ask for one of them, below those of outgoing connections: one of
/// these could have a port just when its server is started (again).
const PORTS: Range<u16> = 20_000..32_000;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.body))
    }
}

/// Asks for a page.
///
/// # Errors
/// When the server cannot be reached or does not speak HTTP.
pub fn get(port: u16, path: &str) -> std::io::Result<Answer> {
    exchange(port, &format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n"))
}

/// Posts JSON; `authorization` is the value of that header.
///
/// # Errors
/// As [`get`].
pub fn post(port: u16, path: &str, authorization: &str, body: &str) -> std::io::Result<Answer> {
    let length = body.len();
    exchange(
        port,
        &format!(
            "POST {path} HTTP/1.0\r\nHost: localhost\r\nAuthorization: {authorization}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        ),
    )
}

/// Sends JSON to change something.
///
/// # Errors
/// As [`get`].
pub fn patch(port: u16, path: &str, body: &str) -> std::io::Result<Answer> {
    let length = body.len();
    exchange(
        port,
        &format!(
            "PATCH {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ),
    )
}

fn exchange(port: u16, request: &str) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let broken = || std::io::Error::other(format!("no HTTP answer: {answer:?}"));
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(broken)?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(broken)?;
    Ok(Answer { status, body: body.to_owned() })
}

/// A port on loopback that was free a moment ago, and that nobody in this process was given before.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().expect("no panic");
    // From another place in each process: several may run at once.
    let first = std::process::id().wrapping_mul(97);
    let mut ports = (0..u32::from(PORTS.end - PORTS.start)).filter_map(|nth| {
        let at = first.wrapping_add(nth) % u32::from(PORTS.end - PORTS.start);
        u16::try_from(at).ok().map(|at| PORTS.start + at)
    });
    let free = |port: &u16| !given.contains(port) && TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let port = ports.find(free).expect("loopback has a free port");
    given.insert(port);
    port
}
