//! An embedded SV1 pool for tests: JSON lines over TCP, its own dev chain, every share verified with the `bitcoin` crate
//! and this crate's own hashing, apart from what it is to test.
//!
//! [`Sv1PoolCore`] is the pool without its sockets, for the simulator too.

mod core;
mod options;
mod stats;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bitcoin::BlockHash;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub use self::core::{Sv1Lines, Sv1PoolCore};
pub use options::{Sv1PoolError, Sv1PoolOptions};
pub use stats::Sv1PoolStats;

use crate::line_buffer::LineBuffer;

/// Lines that wait to be sent on one connection.
const LINES: usize = 4096;

/// A running pool. Dropping it ends it and every connection.
#[derive(Debug)]
pub struct Sv1Pool {
    shared: Arc<Shared>,
    address: SocketAddr,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    core: Mutex<Sv1PoolCore>,
    /// The ways to the connections; dropping one ends it.
    doors: Mutex<HashMap<u64, mpsc::Sender<String>>>,
}

impl Shared {
    fn core(&self) -> MutexGuard<'_, Sv1PoolCore> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn doors(&self) -> MutexGuard<'_, HashMap<u64, mpsc::Sender<String>>> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something to the pool, and sends what comes of it before anything else happens to it.
    fn with<T>(&self, act: impl FnOnce(&mut Sv1PoolCore, &mut Sv1Lines) -> T) -> T {
        let mut core = self.core();
        let mut out = Vec::new();
        let result = act(&mut core, &mut out);
        let mut doors = self.doors();
        for (connection, line) in out {
            // A client that does not read is sent away; one that has gone takes nothing.
            if doors.get(&connection).is_some_and(|door| door.try_send(line).is_err()) {
                doors.remove(&connection);
            }
        }
        result
    }
}

impl Sv1Pool {
    /// Listens on an address (port 0: any free one) and serves from then on, on the current tokio runtime.
    ///
    /// # Errors
    /// When the options make no pool or the address cannot be had.
    pub async fn bind(address: SocketAddr, options: Sv1PoolOptions) -> Result<Self, Sv1PoolError> {
        let core = Mutex::new(Sv1PoolCore::new(options, unix_time())?);
        let bound = TcpListener::bind(address).await;
        let bound = bound.and_then(|listener| listener.local_addr().map(|local| (listener, local)));
        let (listener, address) = bound.map_err(|source| Sv1PoolError::Bind { address, source })?;
        let shared = Arc::new(Shared { core, doors: Mutex::default() });
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { shared, address, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("stratum+tcp://{}", self.address)
    }

    /// What has happened so far.
    #[must_use]
    pub fn stats(&self) -> Sv1PoolStats {
        self.shared.core().stats()
    }

    /// Hash of its chain's tip.
    #[must_use]
    pub fn tip(&self) -> BlockHash {
        self.shared.core().tip()
    }

    /// Does something to the pool.
    pub fn act(&self, act: impl FnOnce(&mut Sv1PoolCore, u32, &mut Sv1Lines)) {
        self.shared.with(|core, out| act(core, unix_time(), out));
    }

    /// Ends every connection.
    pub fn disconnect_all(&self) {
        self.shared.doors().clear();
    }
}

impl Drop for Sv1Pool {
    fn drop(&mut self) {
        self.task.abort();
        self.disconnect_all();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        let connection = shared.core().connect();
        let (door, lines) = mpsc::channel(LINES);
        shared.doors().insert(connection, door);
        tokio::spawn(async move {
            serve(stream, connection, lines, &shared).await;
            shared.doors().remove(&connection);
            shared.core().disconnect(connection);
        });
    }
}

async fn serve(mut stream: TcpStream, connection: u64, mut lines: mpsc::Receiver<String>, shared: &Shared) {
    let _ = stream.set_nodelay(true);
    let mut buffer = LineBuffer::default();
    loop {
        tokio::select! {
            read = stream.read_buf(buffer.space()) => {
                if !matches!(read, Ok(1..)) {
                    return;
                }
                loop {
                    match buffer.next_line() {
                        Ok(Some(line)) => {
                            let stays =
                                shared.with(|core, out| core.line(connection, &line, unix_time(), out));
                            if !stays {
                                return;
                            }
                        }
                        Ok(None) => break,
                        Err(_) => return,
                    }
                }
            }
            line = lines.recv() => {
                let Some(line) = line else { return };
                if stream.write_all(format!("{line}\n").as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn unix_time() -> u32 {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    u32::try_from(seconds).unwrap_or(u32::MAX)
}
