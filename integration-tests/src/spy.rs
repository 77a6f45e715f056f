//! A relay that ends Noise on both sides and keeps every frame that goes up: shows what reaches the pool where
//! the pool itself does not say.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use noise::{
    ACT1_LEN, ACT2_LEN, AuthorityPublicKey, AuthoritySecretKey, Certificate, DEFAULT_LEEWAY_S, Initiator,
    Opener, Responder, Sealer, StaticKeypair,
};

/// The longest payload that is passed on.
const MAX_PAYLOAD: usize = 0xff_ffff;
/// `SubmitSharesExtended`.
const SUBMIT_SHARES_EXTENDED: u8 = 0x1b;
/// Bytes of `SubmitSharesExtended` before its extranonce: six U32.
const BEFORE_EXTRANONCE: usize = 24;

/// A frame as it went up.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Its message type.
    pub message: u8,
    /// Its payload with its TLVs.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The worker name (extension 0x0002, field 0x01) behind a `SubmitSharesExtended`, laid out as `pool_sv2`
    /// reads it: type U16, field U8, length U16, all little-endian.
    #[must_use]
    pub fn worker_name(&self) -> Option<String> {
        if self.message != SUBMIT_SHARES_EXTENDED {
            return None;
        }
        let extranonce = usize::from(*self.payload.get(BEFORE_EXTRANONCE)?);
        let tlv = self.payload.get(BEFORE_EXTRANONCE + 1 + extranonce..)?;
        let (head, name) = tlv.split_at_checked(5)?;
        let length = usize::from(u16::from_le_bytes([head[3], head[4]]));
        (head[..3] == [2, 0, 1] && name.len() == length).then(|| String::from_utf8_lossy(name).into_owned())
    }

    /// It is a `SubmitSharesExtended`.
    #[must_use]
    pub fn is_share(&self) -> bool {
        self.message == SUBMIT_SHARES_EXTENDED
    }
}

/// A spy in front of a pool. It has an authority key of its own, for the proxy to be told.
#[derive(Debug)]
pub struct Spy {
    port: u16,
    key: AuthorityPublicKey,
    upward: Arc<Mutex<Vec<Frame>>>,
}

impl Spy {
    /// Starts a spy in front of the pool on `port` that has the authority key `key`.
    ///
    /// # Panics
    /// When no port can be had, or `key` is none.
    #[must_use]
    pub fn start(port: u16, key: &str) -> Self {
        let pool_key: AuthorityPublicKey = key.parse().expect("the pool's key is one");
        let authority = std::iter::repeat_with(|| AuthoritySecretKey::from_bytes(rand::random()).ok());
        let authority = authority.flatten().next().expect("nearly every 32 bytes are a key");
        let own_key = authority.public();
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let own_port = socket.local_addr().expect("a bound socket has an address").port();
        let upward = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&upward);
        std::thread::spawn(move || {
            for near in socket.incoming().map_while(Result::ok) {
                if Arc::strong_count(&record) == 1 {
                    break;
                }
                // A connection that fails ends; what it should have shown is then missing in the test.
                let _ = connect(near, port, pool_key, &authority, &record);
            }
        });
        Self { port: own_port, key: own_key, upward }
    }

    /// How Adit is told to reach the pool by way of the spy.
    #[must_use]
    pub fn url(&self) -> String {
        format!("stratum2+tcp://127.0.0.1:{}/{}", self.port, self.key)
    }

    /// Every frame that went up so far.
    #[must_use]
    pub fn upward(&self) -> Vec<Frame> {
        self.upward.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn connect(
    mut near: TcpStream,
    port: u16,
    pool_key: AuthorityPublicKey,
    authority: &AuthoritySecretKey,
    record: &Arc<Mutex<Vec<Frame>>>,
) -> std::io::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    // The pool's side first: where there is no pool, the proxy shall not find one.
    let mut far = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    let (initiator, act1) = Initiator::new(Some(pool_key), rand::random());
    far.write_all(&act1)?;
    let mut act2 = [0; ACT2_LEN];
    far.read_exact(&mut act2)?;
    let up = initiator.finish(&act2, now, DEFAULT_LEEWAY_S).map_err(std::io::Error::other)?;

    let mut act1 = [0; ACT1_LEN];
    near.read_exact(&mut act1)?;
    let static_key = StaticKeypair::from_secret_bytes(rand::random()).map_err(std::io::Error::other)?;
    let from = u32::try_from(now).unwrap_or(u32::MAX);
    let certificate =
        Certificate::issue(authority, &static_key, from, from.saturating_add(3_600), rand::random());
    let responder = Responder::new(&static_key, certificate, rand::random());
    let (act2, down) = responder.respond(&act1).map_err(std::io::Error::other)?;
    near.write_all(&act2)?;

    let ((up_sealer, up_opener), (down_sealer, down_opener)) = (up.split(), down.split());
    let (near_too, far_too) = (near.try_clone()?, far.try_clone()?);
    let record = Arc::clone(record);
    std::thread::spawn(move || pass((near, down_opener), (far, up_sealer), Some(&record)));
    std::thread::spawn(move || pass((far_too, up_opener), (near_too, down_sealer), None));
    Ok(())
}

fn pass(from: (TcpStream, Opener), to: (TcpStream, Sealer), record: Option<&Mutex<Vec<Frame>>>) {
    let ((mut from, mut opener), (mut to, mut sealer)) = (from, to);
    let _ = to.set_nodelay(true);
    let mut input = BytesMut::new();
    let mut chunk = vec![0; 64 * 1024];
    'link: while let Ok(read @ 1..) = from.read(&mut chunk) {
        input.extend_from_slice(&chunk[..read]);
        let (mut plain, mut sealed) = (BytesMut::new(), BytesMut::new());
        loop {
            match opener.open(&mut input, MAX_PAYLOAD) {
                Ok(Some(frame)) => {
                    if let Some(record) = record {
                        let frame = Frame { message: frame.header[2], payload: frame.payload.to_vec() };
                        record.lock().unwrap_or_else(PoisonError::into_inner).push(frame);
                    }
                    plain.extend_from_slice(&frame.header);
                    plain.extend_from_slice(&frame.payload);
                }
                Ok(None) => break,
                Err(_) => break 'link,
            }
        }
        if sealer.seal(&mut plain, &mut sealed).is_err() || to.write_all(&sealed).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
