//! RELIABILITY: at the end miners are closed one after the other, are told, and lose nothing.

use std::time::{Duration, Instant};

use super::client::Client;
use super::{Farm, apart, until};

const MINERS: u64 = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn miners_are_closed_over_a_while_and_told_and_every_share_is_settled() {
    let farm = Farm::start("shutdown_grace = \"20s\"").await;
    let address = farm.address();
    let miners = apart(move || {
        let mut miners = Vec::new();
        for n in 0..MINERS {
            let mut client = Client::mining(address, &format!("farm.{n}"));
            assert_eq!(client.mine(), Some(true));
            miners.push(client);
        }
        miners
    })
    .await;
    let silent = apart(move || Client::connect(address, "farm.silent")).await;
    until("all are there", || farm.connected() == MINERS + 1).await;
    let ends = miners.into_iter().chain([silent]).map(|mut client| {
        std::thread::spawn(move || {
            client.read_to_end();
            (Instant::now(), client)
        })
    });
    let ends: Vec<_> = ends.collect();
    let began = Instant::now();
    let books = farm.proxy.stop().await;
    assert!(began.elapsed() < Duration::from_secs(21), "grace and a second: {:?}", began.elapsed());
    let mut closed: Vec<Instant> = Vec::new();
    let (mut told, mut stale) = (0, 0);
    for end in ends {
        let (at, client) = end.join().expect("no panic");
        closed.push(at);
        stale += client.stale;
        told += u64::from(client.messages.iter().any(|text| text.contains("shutting down")));
    }
    closed.sort_unstable();
    assert_eq!(told, MINERS, "every miner that had subscribed is told");
    // 10 ms between two.
    let spread = closed[closed.len() - 1] - closed[0];
    assert!(spread >= Duration::from_millis(300), "all closed within {spread:?}");
    assert_eq!((books.pending, books.unknown), (0, 0), "what was sent is answered");
    assert_eq!(books.submitted(), MINERS + stale);
    farm.pool.shutdown().await;
}
