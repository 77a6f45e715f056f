//! A connection with bounded patience: whoever asks too slowly, or takes the answer too slowly, is cut off.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep};

use super::counters::Counters;
use super::places::Owing;

/// Wraps a connection. From the start, and again from each answer that has wholly left, the client has one
/// deadline to send a whole request *and* to take the whole answer; single bytes buy it nothing. After that
/// every read and write fails.
pub(super) struct Patient<Io> {
    io: Io,
    deadline: Duration,
    sleep: Pin<Box<Sleep>>,
    counters: Arc<Counters>,
    /// For whoever needs the place.
    owing: Arc<Owing>,
    answered: Arc<Notify>,
    /// Bytes of an answer were given to the socket since the last reset.
    wrote: bool,
    /// Bytes went either way since the last reset, or none ever: ending now is not just an idle connection
    /// that is given up.
    owes: bool,
    ended: bool,
}

impl<Io> Patient<Io> {
    pub(super) fn new(io: Io, deadline: Duration, owing: Arc<Owing>, counters: Arc<Counters>) -> Self {
        let sleep = Box::pin(tokio::time::sleep(deadline));
        let answered = Arc::new(Notify::new());
        Self { io, deadline, sleep, counters, owing, answered, wrote: false, owes: true, ended: false }
    }

    /// Is told whenever an answer has wholly left.
    pub(super) fn answered(&self) -> Arc<Notify> {
        self.answered.clone()
    }

    /// An error once the patience has ended; else makes sure that the task wakes when it does.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if !self.ended {
            if self.sleep.as_mut().poll(cx).is_pending() {
                return Ok(());
            }
            self.ended = true;
            if self.owes {
                self.counters.slow_clients.fetch_add(1, Relaxed);
            }
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "the client did not finish in time"))
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Patient<Io> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check(cx)?;
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            this.owes = true;
            this.owing.moved();
        }
        Poll::Ready(Ok(()))
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Patient<Io> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check(cx)?;
        (this.wrote, this.owes) = (true, true);
        this.owing.moved();
        Pin::new(&mut this.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.check(cx)?;
        (this.wrote, this.owes) = (true, true);
        this.owing.moved();
        Pin::new(&mut this.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check(cx)?;
        ready!(Pin::new(&mut this.io).poll_flush(cx))?;
        // The server flushes when its own buffer is empty: the answer has left.
        if this.wrote {
            (this.wrote, this.owes) = (false, false);
            this.owing.done();
            this.sleep.as_mut().reset(Instant::now() + this.deadline);
            this.answered.notify_one();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.check(cx)?;
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}
