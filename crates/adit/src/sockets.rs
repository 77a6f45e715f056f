//! Sockets as Adit opens them, and the options that every connection has.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Keep-alive probes begin after this long without traffic.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(10);
/// And come this often.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
/// A peer that acknowledges nothing for this long is gone (half-open connections are found within 30 s).
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);

/// Connections that the system keeps until they are accepted (it may allow fewer: `net.core.somaxconn`). When a farm
/// comes back at once, each that finds no place there loses a second before it tries again.
const BACKLOG: u32 = 4_096;

/// Bytes that the system keeps for a peer that has not read them, and as much again for its own books. Jobs of minutes
/// fit. By default it grows to some megabytes for each, which nobody counts, and Adit would hear too late that
/// somebody does not read.
const SEND_BUFFER: u32 = 64 * 1024;

/// Opens a port.
///
/// # Errors
/// The system's: the address is not this machine's, or the port is taken.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // On Windows this would let another program take the port too.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    // Every connection that comes has it from here.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// No delay (without it a share waits 40 ms around each notify), keep-alive, and an end to half-open
/// connections.
///
/// # Errors
/// The system's, when the socket is already broken.
pub(crate) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive =
        TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY).with_retries(3);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_byte_waits_for_another_and_no_dead_peer_stays() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        prepare(&stream).unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_AFTER);
        #[cfg(any(target_os = "linux", target_os = "android"))]
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(UNACKNOWLEDGED));
    }

    #[tokio::test]
    async fn the_system_keeps_little_for_a_peer_that_does_not_read() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        // Linux says twice what it was told: its own books are in it.
        assert!(SockRef::from(&stream).send_buffer_size().unwrap() <= 2 * SEND_BUFFER as usize);
        drop(peer);
    }
}
