//! Ports as Adit opens them. The options that every connection has are [`link::prepare`]'s.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

/// Connections that the system keeps until they are accepted (it may allow fewer: `net.core.somaxconn`). When a farm
/// comes back at once, each that finds no place there loses a second before it tries again.
const BACKLOG: u16 = 4_096;

/// Bytes that the system keeps for a peer that has not read them, and as much again for its own books. Jobs of minutes
/// fit. By default it grows to some megabytes for each, which nobody counts, and Adit would hear too late that
/// somebody does not read.
const SEND_BUFFER: u32 = 64 * 1024;

/// Opens a port. With `share` other processes of the same user may open it, too, and the system spreads connections over
/// them.
///
/// # Errors
/// The system's: the address is not this machine's, or the port is taken.
pub(crate) fn listen(address: SocketAddr, share: bool) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // On Windows this would let another program take the port too.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    #[cfg(all(unix, not(target_os = "solaris"), not(target_os = "illumos"), not(target_os = "cygwin")))]
    socket.set_reuseport(share)?;
    // Every connection that comes has it from here.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    socket.listen(u32::from(BACKLOG))
}

/// Takes a port that is open already, as if it had been opened here.
///
/// # Errors
/// The system's.
pub(crate) fn take(socket: std::net::TcpListener) -> io::Result<TcpListener> {
    socket.set_nonblocking(true)?;
    let options = socket2::SockRef::from(&socket);
    options.set_send_buffer_size(SEND_BUFFER as usize)?;
    // Once more, for the length of the queue.
    options.listen(i32::from(BACKLOG))?;
    TcpListener::from_std(socket)
}

#[cfg(test)]
mod tests {
    use socket2::SockRef;
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn the_system_keeps_little_for_a_peer_that_does_not_read() {
        let listener = listen("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        // Linux says twice what it was told: its own books are in it.
        assert!(SockRef::from(&stream).send_buffer_size().unwrap() <= 2 * SEND_BUFFER as usize);
        drop(peer);
    }
}
