//! The server's connections.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use noise::Opener;
use sv2::FrameHeader;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep_until, timeout};
use tracing::{debug, warn};

use super::Jds;
use super::connection::Declarator;
use super::missing::MAX_TRANSACTIONS;
use crate::dev_pool::link::{End, HANDSHAKE_TIMEOUT, Output, handshake, ordered_to_end};
use crate::dev_pool::{ACCEPT_PAUSE, Shared};

/// Time for SetupConnection.
const SETUP_TIMEOUT: Duration = Duration::from_secs(30);

/// Largest payload that is taken: a whole block's transactions, each with its length.
const MAX_PAYLOAD: usize = 4_000_000 + 3 * MAX_TRANSACTIONS + 64;

/// Largest payload before SetupConnection was answered.
const MAX_SETUP_PAYLOAD: usize = 4 * 1_024;

/// Bytes read at once.
const READ_SIZE: usize = 64 * 1_024;

/// Takes connections for ever.
pub(in crate::dev_pool) async fn accept(listener: TcpListener, shared: Arc<Shared>, jds: Arc<Jds>) {
    let permits = Arc::new(Semaphore::new(jds.options.max_connections));
    let mut number = 0;
    while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, peer)) => {
                number += 1;
                let (shared, jds) = (Arc::clone(&shared), Arc::clone(&jds));
                tokio::spawn(async move {
                    jds.counters.count(|stats| {
                        stats.connections += 1;
                        stats.connections_total += 1;
                    });
                    let end = serve(stream, &shared, &jds, number).await;
                    jds.counters.count(|stats| stats.connections -= 1);
                    debug!(%peer, reason = %end, "declarator connection ended");
                    drop(permit);
                });
            }
            Err(error) => {
                warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves a connection to its end.
async fn serve(stream: TcpStream, shared: &Arc<Shared>, jds: &Arc<Jds>, number: u64) -> End {
    let orders = shared.orders.subscribe();
    let disconnects = |orders: &crate::dev_pool::Orders| (orders.disconnects, orders.jds_disconnects);
    tokio::select! {
        biased;
        () = ordered_to_end(orders, disconnects) => End::Ordered,
        end = talk(stream, shared, jds, number) => match end {
            Ok(never) => match never {},
            Err(end) => end,
        },
    }
}

async fn talk(
    mut stream: TcpStream,
    shared: &Arc<Shared>,
    jds: &Arc<Jds>,
    number: u64,
) -> Result<Infallible, End> {
    stream.set_nodelay(true)?;
    let handshake = timeout(HANDSHAKE_TIMEOUT, handshake(&mut stream, shared));
    let (sealer, mut opener) = handshake.await.map_err(|_| End::HandshakeTimeout)??;
    let mut declarator = Declarator::new(Arc::clone(shared), Arc::clone(jds), number);
    let mut output = Output::new(sealer);
    let mut input = BytesMut::with_capacity(READ_SIZE);
    let setup_deadline = tokio::time::Instant::now() + SETUP_TIMEOUT;
    loop {
        tokio::select! {
            biased;
            read = stream.read_buf(&mut input) => {
                if read? == 0 {
                    return Err(End::Closed);
                }
                let handled = on_bytes(&mut declarator, &mut opener, &mut input, &mut output.plain);
                if let Err(end) = handled {
                    // An error message may be among what was said.
                    let _ = output.flush(&mut stream).await;
                    return Err(end);
                }
                input.reserve(READ_SIZE);
            }
            () = sleep_until(setup_deadline), if !declarator.is_set_up() => return Err(End::SetupTimeout),
        }
        output.flush(&mut stream).await?;
    }
}

/// Decrypts and handles all frames that are complete.
fn on_bytes(
    declarator: &mut Declarator,
    opener: &mut Opener,
    input: &mut BytesMut,
    out: &mut BytesMut,
) -> Result<(), End> {
    let now = Instant::now();
    loop {
        let most = if declarator.is_set_up() { MAX_PAYLOAD } else { MAX_SETUP_PAYLOAD };
        let Some(frame) = opener.open(input, most)? else { return Ok(()) };
        declarator.on_frame(&FrameHeader::parse(&frame.header), &frame.payload, now, out)?;
    }
}
