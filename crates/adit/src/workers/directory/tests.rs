//! Many workers: what a scrape and a list of them come to.

use std::net::Ipv4Addr;
use std::time::Instant;

use engine::MinerRef;
use engine::books::{AccountKey, Final};
use telemetry::{Exporter, Latencies, Snapshot, WorkerList as _};

use super::*;

const WORKERS: usize = 10_000;
/// A scrape of so many workers is no longer than this.
const SCRAPE_MAX: usize = 2_000_000;

fn directory(series: usize) -> Directory {
    let books = Arc::new(Books::default());
    let key = AccountKey { listener: 0, route: 0, source: Some(0) };
    for n in 0..WORKERS {
        let tally = books.tally(&Arc::from(format!("account.hall-{}.rig-{n:05}", n % 7)), key);
        for _ in 0..=n % 5 {
            tally.verified(MinerRef(1), 1_234_567.0, Duration::from_secs(1));
            tally.settle_at_once(MinerRef(1), Final::Local, 1_234_567.0, true);
        }
    }
    Directory::new(books, Arc::default(), Clock::start(), Arc::default(), series, &[])
}

#[test]
fn ten_thousand_workers_are_listed_and_a_scrape_of_them_stays_small() {
    for series in [100, 1_000] {
        let directory = Arc::new(directory(series));
        let began = Instant::now();
        directory.look();
        let looked = began.elapsed();
        let listed = directory.list().snapshots();
        assert_eq!(listed.len(), WORKERS);
        let listed_in = began.elapsed() - looked;
        let mut exporter = Exporter::new(Latencies::default()).expect("names are unique");
        let few = Arc::clone(&directory);
        exporter.add_workers(Arc::new(move || few.series())).expect("they are not there yet");
        let began = Instant::now();
        let text = exporter.render(Arc::new(Snapshot::default())).expect("it can be written");
        println!(
            "{series} series: {} bytes in {:?}; all looked at in {looked:?}, listed in {listed_in:?}",
            text.len(),
            began.elapsed()
        );
        assert!(text.len() < SCRAPE_MAX, "{} bytes", text.len());
        let connections = text.lines().filter(|line| line.starts_with("adit_worker_connections{")).count();
        assert_eq!(connections, series + 1);
        let all: u64 = directory.series().iter().map(|one| one.books.local).sum();
        assert_eq!(all, listed.iter().map(|worker| worker.books.local).sum::<u64>());
    }
}

/// What a list costs whose rows nobody asks for, and with the hundred of a page.
#[test]
#[ignore = "a measurement: --nocapture shows it"]
fn long_what_a_list_of_ten_thousand_connected_workers_costs() {
    let directory = Arc::new(directory(100));
    (0..60).for_each(|_| directory.look());
    let connected: Vec<Presence> = (0_u32..)
        .take(WORKERS)
        .map(|n| Presence {
            listener: 0,
            sv2: false,
            address: Ipv4Addr::from_bits(0x0a00_0000 + n).into(),
            agent: Some("adit-miner/0.1".into()),
            workers: std::iter::once(WorkerStanding {
                name: format!("account.hall-{}.rig-{n:05}", n % 7).into(),
                route: RouteId(0),
                source: Some(SourceId(0)),
                standard: false,
                since: Duration::from_secs(1),
                difficulty: 1_024.0,
                hashrate: Some(f64::from(n)),
            })
            .collect(),
        })
        .collect();
    let (mut gathered, mut listed, mut dropped, mut shown) = (vec![], vec![], vec![], vec![]);
    for _ in 0..50 {
        let began = Instant::now();
        let mut present = ByName::with_capacity(WORKERS);
        connected.iter().for_each(|presence| present.add(presence));
        gathered.push(began.elapsed());
        let began = Instant::now();
        let list = directory.list_with(present);
        listed.push(began.elapsed());
        assert_eq!(list.workers().len(), WORKERS);
        let began = Instant::now();
        let rows: Vec<_> = (0..100).map(|at| list.snapshot(at)).collect();
        shown.push(began.elapsed());
        assert!(rows.iter().all(|row| row.connections == 1 && row.minutes.len() == 60));
        let began = Instant::now();
        drop(list);
        dropped.push(began.elapsed());
    }
    for (what, mut times) in
        [("gathered", gathered), ("listed", listed), ("100 rows", shown), ("dropped", dropped)]
    {
        times.sort_unstable();
        println!("{what}: {:?} least, {:?} in the middle", times[0], times[times.len() / 2]);
    }
}

#[test]
fn who_is_gone_is_forgotten_here_too() {
    let directory = Arc::new(directory(10));
    directory.look();
    assert_eq!(directory.list().snapshots().len(), WORKERS);
    // Nobody holds a tally: as if ten minutes were over.
    directory.books.forget_gone(Duration::from_secs(10_000), Duration::ZERO);
    directory.books.forget_gone(Duration::from_secs(20_000), Duration::ZERO);
    directory.look();
    assert_eq!(directory.list().snapshots().len(), 0);
    assert_eq!(directory.state.lock().expect("no panic").known.len(), 0);
    let series = directory.series();
    assert_eq!(series.len(), 1, "only the others");
    assert_eq!(series[0].books.local, directory.books.totals().local, "and nothing is missing there");
}
