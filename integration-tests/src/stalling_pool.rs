//! A pool that shakes hands with everyone, and when it is told to sends each the header of a frame and no more.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use noise::{ACT1_LEN, AuthoritySecretKey, Certificate, Responder, Sealer, StaticKeypair};
use socket2::{Domain, Socket, Type};

use crate::middleman;

/// Connections that may wait to be taken.
const BACKLOG: i32 = 4_096;

/// A pool on a free loopback port. It ends with the next connection after it was dropped.
#[derive(Debug)]
pub struct StallingPool {
    port: u16,
    authority: AuthoritySecretKey,
    links: Arc<Mutex<Vec<Stalled>>>,
}

struct Stalled {
    stream: TcpStream,
    sealer: Sealer,
}

impl std::fmt::Debug for Stalled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stalled").field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl StallingPool {
    /// Starts it.
    ///
    /// # Panics
    /// When no port can be had.
    #[must_use]
    pub fn start() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be had");
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("loopback has a free port");
        socket.listen(BACKLOG).expect("a bound socket listens");
        let listener = TcpListener::from(socket);
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let authority = middleman::new_authority();
        let links = Arc::new(Mutex::new(Vec::new()));
        let (own, key) = (Arc::clone(&links), authority.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if Arc::strong_count(&own) == 1 {
                    break;
                }
                // Who leaves during the handshake is not stalled.
                if let Ok(stalled) = shake_hands(stream, &key) {
                    own.lock().unwrap_or_else(PoisonError::into_inner).push(stalled);
                }
            }
        });
        Self { port, authority, links }
    }

    /// How Adit is told to reach it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("stratum2+tcp://127.0.0.1:{}/{}", self.port, self.authority.public())
    }

    /// Handshakes done.
    #[must_use]
    pub fn links(&self) -> usize {
        self.links.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Sends everyone the header of a frame that declares so many bytes, and none of them. Gives how many took it.
    ///
    /// # Panics
    /// When a header cannot be encrypted.
    pub fn send_headers(&self, declared: u32) -> usize {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = links.iter_mut().filter_map(|link| {
            // The sealer takes whole frames; what is sent of it is the encrypted header alone.
            let length = declared.to_le_bytes();
            let mut frame = BytesMut::from(&[0, 0, 0x01, length[0], length[1], length[2]][..]);
            frame.resize(frame.len() + declared as usize, 0);
            let mut sealed = BytesMut::new();
            link.sealer.seal(&mut frame, &mut sealed).expect("a whole frame");
            link.stream.write_all(&sealed[..SEALED_HEADER]).ok()
        });
        sent.count()
    }
}

/// Bytes of an encrypted frame header: six and a MAC.
const SEALED_HEADER: usize = 6 + 16;

fn shake_hands(mut stream: TcpStream, authority: &AuthoritySecretKey) -> std::io::Result<Stalled> {
    let mut act1 = [0; ACT1_LEN];
    stream.read_exact(&mut act1)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let now = u32::try_from(now).unwrap_or(u32::MAX);
    let server = StaticKeypair::from_secret_bytes(rand::random()).map_err(std::io::Error::other)?;
    let certificate = Certificate::issue(authority, &server, now, now.saturating_add(3_600), rand::random());
    let (act2, transport) =
        Responder::new(&server, certificate, rand::random()).respond(&act1).map_err(std::io::Error::other)?;
    stream.write_all(&act2)?;
    Ok(Stalled { stream, sealer: transport.split().0 })
}
