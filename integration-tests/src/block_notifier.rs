//! What a node built with ZMQ says of new tips (`zmqpubhashblock`), for peers that need it: our node is built without
//! (docs/decisions/2026-11-22-bitcoin-core-without-zmq.md), so its tip is asked for here.
//!
//! The little of ZMTP 3.0 (RFC 23) that a publisher needs: a greeting, one READY, and messages in frames. What subscribers
//! want is not looked at: there is one topic.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::node::Node;

/// Between two looks at the tip.
const EVERY: Duration = Duration::from_millis(50);

/// A publisher beside a node.
#[derive(Debug)]
pub struct BlockNotifier {
    port: u16,
    stop: Arc<AtomicBool>,
    subscribers: Arc<Mutex<Vec<TcpStream>>>,
    accepts: Option<JoinHandle<()>>,
}

impl BlockNotifier {
    /// Listens.
    ///
    /// # Panics
    /// When no port can be had.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port can be had");
        let port = listener.local_addr().expect("it has an address").port();
        let stop = Arc::new(AtomicBool::new(false));
        let subscribers: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let (ended, all) = (Arc::clone(&stop), Arc::clone(&subscribers));
        let accepts = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ended.load(Relaxed) {
                    return;
                }
                // One that does not shake hands is none.
                if let Some(stream) = shake_hands(stream) {
                    all.lock().expect("nobody panics with it").push(stream);
                }
            }
        });
        Self { port, stop, subscribers, accepts: Some(accepts) }
    }

    /// Where subscribers connect.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.port)
    }

    /// Follows a node's tip for as long as `body` runs.
    pub fn beside<T>(&self, node: &Node, body: impl FnOnce() -> T) -> T {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut tip = node.best_block_hash();
                let mut sequence = 0_u32;
                while !done.load(Relaxed) {
                    let now = node.best_block_hash();
                    if now != tip {
                        self.publish(&now, sequence);
                        tip = now;
                        sequence += 1;
                    }
                    std::thread::sleep(EVERY);
                }
            });
            let end = EndsWith(&done);
            let result = body();
            drop(end);
            result
        })
    }

    fn publish(&self, hash: &str, sequence: u32) {
        let hash: Vec<u8> = (0..hash.len() / 2)
            .map(|at| u8::from_str_radix(&hash[2 * at..2 * at + 2], 16).expect("a node's hash is hex"))
            .collect();
        let mut message = Vec::new();
        for (part, more) in [(&b"hashblock"[..], 1), (&hash[..], 1), (&sequence.to_le_bytes()[..], 0)] {
            message.extend([more, u8::try_from(part.len()).expect("short parts")]);
            message.extend_from_slice(part);
        }
        let mut subscribers = self.subscribers.lock().expect("nobody panics with it");
        subscribers.retain_mut(|stream| stream.write_all(&message).is_ok());
    }
}

/// Also when the body panics, or its thread would be waited for without an end.
struct EndsWith<'a>(&'a AtomicBool);

impl Drop for EndsWith<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

impl Drop for BlockNotifier {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(accepts) = self.accepts.take() {
            let _ = accepts.join();
        }
    }
}

/// Greeting and READY, without security.
fn shake_hands(mut stream: TcpStream) -> Option<TcpStream> {
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let mut greeting = [0; 64];
    (greeting[0], greeting[9], greeting[10]) = (0xff, 0x7f, 3);
    greeting[12..16].copy_from_slice(b"NULL");
    stream.write_all(&greeting).ok()?;
    let mut theirs = [0; 64];
    stream.read_exact(&mut theirs).ok()?;
    let mut ready = b"\x05READY\x0bSocket-Type".to_vec();
    ready.extend_from_slice(&3_u32.to_be_bytes());
    ready.extend_from_slice(b"PUB");
    let mut frame = vec![4, u8::try_from(ready.len()).expect("a short command")];
    frame.extend_from_slice(&ready);
    stream.write_all(&frame).ok()?;
    Some(stream)
}
