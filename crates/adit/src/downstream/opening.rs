//! What happens between accept and a miner's state machine: it is found out what the miner speaks.
//!
//! The first bytes are looked at where the system keeps them and stay there: whoever serves the connection reads them
//! as if nobody had. So nothing is lost or copied, and a connection that says nothing yet, or too little, costs no
//! buffer.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use engine::miner::CloseReason;
use engine::{MinerRef, Now};
use rustix::net::RecvFlags;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::connection;
use super::context::ListenerContext;
use super::roster::Attached;
use super::spoken::{LOOKED_AT, Spoken, spoken};
use crate::config::Protocol;

/// A connection of which nothing has been read.
pub(super) struct Opened {
    /// Its socket, which others can close through the roster.
    pub(super) stream: Arc<Attached>,
    /// Its number.
    pub(super) me: MinerRef,
    /// Where it comes from.
    pub(super) address: SocketAddr,
    /// When it was accepted: the deadline for its set-up counts from here.
    pub(super) began: Now,
}

/// Serves a connection until one side has enough.
pub(super) async fn open(stream: TcpStream, address: SocketAddr, context: &ListenerContext) {
    context.figures.connected.fetch_add(1, Relaxed);
    let me = MinerRef(context.next_miner.fetch_add(1, Relaxed));
    let began = context.clock.now();
    let stream = context.roster.attach(stream, me, began.mono);
    let opened = Opened { stream, me, address, began };
    match what_it_speaks(&opened, context).await {
        Ok(Spoken::Sv1) => connection::serve(opened, context).await,
        Ok(other) => {
            let what = match other {
                Spoken::Tls => "TLS",
                _ => "neither Stratum V1 nor TLS; Stratum V2 is not served yet",
            };
            context.say_closed(address, CloseReason::WrongProtocol, what);
        }
        Err(None) => context.say_left(address),
        Err(Some(why)) => context.say_closed(address, why, "before it was known what it speaks"),
    }
    context.figures.connected.fetch_sub(1, Relaxed);
}

/// `Err`: the connection is over; Adit closes it, or else the miner has left.
async fn what_it_speaks(opened: &Opened, context: &ListenerContext) -> Result<Spoken, Option<CloseReason>> {
    if context.protocol == Protocol::Sv1 {
        return Ok(Spoken::Sv1);
    }
    let deadline = context.clock.instant(opened.began.mono + context.policy.setup_deadline);
    match tokio::time::timeout_at(deadline, decided(&opened.stream)).await {
        Ok(Some(spoken)) => Ok(spoken),
        // Closed from outside, or by the miner.
        Ok(None) => Err(opened.stream.why_closed()),
        Err(_) => Err(Some(CloseReason::SetupDeadline)),
    }
}

/// Waits until enough has come to decide; nothing when the connection ends before.
async fn decided(stream: &TcpStream) -> Option<Spoken> {
    loop {
        let ready = stream.ready(Interest::READABLE).await.ok()?;
        // Undecided counts as not ready: that waits for more than there was when it was looked at.
        match stream.try_io(Interest::READABLE, || look(stream)) {
            Ok(spoken) => return spoken,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !ready.is_read_closed() => {}
            Err(_) => return None,
        }
    }
}

/// Looks at what has come without taking it; nothing at the end of the input.
fn look(stream: &TcpStream) -> io::Result<Option<Spoken>> {
    let mut first = [0; LOOKED_AT];
    let (_, length) = rustix::net::recv(stream, &mut first, RecvFlags::PEEK)?;
    match (length, spoken(&first[..length.min(LOOKED_AT)])) {
        (0, _) => Ok(None),
        (_, Spoken::Undecided) => Err(io::ErrorKind::WouldBlock.into()),
        (_, spoken) => Ok(Some(spoken)),
    }
}
