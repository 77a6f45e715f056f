//! What held for miners: for any period the highest of it is found, also of who brought no share, over the ends of segments and
//! of runs, and however the disk fails.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::disk::Disk;
use crate::record::{Entry, Threshold};
use crate::{Bounds, Highest, Ledger, Reader, RowKey};

const START: u64 = 1_795_953_600_000;
const LOOK_MS: u64 = 10_000;

fn key(number: u8) -> Arc<RowKey> {
    let worker = format!("w{number}").into();
    Arc::new(RowKey { worker, listener: "l".into(), route: "r".into(), source: "p".into() })
}

fn highest(disk: &Disk, from_ms: u64, to_ms: u64) -> BTreeMap<Arc<RowKey>, Threshold> {
    let mut highest = Highest::of(from_ms, to_ms);
    let reader = Reader::of(Box::new(disk.clone()));
    reader.evidence(from_ms, to_ms, &mut |entry| highest.add(&entry)).unwrap();
    highest.rows().clone()
}

fn seen(assigned: f64, kept_from: f64) -> Threshold {
    Threshold { assigned, kept_from }
}

fn ledger(disk: &Disk, now_ms: u64) -> Ledger {
    Ledger::open(&disk.storage(), [9; 4], Bounds::default(), now_ms, "test").unwrap().0
}

fn look_at(ledger: &mut Ledger, now_ms: u64, all: impl IntoIterator<Item = (Arc<RowKey>, Threshold)>) {
    let mut looking = ledger.looking(now_ms);
    for (key, seen) in all {
        let key = looking.key(&key);
        assert!(looking.add(key, seen));
    }
    looking.end();
}

fn look(ledger: &mut Ledger, now_ms: u64, all: &[(u8, Threshold)]) {
    look_at(ledger, now_ms, all.iter().map(|(number, seen)| (key(*number), *seen)));
    ledger.take(now_ms, []);
    ledger.flush(now_ms);
}

#[test]
fn what_rises_holds_at_once_what_falls_later_and_who_is_gone_not_at_all() {
    let disk = Disk::default();
    let mut book = ledger(&disk, START);
    let at = |minutes: u64| START + minutes * 60_000;
    look(&mut book, at(0), &[(1, seen(8.0, 0.0)), (2, seen(4.0, 2.0))]);
    look(&mut book, at(1), &[(1, seen(16.0, 1.0)), (2, seen(0.0, 2.0))]);
    for minute in 2..30 {
        look(&mut book, at(minute), &[(1, seen(2.0, 1.0)), (2, seen(0.0, 2.0))]);
    }
    look(&mut book, at(30), &[(1, seen(2.0, 1.0))]);
    let bytes = disk.length();
    for minute in 31..60 {
        look(&mut book, at(minute), &[(1, seen(2.0, 1.0))]);
    }
    assert_eq!(disk.length(), bytes, "nothing new, nothing written");
    let both = |one, two| BTreeMap::from([(key(1), one), (key(2), two)]);
    assert_eq!(highest(&disk, at(0), at(1)), both(seen(8.0, 0.0), seen(4.0, 2.0)));
    assert_eq!(highest(&disk, at(0), at(2)), both(seen(16.0, 1.0), seen(4.0, 2.0)));
    assert_eq!(highest(&disk, at(25), at(30)), both(seen(2.0, 1.0), seen(4.0, 2.0)), "it went on, untold");
    assert_eq!(highest(&disk, at(31), at(60)), BTreeMap::from([(key(1), seen(2.0, 1.0))]));
    // Another run knows nothing of those before it.
    let mut book = ledger(&disk, at(61));
    look(&mut book, at(61), &[(3, seen(1.0, 0.5))]);
    assert_eq!(highest(&disk, at(62), at(63)), BTreeMap::from([(key(3), seen(1.0, 0.5))]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Never less than what was seen, whatever the disk does.
    #[test]
    fn no_period_has_less_than_was_seen_in_it(
        looks in prop::collection::vec((prop::collection::vec((0..14_u8, 0..5_i32, 0..5_i32), 0..4), 0..9_u8), 1..120),
        from in 0..120_u64, length in 1..120_u64,
    ) {
        let disk = Disk::default();
        let mut book = ledger(&disk, START);
        let (mut now_ms, mut all) = (START, Vec::new());
        for (rows, fate) in looks {
            now_ms += LOOK_MS;
            let mut rows: Vec<_> =
                rows.iter().map(|(number, a, k)| (*number, seen(f64::from(*a).exp2(), f64::from(*k).exp2()))).collect();
            rows.dedup_by_key(|(number, _)| *number);
            disk.lock().room = (fate == 0).then_some(7);
            look(&mut book, now_ms, &rows);
            if fate == 1 {
                book = ledger(&disk, now_ms);
                // What was not on the disk is lost with the run; it is seen again.
                look(&mut book, now_ms, &rows);
            }
            all.push((now_ms, rows));
        }
        disk.lock().room = None;
        now_ms += LOOK_MS;
        look(&mut book, now_ms, &[]);
        let (from_ms, to_ms) = (START + from * LOOK_MS, START + (from + length) * LOOK_MS);
        let found = highest(&disk, from_ms, to_ms);
        for (at_ms, rows) in all {
            // A look's rows hold from then on.
            for (number, seen) in rows.into_iter().filter(|_| (from_ms..to_ms).contains(&at_ms)) {
                let held = found.get(&key(number)).copied().unwrap_or_default();
                prop_assert!(held.max(seen) == held, "{number}: {seen:?} at {at_ms}, found {held:?}");
            }
        }
    }
}

#[test]
fn a_record_of_many_is_cut_into_several() {
    let disk = Disk::default();
    let mut book = ledger(&disk, START);
    let all = (0..40_000_u32).map(|number| {
        let worker = format!("worker-{number}").into();
        let key = RowKey { worker, listener: "l".into(), route: "r".into(), source: "p".into() };
        (Arc::new(key), seen(2.0, 1.0))
    });
    look_at(&mut book, START, all);
    book.flush(START);
    let (mut records, mut anew) = (0, 0);
    Reader::of(Box::new(disk.clone()))
        .evidence(START, START + 1, &mut |entry| {
            if let Entry::Thresholds(thresholds) = entry {
                records += 1;
                anew += u32::from(thresholds.anew);
            }
        })
        .unwrap();
    assert_eq!((records, anew), (3, 1));
    assert_eq!(highest(&disk, START, START + 1).len(), 40_000);
}
