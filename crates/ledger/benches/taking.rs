//! What a second of the ledger costs, of 10,000 workers that all had a share in it: to take it from the books, and to write it
//! (to a disk that takes nothing, so that what is measured is this crate's).

use std::io;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use engine::MinerRef;
use engine::books::{AccountKey, Books, Final, Reader, Tally};
use ledger::{Bounds, Growth, Key, Ledger, RowKey, SegmentFile, Storage};

const WORKERS: usize = 10_000;
const START: u64 = 1_795_953_600_000;
const KEY: AccountKey = AccountKey { listener: 0, route: 0, source: Some(0) };

/// Everything that is written to it is gone.
#[derive(Debug)]
struct Nothing;

impl Storage for Nothing {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        Ok(Vec::new())
    }

    fn read(&self, _: &str) -> io::Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn read_start(&self, _: &str, _: usize) -> io::Result<Vec<u8>> {
        Ok(Vec::new())
    }

    fn create(&self, _: &str) -> io::Result<Box<dyn SegmentFile>> {
        Ok(Box::new(Self))
    }

    fn cut(&self, _: &str, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        Ok(())
    }
}

impl SegmentFile for Nothing {
    fn append(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn cut(&mut self, _: u64) -> io::Result<()> {
        Ok(())
    }
}

struct Farm {
    tallies: Vec<Arc<Tally>>,
    reader: Reader,
    growth: Growth,
    ledger: Ledger,
    now_ms: u64,
}

impl Farm {
    fn new() -> Self {
        let books = Arc::new(Books::default());
        let name = |n: usize| Arc::from(format!("account.rig{n}"));
        let tallies = (0..WORKERS).map(|n| books.tally(&name(n), KEY)).collect();
        let reader = books.reader().expect("the first");
        let storage: Arc<dyn Storage + Sync> = Arc::new(Nothing);
        let (ledger, _) =
            Ledger::open(&storage, [0; 4], Bounds::default(), START, "bench").expect("no files");
        Self { tallies, reader, growth: Growth::default(), ledger, now_ms: START }
    }

    /// Each worker brings a share; every fifth is also acknowledged by the pool.
    fn shares(&self) {
        for (n, tally) in (0..).zip(&self.tallies) {
            tally.verified(MinerRef(n), 1024.0, std::time::Duration::ZERO);
            if n % 5 == 0 {
                tally.open(MinerRef(n));
                tally.settle(MinerRef(n), Final::Acknowledged, 8192.0, true);
            } else {
                tally.settle_at_once(MinerRef(n), Final::Local, 1024.0, true);
            }
        }
    }

    fn take(&mut self) {
        self.now_ms += 1_000;
        let mut taking = self.ledger.taking(self.now_ms);
        let growth = &mut self.growth;
        self.reader.take(|grown| {
            growth.set_grown(&grown.figures);
            if Key::from_bits(*grown.mark).is_some_and(|key| taking.add(key, growth)) {
                return;
            }
            let key = taking.key(&RowKey {
                worker: (&**grown.worker).into(),
                listener: "miners".into(),
                route: "main".into(),
                source: "pool".into(),
            });
            *grown.mark = key.to_bits();
            taking.add(key, growth);
        });
    }
}

fn second(c: &mut Criterion) {
    let mut group = c.benchmark_group("10,000 workers, a second");
    group.sample_size(20);
    let mut farm = Farm::new();
    group.bench_function("their shares alone", |b| b.iter(|| farm.shares()));
    group.bench_function("shares, taken", |b| {
        b.iter(|| {
            farm.shares();
            farm.take();
        });
    });
    group.bench_function("shares, taken and written", |b| {
        b.iter(|| {
            farm.shares();
            farm.take();
            farm.ledger.flush(farm.now_ms);
        });
    });
    farm.take();
    farm.ledger.flush(farm.now_ms);
    group.bench_function("nothing has come", |b| b.iter(|| farm.take()));
    group.finish();
}

criterion_group!(benches, second);
criterion_main!(benches);
