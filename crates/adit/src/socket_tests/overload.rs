//! RELIABILITY: the overload ladder over real sockets, with a memory gauge that the test holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio_util::sync::CancellationToken;

use super::client::Client;
use super::{Farm, apart, until};
use crate::clock::Clock;
use crate::overload::{OverloadFigures, Warden};

const MINERS: usize = 40;
const BUDGET: u64 = 1_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_rung_does_what_it_says_and_is_left_again() {
    // The proxy's own warden sees memory without end.
    let farm = Farm::start("memory = \"16777216MiB\"\nsetup = \"600s\"").await;
    let used = Arc::new(AtomicU64::new(0));
    let (figures, stop) = (Arc::new(OverloadFigures::default()), CancellationToken::new());
    let (admission, roster) = farm.proxy.inside();
    let warden = Warden::new(
        BUDGET,
        Arc::clone(&admission),
        Arc::clone(&roster),
        Arc::clone(&figures),
        Clock::start(),
    );
    // It grows a little with each look.
    let gauge = Arc::clone(&used);
    let task = tokio::spawn(warden.run(move || Some(gauge.fetch_add(1, Relaxed)), stop.clone()));
    let rung = || figures.rung.load(Relaxed);
    let closed = |why: &str| farm.proxy.snapshot().listeners[0].closed_total.get(why).copied().expect(why);
    let address = farm.address();

    let miners =
        apart(move || (0..MINERS).map(|n| Client::mining(address, &format!("farm.{n}"))).collect::<Vec<_>>())
            .await;
    let silent = apart(move || Client::connect(address, "farm.silent")).await;
    until("all are there", || farm.connected() == MINERS as u64 + 1).await;

    // 80 %: nobody else is taken; whoever is there works on.
    used.store(800_000, Relaxed);
    until("rung 1", || rung() == 1 && admission.cap() < u32::MAX).await;
    // The listener may have had its hand on the door.
    let late = apart(move || [(); 4].map(|()| Client::connect(address, "farm.late"))).await;
    until("at most one more", || farm.connected() > MINERS as u64).await;
    let miners = apart(move || {
        let mut miners = miners;
        for miner in &mut miners {
            assert_eq!(miner.mine(), Some(true));
        }
        miners
    })
    .await;
    assert!(farm.connected() <= MINERS as u64 + 2, "{} connections", farm.connected());

    // 90 %: who says nothing goes; the others' next job is harder.
    let before: f64 = roster.relief();
    used.store(900_000, Relaxed);
    until("rung 2", || rung() == 2).await;
    let mut silent = silent;
    let silent = apart(move || {
        silent.read_to_end();
        silent
    })
    .await;
    assert!(before < roster.relief());
    until("who is idle has gone", || farm.connected() == MINERS as u64).await;
    let idle = closed("overload");
    assert!((1..=2).contains(&idle), "{idle}");
    drop((silent, late));

    // 95 %: those with the least hashrate go, a fiftieth at a time, while memory grows.
    used.store(950_000, Relaxed);
    until("one is shed", || closed("overload") == idle + 1).await;
    used.store(960_000, Relaxed);
    until("another is shed", || closed("overload") == idle + 2).await;

    // And all the way back.
    used.store(100_000, Relaxed);
    until("rung 0", || rung() == 0 && admission.cap() == u32::MAX).await;
    assert!((roster.relief() - 1.0).abs() < f64::EPSILON);
    let shed = closed("overload") - idle;
    apart(move || {
        let fresh = Client::mining(address, "farm.fresh");
        let mut told = 0;
        for mut miner in miners {
            if miner.mine() == Some(true) {
                continue;
            }
            told += u64::from(miner.messages.iter().any(|text| text.contains("short of memory")));
        }
        assert_eq!(told, shed, "whoever was shed was told why, and nobody else was closed");
        drop(fresh);
    })
    .await;
    stop.cancel();
    task.await.expect("no panic");
    farm.proxy.stop().await;
    farm.pool.shutdown().await;
}
