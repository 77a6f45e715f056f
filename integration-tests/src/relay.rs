//! A TCP relay between a proxy and its pool that can hold what goes up.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Bytes that are passed on together at most.
const CHUNK: usize = 16 * 1024;

/// A relay on a free loopback port. It ends with the last connection after it was dropped.
#[derive(Debug)]
pub struct Relay {
    port: u16,
    gate: Arc<Gate>,
}

#[derive(Debug, Default)]
struct Gate {
    held: Mutex<bool>,
    changed: Condvar,
}

impl Relay {
    /// Starts a relay to a port on loopback.
    ///
    /// # Panics
    /// When no port can be had.
    #[must_use]
    pub fn start(to: u16) -> Self {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let port = socket.local_addr().expect("a bound socket has an address").port();
        let gate = Arc::new(Gate::default());
        let own = Arc::clone(&gate);
        std::thread::spawn(move || {
            for near in socket.incoming().map_while(Result::ok) {
                // Nobody holds the relay any more: the test is over.
                if Arc::strong_count(&own) == 1 {
                    break;
                }
                let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)) else {
                    continue;
                };
                let (Ok(near_too), Ok(far_too)) = (near.try_clone(), far.try_clone()) else {
                    continue;
                };
                let gate = Arc::clone(&own);
                std::thread::spawn(move || pass(near, far, Some(&gate)));
                std::thread::spawn(move || pass(far_too, near_too, None));
            }
        });
        Self { port, gate }
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on nothing goes up; what comes down still passes.
    pub fn hold_upward(&self) {
        *self.gate.held.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// Lets go what was held.
    pub fn release(&self) {
        *self.gate.held.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.gate.changed.notify_all();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.release();
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, gate: Option<&Gate>) {
    let _ = to.set_nodelay(true);
    let mut buffer = vec![0; CHUNK];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if let Some(gate) = gate {
            let held = gate.held.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = gate.changed.wait_timeout_while(held, Duration::from_secs(60), |held| *held);
            drop(waited);
        }
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
