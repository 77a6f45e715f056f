//! Many miners that hash nothing, and come back whenever they are closed, as firmware does: how long each was without
//! work.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

/// What firmware waits before it tries again.
const PAUSE: Duration = Duration::from_millis(500);
/// All that is sent.
const SET_UP: &[u8] = b"{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[\"wanderer/1\"]}\n\
    {\"id\":2,\"method\":\"mining.authorize\",\"params\":[\"farm.wanderer\",\"x\"]}\n";
/// Bytes that one line may have before they are looked at: jobs of test chains are shorter.
const LINE: usize = 1_024;

/// How they connect.
#[derive(Clone)]
pub struct Way {
    /// Where to.
    pub port: u16,
    /// Over how long those come back that were lost at once, as machines are a little apart.
    pub apart: Duration,
    /// By TLS, if so wished; any certificate for this name is as good as its roots say.
    pub tls: Option<(TlsConnector, ServerName<'static>)>,
}

#[derive(Default)]
struct Shared {
    with_work: AtomicUsize,
    outages: Mutex<Vec<Duration>>,
    services: Mutex<Vec<Duration>>,
    /// Connections that were refused.
    refused: AtomicUsize,
    leave: Notify,
}

/// The miners.
pub struct Wanderers {
    shared: Arc<Shared>,
    end: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Wanderers {
    /// So many, the first connections spread over a time.
    ///
    /// # Panics
    /// When no thread can be had.
    #[must_use]
    pub fn start(way: &Way, count: usize, over: Duration) -> Self {
        let shared = Arc::new(Shared::default());
        let (end, ended) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime can be had");
        let (way, common) = (way.clone(), Arc::clone(&shared));
        let thread = std::thread::spawn(move || {
            runtime.block_on(async move {
                let began = tokio::time::Instant::now();
                for n in 0..count {
                    let part = n as f64 / count as f64;
                    let (at, apart) = (began + over.mul_f64(part), way.apart.mul_f64(part));
                    tokio::spawn(wander(way.clone(), Arc::clone(&common), at, apart));
                }
                let mut ended = ended;
                // Its sender is dropped at the latest.
                let _ = ended.changed().await;
            });
        });
        Self { shared, end, thread: Some(thread) }
    }

    /// How many have work now.
    #[must_use]
    pub fn with_work(&self) -> usize {
        self.shared.with_work.load(SeqCst)
    }

    /// Connections that were refused.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.shared.refused.load(SeqCst)
    }

    /// From each attempt to connect that was served to its work.
    #[must_use]
    pub fn services(&self) -> Vec<Duration> {
        sorted(&self.shared.services)
    }

    /// From each loss of a connection to the next work; not of one that waited for its first work.
    #[must_use]
    pub fn outages(&self) -> Vec<Duration> {
        sorted(&self.shared.outages)
    }

    /// All of them leave, and come back after half a second and as much apart as they are.
    pub fn leave(&self) {
        self.shared.leave.notify_waiters();
    }
}

impl Drop for Wanderers {
    fn drop(&mut self) {
        let _ = self.end.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn sorted(times: &Mutex<Vec<Duration>>) -> Vec<Duration> {
    let mut times = times.lock().unwrap_or_else(PoisonError::into_inner).clone();
    times.sort_unstable();
    times
}

async fn wander(way: Way, shared: Arc<Shared>, begin: tokio::time::Instant, apart: Duration) {
    tokio::time::sleep_until(begin).await;
    let (mut lost, mut had_work) = (None, false);
    let mut dialled = Instant::now();
    loop {
        let mut has_work = false;
        let link = link(&way, || {
            if !has_work {
                has_work = true;
                shared.with_work.fetch_add(1, SeqCst);
                note(&shared.services, dialled);
                if let Some(lost) = lost.take() {
                    note(&shared.outages, lost);
                }
            }
        });
        tokio::select! {
            ended = link => {
                if ended.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
                    shared.refused.fetch_add(1, SeqCst);
                }
            }
            () = shared.leave.notified() => {}
        }
        if has_work {
            had_work = true;
            shared.with_work.fetch_sub(1, SeqCst);
        }
        lost = lost.or(had_work.then(Instant::now));
        tokio::time::sleep(PAUSE + apart).await;
        dialled = Instant::now();
    }
}

fn note(times: &Mutex<Vec<Duration>>, since: Instant) {
    times.lock().unwrap_or_else(PoisonError::into_inner).push(since.elapsed());
}

async fn link(way: &Way, on_job: impl FnMut()) -> io::Result<()> {
    let stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, way.port))).await?;
    match &way.tls {
        None => lines(stream, on_job).await,
        Some((connector, name)) => lines(connector.connect(name.clone(), stream).await?, on_job).await,
    }
}

async fn lines(mut stream: impl AsyncRead + AsyncWrite + Unpin, mut on_job: impl FnMut()) -> io::Result<()> {
    stream.write_all(SET_UP).await?;
    let mut lines = BufReader::with_capacity(LINE, stream);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).await? > 0 {
        if line.windows(15).any(|part| part == b"\"mining.notify\"")
            && line.windows(8).any(|part| part == b"\"params\"")
        {
            on_job();
        }
        line.clear();
    }
    Ok(())
}
