//! Dialling from several loopback addresses: one has about 28,000 ports, and the kernel takes ever longer to find
//! a free one (with 14,000 taken, half a millisecond).

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

/// Loopback addresses that are tried.
const MAX_SOURCES: u8 = 16;

/// Connections from one loopback address.
const PER_SOURCE: usize = 8_000;

/// Dials, and remembers which source address still has ports.
#[derive(Debug)]
pub(super) struct Dialler {
    server: SocketAddr,
    /// 0: the system chooses; n: 127.0.0.(n + 1).
    source: u8,
    /// Connections dialled from `source`, in all threads together.
    dialled: usize,
    /// Threads that dial at the same pace.
    threads: usize,
}

impl Dialler {
    pub(super) fn new(server: SocketAddr, threads: usize) -> Dialler {
        Dialler { server, source: 0, dialled: 0, threads }
    }

    /// Begins a connection; it is up when the socket becomes writable without an error.
    pub(super) fn dial(&mut self) -> io::Result<mio::net::TcpStream> {
        if self.dialled >= PER_SOURCE && self.has_another() {
            self.next_source();
        }
        loop {
            match self.try_dial() {
                Err(error) if out_of_ports(&error) && self.has_another() => self.next_source(),
                other => {
                    self.dialled += self.threads;
                    return other;
                }
            }
        }
    }

    fn has_another(&self) -> bool {
        matches!(self.server.ip(), IpAddr::V4(ip) if ip.is_loopback()) && self.source < MAX_SOURCES
    }

    fn next_source(&mut self) {
        self.source += 1;
        self.dialled = 0;
    }

    fn try_dial(&self) -> io::Result<mio::net::TcpStream> {
        let socket = Socket::new(Domain::for_address(self.server), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if self.source > 0 {
            let source = Ipv4Addr::new(127, 0, 0, self.source + 1);
            socket.bind(&SocketAddr::from((source, 0)).into())?;
        }
        match socket.connect(&self.server.into()) {
            Ok(()) => {}
            Err(error) if in_progress(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(mio::net::TcpStream::from_std(socket.into()))
    }
}

fn out_of_ports(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse)
}

fn in_progress(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
}
