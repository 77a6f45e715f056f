//! What a load balancer says of a connection is believed if it is listed, and nobody else is.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use lab::sv1_wire::ServerLine;

use super::client::Client;
use super::{Farm, apart, until};

/// Longer than any deadline here.
const PATIENCE: Duration = Duration::from_secs(60);
/// A header of version 2 for 203.0.113.9 without its address.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn v2(command: u8, source: [u8; 4]) -> Vec<u8> {
    let block = [&source[..], &[192, 0, 2, 1, 0xdc, 4, 13, 5], &[4, 0, 2, 0, 0]].concat();
    [V2, &[command, 0x11, 0, 17], &block].concat()
}

/// A miner behind a load balancer; the header byte by byte, if so wished.
fn behind(address: SocketAddr, header: &[u8], slowly: bool) -> Client {
    let mut client = Client::connect(address, "farm.behind");
    let step = if slowly { 1 } else { header.len() };
    header.chunks(step).for_each(|piece| client.send_raw(piece));
    client.send("{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}");
    client
}

fn is_served(mut client: Client) -> Client {
    assert!(matches!(client.read(), Some(ServerLine::Reply { id: 1, error: None, .. })));
    client
}

fn is_closed(address: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(bytes).expect("the socket's buffer has room");
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => assert!(rest.is_empty(), "nothing is said"),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listed_load_balancer_speaks_for_its_miners() {
    let lines = "proxy_protocol_from = [\"127.0.0.0/8\"]\nmax_connections_per_address = 2\n\
                 deny = [\"198.51.100.0/24\"]";
    let farm = Farm::start_with(lines, "setup = \"600s\"").await;
    let address = farm.address();
    let closed = |why: &str| farm.proxy.snapshot().listeners[0].closed_total.get(why).copied().expect(why);
    let served = apart(move || {
        let one = is_served(behind(address, b"PROXY TCP4 203.0.113.9 192.0.2.1 1 3333\r\n", true));
        let two = is_served(behind(address, &v2(0x21, [203, 0, 113, 9]), true));
        let mut third = behind(address, &v2(0x21, [203, 0, 113, 9]), false);
        third.read_to_end();
        // Another one's address, a health check, and one that is not known.
        let other = is_served(behind(address, &v2(0x21, [203, 0, 113, 10]), false));
        let check = is_served(behind(address, &v2(0x20, [203, 0, 113, 9]), false));
        let unknown = is_served(behind(address, b"PROXY UNKNOWN\r\n", false));
        vec![one, two, other, check, unknown]
    })
    .await;
    until("the third is counted", || farm.event("connection_refused_address") == 1).await;
    apart(move || is_closed(address, &v2(0x21, [198, 51, 100, 7]))).await;
    until("the denied one is counted", || farm.event("connection_denied") == 1).await;
    drop(served);
    until("all have left", || farm.connected() == 0).await;
    // Their places are given back a moment after they are counted as gone.
    let again = apart(move || {
        let deadline = Instant::now() + PATIENCE;
        while behind(address, &v2(0x21, [203, 0, 113, 9]), false).read().is_none() {
            assert!(Instant::now() < deadline, "not within a minute: there is a place");
        }
    });
    again.await;
    // A header is missing, cannot be read, comes twice, or does not end.
    apart(move || {
        is_closed(address, b"{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n");
        is_closed(address, b"PROXY TCP4 203.0.113.9 192.0.2.1 01 3333\r\n");
        is_closed(address, &[v2(0x21, [203, 0, 113, 9]), v2(0x21, [203, 0, 113, 9])].concat());
        is_closed(address, &[b"PROXY UNKNOWN "[..].to_vec(), vec![b'x'; 200]].concat());
    })
    .await;
    until("each is counted", || closed("proxy_header") == 4).await;
    until("nothing is left", || farm.connected() == 0).await;
    farm.proxy.stop().await;
    farm.pool.shutdown().await;

    let farm = Farm::start_with(lines, "setup = \"2s\"").await;
    let address = farm.address();
    let closed = |why: &str| farm.proxy.snapshot().listeners[0].closed_total.get(why).copied().expect(why);
    apart(move || is_closed(address, &V2[..11])).await;
    until("the unfinished one is counted", || closed("setup_deadline") == 1).await;
    until("nothing is left", || farm.connected() == 0).await;
    farm.proxy.stop().await;
    farm.pool.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_may_speak_for_others_and_rules_hold_for_who_connects() {
    let farm = Farm::start_with("proxy_protocol_from = [\"192.0.2.1\"]", "").await;
    let address = farm.address();
    apart(move || {
        is_closed(address, b"PROXY TCP4 203.0.113.9 192.0.2.1 1 3333\r\n");
        is_closed(address, &v2(0x21, [203, 0, 113, 9]));
        Client::mining(address, "farm.miner");
    })
    .await;
    let closed = |why: &str| farm.proxy.snapshot().listeners[0].closed_total.get(why).copied().expect(why);
    until("both are counted", || closed("proxy_header") == 2).await;
    farm.proxy.stop().await;
    farm.pool.shutdown().await;

    let farm = Farm::start_with("allow = [\"192.0.2.0/24\"]", "").await;
    let address = farm.address();
    apart(move || Client::connect(address, "farm.stranger").read_to_end()).await;
    until("it is counted", || farm.event("connection_denied") == 1).await;
    farm.proxy.stop().await;
    farm.pool.shutdown().await;
}
