//! A node's RPC as one built with ZMQ has it, for peers that ask where the node publishes (`getzmqnotifications`): our node
//! is built without (docs/decisions/2026-11-22-bitcoin-core-without-zmq.md) and answers that with 404.
//!
//! That one call is answered here, with the publisher beside the node ([`BlockNotifier`]); everything else goes to the node
//! and comes back, byte for byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use serde_json::{Value, json};

use crate::block_notifier::BlockNotifier;
use crate::node::Node;

/// A relay on a free loopback port. It takes no more connections when it is dropped; those that it has end with their ends.
#[derive(Debug)]
pub struct RpcRelay {
    port: u16,
    stop: Arc<AtomicBool>,
}

impl RpcRelay {
    /// Starts it before a node.
    ///
    /// # Panics
    /// When no port can be had.
    #[must_use]
    pub fn start(node: &Node, notifier: &BlockNotifier) -> Self {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let port = socket.local_addr().expect("a bound socket has an address").port();
        let stop = Arc::new(AtomicBool::new(false));
        let (to, publisher, ended) = (node.rpc_port(), notifier.endpoint(), Arc::clone(&stop));
        std::thread::spawn(move || {
            for near in socket.incoming().map_while(Result::ok) {
                if ended.load(Relaxed) {
                    return;
                }
                let publisher = publisher.clone();
                // A connection that breaks is the peer's matter: it asks again.
                std::thread::spawn(move || drop(serve(&near, to, &publisher)));
            }
        });
        Self { port, stop }
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for RpcRelay {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

/// Requests of one connection, one after the other; nobody here sends the next one before the answer (no pipelining), so an
/// answer of ours never falls into one of the node's.
fn serve(near: &TcpStream, node: u16, publisher: &str) -> std::io::Result<()> {
    let far = TcpStream::connect((Ipv4Addr::LOCALHOST, node))?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (mut answers, mut back) = (far.try_clone()?, near.try_clone()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut answers, &mut back);
        let _ = back.shutdown(Shutdown::Both);
    });
    let mut requests = BufReader::new(near);
    let ended = relay(&mut requests, near, &far, publisher);
    let _ = far.shutdown(Shutdown::Both);
    ended
}

fn relay(
    requests: &mut impl BufRead,
    mut near: &TcpStream,
    mut far: &TcpStream,
    publisher: &str,
) -> std::io::Result<()> {
    while let Some((head, body)) = request(requests)? {
        let call: Value = serde_json::from_slice(&body).unwrap_or_default();
        if call["method"] == "getzmqnotifications" {
            let published = json!([{"type": "pubhashblock", "address": publisher, "hwm": 1000}]);
            let answer = json!({"result": published, "error": null, "id": call["id"]}).to_string();
            let length = answer.len();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
            );
            near.write_all(format!("{head}{answer}").as_bytes())?;
        } else {
            far.write_all(&[head, body].concat())?;
        }
    }
    Ok(())
}

/// The next request, its head and its body; nothing at the connection's end.
fn request(from: &mut impl BufRead) -> std::io::Result<Option<(Vec<u8>, Vec<u8>)>> {
    let mut head = Vec::new();
    let mut length = 0;
    loop {
        let at = head.len();
        if from.read_until(b'\n', &mut head)? == 0 {
            return Ok(None);
        }
        let line = String::from_utf8_lossy(&head[at..]).trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(std::io::Error::other)?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = Vec::new();
    if from.take(length).read_to_end(&mut body)? as u64 != length {
        return Ok(None);
    }
    Ok(Some((head, body)))
}
