//! The floor: a bare SV1 server that does nothing but read a line, hash one share and answer, and wake its
//! connections for a notify. What a proxy costs beyond this is the proxy's own.
//!
//! It is honest in what it does: shares are hashed in full (coinbase, merkle path, header) and judged by the
//! target, lines have their usual size, and every socket has TCP_NODELAY. It leaves out everything else: no
//! duplicates, no vardiff, no time checks, no user names, one connection one task. For benches only.

mod job;
mod request;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::io::Interest;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tracing::debug;

use job::BareJob;

/// Connections that may wait for `accept`.
const BACKLOG: u32 = 4_096;

/// Bytes taken from a socket at once; the buffer is on the stack and only there while a socket is read.
const READ_SIZE: usize = 4_096;

/// Longest request line.
const MAX_LINE: usize = 16 * 1_024;

/// Unsent bytes at which a client that does not read is dropped.
const MAX_UNSENT: usize = 1 << 20;

/// How a bare server is made.
#[derive(Clone, Copy, Debug)]
pub struct BareServerOptions {
    /// Difficulty that shares must have. Default 1e-9: four hashes a share.
    pub difficulty: f64,
    /// Size of the whole coinbase, bytes, at least 120. Default 250.
    pub coinbase_size: usize,
    /// Steps of the merkle path, at most 32. Default 12.
    pub merkle_steps: usize,
    /// Size of a notify line, bytes; shorter ones are filled up with blanks. Default 1,600.
    pub notify_size: usize,
}

impl Default for BareServerOptions {
    fn default() -> Self {
        BareServerOptions { difficulty: 1e-9, coinbase_size: 250, merkle_steps: 12, notify_size: 1_600 }
    }
}

/// What a bare server has counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BareServerStats {
    /// Connections open.
    pub connections: u64,
    /// Shares that met the target.
    pub accepted: u64,
    /// Shares that did not, or named another job than the current one.
    pub rejected: u64,
    /// Notify lines written.
    pub notifies: u64,
}

/// A bare server, bound but not running. See the [module's page](self).
#[derive(Debug)]
pub struct BareServer {
    listener: TcpListener,
    control: BareServerControl,
}

/// Steers a bare server from anywhere.
#[derive(Clone, Debug)]
pub struct BareServerControl {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: BareServerOptions,
    jobs: watch::Sender<Arc<BareJob>>,
    next_job: AtomicU64,
    next_connection: AtomicU32,
    connections: AtomicU64,
    accepted: AtomicU64,
    rejected: AtomicU64,
    notifies: AtomicU64,
}

impl BareServer {
    /// Binds to an address (port 0: any free one) with a long backlog.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn bind(address: SocketAddr, options: BareServerOptions) -> io::Result<BareServer> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let shared = Shared {
            options,
            jobs: watch::Sender::new(Arc::new(BareJob::new(0, &options))),
            next_job: AtomicU64::new(1),
            next_connection: AtomicU32::new(1),
            connections: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            notifies: AtomicU64::new(0),
        };
        Ok(BareServer { listener, control: BareServerControl { shared: Arc::new(shared) } })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The handle to steer it by.
    pub fn control(&self) -> BareServerControl {
        self.control.clone()
    }

    /// Serves until `shutdown` completes; connections end with the runtime.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let accept = async {
            loop {
                match self.listener.accept().await {
                    Ok((stream, _)) => {
                        let shared = Arc::clone(&self.control.shared);
                        tokio::spawn(connection(stream, shared));
                    }
                    Err(error) => {
                        debug!(%error, "accept");
                        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                    }
                }
            }
        };
        tokio::select! {
            () = accept => {}
            () = shutdown => {}
        }
    }
}

impl BareServerControl {
    /// Publishes a job on a new parent to all connections. Returns the Unix time of doing so, in seconds.
    pub fn new_job(&self) -> f64 {
        let shared = &self.shared;
        let number = shared.next_job.fetch_add(1, Ordering::Relaxed);
        let job = Arc::new(BareJob::new(number, &shared.options));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        shared.jobs.send_replace(job);
        now.as_secs_f64()
    }

    /// What it has counted.
    pub fn stats(&self) -> BareServerStats {
        let shared = &self.shared;
        BareServerStats {
            connections: shared.connections.load(Ordering::Relaxed),
            accepted: shared.accepted.load(Ordering::Relaxed),
            rejected: shared.rejected.load(Ordering::Relaxed),
            notifies: shared.notifies.load(Ordering::Relaxed),
        }
    }
}

/// What a connection keeps between two reads.
struct Connection {
    stream: TcpStream,
    shared: Arc<Shared>,
    extranonce1: [u8; 4],
    subscribed: bool,
    job: Arc<BareJob>,
    /// The beginning of a line whose end has not come yet.
    partial: Vec<u8>,
    /// What the socket would not take yet.
    unsent: Vec<u8>,
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let mut jobs = shared.jobs.subscribe();
    let job = jobs.borrow_and_update().clone();
    let extranonce1 = shared.next_connection.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let mut connection = Connection {
        stream,
        shared,
        extranonce1,
        subscribed: false,
        job,
        partial: Vec::new(),
        unsent: Vec::new(),
    };
    connection.shared.connections.fetch_add(1, Ordering::Relaxed);
    loop {
        let interest = if connection.unsent.is_empty() {
            Interest::READABLE
        } else {
            Interest::READABLE | Interest::WRITABLE
        };
        let end = tokio::select! {
            biased;
            _ = jobs.changed() => {
                connection.job = jobs.borrow_and_update().clone();
                connection.notify()
            }
            ready = connection.stream.ready(interest) => ready.and_then(|_| connection.serve()),
        };
        if end.is_err() {
            break;
        }
    }
    connection.shared.connections.fetch_sub(1, Ordering::Relaxed);
}

impl Connection {
    fn notify(&mut self) -> io::Result<()> {
        if !self.subscribed {
            return Ok(());
        }
        let job = Arc::clone(&self.job);
        self.shared.notifies.fetch_add(1, Ordering::Relaxed);
        self.send(&job.notify)
    }

    /// Reads and answers what is there. Not async: the buffers live on the stack for the duration of the call.
    fn serve(&mut self) -> io::Result<()> {
        self.flush()?;
        let mut buffer = [0_u8; READ_SIZE];
        let mut answers = Vec::new();
        loop {
            let got = match self.stream.try_read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(got) => got,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            let mut bytes = &buffer[..got];
            while let Some(end) = memchr::memchr(b'\n', bytes) {
                let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
                if self.partial.is_empty() {
                    self.answer(line, &mut answers);
                } else {
                    let mut whole = std::mem::take(&mut self.partial);
                    whole.extend_from_slice(line);
                    self.answer(&whole, &mut answers);
                }
                bytes = rest;
            }
            self.partial.extend_from_slice(bytes);
            if self.partial.len() > MAX_LINE {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if got < READ_SIZE {
                break;
            }
        }
        self.send(&answers)
    }

    fn answer(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let Some(request) = request::read(line) else {
            return;
        };
        match request.method {
            b"mining.submit" => {
                let verdict = self.job.judge(self.extranonce1, &request);
                let counter = if verdict.is_ok() { &self.shared.accepted } else { &self.shared.rejected };
                counter.fetch_add(1, Ordering::Relaxed);
                request.answer(verdict, out);
            }
            b"mining.subscribe" => {
                self.subscribed = true;
                request.answer_subscribe(self.extranonce1, out);
                out.extend_from_slice(&self.job.set_difficulty);
                out.extend_from_slice(&self.job.notify);
                self.shared.notifies.fetch_add(1, Ordering::Relaxed);
            }
            b"mining.configure" => request.answer_configure(out),
            _ => request.answer(Ok(()), out),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let sent = if self.unsent.is_empty() { self.try_write(bytes)? } else { 0 };
        self.unsent.extend_from_slice(&bytes[sent..]);
        if self.unsent.len() > MAX_UNSENT {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        let unsent = std::mem::take(&mut self.unsent);
        let sent = self.try_write(&unsent)?;
        if sent < unsent.len() {
            self.unsent = unsent[sent..].to_vec();
        }
        Ok(())
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self.stream.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            other => other,
        }
    }
}
