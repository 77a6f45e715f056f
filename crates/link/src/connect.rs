//! A TCP connection to the first of several addresses that answers.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// An address that has not answered after this long is not waited for alone any more (RFC 8305, section 5).
const NEXT_AFTER: Duration = Duration::from_millis(250);

/// Tries the addresses in their order, the next when one has failed or is slow, so that all had their turn within
/// the time; the first that answers is taken.
pub(crate) async fn connect(addresses: &[SocketAddr], within: Duration) -> Result<TcpStream, String> {
    let deadline = Instant::now() + within;
    let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let patience = NEXT_AFTER.min(within / (count + 1));
    let mut tried = FuturesUnordered::new();
    let mut why = format!("no connection within {within:?}");
    for address in addresses {
        tried.push(dial(*address));
        let next_at = (Instant::now() + patience).min(deadline);
        match timeout_at(next_at, tried.next()).await {
            Ok(Some(Ok(stream))) => return Ok(stream),
            Ok(Some(Err((address, error)))) => why = format!("{address}: {error}"),
            Ok(None) | Err(_) => {}
        }
        if Instant::now() >= deadline {
            break;
        }
    }
    while let Ok(Some(end)) = timeout_at(deadline, tried.next()).await {
        match end {
            Ok(stream) => return Ok(stream),
            Err((address, error)) => why = format!("{address}: {error}"),
        }
    }
    Err(why)
}

async fn dial(address: SocketAddr) -> Result<TcpStream, (SocketAddr, io::Error)> {
    TcpStream::connect(address).await.map_err(|error| (address, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    async fn dead() -> SocketAddr {
        // A port that was ours a moment ago, on an address that nobody else uses.
        let listener = TcpListener::bind("127.77.0.1:0").await.expect("a port");
        listener.local_addr().expect("an address")
    }

    #[tokio::test]
    async fn the_first_address_that_answers_is_taken() {
        let good = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let good = good.local_addr().map(|address| (good, address)).expect("an address");
        let other = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addresses = [dead().await, dead().await, good.1, other.local_addr().expect("an address")];
        let stream = connect(&addresses, Duration::from_secs(30)).await.expect("a connection");
        assert_eq!(stream.peer_addr().expect("a peer"), good.1);
    }

    #[tokio::test]
    async fn sixty_four_dead_addresses_end_with_a_reason_in_time() {
        let mut addresses = Vec::new();
        for _ in 0..64 {
            addresses.push(dead().await);
        }
        let why = connect(&addresses, Duration::from_secs(30)).await.unwrap_err();
        assert!(why.contains("127.77.0.1"), "{why}");
        assert!(connect(&[], Duration::from_millis(1)).await.is_err());
    }

    #[tokio::test]
    async fn a_silent_address_does_not_keep_the_next_from_its_turn() {
        // A listener whose queue is full answers nothing.
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let full = socket.listen(1).expect("a listener");
        let silent = full.local_addr().expect("an address");
        let mut queued = Vec::new();
        while let Ok(Ok(stream)) =
            tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(silent)).await
        {
            queued.push(stream);
            assert!(queued.len() < 64, "the queue has an end");
        }
        let good = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = good.local_addr().expect("an address");
        let stream = connect(&[silent, address], Duration::from_secs(30)).await.expect("a connection");
        assert_eq!(stream.peer_addr().expect("a peer"), address);
    }
}
