//! A port that becomes another one while it is served.

use std::io;
use std::net::IpAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::server::Accept;

/// Moves that wait until the server takes them.
const MOVES: usize = 4;

/// A port for [`Server::serve_moving`](super::Server::serve_moving).
#[derive(Debug)]
pub struct MovingListener {
    current: TcpListener,
    next: mpsc::Receiver<std::net::TcpListener>,
}

/// Moves it. Connections over the port before stay until they end.
#[derive(Clone, Debug)]
pub struct Mover(mpsc::Sender<std::net::TcpListener>);

impl MovingListener {
    /// Begins with this one.
    #[must_use]
    pub fn new(socket: TcpListener, moves: Moves) -> Self {
        Self { current: socket, next: moves.0 }
    }
}

/// What a [`Mover`] sends.
#[derive(Debug)]
pub struct Moves(mpsc::Receiver<std::net::TcpListener>);

impl Mover {
    /// One, and where its moves come.
    #[must_use]
    pub fn new() -> (Self, Moves) {
        let (to, moves) = mpsc::channel(MOVES);
        (Self(to), Moves(moves))
    }

    /// From now on connections come here: a port that does not block. Whether anybody will serve it.
    #[must_use]
    pub fn move_to(&self, socket: std::net::TcpListener) -> bool {
        self.0.try_send(socket).is_ok()
    }
}

impl Accept for MovingListener {
    type Io = TcpStream;

    fn address(io: &TcpStream) -> Option<IpAddr> {
        TcpListener::address(io)
    }

    async fn accept(&mut self) -> io::Result<TcpStream> {
        loop {
            tokio::select! {
                biased;
                Some(next) = self.next.recv() => self.current = TcpListener::from_std(next)?,
                accepted = Accept::accept(&mut self.current) => return accepted,
            }
        }
    }
}
