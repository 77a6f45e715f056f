//! A dev pool's connections: handshake, decryption, encryption, timers.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use noise::{ACT1_LEN, Certificate, HandshakeError, OpenError, Opener, Responder, SealError, Sealer};
use sv2::FrameHeader;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep_until, timeout};

use super::client::{Client, Hangup};
use super::{Orders, Shared, unix_now};

/// Time for the Noise handshake.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Time for SetupConnection and the first channel.
const SETUP_TIMEOUT: Duration = Duration::from_secs(30);

/// A client that does not take what it is sent for this long is given up.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Validity of the certificate that each connection gets, seconds.
const CERTIFICATE_VALIDITY: u32 = 3_600;

/// Largest payload that is taken: the messages of a mining client are small.
const MAX_PAYLOAD: usize = 64 * 1_024;

/// Bytes read at once: some hundred shares.
const READ_SIZE: usize = 64 * 1_024;

/// How often batches and targets are looked at.
const TICK: Duration = Duration::from_millis(100);

/// Why a connection ended.
#[derive(Debug, Error)]
pub(super) enum End {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("closed by the client")]
    Closed,
    #[error("no handshake within {} s", HANDSHAKE_TIMEOUT.as_secs())]
    HandshakeTimeout,
    #[error("{0}")]
    Handshake(#[from] HandshakeError),
    #[error("not set up within {} s", SETUP_TIMEOUT.as_secs())]
    SetupTimeout,
    #[error("{0}")]
    Open(#[from] OpenError),
    #[error("{0}")]
    Seal(#[from] SealError),
    #[error("{0}")]
    Hangup(#[from] Hangup),
    #[error("client does not read")]
    WriteTimeout,
    #[error("ordered to disconnect")]
    Ordered,
}

/// Serves a connection to its end.
pub(super) async fn serve(stream: TcpStream, shared: &Arc<Shared>) -> End {
    // Taken first: what is ordered during the handshake holds for this connection too.
    let orders = shared.orders.subscribe();
    tokio::select! {
        biased;
        () = ordered_to_end(orders.clone(), |orders| (orders.disconnects, 0)) => End::Ordered,
        end = talk(stream, shared, orders) => match end {
            Ok(never) => match never {},
            Err(end) => end,
        },
    }
}

/// Completes when this connection is to end, at once and in the middle of whatever it does: when the pool ends, or what
/// `count` reads from the orders changes.
pub(super) async fn ordered_to_end(
    mut orders: watch::Receiver<Orders>,
    count: impl Fn(&Orders) -> (u64, u64),
) {
    let before = count(&orders.borrow_and_update());
    let over = |now: &Orders| now.shutdown || count(now) != before;
    // An error means that the pool is gone.
    let _ = orders.wait_for(over).await;
}

async fn talk(
    mut stream: TcpStream,
    shared: &Arc<Shared>,
    mut orders: watch::Receiver<Orders>,
) -> Result<std::convert::Infallible, End> {
    stream.set_nodelay(true)?;
    let rotations = orders.borrow_and_update().rotations;
    let handshake = timeout(HANDSHAKE_TIMEOUT, handshake(&mut stream, shared));
    let (sealer, mut opener) = handshake.await.map_err(|_| End::HandshakeTimeout)??;

    let mut works = shared.work.subscribe();
    let work = Arc::clone(&works.borrow_and_update());
    let mut client = Client::new(Arc::clone(shared), work, rotations);
    let mut output = Output::new(sealer);
    let mut input = BytesMut::with_capacity(READ_SIZE);
    let setup_deadline = tokio::time::Instant::now() + SETUP_TIMEOUT;
    let mut had_channel = false;
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            Ok(()) = orders.changed() => {
                client.on_rotations(orders.borrow_and_update().rotations, &mut output.plain);
            }
            // Jobs come before shares.
            Ok(()) = works.changed() => {
                let work = Arc::clone(&works.borrow_and_update());
                client.on_work(work, &mut output.plain);
            }
            _ = tick.tick() => client.on_tick(Instant::now(), &mut output.plain),
            read = stream.read_buf(&mut input) => {
                if read? == 0 {
                    return Err(End::Closed);
                }
                let handled = on_bytes(&mut client, &mut opener, &mut input, &mut output.plain);
                if let Err(end) = handled {
                    // What was said before is still true; an error message may be among it.
                    let _ = output.flush(&mut stream).await;
                    return Err(end);
                }
                input.reserve(READ_SIZE);
            }
            () = sleep_until(setup_deadline), if !had_channel => return Err(End::SetupTimeout),
        }
        had_channel = had_channel || client.channels() > 0;
        output.flush(&mut stream).await?;
    }
}

pub(super) async fn handshake(stream: &mut TcpStream, shared: &Shared) -> Result<(Sealer, Opener), End> {
    let mut act1 = [0; ACT1_LEN];
    stream.read_exact(&mut act1).await?;
    let keys = &shared.keys;
    let now = unix_now();
    let until = now.saturating_add(CERTIFICATE_VALIDITY);
    let certificate = Certificate::issue(&keys.authority, &keys.server, now, until, rand::random());
    let (act2, transport) = Responder::new(&keys.server, certificate, rand::random()).respond(&act1)?;
    stream.write_all(&act2).await?;
    Ok(transport.split())
}

/// Decrypts and handles all frames that are complete.
fn on_bytes(
    client: &mut Client,
    opener: &mut Opener,
    input: &mut BytesMut,
    out: &mut BytesMut,
) -> Result<(), End> {
    let now = Instant::now();
    while let Some(frame) = opener.open(input, MAX_PAYLOAD)? {
        client.on_frame(&FrameHeader::parse(&frame.header), &frame.payload, now, out)?;
    }
    Ok(())
}

/// Frames on their way out.
pub(super) struct Output {
    sealer: Sealer,
    pub(super) plain: BytesMut,
    sealed: BytesMut,
}

impl Output {
    pub(super) fn new(sealer: Sealer) -> Output {
        Output { sealer, plain: BytesMut::new(), sealed: BytesMut::new() }
    }

    pub(super) async fn flush(&mut self, stream: &mut TcpStream) -> Result<(), End> {
        if self.plain.is_empty() {
            return Ok(());
        }
        self.sealer.seal(&mut self.plain, &mut self.sealed)?;
        let write = timeout(WRITE_TIMEOUT, stream.write_all(&self.sealed));
        write.await.map_err(|_| End::WriteTimeout)??;
        self.sealed.clear();
        Ok(())
    }
}
