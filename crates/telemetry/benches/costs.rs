//! What telemetry costs. On the share path: one observation, Adit's histogram beside the one of crate
//! `prometheus`, on one thread, and on two that observe into the same histogram. Beside it: one scrape.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use telemetry::{AccountSnapshot, BooksSnapshot, Exporter, Latencies, Reasons, Snapshot, WorkerSeries};

/// Durations that are spread over the buckets, the same for all.
fn durations() -> Vec<Duration> {
    (0..1024_u64).map(|n| Duration::from_nanos(5_000 + n * n * 97)).collect()
}

/// Wall time of `threads` threads that each observe `count` durations.
fn time(threads: usize, count: u64, observe: impl Fn(Duration) + Sync) -> Duration {
    let durations = durations();
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for (_, duration) in (0..count).zip(durations.iter().cycle()) {
                    observe(black_box(*duration));
                }
            });
        }
    });
    started.elapsed()
}

fn observe(c: &mut Criterion) {
    let own = Latencies::default();
    let bounds = [
        5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5,
        1.0, 2.5,
    ];
    let options = prometheus::HistogramOpts::new("crate", "crate").buckets(bounds.to_vec());
    let theirs = prometheus::Histogram::with_opts(options).expect("the bounds rise");
    for threads in [1, 2] {
        let mut group = c.benchmark_group(format!("observe, threads: {threads}"));
        group.bench_function("nothing", |b| {
            b.iter_custom(|count| time(threads, count, |duration| _ = black_box(duration)));
        });
        group.bench_function("adit", |b| {
            b.iter_custom(|count| time(threads, count, |duration| own.share_to_reply().observe(duration)));
        });
        group.bench_function("crate prometheus", |b| {
            b.iter_custom(|count| time(threads, count, |duration| theirs.observe(duration.as_secs_f64())));
        });
        group.finish();
    }
}

/// A snapshot with that many accounts, each with as many reasons as there are.
fn snapshot(accounts: usize) -> Snapshot {
    let reasons =
        |count: usize| (0..count).map(|n| (format!("reason_{n}").into(), 1000)).collect::<Reasons>();
    let account = |n: usize| AccountSnapshot {
        listener: format!("listener-{}", n % 3),
        route: format!("route-{}", n / 3 % 2),
        source: Some(format!("source-{}", n / 6)),
        books: BooksSnapshot {
            rejected: reasons(11),
            unsent: reasons(5),
            refused: reasons(10),
            ..BooksSnapshot::default()
        }
        .with_totals(),
    };
    Snapshot { accounts: (0..accounts).map(account).collect(), ..Snapshot::default() }
}

fn scrape(c: &mut Criterion) {
    let mut exporter = Exporter::new(Latencies::default()).expect("names are unique");
    for accounts in [18, 4096] {
        let snapshot = snapshot(accounts);
        let mut group = c.benchmark_group(format!("scrape, accounts: {accounts}"));
        group.sample_size(20);
        group.bench_function("sums", |b| b.iter(|| snapshot.clone().with_sums()));
        let snapshot = Arc::new(snapshot.with_sums());
        group.bench_function("metrics", |b| b.iter(|| exporter.render(snapshot.clone())));
        group.bench_function("status", |b| b.iter(|| serde_json::to_vec(&*snapshot)));
        group.finish();
    }
}

/// Series of that many workers, by Adit's names and by the compatibility set's.
fn workers(c: &mut Criterion) {
    let reasons =
        |count: usize| (0..count).map(|n| (format!("reason_{n}").into(), 1000)).collect::<Reasons>();
    let books = BooksSnapshot { rejected: reasons(12), local: 1, ..BooksSnapshot::default() }.with_totals();
    for count in [100, 1_000] {
        let series: Vec<_> = (0..count)
            .map(|n| WorkerSeries {
                name: format!("account.hall-{}.rig{n:05}", n % 7),
                books: books.clone(),
                connections: 1,
                hashrate_hs: 1.234_567_89e14,
                last_share_seconds: Some(3.25),
            })
            .collect();
        let mut group = c.benchmark_group(format!("scrape, workers with series: {count}"));
        group.sample_size(20);
        for compatible in [false, true] {
            let mut exporter = Exporter::new(Latencies::default()).expect("names are unique");
            let (own, theirs) = (series.clone(), series.clone());
            exporter.add_workers(Arc::new(move || own.clone())).expect("they are not there yet");
            if compatible {
                exporter
                    .add_compatible(
                        Arc::new(move || theirs.clone()),
                        Arc::new(telemetry::Protocols::default),
                        Arc::new(true.into()),
                    )
                    .expect("they are not there yet");
            }
            let snapshot = Arc::new(snapshot(18).with_sums());
            let bytes = exporter.render(snapshot.clone()).expect("it can be written").len();
            let name = format!("{} kB, compatible: {compatible}", bytes / 1000);
            group.bench_function(name, |b| b.iter(|| exporter.render(snapshot.clone())));
        }
        group.finish();
    }
}

criterion_group!(benches, observe, scrape, workers);
criterion_main!(benches);
