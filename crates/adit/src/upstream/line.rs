//! A connection that is made when it is wanted and made again when it ends: for a task that has more than one.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use engine::source::{DownReason, LinkSecurity};
use link::{DialError, Link, LinkError, Resolver};
use noise::{OpenedFrame, PoolUrl};
use tokio::time::Instant;
use tracing::{info, warn};

use super::{OUTBOX_FULL, WRITE_STALL, security};

/// Where a connection leads, and how long its making may take.
#[derive(Clone)]
pub struct LineSettings {
    /// For the log: whose it is, and what is at the other end.
    pub name: String,
    /// Where.
    pub url: PoolUrl,
    /// Finds its addresses.
    pub resolver: Arc<Resolver>,
    /// A TCP connection stands within this.
    pub connect_timeout: Duration,
    /// The Noise handshake is done within this.
    pub handshake_timeout: Duration,
    /// How wrong clocks may be when certificates are judged.
    pub certificate_leeway: Duration,
    /// The largest frame that is taken, bytes.
    pub max_frame: usize,
}

type Dialling = Pin<Box<dyn Future<Output = Result<Link, DialError>> + Send>>;

enum State {
    Idle,
    /// Since when.
    Dialling(Dialling, Instant),
    Up(Box<Link>),
}

/// What has happened on a line.
pub(crate) enum LineEvent {
    /// It stands.
    Up {
        /// Whether somebody vouches for the other side.
        security: LinkSecurity,
        /// End of the certificate, Unix seconds.
        certificate_until: Option<u32>,
        /// From dialling to the end of the handshake.
        took: Duration,
    },
    /// It could not be made, or has ended.
    Down(DownReason),
    /// There may be something to read.
    Ready,
}

/// See the module.
pub(crate) struct Line {
    settings: LineSettings,
    /// Where the next attempt goes: elsewhere, once, if the other side has asked for that.
    url: PoolUrl,
    state: State,
    /// Since when the other side has taken nothing of a full outbox.
    stalled_since: Option<Instant>,
}

impl Line {
    pub(crate) fn new(settings: LineSettings) -> Self {
        Self { url: settings.url.clone(), settings, state: State::Idle, stalled_since: None }
    }

    /// Makes the connection, unless it is there or being made.
    pub(crate) fn dial(&mut self) {
        if !matches!(self.state, State::Idle) {
            return;
        }
        let settings = self.settings.clone();
        let url = std::mem::replace(&mut self.url, settings.url.clone());
        let dialling = Box::pin(async move {
            let LineSettings { resolver, connect_timeout, handshake_timeout, certificate_leeway, .. } =
                settings;
            link::dial(&url, &resolver, connect_timeout, handshake_timeout, certificate_leeway).await
        });
        self.state = State::Dialling(dialling, Instant::now());
    }

    /// What happens next; nothing ever does on a line that is not wanted. May be dropped at any time.
    pub(crate) async fn event(&mut self) -> LineEvent {
        match &mut self.state {
            State::Idle => std::future::pending().await,
            State::Dialling(dialling, began) => match dialling.await {
                Ok(link) => {
                    let took = began.elapsed();
                    let up = LineEvent::Up {
                        security: security(&link),
                        certificate_until: link.certificate_until(),
                        took,
                    };
                    self.stalled_since = None;
                    self.state = State::Up(Box::new(link));
                    up
                }
                Err(error) => {
                    self.state = State::Idle;
                    LineEvent::Down(match error {
                        DialError::Connect(text) => DownReason::Connect(text),
                        DialError::Handshake(text) => DownReason::Handshake(text),
                    })
                }
            },
            State::Up(link) => {
                let end = self.stalled_since.map(|since| since + WRITE_STALL);
                let stalled = async {
                    match end {
                        Some(end) => tokio::time::sleep_until(end).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    ready = link.ready() => match ready.and_then(|()| link.flush()) {
                        Ok(()) => {
                            self.look_at_outbox();
                            LineEvent::Ready
                        }
                        Err(error) => self.lost(&error),
                    },
                    () = stalled => self.lost(&LinkError::Io(std::io::ErrorKind::TimedOut.into())),
                }
            }
        }
    }

    /// Reads what has come.
    pub(crate) fn read(&mut self) -> Result<(), LineEvent> {
        let State::Up(link) = &mut self.state else { return Ok(()) };
        link.read().map(drop).map_err(|error| self.lost(&error))
    }

    /// The next frame that is complete.
    pub(crate) fn frame(&mut self) -> Result<Option<OpenedFrame>, LineEvent> {
        let State::Up(link) = &mut self.state else { return Ok(None) };
        link.frame(self.settings.max_frame).map_err(|error| self.lost(&error))
    }

    /// Sends frames, or drops them where there is no link.
    pub(crate) fn send(&mut self, frames: &mut BytesMut) -> Result<(), LineEvent> {
        let State::Up(link) = &mut self.state else {
            frames.clear();
            return Ok(());
        };
        if frames.is_empty() {
            return Ok(());
        }
        let sent = link.send(frames).and_then(|()| link.flush());
        self.look_at_outbox();
        sent.map_err(|error| self.lost(&error))
    }

    /// Bytes that wait to be written.
    pub(crate) fn outbox(&self) -> usize {
        match &self.state {
            State::Up(link) => link.outbox(),
            State::Idle | State::Dialling(..) => 0,
        }
    }

    /// Ends it, or the attempt. `reconnect_to`: the other side has named where to go next, under the same authority key or
    /// not at all (specification, 3.6.5).
    pub(crate) fn hang_up(&mut self, reconnect_to: Option<(String, u16)>) {
        self.state = State::Idle;
        let Some((host, port)) = reconnect_to else { return };
        let url = &self.settings.url;
        let host = if host.is_empty() { url.host().to_owned() } else { host };
        let port = if port == 0 { url.port() } else { port };
        match PoolUrl::new(&host, port, url.authority().copied()) {
            Ok(url) => {
                info!(source = self.settings.name, to = url.host_and_port(), "asked to reconnect");
                self.url = url;
            }
            Err(error) => warn!(source = self.settings.name, %error, "asked to reconnect to a bad address"),
        }
    }

    fn lost(&mut self, error: &LinkError) -> LineEvent {
        self.state = State::Idle;
        LineEvent::Down(DownReason::Lost(error.to_string()))
    }

    fn look_at_outbox(&mut self) {
        if self.outbox() < OUTBOX_FULL {
            self.stalled_since = None;
        } else {
            self.stalled_since.get_or_insert_with(Instant::now);
        }
    }
}
