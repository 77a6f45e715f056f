//! What happens between accept and a miner's state machine: whose connection it is, and what it speaks.
//!
//! The first bytes are looked at where the system keeps them and stay there, but for a load balancer's PROXY header:
//! whoever serves the connection reads them as if nobody had. So nothing is lost or copied, and a connection that says
//! nothing yet, or too little, costs no buffer.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use engine::miner::CloseReason;
use engine::{MinerRef, Now};
use rustix::net::RecvFlags;
use tokio::io::Interest;
use tokio::net::TcpStream;

use super::admission::{Place, Refused};
use super::connection;
use super::context::ListenerContext;
use super::proxy_header::{PROXY_HEADER_MAX, ProxyHeaderError, proxy_header};
use super::roster::Attached;
use super::spoken::{LOOKED_AT, Spoken, spoken};
use super::sv2;
use super::tls::TlsSession;
use crate::config::Protocol;

/// A connection of which nothing of the miner's has been read.
pub(super) struct Opened {
    /// Its socket, which others can close through the roster.
    pub(super) stream: Arc<Attached>,
    /// Its number.
    pub(super) me: MinerRef,
    /// Where it comes from, as a load balancer says where one stands between.
    pub(super) address: SocketAddr,
    /// When it was accepted: the deadline for its set-up counts from here.
    pub(super) began: Now,
}

/// Why a connection ends before its protocol is known.
enum Over {
    /// The miner has left.
    Left,
    /// It may not come.
    Refused(Refused),
    /// Adit closes it; the text may say more than the reason.
    Close(CloseReason, String),
}

/// Serves a connection until one side has enough.
///
/// What is needed only until it is known what the miner speaks is gone from the task's memory afterwards, and each thing
/// stands there once: this is most of what an idle miner costs.
pub(super) fn open(
    stream: TcpStream,
    address: SocketAddr,
    mut place: Place,
    context: Arc<ListenerContext>,
) -> impl Future<Output = ()> {
    context.figures.connected.fetch_add(1, Relaxed);
    let me = MinerRef(context.next_miner.fetch_add(1, Relaxed));
    let began = context.clock.now();
    let stream = context.roster.attach(stream, me, (context.policy.id.0, began.mono));
    let mut opened = Opened { stream, me, address, began };
    async move {
        match begin(&mut opened, &mut place, &context).await {
            Some(Begun::Sv1(tls)) => connection::serve(&opened, tls, &context).await,
            Some(Begun::Sv2(transport)) => sv2::serve(&opened, *transport, &context).await,
            None => {}
        }
        context.figures.connected.fetch_sub(1, Relaxed);
        drop(place);
    }
}

/// What is served from here on.
enum Begun {
    /// Stratum V1, by TLS or as it is.
    Sv1(Option<Box<TlsSession>>),
    /// Stratum V2, with its link ready.
    Sv2(Box<noise::Transport>),
}

/// Finds out what a miner speaks and how; nothing when the connection is over before.
async fn begin(opened: &mut Opened, place: &mut Place, context: &ListenerContext) -> Option<Begun> {
    match what_it_speaks(opened, place, context).await {
        Ok(Spoken::Noise) if context.identity.is_some() && context.protocol != Protocol::Sv1Tls => {
            let identity = context.identity.as_ref()?;
            return sv2::begin(opened, identity, context).await.map(|link| Begun::Sv2(Box::new(link)));
        }
        Ok(spoken) => match lines(spoken, context) {
            Ok(tls) => return Some(Begun::Sv1(tls)),
            Err((why, what)) => context.say_closed(opened.address, why, what),
        },
        Err(Over::Left) => context.say_left(opened.address),
        Err(Over::Refused(refused)) => context.say_refused(opened.address, refused),
        Err(Over::Close(why, detail)) => context.say_closed(opened.address, why, &detail),
    }
    None
}

/// How a Stratum V1 miner's lines come, by TLS or as they are; or why what it speaks is not taken.
fn lines(
    spoken: Spoken,
    context: &ListenerContext,
) -> Result<Option<Box<TlsSession>>, (CloseReason, &'static str)> {
    match spoken {
        Spoken::Sv1 if context.protocol == Protocol::Sv1Tls => {
            Err((CloseReason::WrongProtocol, "Stratum V1 without TLS"))
        }
        Spoken::Sv1 => Ok(None),
        Spoken::Tls => {
            let config = context
                .certificate
                .current()
                .ok_or((CloseReason::WrongProtocol, "TLS, and the listener has no certificate_file"))?;
            let session = TlsSession::new(config, context.clock.now().mono + context.handshake)
                .map_err(|_| (CloseReason::Tls, "no session can be begun"))?;
            Ok(Some(Box::new(session)))
        }
        Spoken::ProxyHeader => Err((
            CloseReason::ProxyHeader,
            "from an address that is not one of proxy_protocol_from, or a second one",
        )),
        Spoken::Noise | Spoken::Undecided => Err((
            CloseReason::WrongProtocol,
            "neither Stratum V1 nor TLS; for Stratum V2 set authority_secret_key",
        )),
    }
}

/// Reads a load balancer's header, and finds out what comes after it.
async fn what_it_speaks(
    opened: &mut Opened,
    place: &mut Place,
    context: &ListenerContext,
) -> Result<Spoken, Over> {
    let configured = match context.protocol {
        Protocol::Sv1 => Some(Spoken::Sv1),
        Protocol::Sv2 => Some(Spoken::Noise),
        Protocol::Auto | Protocol::Sv1Tls => None,
    };
    let proxied = context.is_proxy(opened.address.ip());
    if let Some(configured) = configured.filter(|_| !proxied) {
        return Ok(configured);
    }
    let deadline = context.clock.instant(opened.began.mono + context.policy.setup_deadline);
    let find_out = async {
        if proxied {
            let read = look(&opened.stream, read_header).await;
            let header = read.ok_or_else(|| over(&opened.stream))?;
            if let Some(source) = header.map_err(|e| Over::Close(CloseReason::ProxyHeader, e.to_string()))? {
                opened.address = source;
                context.let_in(place, source.ip()).map_err(Over::Refused)?;
            }
        }
        if let Some(configured) = configured {
            return Ok(configured);
        }
        look(&opened.stream, decide).await.ok_or_else(|| over(&opened.stream))
    };
    tokio::time::timeout_at(deadline, find_out).await.unwrap_or_else(|_| {
        Err(Over::Close(CloseReason::SetupDeadline, "before it was known what it speaks".to_owned()))
    })
}

/// The input has ended.
fn over(stream: &Attached) -> Over {
    stream.why_closed().map_or(Over::Left, |why| Over::Close(why, String::new()))
}

/// Waits until what has come is enough for `judge`; nothing when the connection ends before. While it is not,
/// `judge` says that it would block.
async fn look<T>(stream: &TcpStream, judge: impl Fn(&TcpStream) -> io::Result<Option<T>>) -> Option<T> {
    loop {
        let ready = stream.ready(Interest::READABLE).await.ok()?;
        // Not enough counts as not ready: that waits for more than there was when it was looked at.
        match stream.try_io(Interest::READABLE, || judge(stream)) {
            Ok(judged) => return judged,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !ready.is_read_closed() => {}
            Err(_) => return None,
        }
    }
}

/// Looks at what has come without taking it; nothing at the end of the input.
fn peek<'a>(stream: &TcpStream, buffer: &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
    let (_, length) = rustix::net::recv(stream, &mut *buffer, RecvFlags::PEEK)?;
    Ok(buffer.get(..length).filter(|first| !first.is_empty()))
}

fn decide(stream: &TcpStream) -> io::Result<Option<Spoken>> {
    let mut buffer = [0; LOOKED_AT];
    match peek(stream, &mut buffer)?.map(spoken) {
        Some(Spoken::Undecided) => Err(io::ErrorKind::WouldBlock.into()),
        decided => Ok(decided),
    }
}

/// Takes a header, and nothing that comes after it, once it has come whole: the address in it.
fn read_header(stream: &TcpStream) -> io::Result<Option<Result<Option<SocketAddr>, ProxyHeaderError>>> {
    let mut buffer = [0; PROXY_HEADER_MAX];
    let Some(first) = peek(stream, &mut buffer)? else { return Ok(None) };
    match proxy_header(first) {
        Ok(None) => Err(io::ErrorKind::WouldBlock.into()),
        Err(error) => Ok(Some(Err(error))),
        Ok(Some(header)) => {
            // It is there whole, so it comes whole.
            rustix::net::recv(stream, &mut buffer[..header.length], RecvFlags::empty())?;
            Ok(Some(Ok(header.source)))
        }
    }
}
