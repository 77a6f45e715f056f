//! Names of workers that come and go: they do not pile up in memory, and no sum is counted for another.

use std::collections::BTreeMap;

use engine::books::Totals;

use super::disk::Disk;
use crate::{Amount, Bounds, Growth, HOUR_MS, Key, Ledger, MINUTE_MS, Reader, RowKey};

const START: u64 = 1_795_953_600_000;

fn key(worker: u64) -> RowKey {
    RowKey {
        worker: format!("w{worker}").into(),
        listener: "l".into(),
        route: "r".into(),
        source: "s".into(),
    }
}

#[test]
fn numbers_of_workers_that_are_gone_are_given_back_and_sums_stay_with_their_names() {
    let disk = Disk::default();
    let (mut ledger, _) = Ledger::open(&disk.storage(), [1; 4], Bounds::default(), START, "test").unwrap();
    let mut marks: BTreeMap<u64, Key> = BTreeMap::new();
    let mut expected: BTreeMap<String, i64> = BTreeMap::new();
    let (mut growth, mut renumbered) = (Growth::default(), 0);
    let mut now_ms = START;
    for round in 0..400_u64 {
        now_ms += MINUTE_MS / 2;
        let mut taking = ledger.taking(now_ms);
        // Some are always there, some come once, some come back.
        for worker in [0, 1, 2, 1_000 + round, 100 + round % 7, 200 + round / 50] {
            let count = worker % 5 + 1;
            growth.set(&Totals::default(), &Totals { local: count, ..Totals::default() });
            *expected.entry(format!("w{worker}")).or_default() += i64::try_from(count).unwrap();
            if let Some(mark) = marks.get(&worker) {
                if taking.add(*mark, &growth) {
                    continue;
                }
                renumbered += 1;
            }
            let mark = taking.key(&key(worker));
            assert_eq!(Key::from_bits(mark.to_bits()), Some(mark));
            marks.insert(worker, mark);
            assert!(taking.add(mark, &growth));
        }
        ledger.flush(now_ms);
        // Those of an hour and two minutes, at most, and twice as many before they are looked through.
        assert!(ledger.keys() < 300, "round {round}: {} names", ledger.keys());
    }
    assert!(renumbered > 50, "{renumbered}");
    assert_eq!(Key::from_bits(0), None);
    for until in [now_ms + 1, now_ms + 1 - HOUR_MS] {
        let (sums, period) = Reader::of(Box::new(disk.clone()))
            .sums::<BTreeMap<String, Amount>>(0, until, |sums, _, key, row| {
                sums.entry(key.worker.to_string()).or_default().add(row.get("local"));
            })
            .unwrap();
        assert!(period.damages.is_empty());
        let sums: BTreeMap<_, _> = sums.into_iter().map(|(name, amount)| (name, amount.count)).collect();
        if until > now_ms {
            assert_eq!(sums, expected);
        } else {
            assert!(sums.iter().all(|(name, count)| *count <= expected[name]) && sums.len() > 200);
        }
    }
}
