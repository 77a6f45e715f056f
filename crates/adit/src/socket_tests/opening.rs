//! One port finds out what a miner speaks, and says so when it does not take it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::client::Client;
use super::{Farm, apart, until};

/// Longer than any deadline here.
const PATIENCE: Duration = Duration::from_secs(60);
/// As a TLS client begins.
const TLS: [u8; 11] = [22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];

/// Sends pieces, each as a segment of its own, and waits until the other side has closed.
fn closes_after(address: std::net::SocketAddr, pieces: &[&[u8]]) {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_nodelay(true).expect("no delay");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    for piece in pieces {
        // It may have closed already.
        let _ = stream.write_all(piece);
    }
    let mut rest = Vec::new();
    // A reset is a way to close, too: not all was read.
    if let Err(error) = stream.read_to_end(&mut rest) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stratum_v1_is_understood_however_its_bytes_come_and_none_is_lost() {
    let farm = Farm::start("").await;
    let address = farm.address();
    apart(move || {
        let mut client = Client::connect(address, "farm.slow");
        let line = b"\r\n {\"id\":7,\"method\":\"mining.subscribe\",\"params\":[]}\n";
        for byte in line {
            client.send_raw(&[*byte]);
        }
        assert!(matches!(client.read(), Some(lab::sv1_wire::ServerLine::Reply { id: 7, error: None, .. })));
        let mut client = Client::mining(address, "farm.miner");
        assert_eq!(client.mine(), Some(true));
    })
    .await;
    farm.proxy.stop().await;
    farm.pool.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_port_does_not_take_is_closed_with_its_reason() {
    let farm = Farm::start("setup = \"600s\"").await;
    let address = farm.address();
    let closed = |why: &str| farm.proxy.snapshot().listeners[0].closed_total.get(why).copied().expect(why);
    // At once.
    apart(move || closes_after(address, &[&TLS[..3], &TLS[3..]])).await;
    until("TLS is closed", || closed("wrong_protocol") == 1).await;
    // Text, but no Stratum.
    apart(move || closes_after(address, &[&b"GET / HTTP/1.1\r\nHost: me\r\n\r\n"[..]; 5])).await;
    until("HTTP is closed", || closed("garbage") == 1).await;
    // Who leaves before anything is known has left.
    drop(apart(move || TcpStream::connect(address).expect("a connection")).await);
    until("one left", || closed("left") == 1).await;
    until("nothing is left of them", || farm.connected() == 0).await;
    farm.proxy.stop().await;
    farm.pool.shutdown().await;

    // Too little to tell, within the deadline for the set-up.
    let farm = Farm::start("setup = \"1s\"").await;
    let address = farm.address();
    let closed = |why: &str| farm.proxy.snapshot().listeners[0].closed_total.get(why).copied().expect(why);
    for n in 0..=10 {
        apart(move || closes_after(address, &[&TLS[..n]])).await;
    }
    apart(move || closes_after(address, &[b"{\"id\":1"])).await;
    until("the silent are closed", || closed("setup_deadline") == 12).await;
    until("nothing is left of them", || farm.connected() == 0).await;
    farm.proxy.stop().await;
    farm.pool.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_said_nothing_yet_is_closed_at_the_end_too() {
    let farm = Farm::start("setup = \"600s\"\nshutdown_grace = \"60s\"").await;
    let address = farm.address();
    let silent = apart(move || {
        (0..20).map(|_| TcpStream::connect(address).expect("a connection")).collect::<Vec<_>>()
    })
    .await;
    until("all are there", || farm.connected() == 20).await;
    let (_, roster) = farm.proxy.inside();
    let began = std::time::Instant::now();
    farm.proxy.stop().await;
    // Otherwise they would be waited for as long as the grace lasts.
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    assert!(roster.is_empty());
    drop(silent);
    farm.pool.shutdown().await;
}
