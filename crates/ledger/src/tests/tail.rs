//! Following a stream: everything once, whatever happens meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::disk::Disk;
use crate::record::{Job, Share};
use crate::{Amount, Bounds, GoneWhy, HOUR_MS, Ledger, Mark, Row, RowKey, Stream, Tail, Tailed};

const START: u64 = 1_795_953_600_000;

fn key(worker: u8) -> Arc<RowKey> {
    let worker = format!("rig{worker}").into();
    Arc::new(RowKey { worker, listener: "l".into(), route: "r".into(), source: "s".into() })
}

fn row(count: i64) -> Row {
    Row { squares: 1.0, cells: vec![("local".into(), Amount { count, hashes: i128::from(count) << 40 })] }
}

fn open(disk: &Disk, instance: u8, now_ms: u64, bounds: Bounds) -> Ledger {
    Ledger::open(&disk.storage(), [instance; 4], bounds, now_ms, "test").unwrap().0
}

fn tail(disk: &Disk, stream: Stream, mark: Mark) -> Tail {
    Tail::new(Box::new(disk.clone()), stream, mark)
}

/// Everything that comes, until nothing does.
fn all(tail: &mut Tail) -> Vec<Tailed> {
    std::iter::from_fn(|| tail.follow().unwrap()).collect()
}

fn counted(tailed: &[Tailed]) -> BTreeMap<String, i64> {
    let mut sums = BTreeMap::new();
    for tailed in tailed {
        let Tailed::Span(span) = tailed else { continue };
        for (key, row) in &span.rows {
            *sums.entry(key.worker.to_string()).or_default() += row.get("local").count;
        }
    }
    sums
}

/// Segments of 16 KiB.
fn small() -> Bounds {
    Bounds { sums_bytes: 1 << 19, evidence_bytes: 1 << 19, ..Bounds::default() }
}

#[derive(Clone, Debug)]
enum Step {
    /// A second, with shares of this worker.
    Take(u8, u8),
    Flush,
    /// So many calls of `sync` fail, and what was written stays or not.
    Fail(u32, bool),
    /// Killed; what was written is there.
    Restart,
    /// The follower is restarted, at its mark or at an earlier one.
    Again(bool),
    Follow,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4u8, 1..5u8).prop_map(|(worker, count)| Step::Take(worker, count)),
        6 => Just(Step::Flush),
        1 => (1..3u32, any::<bool>()).prop_map(|(fails, stays)| Step::Fail(fails, stays)),
        1 => Just(Step::Restart),
        1 => any::<bool>().prop_map(Step::Again),
        4 => Just(Step::Follow),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// The follower's sums are those of the ledger's spans, whatever the disk does and whoever is restarted. Spans have
    /// numbers of their own; what is read again from an earlier mark has the same.
    #[test]
    fn each_span_comes_once(steps in prop::collection::vec(step(), 1..120)) {
        let disk = Disk::default();
        let (mut now_ms, mut instance) = (START, 1);
        let mut ledger = open(&disk, instance, now_ms, small());
        let mut follower = tail(&disk, Stream::Seconds, Mark::default());
        let mut earlier = Mark::default();
        let mut seen: BTreeMap<([u8; 4], u64, u64), Tailed> = BTreeMap::new();
        let mut note = |tailed: Vec<Tailed>, again: bool| {
            for one in tailed {
                let Tailed::Span(span) = &one else { panic!("{one:?}") };
                let name = (span.instance, span.sequence, span.from_ms);
                match seen.insert(name, one.clone()) {
                    None => {}
                    Some(before) => {
                        assert!(again, "{name:?} came twice");
                        assert_eq!(before, one, "what comes again is the same");
                    }
                }
            }
        };
        let mut again = false;
        for step in steps.into_iter().chain([Step::Flush, Step::Flush, Step::Flush, Step::Flush, Step::Follow]) {
            match step {
                Step::Take(worker, count) => {
                    now_ms += 700;
                    ledger.take(now_ms, [(key(worker), row(count.into()))]);
                }
                Step::Flush => ledger.flush(now_ms),
                Step::Fail(fails, stays) => {
                    let mut disk = disk.lock();
                    disk.failing_syncs = fails;
                    disk.cuts_fail = stays;
                }
                Step::Restart => {
                    instance += 1;
                    disk.lock().failing_syncs = 0;
                    disk.lock().cuts_fail = false;
                    ledger = open(&disk, instance, now_ms, small());
                }
                Step::Again(back) => {
                    let mark = if back { earlier } else { follower.mark() };
                    again |= back;
                    follower = tail(&disk, Stream::Seconds, mark);
                }
                Step::Follow => {
                    earlier = follower.mark();
                    note(all(&mut follower), again);
                }
            }
        }
        let followed: Vec<Tailed> = seen.values().cloned().collect();
        let mut whole: BTreeMap<String, i64> = BTreeMap::new();
        let read = crate::Reader::of(Box::new(disk)).sums::<BTreeMap<String, i64>>(
            0, u64::MAX / 2, |sums, _, key, row| {
                *sums.entry(key.worker.to_string()).or_default() += row.get("local").count;
            });
        whole.extend(read.unwrap().0);
        prop_assert_eq!(counted(&followed), whole);
    }
}

fn share(at_ms: u64, worker: u8, job: u8) -> Share {
    let job = Job {
        source: "s".into(),
        version: 0x2000_0000,
        prev_hash: [job; 32],
        nbits: 0x1702_7726,
        min_ntime: 1_795_953_600,
        prefix_length: Some(1),
        coinbase_prefix: vec![job; 60].into(),
        coinbase_suffix: vec![2; 90].into(),
        merkle_path: vec![[7; 32]].into(),
    };
    Share {
        at_ms,
        key: key(worker),
        job: Arc::new(job),
        extranonce: vec![1, 2, 3],
        ntime: 1_795_953_601,
        nonce: 5,
        version: 0x2000_e000,
        difficulty: 2.0,
        keep: 1.0,
    }
}

#[test]
fn shares_come_with_their_jobs_from_any_mark() {
    let disk = Disk::default();
    let mut ledger = open(&disk, 1, START, Bounds::default());
    let mut follower = tail(&disk, Stream::Evidence, Mark::default());
    let mut marks = vec![follower.mark()];
    let mut shares = Vec::new();
    for n in 0..20 {
        let share = share(START + u64::from(n), n % 3, n / 7);
        ledger.share(share.clone());
        ledger.flush(START + 750 * u64::from(n));
        let Some(Tailed::Share(kept)) = follower.follow().unwrap() else { panic!("a share") };
        assert_eq!((kept.share, kept.job), (share.clone(), u64::from(n / 7)));
        assert_eq!(follower.follow().unwrap(), None);
        marks.push(follower.mark());
        shares.push(share);
    }
    for (at, mark) in marks.into_iter().enumerate() {
        let mut again = tail(&disk, Stream::Evidence, mark);
        let came: Vec<Share> = all(&mut again)
            .into_iter()
            .map(|tailed| match tailed {
                Tailed::Share(kept) => kept.share,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(came, shares[at..], "from mark {at}");
        assert_eq!(again.bytes_after(again.mark()).unwrap(), 0);
    }
}

#[test]
fn what_is_evicted_before_it_was_read_is_told() {
    let disk = Disk::default();
    let mut ledger = open(&disk, 1, START, Bounds::default());
    let mut follower = tail(&disk, Stream::Seconds, Mark::default());
    let mut now_ms = START;
    let mut second = |ledger: &mut Ledger, by_ms: u64| {
        now_ms += by_ms;
        ledger.take(now_ms, [(key(1), row(1))]);
        ledger.flush(now_ms);
    };
    second(&mut ledger, 700);
    assert_eq!(all(&mut follower).len(), 1);
    for _ in 0..6 {
        second(&mut ledger, HOUR_MS);
    }
    let came = all(&mut follower);
    let gone: Vec<GoneWhy> = came
        .iter()
        .filter_map(|tailed| match tailed {
            Tailed::Gone(gone) => Some(gone.why),
            _ => None,
        })
        .collect();
    assert_eq!(gone, [GoneWhy::Evicted]);
    assert!(came.len() < 7, "{came:?}");
}

#[test]
fn another_ledger_in_its_place_is_read_from_its_beginning() {
    let (disk, other) = (Disk::default(), Disk::default());
    let mut mark = Mark::default();
    for (instance, disk, shares) in [(1, &disk, 5), (2, &other, 3)] {
        let mut ledger = open(disk, instance, START, Bounds::default());
        for n in 0..shares {
            ledger.take(START + 700 * (n + 1), [(key(1), row(1))]);
            ledger.flush(START + 700 * (n + 1));
        }
        let mut follower = tail(disk, Stream::Seconds, mark);
        let came = all(&mut follower);
        let replaced = matches!(&came[0], Tailed::Gone(gone) if gone.why == GoneWhy::Replaced);
        assert_eq!((replaced, counted(&came)["rig1"]), (instance == 2, i64::try_from(shares).unwrap()));
        mark = follower.mark();
    }
}
