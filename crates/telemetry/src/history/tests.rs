//! The history's promises, whatever happens to its bytes and to the clock.

use std::fs;
use std::io;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::layout::{COLUMNS, LENGTH, RINGS, header};
use super::medium::{Medium, Memory};
use super::store::{HistoryAnswer, HistoryQuery, Store};
use super::*;

const NOW: u64 = 1_800_000_000;

/// Memory that outlives its store, and may tear a write.
#[derive(Clone)]
struct Disk(Arc<Mutex<(Memory, Option<usize>)>>);

impl Disk {
    fn new() -> Self {
        Self(Arc::new(Mutex::new((Memory::new(), None))))
    }

    fn store(&self) -> Store {
        Store::open(Box::new(self.clone())).unwrap()
    }

    /// The next write ends after so many bytes.
    fn tear(&self, after: usize) {
        self.0.lock().unwrap().1 = Some(after);
    }
}

impl Medium for Disk {
    fn read_at(&self, place: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.0.lock().unwrap().0.read_at(place, bytes)
    }

    fn write_at(&mut self, place: u64, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        match inner.1.take() {
            None => inner.0.write_at(place, bytes),
            Some(after) => {
                inner.0.write_at(place, &bytes[..after.min(bytes.len())])?;
                Err(io::ErrorKind::StorageFull.into())
            }
        }
    }
}

fn ask(store: &Store, name: &str, from: u64, to: u64, points: usize) -> HistoryAnswer {
    store.query(&HistoryQuery { series: vec![name.into()], from, to, points }, NOW.max(to)).unwrap()
}

fn known(answer: &HistoryAnswer, name: &str) -> Vec<(u64, f32)> {
    let point = |(at, value): (usize, &Option<f32>)| {
        value.map(|value| (answer.from + at as u64 * answer.step_seconds, value))
    };
    answer.series[name].iter().enumerate().filter_map(point).collect()
}

#[test]
fn a_day_is_kept_in_steps_of_ten_seconds_and_thirty_days_in_coarser_ones() {
    let mut store = Disk::new().store();
    let begin = NOW - 40 * 24 * 3600;
    // Every tenth minute for forty days, then every ten seconds for an hour.
    for at in (begin..NOW - 3600).step_by(600).chain((NOW - 3600..NOW).step_by(10)) {
        store.record(at, [("total", (at - begin) as f64)]).unwrap();
    }
    let hour = ask(&store, "total", NOW - 3590, NOW, 360);
    assert_eq!((hour.step_seconds, known(&hour, "total").len()), (10, 359));
    let month = ask(&store, "total", NOW - 30 * 24 * 3600, NOW, 720);
    assert_eq!(month.step_seconds, 3600);
    let points = known(&month, "total");
    assert_eq!(points.len(), 720);
    assert!(points.windows(2).all(|pair| pair[0].1 < pair[1].1), "it only ever grew");
    // A moment of three days ago is not there in ten seconds, but in minutes.
    let old = ask(&store, "total", NOW - 3 * 24 * 3600, NOW - 3 * 24 * 3600 + 3600, 360);
    assert_eq!((old.step_seconds, known(&old, "total").len()), (60, 7));
}

#[test]
fn a_gap_is_a_gap_and_not_a_zero() {
    let mut store = Disk::new().store();
    store.record(NOW - 100, [("total", 5.0)]).unwrap();
    store.record(NOW - 50, [("total", f64::NAN), ("other", 1.0)]).unwrap();
    store.record(NOW - 10, [("total", 7.0)]).unwrap();
    let answer = ask(&store, "total", NOW - 100, NOW, 10);
    assert_eq!(known(&answer, "total"), [(NOW - 100, 5.0), (NOW - 10, 7.0)]);
    assert_eq!(answer.names, ["total", "other"]);
    assert_eq!(known(&ask(&store, "nobody", NOW - 100, NOW, 10), "nobody"), []);
}

#[test]
fn a_series_beyond_the_last_column_is_left_out_until_one_has_been_silent_for_a_day() {
    let mut store = Disk::new().store();
    let names: Vec<String> = (0..=COLUMNS).map(|n| format!("route:{n}")).collect();
    let all = |from: usize| names[from..].iter().map(|name| (name.as_str(), 1.0));
    assert_eq!(store.record(NOW, all(0)).unwrap(), 1);
    let late = names[COLUMNS].as_str();
    let next = NOW + 25 * 3600;
    // The first is gone, the others go on: the newcomer gets its column, and none of its values.
    for at in [NOW + 12 * 3600, next - 3600] {
        store.record(at, names[1..COLUMNS].iter().map(|name| (name.as_str(), 1.0))).unwrap();
    }
    assert_eq!(store.record(next, all(1)).unwrap(), 0);
    let answer = store
        .query(&HistoryQuery { series: vec![late.into()], from: NOW - 600, to: next, points: 2000 }, next)
        .unwrap();
    assert_eq!(known(&answer, late).iter().map(|(_, value)| *value).collect::<Vec<_>>(), [1.0]);
    assert!(!answer.names.contains(&names[0]));
}

#[test]
fn a_file_is_found_again_locked_and_set_aside_when_it_is_broken() {
    let directory = std::env::temp_dir().join(format!("adit-history-{}", std::process::id()));
    let _ = fs::remove_dir_all(&directory);
    let snapshot = |at| Snapshot { unix_time: at, ..Snapshot::default() };
    let ask = |history: &History| {
        let query = HistoryQuery { series: vec!["total".into()], from: NOW - 60, to: NOW, points: 6 };
        history.query(&query, NOW).unwrap()
    };
    let first = History::default();
    assert_eq!(first.keep_in(&directory).unwrap(), None);
    first.record(&snapshot(NOW - 30)).unwrap();
    assert!(matches!(History::default().keep_in(&directory), Err(HistoryError::InUse(_))));
    drop(first);
    let second = History::default();
    second.keep_in(&directory).unwrap();
    second.record(&snapshot(NOW - 10)).unwrap();
    assert_eq!(known(&ask(&second), "total").len(), 2);
    drop(second);
    // Cut short, as by a disk that filled up in an old version, or another version's altogether.
    let file = directory.join("history");
    assert_eq!(fs::metadata(&file).unwrap().len(), LENGTH);
    fs::write(&file, &fs::read(&file).unwrap()[..5000]).unwrap();
    let third = History::default();
    assert_eq!(third.keep_in(&directory).unwrap(), Some(directory.join("history.broken")));
    assert_eq!(known(&ask(&third), "total"), []);
    third.record(&snapshot(NOW)).unwrap();
    assert_eq!(known(&ask(&third), "total").len(), 1);
    drop(third);
    // Nowhere to write: it says so, and goes on in memory.
    let fourth = History::default();
    assert!(matches!(fourth.keep_in(&file), Err(HistoryError::File { .. })));
    fourth.record(&snapshot(NOW)).unwrap();
    assert_eq!(known(&ask(&fourth), "total").len(), 1);
    fs::remove_dir_all(&directory).unwrap();
}

#[derive(Clone, Debug)]
enum Step {
    /// Time goes on, or back, and a sample of these series is taken.
    Record(i64, Vec<(u8, f64)>),
    /// The same, and the power goes while it is written.
    Torn(i64, Vec<(u8, f64)>, usize),
    /// The process ends and begins anew.
    Restart,
    /// A byte of the file changes.
    Rot(u64, u8),
}

fn step() -> impl Strategy<Value = Step> {
    let values = || prop::collection::vec((0..80_u8, prop::num::f64::ANY), 0..6);
    let jump = || prop_oneof![8 => 0..700_i64, 1 => -10_000..10_000_i64, 1 => 0..4_000_000_i64];
    prop_oneof![
        12 => (jump(), values()).prop_map(|(jump, values)| Step::Record(jump, values)),
        2 => (jump(), values(), 0..300_usize).prop_map(|(jump, values, after)| Step::Torn(jump, values, after)),
        1 => Just(Step::Restart),
        1 => (header().len() as u64..LENGTH, any::<u8>()).prop_map(|(place, byte)| Step::Rot(place, byte)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens: nothing panics, no value is invented, and what was recorded last is there.
    #[test]
    fn what_comes_back_was_put_in(steps in prop::collection::vec(step(), 1..60)) {
        let disk = Disk::new();
        let mut store = disk.store();
        let mut now = NOW;
        let mut put: std::collections::BTreeMap<u8, Vec<f32>> = Default::default();
        for step in steps {
            let (jump, values, torn) = match step {
                Step::Restart => { store = disk.store(); continue }
                Step::Rot(place, byte) => { disk.clone().write_at(place, &[byte]).unwrap(); continue }
                Step::Record(jump, values) => (jump, values, None),
                Step::Torn(jump, values, after) => (jump, values, Some(after)),
            };
            now = now.saturating_add_signed(jump);
            if let Some(after) = torn { disk.tear(after) }
            let names: Vec<(String, f64)> = values.iter().map(|(n, v)| (format!("s{n}"), *v)).collect();
            let recorded = store.record(now, names.iter().map(|(n, v)| (n.as_str(), *v)));
            prop_assert_eq!(recorded.is_err(), torn.is_some());
            for (n, value) in values {
                #[expect(clippy::cast_possible_truncation, reason = "as it is kept")]
                let kept = value as f32;
                if value.is_finite() {
                    put.entry(n).or_default().push(kept);
                }
            }
            if torn.is_some() {
                // As after a power cut: nothing but the disk is left.
                store = disk.store();
            }
        }
        for (length, points) in [(3_600, 360), (86_400, 720), (2_592_000, 500), (10_000_000, 5_000)] {
            let query = HistoryQuery { series: vec![], from: now - length, to: now, points };
            let answer = store.query(&query, now).unwrap();
            for (name, values) in &answer.series {
                prop_assert!(values.len() <= POINTS_MAX + 1);
                let Some(n) = name.strip_prefix('s').and_then(|n| n.parse::<u8>().ok()) else { continue };
                let put = put.get(&n).map(Vec::as_slice).unwrap_or_default();
                let (least, most) = put.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
                for value in values.iter().flatten() {
                    prop_assert!(value.is_finite() && *value >= least && *value <= most, "{name}: {value} not in {least}..{most}");
                }
            }
        }
    }

    /// Any range may be asked for.
    #[test]
    fn any_question_has_a_bounded_answer(from in any::<u64>(), to in any::<u64>(), points in any::<usize>(), now in any::<u64>()) {
        let mut store = Disk::new().store();
        store.record(NOW, [("total", 1.0)]).unwrap();
        let answer = store.query(&HistoryQuery { series: vec!["total".into()], from, to, points }, now).unwrap();
        prop_assert!(answer.series["total"].len() <= POINTS_MAX + 1);
        prop_assert!(RINGS.iter().any(|ring| answer.step_seconds.is_multiple_of(ring.step)));
    }
}
