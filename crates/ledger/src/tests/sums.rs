//! Sums: exactly the books', whatever happens to the disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::books::Totals;
use proptest::prelude::*;

use super::disk::Disk;
use crate::record::{Entry, Gap};
use crate::{
    Amount, Bounds, Columns, HOUR_MS, Ledger, MINUTE_MS, Reader, Row, RowKey, Rows, Stream, add_row,
    without_workers,
};

/// A Sunday in November 2026.
const START: u64 = 1_795_953_600_000;

fn key(worker: u8) -> Arc<RowKey> {
    Arc::new(RowKey {
        worker: format!("farm.rig{worker}").into(),
        listener: "miners".into(),
        route: "main".into(),
        source: if worker.is_multiple_of(2) { "pool" } else { "standby" }.into(),
    })
}

/// Rows as they can be compared.
type Sum = BTreeMap<RowKey, BTreeMap<String, (i64, i128)>>;

fn sum(rows: &Rows) -> Sum {
    let cells = |row: &Row| {
        let cells = row.cells.iter().filter(|(_, amount)| !amount.is_zero());
        cells
            .map(|(word, amount)| (word.to_string(), (amount.count, amount.hashes)))
            .collect::<BTreeMap<_, _>>()
    };
    rows.iter()
        .map(|(key, row)| ((**key).clone(), cells(row)))
        .filter(|(_, cells)| !cells.is_empty())
        .collect()
}

/// What was taken at one time.
type Taken = Vec<(Arc<RowKey>, Row)>;

/// Books, the ledger that follows them, and all that it was ever told.
struct World {
    disk: Disk,
    bounds: Bounds,
    ledger: Ledger,
    columns: Columns,
    now_ms: u64,
    books: BTreeMap<u8, Totals>,
    seen: BTreeMap<u8, Totals>,
    /// What was taken: the beginning of its span, and its rows.
    taken: Vec<(u64, Taken)>,
    /// So many of these are on the disk.
    safe: usize,
}

impl World {
    fn new(bounds: Bounds) -> Self {
        let disk = Disk::default();
        let (ledger, cuts) = Ledger::open(&disk.storage(), [1; 4], bounds, START, "test").unwrap();
        assert!(cuts.is_empty());
        Self {
            disk,
            bounds,
            ledger,
            columns: Columns::default(),
            now_ms: START,
            books: BTreeMap::new(),
            seen: BTreeMap::new(),
            taken: Vec::new(),
            safe: 0,
        }
    }

    fn work(&mut self, worker: u8, shares: u64) {
        let totals = self.books.entry(worker).or_default();
        totals.acknowledged += shares;
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let work = shares as f64 * 1.1;
        totals.work_acknowledged += work;
        totals.rejected[usize::from(worker) % 12] += shares / 3;
        totals.pending = shares % 3;
    }

    fn tick(&mut self, passed_ms: u64) {
        self.now_ms += passed_ms;
        let mut rows = Vec::new();
        for (worker, totals) in &self.books {
            let before = self.seen.entry(*worker).or_default();
            let row = self.columns.growth(before, totals);
            if !row.is_empty() {
                rows.push((key(*worker), row));
            }
            *before = totals.clone();
        }
        self.ledger.take(self.now_ms, rows.clone());
        if !rows.is_empty() {
            // While the disk is away, spans become one that begins where the first of them does.
            self.taken.push((self.ledger.last_from_ms().unwrap(), rows));
        }
        self.ledger.flush(self.now_ms);
        if self.ledger.standing().trouble.is_none() {
            self.safe = self.taken.len();
        }
    }

    fn reader(&self) -> Reader {
        Reader::of(Box::new(self.disk.clone()))
    }

    fn taken_between(&self, from: u64, to: u64, until: usize) -> Rows {
        let mut rows = Rows::new();
        for (at, taken) in &self.taken[..until] {
            if (from..to).contains(at) {
                taken.iter().for_each(|(key, row)| add_row(&mut rows, key, row));
            }
        }
        rows
    }

    /// Everything, with what is left of what was evicted: without workers, since of that there are none.
    fn all(&self) -> Sum {
        let (rows, period) =
            self.reader().sums::<Rows>(0, u64::MAX / 2, |sum, _, key, row| add_row(sum, key, row)).unwrap();
        let mut rows = without_workers(&rows);
        for (key, row) in period.evicted.iter().flat_map(|evicted| &evicted.rows) {
            add_row(&mut rows, key, row);
        }
        sum(&rows)
    }

    /// The power goes, and comes back. What was not yet safe is there up to one span or another.
    fn lose_power(&mut self, mut draw: impl FnMut(usize) -> usize) {
        self.disk.lose_power(&mut draw);
        let opened = Ledger::open(&self.disk.storage(), [1; 4], self.bounds, self.now_ms, "test");
        self.ledger = opened.unwrap().0;
        let there = self.all();
        let found = (self.safe..=self.taken.len())
            .find(|until| sum(&without_workers(&self.taken_between(0, u64::MAX, *until))) == there);
        let found = found.expect("whole spans, none that was safe missing");
        self.taken.truncate(found);
        self.safe = found;
        self.books.clear();
        self.seen.clear();
    }

    fn check_all(&self) {
        assert_eq!(self.all(), sum(&without_workers(&self.taken_between(0, u64::MAX, self.safe))));
    }

    fn gaps(&self) -> Vec<Gap> {
        let mut gaps = Vec::new();
        self.reader()
            .entries(Stream::Notes, &mut |entry| {
                if let Entry::Gap(gap) = entry {
                    gaps.push(gap);
                }
            })
            .unwrap();
        gaps
    }
}

#[derive(Clone, Debug)]
enum Step {
    Work(u8, u64),
    Tick(u64),
    LosePower(u64),
    Full(usize),
    FailSyncs(u32),
    Well,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4u8, 0..50u64).prop_map(|(worker, shares)| Step::Work(worker, shares)),
        6 => (100..5_000u64).prop_map(Step::Tick),
        2 => (MINUTE_MS / 2..3 * HOUR_MS).prop_map(Step::Tick),
        1 => any::<u64>().prop_map(Step::LosePower),
        1 => (0..400usize).prop_map(Step::Full),
        1 => (1..4u32).prop_map(Step::FailSyncs),
        2 => Just(Step::Well),
    ]
}

fn draw(mut seed: u64) -> impl FnMut(usize) -> usize {
    move |bound| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % bound
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// The ledger adds up to the books, over losses of power, full and failing disks, minutes, hours and evictions.
    #[test]
    fn the_sums_are_the_books(
        steps in prop::collection::vec(step(), 1..80),
        small: bool,
        cuts_fail: bool,
        spans in prop::collection::vec((0..400_000_000u64, 0..100_000_000u64), 8),
    ) {
        let bounds = if small {
            Bounds { seconds_ms: 1_000, minutes_ms: HOUR_MS, hours_ms: 6 * HOUR_MS, ..Bounds::default() }
        } else {
            Bounds::default()
        };
        let mut world = World::new(bounds);
        world.disk.lock().cuts_fail = cuts_fail;
        for step in steps {
            match step {
                Step::Work(worker, shares) => world.work(worker, shares),
                Step::Tick(passed) => world.tick(passed),
                Step::LosePower(seed) => world.lose_power(draw(seed)),
                Step::Full(room) => world.disk.lock().room = Some(room),
                Step::FailSyncs(count) => world.disk.lock().failing_syncs = count,
                Step::Well => {
                    let mut disk = world.disk.lock();
                    (disk.room, disk.failing_syncs) = (None, 0);
                }
            }
        }
        let troubled = world.ledger.standing().trouble.is_some();
        {
            let mut disk = world.disk.lock();
            (disk.room, disk.failing_syncs) = (None, 0);
        }
        world.tick(1_000);
        prop_assert_eq!(world.safe, world.taken.len());
        // Not by their number: old ones may have been evicted meanwhile.
        let told = world.gaps().iter().filter(|gap| gap.to_ms == world.now_ms).count();
        prop_assert_eq!(told, usize::from(troubled), "the gap is told once, when it ends");
        world.check_all();

        // Any period: exactly what was taken in it, as far as it had to be widened.
        for (at, length) in spans {
            let (from, to) = (START + at % 40_000_000, START + at % 40_000_000 + length % 20_000_000);
            let (rows, period) = world
                .reader()
                .sums::<Rows>(from, to, |sum, _, key, row| add_row(sum, key, row))
                .unwrap();
            prop_assert!(period.from_ms <= from && period.to_ms >= to);
            let known_from = period.evicted.as_ref().map_or(0, |evicted| evicted.to_ms);
            let expected = world.taken_between(period.from_ms.max(known_from), period.to_ms, world.safe);
            prop_assert_eq!(sum(&rows), sum(&expected), "{:?}", period);
        }
    }
}

#[test]
fn a_killed_run_is_taken_up_within_the_minute() {
    let mut world = World::new(Bounds::default());
    for second in 0..150 {
        world.work(0, 1 + second % 3);
        world.tick(1_000);
        if second % 7 == 0 {
            // Nothing is lost of what was flushed.
            let safe = world.safe;
            world.lose_power(|_| 0);
            assert_eq!(world.safe, safe);
        }
    }
    world.tick(2 * HOUR_MS);
    world.check_all();
    let (hours, _) = world
        .reader()
        .sums::<BTreeMap<u64, i64>>(START, START + HOUR_MS, |hours, at, _, row| {
            *hours.entry(at.start).or_default() += row.get("acknowledged").count;
        })
        .unwrap();
    assert_eq!(hours, BTreeMap::from([(START, 300)]), "one hour, read as one");
}

#[test]
fn what_is_evicted_stays_in_the_totals_and_is_told() {
    let bounds = Bounds { sums_bytes: 64 << 10, ..Bounds::default() };
    let mut world = World::new(bounds);
    for minute in 0..4_000 {
        for worker in 0..20 {
            world.work(worker, 1 + minute % 5);
        }
        world.tick(MINUTE_MS);
    }
    world.check_all();
    let evicted = world.reader().evicted().unwrap();
    assert!(evicted.contains_key(&Stream::Seconds) && evicted.contains_key(&Stream::Minutes));
    let hours = &evicted[&Stream::Hours];
    assert!(hours.records > 0 && hours.from_ms < hours.to_ms && !hours.rows.is_empty(), "{hours:?}");
    assert!(world.disk.length() < 160 << 10, "{} bytes", world.disk.length());
    let whole = world.reader().sums::<u64>(hours.to_ms, START + 10_000 * MINUTE_MS, |n, _, _, _| *n += 1);
    assert!(whole.unwrap().1.evicted.is_none(), "it does not reach into that period");
}

#[test]
fn a_full_disk_leaves_a_gap_that_says_since_when() {
    let mut world = World::new(Bounds::default());
    world.work(0, 5);
    world.tick(1_000);
    world.disk.lock().room = Some(10);
    for _ in 0..3 {
        world.work(0, 5);
        world.tick(1_000);
        assert!(world.ledger.standing().trouble.is_some());
    }
    world.ledger.lost(7);
    assert_eq!(world.ledger.standing().shares_lost, 7);
    world.disk.lock().room = None;
    world.tick(1_000);
    assert_eq!(world.ledger.standing().trouble, None);
    world.check_all();
    let gaps = world.gaps();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    let gap = &gaps[0];
    assert_eq!((gap.from_ms, gap.to_ms, gap.shares_lost), (START + 1_000, START + 5_000, 7));
    assert!(gap.why.contains("storage") || gap.why.contains("space"), "{}", gap.why);
    let sum =
        world.reader().sums::<Amount>(0, u64::MAX / 2, |sum, _, _, row| sum.add(row.get("acknowledged")));
    assert_eq!(sum.unwrap().0.count, 20, "caught up");
}

#[test]
fn the_clock_may_go_back() {
    let mut world = World::new(Bounds::default());
    for step in [1_000, 3_600_000, 1_000] {
        world.work(1, 2);
        world.tick(step);
    }
    world.now_ms -= 3_600_000;
    for _ in 0..200 {
        world.work(1, 2);
        world.tick(30_000);
    }
    world.check_all();
}

#[test]
fn any_damage_is_read_up_to_it_and_told() {
    let mut world = World::new(Bounds::default());
    for second in 0..40 {
        world.work(0, 2);
        world.work(1, second % 4);
        world.tick(1_000);
    }
    let name = Stream::Seconds.file_name(1);
    let whole = world.disk.bytes(&name);
    let read = |world: &World| {
        let (sum, period) = world
            .reader()
            .sums::<i64>(0, u64::MAX / 2, |sum, _, _, row| *sum += row.get("acknowledged").count)
            .unwrap();
        (sum, period.damages)
    };
    let (all, damages) = read(&world);
    assert!(damages.is_empty());
    let mut last = 0;
    for end in 0..whole.len() {
        world.disk.put(&name, whole[..end].to_vec());
        let (sum, damages) = read(&world);
        assert!(sum >= last && sum <= all);
        last = sum;
        assert!(damages.len() <= 1 && damages.iter().all(|d| d.newest && d.file == name), "{damages:?}");
    }
    for at in (0..whole.len()).step_by(3) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        world.disk.put(&name, damaged);
        let (sum, damages) = read(&world);
        assert!(sum < all && damages.len() == 1, "byte {at}");
        assert!(damages[0].offset <= at as u64);
    }
}
