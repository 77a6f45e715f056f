//! RELIABILITY: a storm of connections is taken at its rate.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::{Farm, apart, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_connections_a_second_are_accepted_than_accept_rate_says() {
    let farm = Farm::start("accept_rate = 20\nsetup = \"600s\"").await;
    let address = farm.address();
    let began = Instant::now();
    let sockets = apart(move || {
        let connect = |_| TcpStream::connect(address).expect("the system's queue has room");
        (0..60).map(connect).collect::<Vec<_>>()
    })
    .await;
    until("all are served in the end", || farm.connected() == 60).await;
    // A tenth of a second's worth at once, the others one after the other.
    assert!(began.elapsed() >= Duration::from_millis(2_700), "60 connections within {:?}", began.elapsed());
    assert!(farm.event("accept_paced") > 0);
    drop(sockets);
    farm.proxy.stop().await;
    farm.pool.shutdown().await;
}
