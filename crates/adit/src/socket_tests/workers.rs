//! Workers: counted by name, shown, and with series of their own.

use telemetry::WorkerSnapshot;

use super::client::Client;
use super::{Farm, apart, until};

fn worker(farm: &Farm, name: &str) -> Option<WorkerSnapshot> {
    farm.proxy.directory().list().snapshots().into_iter().find(|worker| worker.name == name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_is_shown_from_its_connection_on_and_counted_over_all_of_them() {
    let farm = Farm::start("").await;
    let address = farm.address();
    let (mut one, mut two) =
        apart(move || (Client::mining(address, "farm.rig1"), Client::mining(address, "farm.rig1"))).await;
    let idle = apart(move || Client::mining(address, "farm.idle")).await;
    // A moment after they have their first job.
    until("all are shown, with both connections of one", || {
        worker(&farm, "farm.idle").is_some()
            && worker(&farm, "farm.rig1").is_some_and(|shown| shown.connections == 2)
    })
    .await;
    let shown = worker(&farm, "farm.rig1").expect("it is there before its first share");
    assert_eq!((shown.connections, shown.books.submitted), (2, 0));
    assert_eq!((&*shown.listener, &*shown.route, shown.source.as_deref()), ("main", "main", Some("pool")));
    assert_eq!((shown.protocol, shown.address.as_deref()), ("sv1", Some("127.0.0.1")));
    assert_eq!(shown.last_share_seconds, None);
    let (mut one, two) = apart(move || {
        assert_eq!((one.mine(), two.mine(), one.mine()), (Some(true), Some(true), Some(true)));
        (one, two)
    })
    .await;
    until("every share has its end", || farm.proxy.snapshot().books.pending == 0).await;
    let shown = worker(&farm, "farm.rig1").expect("it is there");
    assert_eq!(shown.books, farm.proxy.snapshot().books, "nobody else has brought any");
    assert_eq!(shown.books.submitted, 3);
    assert!(shown.last_share_seconds.is_some() && shown.difficulty > 0.0);
    // A minute is over.
    farm.proxy.directory().look();
    let shown = worker(&farm, "farm.rig1").expect("it is there");
    assert!(matches!(shown.minutes[..], [rate] if rate > 0.0), "{:?}", shown.minutes);
    let series = farm.proxy.directory().series();
    let names: Vec<_> = series.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["farm.rig1", "other"], "who has brought nothing is not in the books yet");
    assert_eq!((series[0].connections, series[1].connections), (2, 1));
    assert_eq!(series[1].books.submitted, 3, "what came before it had series");
    one = apart(move || {
        assert_eq!(one.mine(), Some(true));
        one
    })
    .await;
    until("every share has its end", || farm.proxy.snapshot().books.pending == 0).await;
    let series = farm.proxy.directory().series();
    assert_eq!((series[0].books.submitted, series[1].books.submitted), (1, 3));
    drop((one, two, idle));
    // Who has brought nothing leaves nothing to tell of; who has is still known.
    let connections =
        || farm.proxy.directory().list().snapshots().iter().map(|worker| worker.connections).sum::<u64>();
    until("they have left", || connections() == 0).await;
    assert!(worker(&farm, "farm.idle").is_none());
    assert_eq!(worker(&farm, "farm.rig1").map(|shown| shown.books.submitted), Some(4));
    farm.proxy.stop().await;
    farm.pool.shutdown().await;
}
