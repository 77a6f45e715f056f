//! A connection to Adit that does not behave as a miner does.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// How long one write or read may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A bare connection.
#[derive(Debug)]
pub struct Stranger(TcpStream);

impl Stranger {
    /// Connects.
    ///
    /// # Panics
    /// When nobody listens.
    #[must_use]
    pub fn connect(port: u16) -> Self {
        Self::connect_with(port, None)
    }

    /// Connects, and lets the system take no more than about so many bytes that it does not read.
    ///
    /// # Panics
    /// When nobody listens.
    #[must_use]
    pub fn connect_with(port: u16, receive_buffer: Option<usize>) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be had");
        if let Some(bytes) = receive_buffer {
            socket.set_recv_buffer_size(bytes).expect("a socket takes a buffer's size");
        }
        socket
            .connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())
            .expect("adit takes connections");
        let stream = TcpStream::from(socket);
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket takes a timeout");
        Self(stream)
    }

    /// Sends bytes; false when Adit has closed the connection.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// Sends as much of these as Adit takes without waiting longer than this.
    pub fn send_for(&mut self, mut bytes: &[u8], time: Duration) -> usize {
        let (all, end) = (bytes.len(), Instant::now() + time);
        while !bytes.is_empty() && Instant::now() < end {
            let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.0.set_write_timeout(Some(left)).expect("a socket takes a timeout");
            match self.0.write(bytes) {
                Ok(n @ 1..) => bytes = &bytes[n..],
                _ => break,
            }
        }
        all - bytes.len()
    }

    /// Reads until Adit closes the connection; gives what came and how long that took.
    ///
    /// # Panics
    /// When it does not close it within a bound.
    pub fn read_to_end(&mut self) -> (Vec<u8>, Duration) {
        let (began, mut heard) = (Instant::now(), Vec::new());
        if let Err(error) = self.0.read_to_end(&mut heard) {
            // A close with bytes unread is a reset.
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "adit closes the connection");
        }
        (heard, began.elapsed())
    }

    /// Reads so many lines, or fewer if the connection ends before or nothing comes any more; gives how many.
    pub fn count_lines(&mut self, most: usize) -> usize {
        let (mut lines, mut buffer) = (0, vec![0; 64 * 1024]);
        while lines < most {
            match self.0.read(&mut buffer) {
                Ok(n @ 1..) => lines += buffer[..n].iter().filter(|byte| **byte == b'\n').count(),
                _ => break,
            }
        }
        lines
    }

    /// The same connection, to be read while it is written to.
    ///
    /// # Panics
    /// When the system has no file left.
    #[must_use]
    pub fn to_read(&self) -> Self {
        Self(self.0.try_clone().expect("a socket can be cloned"))
    }
}
