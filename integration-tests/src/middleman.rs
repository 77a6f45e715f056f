//! A middleman with a key of his own: he ends Noise on both sides, and a rule of the test decides what becomes of each
//! frame. So a real pool can fall silent at any step, lie, and prove itself with any certificate.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use noise::{
    ACT1_LEN, ACT2_LEN, AuthorityPublicKey, AuthoritySecretKey, Certificate, DEFAULT_LEEWAY_S, Initiator,
    Opener, Responder, Sealer, StaticKeypair,
};

pub use crate::fault_pipe::Way;

/// The longest payload that is passed on.
const MAX_PAYLOAD: usize = 0xff_ffff;

/// A frame in the clear.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Extension type and channel bit, message type, length, as they stand on the wire.
    pub header: [u8; 6],
    /// The payload, with TLVs behind it.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The message type of a frame that belongs to no extension.
    #[must_use]
    pub fn message(&self) -> Option<u8> {
        let extension = u16::from_le_bytes([self.header[0], self.header[1]]) & 0x7fff;
        (extension == 0).then_some(self.header[2])
    }

    /// It belongs to this extension.
    #[must_use]
    pub fn is_of_extension(&self, extension: u16) -> bool {
        u16::from_le_bytes([self.header[0], self.header[1]]) & 0x7fff == extension
    }
}

/// What becomes of a frame: the frames that go on in its place.
pub type Rule = Box<dyn FnMut(Way, Frame) -> Vec<Frame> + Send>;

/// The certificate that Adit is shown, relative to now.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    /// Begin of its validity, seconds from now.
    pub from: i64,
    /// End of its validity, seconds from now.
    pub until: i64,
    /// Signed by another authority than the URL names.
    pub by_another_authority: bool,
}

impl Default for Offer {
    fn default() -> Self {
        Self { from: 0, until: 3_600, by_another_authority: false }
    }
}

/// A middleman in front of a pool, on a free loopback port.
#[derive(Debug)]
pub struct Middleman {
    port: u16,
    key: AuthorityPublicKey,
    shared: Arc<Shared>,
}

struct Shared {
    pool: u16,
    pool_key: AuthorityPublicKey,
    authority: AuthoritySecretKey,
    offer: Offer,
    rule: Mutex<Rule>,
    accepted: Mutex<Vec<Instant>>,
    bytes_up: AtomicU64,
    over: AtomicBool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("pool", &self.pool).field("offer", &self.offer).finish_non_exhaustive()
    }
}

impl Middleman {
    /// Starts a middleman in front of the pool at `url`.
    ///
    /// # Panics
    /// When no port can be had, or the URL is none with a port and a key.
    #[must_use]
    pub fn start(url: &str, offer: Offer, rule: Rule) -> Self {
        Self::start_as(new_authority(), url, offer, rule)
    }

    /// The same with this authority key: the pool's own one makes him invisible.
    ///
    /// # Panics
    /// As [`Middleman::start`].
    #[must_use]
    pub fn start_as(authority: AuthoritySecretKey, url: &str, offer: Offer, rule: Rule) -> Self {
        let pool: noise::PoolUrl = url.parse().expect("a pool's URL");
        let key = authority.public();
        let shared = Arc::new(Shared {
            pool: pool.port(),
            pool_key: *pool.authority().expect("with a key"),
            authority,
            offer,
            rule: Mutex::new(rule),
            accepted: Mutex::default(),
            bytes_up: AtomicU64::new(0),
            over: AtomicBool::new(false),
        });
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let port = socket.local_addr().expect("a bound socket has an address").port();
        let own = Arc::clone(&shared);
        std::thread::spawn(move || {
            for near in socket.incoming().map_while(Result::ok) {
                if own.over.load(SeqCst) {
                    break;
                }
                own.accepted.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
                let own = Arc::clone(&own);
                // A connection that fails ends; what it should have shown is then missing in the test.
                std::thread::spawn(move || drop(serve(near, &own)));
            }
        });
        Self { port, key, shared }
    }

    /// How Adit is told to reach the pool by way of the middleman.
    #[must_use]
    pub fn url(&self) -> String {
        format!("stratum2+tcp://127.0.0.1:{}/{}", self.port, self.key)
    }

    /// Where he listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// When connections were made.
    #[must_use]
    pub fn connections(&self) -> Vec<Instant> {
        self.shared.accepted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Encrypted bytes that came from Adit after the handshakes of all connections.
    #[must_use]
    pub fn bytes_up(&self) -> u64 {
        self.shared.bytes_up.load(SeqCst)
    }
}

impl Drop for Middleman {
    fn drop(&mut self) {
        self.shared.over.store(true, SeqCst);
        // Wakes the thread that accepts, which then ends.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

/// A new authority key.
///
/// # Panics
/// Never: nearly every 32 bytes are a key.
#[must_use]
pub fn new_authority() -> AuthoritySecretKey {
    let keys = std::iter::repeat_with(|| AuthoritySecretKey::from_bytes(rand::random()).ok());
    keys.flatten().next().expect("nearly every 32 bytes are a key")
}

fn serve(mut near: TcpStream, shared: &Arc<Shared>) -> std::io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    // The pool's side first: where there is no pool, Adit shall not find one.
    let mut far = TcpStream::connect((Ipv4Addr::LOCALHOST, shared.pool))?;
    let (initiator, act1) = Initiator::new(Some(shared.pool_key), rand::random());
    far.write_all(&act1)?;
    let mut act2 = [0; ACT2_LEN];
    far.read_exact(&mut act2)?;
    let up = initiator.finish(&act2, now, DEFAULT_LEEWAY_S).map_err(std::io::Error::other)?;

    let mut act1 = [0; ACT1_LEN];
    near.read_exact(&mut act1)?;
    let static_key = StaticKeypair::from_secret_bytes(rand::random()).map_err(std::io::Error::other)?;
    let at = |offset: i64| u32::try_from(now.saturating_add_signed(offset)).unwrap_or(u32::MAX);
    let Offer { from, until, by_another_authority } = shared.offer;
    let another = by_another_authority.then(new_authority);
    let authority = another.as_ref().unwrap_or(&shared.authority);
    let certificate = Certificate::issue(authority, &static_key, at(from), at(until), rand::random());
    let responder = Responder::new(&static_key, certificate, rand::random());
    let (act2, down) = responder.respond(&act1).map_err(std::io::Error::other)?;
    near.write_all(&act2)?;

    let ((up_sealer, up_opener), (down_sealer, down_opener)) = (up.split(), down.split());
    let (near_too, far_too) = (near.try_clone()?, far.try_clone()?);
    let own = Arc::clone(shared);
    std::thread::spawn(move || pass(Way::Down, (far_too, up_opener), (near_too, down_sealer), &own));
    pass(Way::Up, (near, down_opener), (far, up_sealer), shared);
    Ok(())
}

fn pass(way: Way, from: (TcpStream, Opener), to: (TcpStream, Sealer), shared: &Shared) {
    let ((mut from, mut opener), (mut to, mut sealer)) = (from, to);
    let _ = to.set_nodelay(true);
    let mut input = BytesMut::new();
    let mut chunk = vec![0; 64 * 1024];
    'link: while let Ok(read @ 1..) = from.read(&mut chunk) {
        if way == Way::Up {
            shared.bytes_up.fetch_add(read as u64, SeqCst);
        }
        input.extend_from_slice(&chunk[..read]);
        let (mut plain, mut sealed) = (BytesMut::new(), BytesMut::new());
        loop {
            match opener.open(&mut input, MAX_PAYLOAD) {
                Ok(Some(frame)) => {
                    let frame = Frame { header: frame.header, payload: frame.payload.to_vec() };
                    let passed = shared.rule.lock().unwrap_or_else(PoisonError::into_inner)(way, frame);
                    for frame in passed {
                        plain.extend_from_slice(&frame.header);
                        plain.extend_from_slice(&frame.payload);
                    }
                }
                Ok(None) => break,
                Err(_) => break 'link,
            }
        }
        let sent = sealer.seal(&mut plain, &mut sealed).is_ok() && to.write_all(&sealed).is_ok();
        if !sent {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
