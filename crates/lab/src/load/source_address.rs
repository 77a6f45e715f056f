//! Dialling from several loopback addresses. One address has about 28,000 ports, those of the last run rest for a
//! minute, and the kernel takes ever longer to find a free one: with 14,000 taken, half a millisecond, and with the
//! run before still resting, two. So the generator names address and port itself; all of 127.0.0.0/8 is loopback.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections for which the system chooses.
const BY_SYSTEM: usize = 2_000;

/// Ports taken of an address that the generator chose.
const PORTS: std::ops::Range<u16> = 33_000..35_000;

/// Ports and addresses tried before a connection is given up.
const TRIES: usize = 100;

/// Dials, and remembers which source address still has ports.
#[derive(Debug)]
pub(super) struct Dialler {
    server: SocketAddr,
    /// The address that connections come from once the system has chosen often enough.
    address: Ipv4Addr,
    port: u16,
    /// Connections for which the system chose, in all threads together.
    by_system: usize,
    /// Threads that dial at the same pace.
    threads: usize,
}

impl Dialler {
    pub(super) fn new(server: SocketAddr, threads: usize) -> Dialler {
        let address = some_loopback_address();
        Dialler { server, address, port: PORTS.start, by_system: 0, threads }
    }

    /// Begins a connection; it is up when the socket becomes writable without an error.
    pub(super) fn dial(&mut self) -> io::Result<mio::net::TcpStream> {
        if !matches!(self.server.ip(), IpAddr::V4(ip) if ip.is_loopback()) {
            return self.dial_from(None);
        }
        if self.by_system < BY_SYSTEM {
            match self.dial_from(None) {
                Err(error) if out_of_ports(&error) => self.by_system = BY_SYSTEM,
                other => {
                    self.by_system += self.threads;
                    return other;
                }
            }
        }
        let mut tries = 0;
        loop {
            let source = self.next_source();
            tries += 1;
            match self.dial_from(Some(source)) {
                Err(error) if out_of_ports(&error) && tries < TRIES => {}
                other => return other,
            }
        }
    }

    fn next_source(&mut self) -> SocketAddr {
        if self.port == PORTS.end {
            (self.address, self.port) = (some_loopback_address(), PORTS.start);
        }
        let source = SocketAddr::from((self.address, self.port));
        self.port += 1;
        source
    }

    fn dial_from(&self, source: Option<SocketAddr>) -> io::Result<mio::net::TcpStream> {
        let socket = Socket::new(Domain::for_address(self.server), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if let Some(source) = source {
            socket.set_reuse_address(true)?;
            socket.bind(&source.into())?;
        }
        match socket.connect(&self.server.into()) {
            Ok(()) => {}
            Err(error) if in_progress(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(mio::net::TcpStream::from_std(socket.into()))
    }
}

/// Any address of 127.0.0.0/8 but those that servers use.
fn some_loopback_address() -> Ipv4Addr {
    let [a, b, c, _] = rand::random::<u32>().to_be_bytes();
    Ipv4Addr::new(127, a | 1, b, c | 1)
}

fn out_of_ports(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse)
}

fn in_progress(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
}
