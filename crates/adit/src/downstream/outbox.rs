//! What a miner's socket did not take.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;

/// Bytes that wait for a miner to read; empty and without memory for nearly every miner nearly always.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    written: usize,
    stalled_since: Option<Duration>,
}

/// More waits than may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Since when the miner has taken nothing.
    pub(super) fn stalled_since(&self) -> Option<Duration> {
        self.stalled_since
    }

    /// Writes at once what the socket takes; the rest waits, `most` bytes of it. Only then the time is asked for.
    pub(super) fn send(
        &mut self,
        stream: &TcpStream,
        mut bytes: &[u8],
        most: usize,
        now: impl FnOnce() -> Duration,
    ) -> io::Result<Result<(), Full>> {
        while self.bytes.is_empty() && !bytes.is_empty() {
            match stream.try_write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => bytes = &bytes[n..],
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            }
        }
        if !bytes.is_empty() {
            if self.bytes.len() - self.written + bytes.len() > most {
                return Ok(Err(Full));
            }
            self.bytes.extend_from_slice(bytes);
            self.stalled_since.get_or_insert_with(now);
        }
        Ok(Ok(()))
    }

    /// Where what is to be said last is added, whatever waits.
    pub(super) fn last_words(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The socket takes something again.
    pub(super) fn flush(&mut self, stream: &TcpStream, now: Duration) -> io::Result<()> {
        while self.written < self.bytes.len() {
            match stream.try_write(&self.bytes[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    self.written += n;
                    self.stalled_since = Some(now);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e),
            }
        }
        *self = Self::default();
        Ok(())
    }
}
