//! One connection through a pipe.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::{Lane, Orders, Shared, Way};

/// Bytes that are passed on together at most.
const PIECE: usize = 16 * 1024;
/// How often a thread that waits for its socket looks whether it shall end.
const LOOK: Duration = Duration::from_millis(5);

/// The two sockets of a connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) near: TcpStream,
    pub(super) far: TcpStream,
    ended: AtomicBool,
}

impl Link {
    pub(super) fn new(near: TcpStream, far: TcpStream) -> io::Result<Self> {
        for socket in [&near, &far] {
            socket.set_nodelay(true)?;
            socket.set_read_timeout(Some(LOOK))?;
            socket.set_write_timeout(Some(LOOK))?;
        }
        Ok(Self { near, far, ended: AtomicBool::new(false) })
    }

    /// Ends both sides; false if they had ended. A reset goes out when the last of the threads lets go of the sockets.
    pub(super) fn end(&self, reset: bool) -> bool {
        if self.ended.swap(true, SeqCst) {
            return false;
        }
        for socket in [&self.near, &self.far] {
            let _ = if reset {
                SockRef::from(socket).set_linger(Some(Duration::ZERO))
            } else {
                socket.shutdown(Shutdown::Both)
            };
        }
        true
    }

    pub(super) fn ended(&self) -> bool {
        self.ended.load(SeqCst)
    }

    /// Writes everything unless the connection ends before.
    fn write(&self, mut to: &TcpStream, mut bytes: &[u8], passed: &Lane) -> io::Result<()> {
        while !bytes.is_empty() && !self.ended() {
            match to.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => {
                    passed.passed.fetch_add(n as u64, SeqCst);
                    bytes = &bytes[n..];
                }
                Err(error) if is_pause(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// Passes on what comes one way, as ordered, until the connection ends.
pub(super) fn pass(shared: &Shared, link: &Link, way: Way) {
    let reset = pass_until_end(shared, link, way);
    let at = Instant::now();
    if link.end(reset) {
        shared.ended.lock().unwrap_or_else(PoisonError::into_inner).push(at);
    }
    // The sockets close, and a reset goes out, when nobody holds the link any more.
    shared.links().retain(|link| !link.ended());
}

/// True: it ended with a reset, and the other side is to be told as it happened.
fn pass_until_end(shared: &Shared, link: &Link, way: Way) -> bool {
    let (mut from, to) = match way {
        Way::Up => (&link.near, &link.far),
        Way::Down => (&link.far, &link.near),
    };
    let lane = shared.lane(way);
    let mut buffer = vec![0; PIECE];
    let mut kept_back: Option<Vec<u8>> = None;
    while !link.ended() {
        if lane.orders().hold {
            std::thread::sleep(LOOK);
            continue;
        }
        let piece = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => &mut buffer[..n],
            Err(error) if is_pause(&error) => continue,
            Err(_) => return true,
        };
        wait_until_released(lane, link);
        let orders = carry_out(lane, piece.len() as u64);
        if !orders.delay.is_zero() {
            wait_out(orders.delay, link);
        }
        if let Some(at) = orders.flip_after.and_then(|at| usize::try_from(at).ok()) {
            piece[at] ^= 1 << (shared.random() % 8);
        }
        if orders.reorder {
            kept_back = Some(piece.to_vec());
            continue;
        }
        let whole = orders.end_after.and_then(|at| usize::try_from(at).ok());
        let piece = &piece[..whole.unwrap_or(piece.len())];
        let times = if orders.replay { 2 } else { 1 };
        let pieces = std::iter::repeat_n(piece, times).chain(kept_back.as_deref());
        let mut written = Ok(());
        for piece in pieces {
            let step = if orders.single_bytes { 1 } else { PIECE };
            written =
                written.and_then(|()| piece.chunks(step).try_for_each(|part| link.write(to, part, lane)));
        }
        kept_back = None;
        if written.is_err() || whole.is_some() {
            break;
        }
    }
    false
}

/// Takes what has been ordered for a piece of so many bytes: orders for a moment that lies in it are done with.
/// Offsets are then those within the piece.
fn carry_out(lane: &Lane, length: u64) -> Orders {
    let mut orders = lane.orders();
    let mut now = *orders;
    let later = |at: Option<u64>| at.and_then(|at| at.checked_sub(length));
    orders.flip_after = later(orders.flip_after);
    orders.end_after = later(orders.end_after);
    now.flip_after = now.flip_after.filter(|at| *at < length);
    now.end_after = now.end_after.filter(|at| *at < length);
    orders.replay = false;
    orders.reorder = false;
    now
}

fn wait_until_released(lane: &Lane, link: &Link) {
    while lane.orders().hold && !link.ended() {
        std::thread::sleep(LOOK);
    }
}

fn wait_out(time: Duration, link: &Link) {
    let end = Instant::now() + time;
    while Instant::now() < end && !link.ended() {
        std::thread::sleep(LOOK.min(end.saturating_duration_since(Instant::now())));
    }
}
