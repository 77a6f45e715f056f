//! Caps on connections: what is above them waits or is refused, and a place that is given back is given again.

use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::client::Client;
use super::{Farm, apart, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_listener_refuses_and_takes_the_next_when_one_has_left() {
    let farm = Farm::start_with("max_connections = 3", "").await;
    let address = farm.address();
    let miners = apart(move || [(); 3].map(|()| Client::mining(address, "farm.miner"))).await;
    apart(move || {
        let mut fourth = TcpStream::connect(address).expect("the system takes it");
        fourth.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        assert_eq!(fourth.read(&mut [0]).unwrap_or(0), 0, "it is closed");
    })
    .await;
    until("it is counted", || farm.event("connection_refused") == 1).await;
    let [one, mut two, _three] = miners;
    drop(one);
    until("one has left", || farm.connected() == 2).await;
    apart(move || {
        assert_eq!(two.mine(), Some(true), "the others noticed nothing");
        // Its place is given back a moment after it is counted as gone.
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut next = loop {
            if let Some(next) = Client::let_in(address, "farm.next", "") {
                break next;
            }
            assert!(Instant::now() < deadline, "not within a minute: there is a place");
        };
        assert_eq!(next.mine(), Some(true));
    })
    .await;
    farm.proxy.stop().await;
    farm.pool.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_adit_lets_the_next_wait_and_serves_it_when_one_has_left() {
    let farm = Farm::start("max_connections = 3").await;
    let address = farm.address();
    let miners = apart(move || [(); 3].map(|()| Client::mining(address, "farm.miner"))).await;
    let waiting = apart(move || {
        let mut waiting = Client::connect(address, "farm.waiting");
        waiting.send("{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}");
        waiting
    })
    .await;
    let [one, mut two, _three] = miners;
    let two = apart(move || {
        assert_eq!(two.mine(), Some(true));
        two
    })
    .await;
    assert_eq!(farm.connected(), 3, "the fourth waits in the system's queue");
    drop(one);
    let mut waiting = waiting;
    apart(move || assert!(waiting.read().is_some(), "it is served")).await;
    drop(two);
    farm.proxy.stop().await;
    farm.pool.shutdown().await;
}
