//! A link to a pool, or another server: TCP, the Noise handshake, and frames over it.

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use noise::{ACT2_LEN, Initiator, OpenError, OpenedFrame, Opener, PoolUrl, SealError, Sealer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::resolve::Resolver;

/// Ciphertext read at once.
const READ_AT_ONCE: usize = 64 * 1024;

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// No address, or nobody there.
    #[error("{0}")]
    Connect(String),
    /// No Noise session.
    #[error("{0}")]
    Handshake(String),
}

/// Why a link has ended.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The peer closed it.
    #[error("closed by the other side")]
    Closed,
    /// The system's reason.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// What came cannot be decrypted: a broken or tampered connection.
    #[error("{0}")]
    Open(#[from] OpenError),
    /// What is to be sent cannot be encrypted.
    #[error("{0}")]
    Seal(#[from] SealError),
}

/// An encrypted link. Reading and writing are separate, so that a pool that does not read cannot keep its own
/// jobs from coming in.
pub struct Link {
    stream: TcpStream,
    sealer: Sealer,
    opener: Opener,
    /// Ciphertext that came and is not opened yet.
    input: BytesMut,
    /// Ciphertext to be sent.
    output: BytesMut,
    /// End of the certificate that proved who the other side is, Unix seconds; `None`: nobody vouches for it.
    certificate_until: Option<u32>,
}

/// Connects, trying each address that the name has, and shakes hands.
///
/// # Errors
/// No address, nobody there, or no proof of who is there, within these times.
pub async fn dial(
    url: &PoolUrl,
    resolver: &Resolver,
    connect_timeout: Duration,
    handshake_timeout: Duration,
    leeway: Duration,
) -> Result<Link, DialError> {
    let dialled = crate::dial_tcp(url.host(), url.port(), resolver, connect_timeout);
    let stream = dialled.await.map_err(DialError::Connect)?;
    tokio::time::timeout(handshake_timeout, shake_hands(stream, url, leeway))
        .await
        .map_err(|_| DialError::Handshake(format!("no answer within {handshake_timeout:?}")))?
}

async fn shake_hands(mut stream: TcpStream, url: &PoolUrl, leeway: Duration) -> Result<Link, DialError> {
    let broken = |e: io::Error| DialError::Handshake(format!("the other side ended the connection ({e})"));
    let (initiator, act1) = Initiator::new(url.authority().copied(), rand::random());
    stream.write_all(&act1).await.map_err(broken)?;
    let mut act2 = [0; ACT2_LEN];
    stream.read_exact(&mut act2).await.map_err(broken)?;
    let leeway = u32::try_from(leeway.as_secs()).unwrap_or(u32::MAX);
    let transport = initiator
        .finish(&act2, u64::from(crate::unix_time()), leeway)
        .map_err(|e| DialError::Handshake(e.to_string()))?;
    let proof = transport.peer().authenticated();
    let certificate_until = proof.map(|p| p.certificate().not_valid_after);
    let (sealer, opener) = transport.split();
    let (input, output) = (BytesMut::new(), BytesMut::new());
    Ok(Link { stream, sealer, opener, input, output, certificate_until })
}

impl Link {
    /// End of the certificate that proved who the other side is, Unix seconds; `None`: nobody vouches for it.
    #[must_use]
    pub fn certificate_until(&self) -> Option<u32> {
        self.certificate_until
    }

    /// Encrypts whole frames and queues them; they go out with [`Link::flush`].
    ///
    /// # Errors
    /// A frame that is none, or the link's last number was used.
    pub fn send(&mut self, frames: &mut BytesMut) -> Result<(), LinkError> {
        Ok(self.sealer.seal(frames, &mut self.output)?)
    }

    /// Bytes that wait to be written.
    #[must_use]
    pub fn outbox(&self) -> usize {
        self.output.len()
    }

    /// Writes as much as the socket takes, without waiting.
    ///
    /// # Errors
    /// The link has ended.
    pub fn flush(&mut self) -> Result<(), LinkError> {
        while !self.output.is_empty() {
            match self.stream.try_write(&self.output) {
                Ok(0) => return Err(LinkError::Closed),
                Ok(n) => self.output.advance(n),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    /// Waits until there may be something to read, or (if there is something to write) room to write.
    ///
    /// # Errors
    /// The link has ended.
    pub async fn ready(&self) -> Result<(), LinkError> {
        let interest = if self.output.is_empty() {
            tokio::io::Interest::READABLE
        } else {
            tokio::io::Interest::READABLE | tokio::io::Interest::WRITABLE
        };
        self.stream.ready(interest).await?;
        Ok(())
    }

    /// Reads what has come, without waiting. True: there may be more.
    ///
    /// # Errors
    /// The link has ended.
    pub fn read(&mut self) -> Result<bool, LinkError> {
        // The buffer follows what was received, never what a header declares.
        self.input.reserve(READ_AT_ONCE.min(self.opener.missing(self.input.len()).max(4096)));
        match self.stream.try_read_buf(&mut self.input) {
            Ok(0) => Err(LinkError::Closed),
            Ok(_) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    /// The next frame that is complete.
    ///
    /// # Errors
    /// It cannot be decrypted, or its payload is longer than `max_payload`.
    pub fn frame(&mut self, max_payload: usize) -> Result<Option<OpenedFrame>, LinkError> {
        Ok(self.opener.open(&mut self.input, max_payload)?)
    }
}
