//! RELIABILITY: a mistake of ours inside one connection ends that connection alone.

use super::client::Client;
use super::{Farm, apart, until};
use crate::downstream::PANIC_METHOD;

const SHARES: u64 = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_inside_one_connection_ends_that_one_and_costs_nobody_else_a_share() {
    let farm = Farm::start("").await;
    let address = farm.address();
    let (tell, mut half_done) = tokio::sync::mpsc::channel(1);
    let honest = tokio::task::spawn_blocking(move || {
        let mut client = Client::mining(address, "farm.honest");
        for n in 0..SHARES {
            let taken = client.mine();
            assert_eq!(taken, Some(true), "share {n}: {:?}", client.refusals);
            if n == SHARES / 2 {
                // Go on only when the others have panicked.
                tell.blocking_send(()).expect("the test waits");
                tell.blocking_send(()).expect("the test waits");
            }
        }
        client
    });
    half_done.recv().await.expect("half of the shares");
    // One before its set-up, one that mines.
    apart(move || {
        for mut client in [Client::connect(address, "farm.silent"), Client::mining(address, "farm.miner")] {
            client.send(&format!("{{\"id\":9,\"method\":\"{PANIC_METHOD}\",\"params\":[]}}"));
            client.read_to_end();
        }
    })
    .await;
    until("both panics are counted", || farm.event("connection_panic") == 2).await;
    until("only one is left", || farm.connected() == 1).await;
    // The channel holds one: it is full until here.
    half_done.recv().await.expect("the rest");
    let client = honest.await.expect("no share was lost");
    until("the pool has all", || farm.proxy.snapshot().books.pending == 0).await;
    let snapshot = farm.proxy.snapshot();
    assert_eq!(snapshot.books.submitted, SHARES + client.stale);
    let good = snapshot.books.local + snapshot.books.acknowledged;
    assert!((SHARES..=SHARES + client.stale).contains(&good), "{good}");
    assert!(snapshot.is_balanced());
    assert_eq!(snapshot.listeners[0].miners.authorised, 1, "nothing is left of those that panicked");
    drop(client);
    until("everyone is gone", || farm.connected() == 0).await;
    farm.proxy.stop().await;
    farm.pool.shutdown().await;
}
