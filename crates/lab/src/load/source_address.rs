//! Dialling from as many loopback addresses as it takes: one address has about 28,000 ports.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

/// Loopback addresses that are tried.
const MAX_SOURCES: u8 = 16;

/// Dials, and remembers which source address still has ports.
#[derive(Debug)]
pub(super) struct Dialler {
    server: SocketAddr,
    /// 0: the system chooses; n: 127.0.0.(n + 1).
    source: u8,
}

impl Dialler {
    pub(super) fn new(server: SocketAddr) -> Dialler {
        Dialler { server, source: 0 }
    }

    /// Begins a connection; it is up when the socket becomes writable without an error.
    pub(super) fn dial(&mut self) -> io::Result<mio::net::TcpStream> {
        loop {
            match self.try_dial() {
                Err(error) if self.out_of_ports(&error) => self.source += 1,
                other => return other,
            }
        }
    }

    fn out_of_ports(&self, error: &io::Error) -> bool {
        let no_port = matches!(
            error.kind(),
            io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse
        );
        no_port && matches!(self.server.ip(), IpAddr::V4(ip) if ip.is_loopback()) && self.source < MAX_SOURCES
    }

    fn try_dial(&self) -> io::Result<mio::net::TcpStream> {
        let socket = Socket::new(
            Domain::for_address(self.server),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
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

fn in_progress(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
}
