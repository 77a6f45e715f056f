//! What is handed out to be published: the same messages with the same ids, wherever it is taken up again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ledger::record::{Job, Share};
use ledger::{Amount, Bounds, Directory, Ledger, Row, RowKey, Storage};
use serde_json::Value;

use super::cursor::{CursorFile, Progress};
use super::lane::{Item, Lane, Next};
use super::settings::{NatsSettings, Subject};
use crate::config::Config;

const START: u64 = 1_795_953_600_000;
const MINUTE: u64 = 60_000;

/// A directory that goes with its test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("adit-nats-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn ledger(&self, now_ms: u64) -> Ledger {
        let storage: Arc<dyn Storage + Sync> = Arc::new(Directory::existing(&self.0));
        let bounds = Bounds { sums_bytes: 1 << 20, evidence_bytes: 1 << 20, ..Bounds::default() };
        Ledger::open(&storage, [7, 1, 2, 3], bounds, now_ms, "test").unwrap().0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A spool of ten minutes.
fn settings() -> NatsSettings {
    let text = "version = 1\n[listener.l]\n[source.s]\nurl = \"stratum2+tcp://pool.example:3333\"\ninsecure = true\nuser_identity = \"u\"\n[route.r]\nlisteners = [\"l\"]\nsources = [\"s\"]\n[nats]\nservers = [\"nats://127.0.0.1:4222\"]\nname = \"hall\"\nspool_age = \"10m\"\n";
    NatsSettings::of(&Config::from_str_named("test", text).unwrap().config).unwrap()
}

fn lane(folder: &Folder, stream: Subject, done: Option<Progress>, now_ms: u64) -> Lane {
    Lane::new(folder.path(), stream, &settings(), done, now_ms)
}

/// Everything that is to be published now.
fn all(lane: &mut Lane, now_ms: u64) -> Vec<Item> {
    let mut items = Vec::new();
    loop {
        match lane.next(now_ms).unwrap() {
            Next::Item(item) => items.push(*item),
            Next::Later => {}
            Next::Nothing => return items,
        }
    }
}

fn body(item: &Item) -> Value {
    serde_json::from_slice(&item.message.body).unwrap()
}

fn kinds(items: &[Item]) -> Vec<String> {
    items.iter().map(|item| body(item)["kind"].as_str().unwrap().to_owned()).collect()
}

fn key(worker: &str) -> Arc<RowKey> {
    Arc::new(RowKey { worker: worker.into(), listener: "l".into(), route: "r".into(), source: "s".into() })
}

fn row(count: i64) -> Row {
    let cell = |word: &str| (word.into(), Amount { count, hashes: i128::from(count) << 70 });
    Row { squares: 0.1, cells: vec![cell("acknowledged"), cell("verified")] }
}

fn share(at_ms: u64, job: u8) -> Share {
    let job = Job {
        source: "s".into(),
        version: 0x2000_0000,
        prev_hash: [job; 32],
        nbits: 0x1702_7726,
        min_ntime: 1_795_953_600,
        prefix_length: Some(1),
        coinbase_prefix: vec![job; 60].into(),
        coinbase_suffix: vec![2; 90].into(),
        merkle_path: vec![[7; 32], [8; 32]].into(),
    };
    Share {
        at_ms,
        key: key("farm.rig"),
        job: Arc::new(job),
        extranonce: vec![1, 2, 3, 0xff],
        ntime: 1_795_953_601,
        nonce: 5,
        version: 0x2000_e000,
        difficulty: 2.0,
        keep: 1.0,
    }
}

/// A ledger with two streams of records, begun and ended several times.
fn filled(folder: &Folder) -> u64 {
    let mut now_ms = START;
    for _ in 0..3 {
        let mut ledger = folder.ledger(now_ms);
        for n in 0..7u8 {
            now_ms += 700;
            ledger.take(now_ms, [(key("farm.rig"), row(1)), (key(&format!("farm.{n}")), row(2))]);
            ledger.share(share(now_ms, n / 3));
            ledger.share(share(now_ms + 1, n / 3));
            ledger.flush(now_ms);
        }
    }
    now_ms
}

#[test]
fn wherever_it_is_taken_up_the_messages_are_the_same() {
    let folder = Folder::new("same");
    let now_ms = filled(&folder);
    let file = CursorFile::take(folder.path()).unwrap().unwrap();
    for (stream, count) in [(Subject::Sums, 21), (Subject::Evidence, 42 + 9)] {
        let mut first = lane(&folder, stream, None, now_ms);
        let items = all(&mut first, now_ms);
        assert_eq!(items.len(), count);
        let ids: BTreeSet<&str> = items.iter().map(|item| item.message.id.as_str()).collect();
        assert_eq!(ids.len(), count, "each has an id of its own");
        for (at, item) in items.iter().enumerate() {
            assert_eq!(body(item)["id"], item.message.id.as_str());
            // Over the file, as after a restart; and in place, as over a new connection.
            file.write(&BTreeMap::from([("it".to_owned(), item.after.clone())])).unwrap();
            let noted = file.read().unwrap().remove("it").unwrap();
            assert_eq!(noted, item.after);
            first.acknowledged(item);
            first.rewind();
            for lane in [&mut lane(&folder, stream, Some(noted), now_ms), &mut first] {
                let again = all(lane, now_ms);
                let message = |item: &Item| (item.message.id.clone(), item.message.body.clone());
                assert!(again.iter().map(message).eq(items[at + 1..].iter().map(message)), "after item {at}");
            }
        }
    }
}

#[test]
fn documents_say_what_the_ledger_does() {
    let folder = Folder::new("documents");
    let now_ms = filled(&folder);
    let sums = all(&mut lane(&folder, Subject::Sums, None, now_ms), now_ms);
    let first = body(&sums[0]);
    assert_eq!((&first["v"], &first["kind"], &first["adit"]), (&1.into(), &"sums".into(), &"hall".into()));
    assert_eq!((&first["sequence"], &first["part"], &first["last"]), (&1.into(), &0.into(), &true.into()));
    assert_eq!((&first["from_ms"], &first["to_ms"]), (&START.into(), &(START + 700).into()));
    let rig = first["rows"].as_array().unwrap().iter().find(|row| row["worker"] == "farm.rig").unwrap();
    assert_eq!((&rig["listener"], &rig["route"], &rig["source"]), (&"l".into(), &"r".into(), &"s".into()));
    assert_eq!(rig["cells"]["acknowledged"], serde_json::json!([1, (1_i128 << 70).to_string()]));
    let evidence = all(&mut lane(&folder, Subject::Evidence, None, now_ms), now_ms);
    assert_eq!(kinds(&evidence)[..4], ["job", "share", "share", "share"]);
    let (job, share) = (body(&evidence[0]), body(&evidence[1]));
    assert_eq!(share["job"], job["id"]);
    assert_eq!(job["prefix_length"], 1);
    assert_eq!(job["merkle_path"][1], "08".repeat(32));
    assert_eq!((&share["extranonce"], &share["nonce"]), (&"010203ff".into(), &5.into()));
}

#[test]
fn a_long_span_is_parts_that_fit_and_add_up() {
    let folder = Folder::new("long");
    let mut ledger = folder.ledger(START);
    let workers = 4_000;
    let named = |n: i64| format!("farm.{}.{n}", "\u{1}".repeat(40));
    ledger.take(START + 700, (0..workers).map(|n| (key(&named(n)), row(n + 1))));
    ledger.flush(START + 700);
    let items = all(&mut lane(&folder, Subject::Sums, None, START), START);
    assert!(items.len() > 10);
    let (mut rows, mut shares) = (0, 0);
    for (at, item) in items.iter().enumerate() {
        assert!(item.message.body.len() < 64_000, "{} bytes", item.message.body.len());
        let body = body(item);
        assert_eq!((&body["part"], body["last"] == true), (&at.into(), at + 1 == items.len()));
        for row in body["rows"].as_array().unwrap() {
            rows += 1;
            shares += row["cells"]["verified"][0].as_i64().unwrap();
        }
    }
    assert_eq!((rows, shares), (workers, workers * (workers + 1) / 2));
    // A server that takes less is told of a gap, and what comes after goes on.
    ledger.take(START + 1_400, [(key("farm.rig"), row(1))]);
    ledger.flush(START + 1_400);
    let mut narrow = lane(&folder, Subject::Sums, None, START);
    narrow.set_message_max(8_192);
    let items = all(&mut narrow, START);
    assert_eq!(kinds(&items), ["gap", "sums"]);
    assert_eq!((&body(&items[0])["why"], &body(&items[0])["records"]), (&"too_long".into(), &1.into()));
}

#[test]
fn what_waited_for_too_long_is_given_up_and_told_and_its_jobs_come_with_the_next_share() {
    let folder = Folder::new("age");
    let mut ledger = folder.ledger(START);
    let mut now_ms = START;
    let mut second = |ledger: &mut Ledger, by_ms: u64, job: u8| {
        now_ms += by_ms;
        ledger.take(now_ms, [(key("farm.rig"), row(1))]);
        ledger.share(share(now_ms, job));
        ledger.flush(now_ms);
        now_ms
    };
    second(&mut ledger, 700, 1);
    let mut lanes = [Subject::Sums, Subject::Evidence].map(|stream| lane(&folder, stream, None, START));
    for lane in &mut lanes {
        for item in all(lane, START + 700) {
            lane.acknowledged(&item);
        }
    }
    // Nobody takes anything for a quarter of an hour.
    for _ in 0..15 {
        let now_ms = second(&mut ledger, MINUTE, 2);
        assert!(lanes.iter_mut().all(|lane| lane.backlog(now_ms).bytes > 0));
    }
    let now_ms = second(&mut ledger, 700, 1);
    let spool = Duration::from_secs(600).as_millis();
    let [sums, evidence] = &mut lanes;
    let backlog = sums.backlog(now_ms);
    assert!(backlog.bytes > 0 && u128::from(backlog.age_ms) > spool, "{backlog:?}");
    let items = all(sums, now_ms);
    assert_eq!(kinds(&items)[..2], ["gap", "sums"]);
    let gap = body(&items[0]);
    assert_eq!((&gap["stream"], &gap["why"], &gap["records"]), (&"sums".into(), &"age".into(), &5.into()));
    assert_eq!((&gap["from_ms"], &gap["to_ms"]), (&(START + 700).into(), &(START + 700 + 5 * MINUTE).into()));
    assert_eq!(items.len(), 12);
    // Job 2 stands before a share that was given up; job 1 was published before.
    let items = all(evidence, now_ms);
    assert_eq!(kinds(&items)[..4], ["gap", "job", "share", "share"]);
    assert_eq!(kinds(&items).iter().filter(|kind| *kind == "job").count(), 1);
    assert_eq!(body(&items[1])["prev_hash"], "02".repeat(32));
    // Wherever that ends, the job is not forgotten.
    for (at, item) in items.iter().enumerate() {
        evidence.acknowledged(item);
        evidence.rewind();
        let again = all(evidence, now_ms);
        let ids = |items: &[Item]| items.iter().map(|item| item.message.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&again), ids(&items[at + 1..]), "after item {at}");
    }
}

#[test]
fn more_than_may_wait_is_given_up_the_oldest_first() {
    let folder = Folder::new("size");
    let now_ms = filled(&folder);
    let few = NatsSettings { spool_max: 600, ..settings() };
    let mut lane = Lane::new(folder.path(), Subject::Sums, &few, None, now_ms);
    let items = all(&mut lane, now_ms);
    assert_eq!(kinds(&items)[..2], ["gap", "sums"]);
    let gap = body(&items[0]);
    let given_up = gap["records"].as_u64().unwrap();
    assert_eq!(gap["why"], "size");
    assert_eq!(given_up + items.len() as u64 - 1, 21, "the others are published");
    assert_eq!(body(items.last().unwrap())["sequence"], 21);
}

#[test]
fn a_ledger_that_was_never_published_begins_with_what_is_not_too_old() {
    let folder = Folder::new("fresh");
    let now_ms = filled(&folder) + 11 * MINUTE;
    let mut quiet = lane(&folder, Subject::Sums, None, now_ms);
    assert_eq!(kinds(&all(&mut quiet, now_ms)), [""; 0]);
    assert_eq!(quiet.backlog(now_ms).bytes, 0, "nothing waits");
    let mut ledger = folder.ledger(now_ms);
    ledger.take(now_ms + 700, [(key("farm.rig"), row(1))]);
    ledger.flush(now_ms + 700);
    assert_eq!(kinds(&all(&mut quiet, now_ms)), ["sums"]);
    assert_eq!(kinds(&all(&mut lane(&folder, Subject::Sums, None, now_ms), now_ms)), ["sums"]);
    // How far it is was damaged: then it is told.
    let damaged = all(&mut lane(&folder, Subject::Sums, Some(Progress::default()), now_ms), now_ms);
    assert_eq!(kinds(&damaged), ["gap", "sums"]);
}

#[test]
fn one_adit_publishes_a_ledger_at_a_time() {
    let folder = Folder::new("lock");
    let file = CursorFile::take(folder.path()).unwrap().unwrap();
    assert!(CursorFile::take(folder.path()).unwrap().is_none());
    assert!(file.read().unwrap().is_empty(), "nothing was noted yet");
    std::fs::write(folder.path().join(super::cursor::NAME), "{\"v\":1,\"str").unwrap();
    assert!(file.read().is_err());
    drop(file);
    assert!(CursorFile::take(folder.path()).unwrap().is_some());
}
