//! The Noise handshake, as the responder.

use std::io;

use noise::{ACT1_LEN, Responder, Transport};
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::identity::Sv2Identity;

/// Why there is no link.
#[derive(Debug)]
pub(super) enum Failed {
    /// The miner left.
    Left,
    /// What it sent is no first act.
    Handshake(noise::HandshakeError),
}

impl From<io::Error> for Failed {
    fn from(_: io::Error) -> Self {
        Self::Left
    }
}

/// Reads the first act and answers it. Nothing is read beyond it.
pub(super) async fn shake_hands(
    stream: &TcpStream,
    identity: &Sv2Identity,
    now: u32,
) -> Result<Transport, Failed> {
    let mut act1 = [0; ACT1_LEN];
    let mut got = 0;
    while got < ACT1_LEN {
        stream.ready(Interest::READABLE).await?;
        match stream.try_read(&mut act1[got..]) {
            Ok(0) => return Err(Failed::Left),
            Ok(n) => got += n,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e.into()),
        }
    }
    let responder = Responder::new(identity.server(), identity.certificate(now), rand::random());
    let (act2, transport) = responder.respond(&act1).map_err(Failed::Handshake)?;
    let mut rest = &act2[..];
    while !rest.is_empty() {
        stream.ready(Interest::WRITABLE).await?;
        match stream.try_write(rest) {
            Ok(n) => rest = &rest[n..],
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(transport)
}
