//! What counting a share costs: its worker's tally and its account together, on one thread, and on two that count for
//! different workers of one account; and what readers of 10,000 workers cost.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use engine::MinerRef;
use engine::books::{AccountKey, Books, Final, Tally};

const KEY: AccountKey = AccountKey { listener: 0, route: 0, source: Some(0) };

/// Wall time of `threads` threads that each count as many shares, each for a worker of its own.
#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn time(threads: u64, count: u64, share: impl Fn(&Tally, MinerRef) + Sync) -> Duration {
    let books = Books::default();
    let tallies: Vec<_> = (0..threads).map(|n| books.tally(&Arc::from(format!("w{n}")), KEY)).collect();
    let started = Instant::now();
    std::thread::scope(|scope| {
        for (n, tally) in (0..).zip(&tallies) {
            let share = &share;
            scope.spawn(move || (0..count).for_each(|_| share(black_box(tally), MinerRef(n))));
        }
    });
    started.elapsed()
}

fn share(c: &mut Criterion) {
    for threads in [1, 2] {
        let mut group = c.benchmark_group(format!("share, threads: {threads}"));
        group.bench_function("local", |b| {
            b.iter_custom(|count| {
                time(threads, count, |tally, miner| tally.settle_at_once(miner, Final::Local, 16.0, true))
            });
        });
        group.bench_function("acknowledged", |b| {
            b.iter_custom(|count| {
                time(threads, count, |tally, miner| {
                    tally.open(miner);
                    tally.settle(miner, Final::Acknowledged, 1024.0, true);
                })
            });
        });
        group.finish();
    }
}

fn read(c: &mut Criterion) {
    let books = Arc::new(Books::default());
    let tallies: Vec<_> =
        (0..10_000).map(|n| books.tally(&Arc::from(format!("account.rig{n}")), KEY)).collect();
    let mut group = c.benchmark_group("10,000 workers");
    group.sample_size(20);
    let mut reader = books.reader().expect("the first");
    group.bench_function("reader, every one has changed", |b| {
        b.iter(|| {
            tallies.iter().for_each(|t| t.settle_at_once(MinerRef(0), Final::Local, 1.0, true));
            let mut grown = 0;
            reader.take(|row| grown += row.figures.now().since(&row.figures.before()).local);
            grown
        });
    });
    group.bench_function("reader, nothing has changed", |b| b.iter(|| reader.take(|_| ())));
    group.bench_function("list, all that is known of each", |b| {
        b.iter(|| books.each_worker(|worker| _ = black_box((worker.totals(), worker.last_share()))));
    });
    group.bench_function("list, what it is put in order by", |b| {
        b.iter(|| books.each_worker(|worker| _ = black_box((worker.ends(), worker.last_share()))));
    });
    group.bench_function("look over all", |b| b.iter(|| books.forget_gone(Duration::ZERO, Duration::MAX)));
    group.finish();
}

criterion_group!(benches, share, read);
criterion_main!(benches);
