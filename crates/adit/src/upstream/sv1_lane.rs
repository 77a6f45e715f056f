//! One connection to an SV1 pool: dialled, read and written in a task of its own, so that neither waits for the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use engine::source::DownReason;
use link::{Resolver, Sv1Url, TlsAuthorities};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use super::WRITE_STALL;

/// Bytes read at once.
const READ_AT_ONCE: usize = 16 * 1024;
/// Writes that may wait; each is all that a batch of shares gave.
const WRITES: usize = 256;

/// How connections are made.
#[derive(Clone)]
pub struct LaneSettings {
    /// Finds the pool's addresses.
    pub resolver: Arc<Resolver>,
    /// Who may vouch for the pool, where the URL has TLS.
    pub authorities: Option<TlsAuthorities>,
    /// A TCP connection stands within this.
    pub connect_timeout: Duration,
    /// And TLS within this.
    pub handshake_timeout: Duration,
}

/// What a connection's task tells.
pub(super) enum LaneNews {
    /// It stands.
    Up,
    /// Bytes that came.
    Read(Vec<u8>),
    /// It could not be made, or has ended.
    Down(DownReason),
}

/// The way to a connection's task. Dropping it ends the connection, after what was given to it went out.
pub(super) struct LaneDoor {
    writes: mpsc::Sender<Vec<u8>>,
    waiting: Arc<AtomicUsize>,
}

impl LaneDoor {
    /// Gives lines to be written; false when the pool takes nothing any more.
    pub(super) fn send(&self, lines: Vec<u8>) -> bool {
        let len = lines.len();
        self.waiting.fetch_add(len, Relaxed);
        self.writes.try_send(lines).is_ok()
    }

    /// Bytes that wait to be written.
    pub(super) fn outbox(&self) -> usize {
        self.waiting.load(Relaxed)
    }
}

/// Starts a connection's task.
pub(super) fn open_lane(
    number: u32,
    url: Sv1Url,
    settings: LaneSettings,
    news: mpsc::Sender<(u32, LaneNews)>,
) -> LaneDoor {
    let (writes, to_write) = mpsc::channel(WRITES);
    let waiting = Arc::new(AtomicUsize::new(0));
    let door = LaneDoor { writes, waiting: Arc::clone(&waiting) };
    tokio::spawn(async move {
        let why = run(number, &url, &settings, &news, to_write, &waiting).await;
        // Nobody listens any more when it was Adit that ended it.
        let _ = news.send((number, LaneNews::Down(why))).await;
    });
    door
}

async fn run(
    number: u32,
    url: &Sv1Url,
    settings: &LaneSettings,
    news: &mpsc::Sender<(u32, LaneNews)>,
    mut to_write: mpsc::Receiver<Vec<u8>>,
    waiting: &AtomicUsize,
) -> DownReason {
    let stream = tokio::select! {
        dialled = dial(url, settings) => match dialled {
            Ok(stream) => stream,
            Err(why) => return why,
        },
        // Nothing is sent before it stands, so this is its end.
        _ = to_write.recv() => return DownReason::NotStarted,
    };
    if news.send((number, LaneNews::Up)).await.is_err() {
        return DownReason::NotStarted;
    }
    let (reader, writer) = tokio::io::split(stream);
    tokio::select! {
        why = read(number, reader, news) => why,
        why = write(writer, &mut to_write, waiting) => why,
    }
}

/// A connection, plain or with TLS.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

async fn dial(url: &Sv1Url, settings: &LaneSettings) -> Result<Box<dyn Stream>, DownReason> {
    let stream = link::dial_tcp(url.host(), url.port(), &settings.resolver, settings.connect_timeout);
    let stream = stream.await.map_err(DownReason::Connect)?;
    if !url.is_tls() {
        return Ok(Box::new(stream));
    }
    let Some(authorities) = &settings.authorities else { return Err(DownReason::NotAuthenticated) };
    let shaken = authorities.shake_hands(stream, url.host(), settings.handshake_timeout).await;
    shaken.map(|stream| Box::new(stream) as Box<dyn Stream>).map_err(DownReason::Handshake)
}

async fn read(
    number: u32,
    mut reader: impl AsyncRead + Unpin,
    news: &mpsc::Sender<(u32, LaneNews)>,
) -> DownReason {
    let mut buffer = vec![0; READ_AT_ONCE];
    loop {
        match reader.read(&mut buffer).await {
            Ok(0) => return DownReason::Lost("closed by the other side".into()),
            Ok(len) => {
                // What is not taken yet holds the pool up, and nothing else.
                if news.send((number, LaneNews::Read(buffer[..len].to_vec()))).await.is_err() {
                    return DownReason::NotStarted;
                }
            }
            Err(error) => return DownReason::Lost(error.to_string()),
        }
    }
}

async fn write(
    mut writer: impl AsyncWrite + Unpin,
    to_write: &mut mpsc::Receiver<Vec<u8>>,
    waiting: &AtomicUsize,
) -> DownReason {
    while let Some(lines) = to_write.recv().await {
        let written = async {
            writer.write_all(&lines).await?;
            writer.flush().await
        };
        match tokio::time::timeout(WRITE_STALL, written).await {
            Ok(Ok(())) => {
                waiting.fetch_sub(lines.len(), Relaxed);
            }
            Ok(Err(error)) => return DownReason::Lost(error.to_string()),
            Err(_) => return DownReason::Lost(format!("it took nothing for {WRITE_STALL:?}")),
        }
    }
    let _ = writer.shutdown().await;
    DownReason::NotStarted
}
