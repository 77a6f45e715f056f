//! Two Adits may share a port.

use std::net::TcpStream;

use super::{Farm, apart, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_share_a_port_and_when_one_goes_the_other_has_all() {
    // Nobody says anything: all may stay for as long as that takes.
    let limits = "setup = \"600s\"";
    let one = Farm::start_with("reuse_port = true", limits).await;
    let address = one.address();
    let line = format!("listen = \"{address}\"");
    assert!(Farm::try_start(&line, "reuse_port = false", "").await.is_err(), "both must say so");
    let two = Farm::try_start(&line, "reuse_port = true", limits).await.expect("a port");
    let connect = |count: usize| {
        apart(move || {
            (0..count).map(|_| TcpStream::connect(address).expect("somebody listens")).collect::<Vec<_>>()
        })
    };
    let sockets = connect(64).await;
    until("all are taken", || one.connected() + two.connected() == 64).await;
    assert!(one.connected() > 0 && two.connected() > 0, "{} and {}", one.connected(), two.connected());
    let there = two.connected();
    one.proxy.stop().await;
    let more = connect(32).await;
    until("the other takes all", || two.connected() == there + 32).await;
    drop((sockets, more));
    two.proxy.stop().await;
    one.pool.shutdown().await;
    two.pool.shutdown().await;
}
