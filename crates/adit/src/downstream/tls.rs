//! TLS around a miner's lines (RFC 8446, and 5246 for older firmware).
//!
//! Like a miner's state machine it opens no socket: bytes in, bytes out. An idle session holds its keys and no buffer.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};
use thiserror::Error;

/// The longest record (RFC 5246 6.2.3; RFC 8446 allows less).
const RECORD_MAX: usize = 5 + (1 << 14) + 2_048;
/// Room that a record needs besides its text, whatever the cipher.
const RECORD_OVERHEAD: usize = 64;
/// Text that fits into one record.
const FRAGMENT: usize = 1 << 14;

/// Why a session is over.
#[derive(Debug, Error)]
pub(super) enum TlsError {
    /// What came is not TLS as it should be.
    #[error("{0}")]
    Protocol(#[from] rustls::Error),
    /// A record that is longer than any may be.
    #[error("a record of more than {RECORD_MAX} bytes")]
    RecordTooLong,
    /// Nothing may be sent: the handshake is not done, or the keys are used up.
    #[error("nothing can be sent")]
    CannotSend,
}

/// A session with one miner.
pub(super) struct TlsSession {
    connection: UnbufferedServerConnection,
    /// A record that has not come whole; empty and without memory for nearly every miner nearly always.
    incoming: Vec<u8>,
    /// When the handshake must be done.
    handshake_until: Duration,
    established: bool,
    over: bool,
}

impl TlsSession {
    /// At its beginning.
    pub(super) fn new(config: Arc<ServerConfig>, handshake_until: Duration) -> Result<Self, TlsError> {
        let connection = UnbufferedServerConnection::new(config)?;
        Ok(Self { connection, incoming: Vec::new(), handshake_until, established: false, over: false })
    }

    /// When the handshake must be done; nothing once it is.
    pub(super) fn deadline(&self) -> Option<Duration> {
        (!self.established).then_some(self.handshake_until)
    }

    /// The miner has said that it sends no more.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Takes what came: text goes to `text`, what is to be sent for it to `wire`, also after an error.
    pub(super) fn read(
        &mut self,
        bytes: &mut [u8],
        text: &mut Vec<u8>,
        wire: &mut Vec<u8>,
    ) -> Result<(), TlsError> {
        if self.incoming.is_empty() {
            let used = self.advance(bytes, text, wire, &[])?;
            if used < bytes.len() {
                self.incoming = bytes[used..].to_vec();
            }
        } else {
            let mut incoming = std::mem::take(&mut self.incoming);
            incoming.extend_from_slice(bytes);
            let used = self.advance(&mut incoming, text, wire, &[])?;
            if used < incoming.len() {
                incoming.drain(..used);
                self.incoming = incoming;
            }
        }
        if self.incoming.len() > RECORD_MAX { Err(TlsError::RecordTooLong) } else { Ok(()) }
    }

    /// Puts text into records.
    pub(super) fn write(&mut self, text: &[u8], wire: &mut Vec<u8>) -> Result<(), TlsError> {
        if !self.established {
            return Err(TlsError::CannotSend);
        }
        let mut incoming = std::mem::take(&mut self.incoming);
        // All text that has come was taken when it came.
        let used = self.advance(&mut incoming, &mut Vec::new(), wire, text)?;
        if used < incoming.len() {
            incoming.drain(..used);
            self.incoming = incoming;
        }
        Ok(())
    }

    /// Says that nothing more is sent.
    pub(super) fn close(&mut self, wire: &mut Vec<u8>) {
        if let Ok(ConnectionState::WriteTraffic(mut traffic)) =
            self.connection.process_tls_records(&mut []).state
        {
            // Without it the miner only sees the connection's end.
            let _ = fill(wire, RECORD_OVERHEAD, |out| traffic.queue_close_notify(out));
        }
    }

    /// Goes on with the records in `input` as far as they have come, and sends `text` when nothing else is to be
    /// done. How many bytes of the input are done with.
    fn advance(
        &mut self,
        input: &mut [u8],
        text_in: &mut Vec<u8>,
        wire: &mut Vec<u8>,
        text_out: &[u8],
    ) -> Result<usize, TlsError> {
        let mut used = 0;
        loop {
            let UnbufferedStatus { mut discard, state } =
                self.connection.process_tls_records(&mut input[used..]);
            let more = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard += record.discard;
                        text_in.extend_from_slice(record.payload);
                    }
                    true
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    fill(wire, RECORD_OVERHEAD, |out| data.encode(out))?;
                    true
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    true
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.over = true;
                    true
                }
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    self.established = true;
                    if !text_out.is_empty() {
                        let records = text_out.len() / FRAGMENT + 1;
                        fill(wire, text_out.len() + records * RECORD_OVERHEAD, |out| {
                            traffic.encrypt(text_out, out)
                        })?;
                    }
                    false
                }
                Ok(ConnectionState::BlockedHandshake | ConnectionState::Closed) => false,
                // Nothing else comes: there is no early data where no tickets are given.
                Ok(_) => return Err(TlsError::CannotSend),
                Err(error) => {
                    say_what_is_wrong(&mut self.connection, wire);
                    return Err(error.into());
                }
            };
            used += discard;
            if !more {
                // What follows the end means nothing.
                return Ok(if self.over { input.len() } else { used });
            }
        }
    }
}

/// The alert that goes with an error.
fn say_what_is_wrong(connection: &mut UnbufferedServerConnection, wire: &mut Vec<u8>) {
    loop {
        match connection.process_tls_records(&mut []).state {
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                if fill(wire, RECORD_OVERHEAD, |out| data.encode(out)).is_err() {
                    return;
                }
            }
            Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
            _ => return,
        }
    }
}

/// An encoder's complaint that there is too little room; nothing where it is another one.
trait Complaint {
    fn room_needed(&self) -> Option<usize>;
}

impl Complaint for EncodeError {
    fn room_needed(&self) -> Option<usize> {
        match self {
            Self::InsufficientSize(InsufficientSizeError { required_size }) => Some(*required_size),
            Self::AlreadyEncoded => None,
        }
    }
}

impl Complaint for EncryptError {
    fn room_needed(&self) -> Option<usize> {
        match self {
            Self::InsufficientSize(InsufficientSizeError { required_size }) => Some(*required_size),
            Self::EncryptExhausted => None,
        }
    }
}

/// Lets something be written behind what stands in `wire`: at first into so much room, then into as much as it asks for.
fn fill<E: Complaint>(
    wire: &mut Vec<u8>,
    mut room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, E>,
) -> Result<(), TlsError> {
    let begin = wire.len();
    loop {
        wire.resize(begin + room, 0);
        match write(&mut wire[begin..]).map_err(|complaint| complaint.room_needed()) {
            Ok(written) => {
                wire.truncate(begin + written);
                return Ok(());
            }
            Err(Some(needed)) if needed > room => room = needed,
            Err(_) => {
                wire.truncate(begin);
                return Err(TlsError::CannotSend);
            }
        }
    }
}
