//! The ledger: what it adds up to is what the books say, and what cannot be written stops nobody.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use engine::books::Totals;
use ledger::{Columns, Reader, Row, RowKey};

use super::client::Client;
use super::{Farm, apart, until};

/// A directory of a test's own, removed at its end.
struct Home(PathBuf);

impl Home {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("adit-kept-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    fn limits(&self) -> String {
        format!("[ledger]\ndirectory = {:?}\n", self.0)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// All sums, and the workers that they are of.
fn sums(path: &Path) -> (Row, Vec<String>) {
    let (sums, period) = Reader::open(path)
        .unwrap()
        .sums::<BTreeMap<RowKey, Row>>(0, u64::MAX / 2, |sums, _, key, row| {
            sums.entry((**key).clone()).or_default().add(row);
        })
        .unwrap();
    assert_eq!(period.damages, []);
    let mut all = Row::default();
    sums.values().for_each(|row| all.add(row));
    (all, sums.keys().map(|key| key.worker.to_string()).collect())
}

/// Every column, to the share, and to the hash in each row: half of one is what each row's sum may be rounded by.
fn assert_are(books: &Totals, sums: &Row, rows: usize) {
    let expected = Columns::default().growth(&Totals::default(), books);
    for (column, _) in expected.cells.iter().chain(&sums.cells) {
        let (has, wants) = (sums.get(column), expected.get(column));
        assert_eq!(has.count, wants.count, "{column}");
        assert!(
            (has.hashes - wants.hashes).unsigned_abs() <= rows as u128,
            "{column}: {has:?} for {wants:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_add_up_to_their_books() {
    let home = Home::new("sums");
    let mut books = Totals::default();
    for run in 0..2 {
        let farm = Farm::start(&home.limits()).await;
        let address = farm.address();
        apart(move || {
            for n in 0..3 {
                let mut client = Client::mining(address, &format!("farm.rig{n}"));
                for _ in 0..20 + n * 7 {
                    assert_eq!(client.mine(), Some(true));
                }
            }
        })
        .await;
        books.add(&farm.proxy.stop().await);
        let (all, workers) = sums(&home.0);
        assert_eq!(books.submitted(), (run + 1) * 81);
        assert_are(&books, &all, 2 * workers.len());
        assert_eq!(workers, ["farm.rig0", "farm.rig1", "farm.rig2"], "by worker");
        farm.pool.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_written_is_an_alarm_and_stops_nobody() {
    let home = Home::new("file");
    // A file where the directory should be.
    std::fs::write(&home.0, "").unwrap();
    let farm = Farm::start(&home.limits()).await;
    let alarm = || farm.proxy.snapshot().alarms.into_iter().any(|a| a.name == "ledger_degraded" && a.active);
    until("the alarm holds", alarm).await;
    let address = farm.address();
    apart(move || {
        let mut client = Client::mining(address, "farm.rig");
        for _ in 0..20 {
            assert_eq!(client.mine(), Some(true));
        }
    })
    .await;
    let detail = farm.proxy.snapshot().ledger.and_then(|ledger| ledger.trouble).unwrap();
    assert!(
        detail.contains("cannot write the ledger in") && detail.contains("directory in [ledger]"),
        "{detail}"
    );
    std::fs::remove_file(&home.0).unwrap();
    until("it is opened", || !alarm()).await;
    let books = farm.proxy.stop().await;
    let (all, workers) = sums(&home.0);
    assert_are(&books, &all, workers.len());
    farm.pool.shutdown().await;
}
