//! Reports of ledgers with known sums.

use std::path::PathBuf;
use std::sync::Arc;

use ledger::record::Network;
use ledger::{Amount, Bounds, Directory, HOUR_MS, Ledger, MINUTE_MS, Reader, Row, RowKey, Storage};

use super::*;

/// A Sunday in November 2026, at midnight.
const START: u64 = 1_795_910_400_000;

struct Home(PathBuf);

impl Home {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("adit-report-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    fn ledger(&self, bounds: Bounds) -> Ledger {
        let storage: Arc<dyn Storage + Sync> = Arc::new(Directory::make(&self.0).unwrap());
        Ledger::open(&storage, [0; 4], bounds, START, "test").unwrap().0
    }

    fn report(&self, from_ms: u64, to_ms: u64, by: Option<By>) -> Report {
        report(&Reader::open(&self.0).unwrap(), Question { from_ms, to_ms, by }).unwrap()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `shares` of `difficulty` each, of which `refused` are refused and the rest is acknowledged.
fn row(shares: i64, difficulty: f64, refused: i64) -> Row {
    let work = |count: i64| {
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let count = count as f64;
        ledger::hashes(count * difficulty)
    };
    let mut row = Row::default();
    let mut put = |column: &str, count, hashes| row.put(&column.into(), Amount { count, hashes });
    put("acknowledged", shares - refused, work(shares - refused));
    put("refused/stale-share", refused, 0);
    put("refused", 0, work(refused));
    put("verified", 0, work(shares));
    put("rejected/duplicate", 1, 0);
    #[expect(clippy::cast_precision_loss, reason = "small")]
    let squares = shares as f64 * difficulty * difficulty;
    Row { squares, ..row }
}

fn key(worker: &str, source: &str) -> Arc<RowKey> {
    Arc::new(RowKey { worker: worker.into(), listener: "l".into(), route: "r".into(), source: source.into() })
}

/// Two workers, each minute, for three hours; difficulty 1 is worth a satoshi, then two.
fn three_hours(home: &Home, bounds: Bounds) {
    let mut ledger = home.ledger(bounds);
    for minute in 0..180 {
        let now = START + (minute + 1) * MINUTE_MS;
        if minute == 0 || minute == 90 {
            ledger.network(Network {
                at_ms: now - MINUTE_MS,
                source: "pool".into(),
                nbits: 0x1d00_ffff,
                height: 1_000_000,
                value: if minute == 0 { 1 } else { 2 },
            });
        }
        ledger.take(now, [(key("a,b", "pool"), row(10, 4.0, 0)), (key("=c", "other"), row(5, 2.0, 1))]);
        ledger.flush(now);
    }
}

#[test]
fn sums_rates_errors_and_worth_are_those_of_the_shares() {
    let home = Home::new("sums");
    three_hours(&home, Bounds::default());
    let all = home.report(START, START + 3 * HOUR_MS, Some(By::Worker));
    assert_eq!(all.total.submitted(), 180 * 17);
    assert_eq!(all.total.state("refused"), Amount { count: 180, hashes: ledger::hashes(360.0) });
    assert_eq!(all.total.verified(), 180.0 * 50.0);
    let (hs, error) = all.total.hashrate();
    assert!((hs - 9_000.0 * 4_294_967_296.0 / 10_800.0).abs() < 1.0, "{hs}");
    // 180 minutes x (10 x 16 + 5 x 4)
    let expected = 1.96 * (180.0f64 * 180.0).sqrt() / 9_000.0;
    assert!((error.unwrap() - expected).abs() < 1e-4, "{error:?}");
    // The first hour and a half at one satoshi, then two; the other source goes by all that is known.
    let worth = 90.0 * 50.0 + 90.0 * 100.0;
    assert!((all.total.satoshi - worth).abs() < 1.0, "{}", all.total.satoshi);
    let names: Vec<_> = all.groups.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a,b", "=c"], "the most work first");

    let hours = home.report(START, START + 3 * HOUR_MS, Some(By::Hour));
    assert_eq!(hours.groups.len(), 3);
    assert_eq!(hours.groups[1].0, "2026-11-29T01:00:00Z");
    assert!(hours.groups.iter().all(|(_, figures)| figures.verified() == 3_000.0));
    let part = home.report(START + 30 * MINUTE_MS, START + 90 * MINUTE_MS, None);
    assert_eq!(part.total.verified(), 3_000.0);
    assert_eq!((part.period.from_ms, part.period.to_ms), (START + 30 * MINUTE_MS, START + 90 * MINUTE_MS));

    let source = &all.sources.iter().find(|(name, _)| name == "other").unwrap().1;
    let (acknowledged, _) = source.acknowledged_part().unwrap();
    assert!((acknowledged - 0.8).abs() < 1e-9);
}

#[test]
fn a_report_is_text_a_spreadsheet_or_json() {
    let home = Home::new("show");
    three_hours(&home, Bounds::default());
    let report = home.report(START, START + 3 * HOUR_MS, Some(By::Worker));
    let text = text(&report);
    for part in ["shares      3060", "refused/stale-share", "a,b", "80.00 %", "from 2026-11-29T00:00:00Z"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let csv = csv(&report);
    let lines: Vec<_> = csv.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[1].starts_with("\"a,b\",2026-11-29T00:00:00Z,"), "{csv}");
    assert!(lines[2].starts_with("'=c,"), "{csv}");
    assert!(lines.iter().all(|line| line.replace("a,b", "").split(',').count() == 19), "{csv}");
    let json = json(&report);
    assert_eq!(json["total"]["columns"]["acknowledged"]["shares"], 180 * 14);
    assert_eq!(json["total"]["columns"]["refused"]["hashes"], ledger::hashes(360.0).to_string());
    assert_eq!(json["groups"][1]["name"], "=c");
}

#[test]
fn what_was_evicted_is_counted_in_the_total_and_said() {
    let home = Home::new("evicted");
    let bounds = Bounds { seconds_ms: 1_000, minutes_ms: MINUTE_MS, hours_ms: HOUR_MS, ..Bounds::default() };
    three_hours(&home, bounds);
    // Each start begins segments anew, so that the old ones can go.
    for hour in 3..6 {
        let mut ledger = home.ledger(bounds);
        for minute in 0..60 {
            let now = START + hour * HOUR_MS + (minute + 1) * MINUTE_MS;
            ledger.take(now, [(key("a,b", "pool"), row(10, 4.0, 0))]);
            ledger.flush(now);
        }
    }
    let all = home.report(START, START + 7 * HOUR_MS, Some(By::Worker));
    assert!(all.evicted_counted, "{:?}", all.period);
    assert_eq!(all.total.verified(), 180.0 * 50.0 + 180.0 * 40.0);
    let of_source = all.sources.iter().find(|(name, _)| name == "other").unwrap();
    assert_eq!(of_source.1.verified(), 1_800.0);
    assert!(text(&all).contains("were evicted: a total by route and source is left"), "{}", text(&all));
    let part = home.report(START + HOUR_MS, START + 7 * HOUR_MS, None);
    assert!(!part.evicted_counted && text(&part).contains("not in these sums"));
}
