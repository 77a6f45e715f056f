//! A bare SV2 client: Noise, frames in, frames out, and nothing else. For tests and benches of SV2 servers.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use noise::{
    ACT2_LEN, AuthorityPublicKey, DEFAULT_LEEWAY_S, HandshakeError, Initiator, OpenError, Opener, SealError,
    Sealer,
};
use sv2::{FrameHeader, Message, write_frame};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Largest payload that is taken.
const MAX_PAYLOAD: usize = 1 << 20;

/// Why a client cannot go on.
#[derive(Debug, Error)]
pub enum Sv2ClientError {
    /// The socket failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The server closed the connection.
    #[error("closed by the server")]
    Closed,
    /// The handshake failed.
    #[error("{0}")]
    Handshake(#[from] HandshakeError),
    /// What arrived cannot be decrypted.
    #[error("{0}")]
    Open(#[from] OpenError),
    /// What was to be sent cannot be encrypted.
    #[error("{0}")]
    Seal(#[from] SealError),
}

/// A connection to an SV2 server.
#[derive(Debug)]
pub struct Sv2Client {
    /// Frames that wait for [`Sv2Client::flush`]; whole frames may be appended directly.
    pub plain: BytesMut,
    stream: TcpStream,
    sealer: Sealer,
    opener: Opener,
    input: BytesMut,
    sealed: BytesMut,
}

impl Sv2Client {
    /// Dials and shakes hands. Without an authority's key anybody will do.
    ///
    /// # Errors
    /// When the server cannot be reached or is not who it should be.
    pub async fn connect(
        address: SocketAddr,
        authority: impl Into<Option<AuthorityPublicKey>>,
    ) -> Result<Sv2Client, Sv2ClientError> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (initiator, act1) = Initiator::new(authority.into(), rand::random());
        stream.write_all(&act1).await?;
        let mut act2 = [0; ACT2_LEN];
        stream.read_exact(&mut act2).await?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let (sealer, opener) = initiator.finish(&act2, now, DEFAULT_LEEWAY_S)?.split();
        Ok(Sv2Client {
            plain: BytesMut::new(),
            stream,
            sealer,
            opener,
            input: BytesMut::new(),
            sealed: BytesMut::new(),
        })
    }

    /// Puts a message in line.
    pub fn queue<'a, M: Message<'a>>(&mut self, message: &M) {
        write_frame(message, &mut self.plain);
    }

    /// Sends what is in line.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn flush(&mut self) -> Result<(), Sv2ClientError> {
        self.sealer.seal(&mut self.plain, &mut self.sealed)?;
        self.stream.write_all(&self.sealed).await?;
        self.sealed.clear();
        Ok(())
    }

    /// Sends bytes as they are, not encrypted: nothing that comes after them can be read.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send_raw(&mut self, bytes: &[u8]) -> Result<(), Sv2ClientError> {
        Ok(self.stream.write_all(bytes).await?)
    }

    /// Sends one message.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send<'a, M: Message<'a>>(&mut self, message: &M) -> Result<(), Sv2ClientError> {
        self.queue(message);
        self.flush().await
    }

    /// The next frame: its header and its payload. Cancelling loses nothing.
    ///
    /// # Errors
    /// When the connection is gone or what arrives is not authentic.
    pub async fn recv(&mut self) -> Result<(FrameHeader, BytesMut), Sv2ClientError> {
        loop {
            if let Some(frame) = self.opener.open(&mut self.input, MAX_PAYLOAD)? {
                return Ok((FrameHeader::parse(&frame.header), frame.payload));
            }
            self.input.reserve(16 * 1_024);
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(Sv2ClientError::Closed);
            }
        }
    }
}
