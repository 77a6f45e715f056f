//! What one observation costs on the share path: Adit's histogram beside the one of crate `prometheus`, on
//! one thread and on two that observe into the same histogram.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};

/// Durations that are spread over the buckets, the same for all.
fn durations() -> Vec<Duration> {
    (0..1024_u64)
        .map(|n| Duration::from_nanos(5_000 + n * n * 97))
        .collect()
}

fn threads(count: usize, iterations: u64, work: &(impl Fn(u64) + Sync)) -> Duration {
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(|| work(iterations));
        }
    });
    started.elapsed()
}

fn observe(c: &mut Criterion) {
    let durations = durations();
    let own = telemetry::Latencies::default();
    let bounds = [
        5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5,
        1.0, 2.5,
    ];
    let options = prometheus::HistogramOpts::new("crate", "crate").buckets(bounds.to_vec());
    let crates = prometheus::Histogram::with_opts(options).expect("the bounds rise");
    for count in [1, 2] {
        let mut group = c.benchmark_group(format!("observe, {count} thread(s)"));
        group.bench_function("adit", |b| {
            let work = |n| {
                (0..n).for_each(|n| {
                    own.share_to_reply()
                        .observe(black_box(durations[n as usize % 1024]))
                })
            };
            b.iter_custom(|n| threads(count, n, &work));
        });
        group.bench_function("crate prometheus", |b| {
            let work = |n| {
                (0..n).for_each(|n| crates.observe(black_box(durations[n as usize % 1024]).as_secs_f64()));
            };
            b.iter_custom(|n| threads(count, n, &work));
        });
        group.finish();
    }
}

criterion_group!(benches, observe);
criterion_main!(benches);
