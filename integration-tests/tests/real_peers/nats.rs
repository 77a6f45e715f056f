//! The ledger published to Debian's NATS server: whatever is killed, the stream holds every record once.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::time::{Duration, Instant};

use integration_tests::dev_pool::DevPool;
use integration_tests::folder::Folder;
use integration_tests::jetstream::{JetStream, Stored};
use integration_tests::load::{self, Load};
use integration_tests::nats_server::NatsServer;
use integration_tests::proxy::{Adit, Settings};
use integration_tests::{promise, wait};
use ledger::record::Entry;
use ledger::{Reader, Stream};
use serde_json::{Value, json};

use crate::PATIENCE;

/// The broker is gone for longer than this once.
const LONG: f64 = 125.0;
/// The stream that is made by default.
const STREAM: &str = "ADIT";

/// Many shares, a ledger in this folder, published.
pub(crate) fn settings(directory: &Path, pool: &str, nats: &str) -> Settings {
    let listener =
        "difficulty_start = 1e-8\ndifficulty_min = 1e-8\nvardiff = false\nshares_per_minute = 600\n";
    let tables = format!("[ledger]\ndirectory = {directory:?}\n[nats]\nname = \"hall\"\n{nats}\n");
    Settings { listener: listener.to_owned(), tables, ..Settings::default() }.source("pool", pool, "")
}

pub(crate) fn servers(broker: &NatsServer) -> String {
    format!("servers = [\"{}\"]", broker.url())
}

pub(crate) fn load(adit: &Adit) -> Load {
    load::start(adit, &["--miners", "50", "--shares-per-second", "500", "--seconds", "900"])
}

/// What the status page says of publishing.
pub(crate) fn nats(adit: &Adit) -> Value {
    adit.status()["nats"].clone()
}

pub(crate) fn published(adit: &Adit) -> u64 {
    let counts = nats(adit)["published_total"].clone();
    ["sums", "evidence"].iter().map(|subject| counts[*subject].as_u64().unwrap_or(0)).sum()
}

fn waiting(nats: &Value) -> u64 {
    nats["waiting_bytes"].as_object().map_or(0, |streams| streams.values().filter_map(Value::as_u64).sum())
}

pub(crate) fn more_is_published(adit: &Adit, by: u64) {
    let before = published(adit);
    wait::until_so("more is published", PATIENCE, || published(adit) >= before + by);
}

/// Shares and hashes by worker, listener, route, source and word.
type Sums = BTreeMap<[String; 5], (i64, i128)>;

/// What the stream adds up to, read by somebody who knows docs/nats.md alone.
fn added_up(stored: &[Stored]) -> Sums {
    let mut sums = Sums::new();
    for stored in stored.iter().filter(|stored| stored.body["kind"] == "sums") {
        for row in stored.body["rows"].as_array().expect("rows") {
            let text = |key: &str| row[key].as_str().expect("a text").to_owned();
            for (word, cell) in row["cells"].as_object().expect("cells") {
                let key = [text("worker"), text("listener"), text("route"), text("source"), word.clone()];
                let sum = sums.entry(key).or_default();
                sum.0 += cell[0].as_i64().expect("a count");
                sum.1 += cell[1].as_str().expect("digits").parse::<i128>().expect("digits");
            }
        }
    }
    sums.retain(|_, sum| *sum != (0, 0));
    sums
}

/// The same of the ledger.
fn of_ledger(reader: &Reader) -> Sums {
    let (mut sums, period) = reader
        .sums::<Sums>(0, u64::MAX / 2, |sums, _, key, row| {
            for (word, amount) in &row.cells {
                let names = [&key.worker, &key.listener, &key.route, &key.source];
                let [worker, listener, route, source] = names.map(ToString::to_string);
                let sum = sums.entry([worker, listener, route, source, word.to_string()]).or_default();
                sum.0 += amount.count;
                sum.1 += amount.hashes;
            }
        })
        .expect("the reader takes the ledger");
    assert!(period.evicted.is_none() && period.damages.is_empty(), "{period:?}");
    sums.retain(|_, sum| *sum != (0, 0));
    sums
}

/// What makes a share itself.
type ShareName = (u64, String, String, u64, u64, u64);

fn shares_of_ledger(reader: &Reader) -> Vec<ShareName> {
    let mut shares = Vec::new();
    let read = reader.entries(Stream::Evidence, &mut |entry| {
        if let Entry::Share(share) = entry {
            let extranonce = integration_tests::pool::hex(&share.extranonce);
            let worker = share.key.worker.to_string();
            shares.push((
                share.at_ms,
                worker,
                extranonce,
                share.ntime.into(),
                share.nonce.into(),
                share.version.into(),
            ));
        }
    });
    read.expect("the reader takes the evidence");
    shares.sort();
    shares
}

/// What the one adds up to and the other does not: those that differ alone, or nobody could read it.
fn differences<'s>(stream: &'s Sums, ledger: &'s Sums) -> BTreeMap<&'s [String; 5], [(i64, i128); 2]> {
    let keys = stream.keys().chain(ledger.keys());
    let both = keys.map(|key| (key, [stream, ledger].map(|sums| sums.get(key).copied().unwrap_or_default())));
    both.filter(|(_, [stream, ledger])| stream != ledger).collect()
}

/// All that the stream holds once the rest is published, of a ledger that is written no more, and how much of it was. An Adit
/// that ends gives the rest two seconds, and leaves what is not acknowledged then to the next that is started.
fn with_the_rest(
    folder: &Folder,
    settings: &Settings,
    directory: &Path,
    broker: &NatsServer,
) -> (Vec<Stored>, usize) {
    let complete = |stored: &[Stored]| {
        let shares = stored.iter().filter(|stored| stored.body["kind"] == "share").count();
        let ledger = Reader::open(directory).expect("a ledger");
        differences(&added_up(stored), &of_ledger(&ledger)).is_empty()
            && shares == shares_of_ledger(&ledger).len()
    };
    // Each time anew: a reader goes on to be told of what comes.
    let read = || JetStream::connect(broker.port()).read(STREAM);
    let mut stored = read();
    let before = stored.len();
    if !complete(&stored) {
        let adit = Adit::start_ready(folder.path(), settings);
        wait::until_so("the rest is published", PATIENCE, || {
            stored = read();
            complete(&stored)
        });
        adit.stop();
    }
    let rest = stored.len() - before;
    (stored, rest)
}

/// Compares all that the stream holds with all that the ledger does; gives figures.
fn compare(stored: &[Stored], directory: &Path) -> String {
    let mut ids = HashSet::new();
    for stored in stored {
        assert!(ids.insert(stored.id.clone()), "{} is there twice", stored.id);
        assert_eq!(stored.body["id"], stored.id.as_str(), "the header's id is the document's");
        assert_eq!((&stored.body["v"], &stored.body["adit"]), (&json!(1), &json!("hall")));
    }
    let of = |kind: &str| stored.iter().filter(|stored| stored.body["kind"] == kind).collect::<Vec<_>>();
    assert_eq!(of("gap").len(), 0, "{:?}", of("gap"));
    let reader = Reader::open(directory).expect("a ledger");
    let (stream, ledger) = (added_up(stored), of_ledger(&reader));
    assert!(!ledger.is_empty());
    let differ = differences(&stream, &ledger);
    assert!(differ.is_empty(), "the stream adds up to what the ledger does: {differ:?}");

    let number = |body: &Value, key: &str| body[key].as_u64().expect("a number");
    let mut shares: Vec<ShareName> = Vec::new();
    let jobs: HashMap<&str, u64> =
        of("job").iter().map(|stored| (stored.id.as_str(), stored.sequence)).collect();
    for stored in of("share") {
        let body = &stored.body;
        let job = body["job"].as_str().expect("the id of a job");
        assert!(jobs.get(job).is_some_and(|at| *at < stored.sequence), "{job} is not there before its share");
        let text = |key: &str| body[key].as_str().expect("a text").to_owned();
        shares.push((
            number(body, "at_ms"),
            text("worker"),
            text("extranonce"),
            number(body, "ntime"),
            number(body, "nonce"),
            number(body, "version"),
        ));
    }
    shares.sort();
    assert_eq!(shares, shares_of_ledger(&reader), "the stream holds the ledger's evidence");
    // Spans are numbered without a hole, and each part of them is there.
    let mut spans: BTreeMap<u64, Vec<(u64, bool)>> = BTreeMap::new();
    for stored in of("sums") {
        let part = (number(&stored.body, "part"), stored.body["last"] == true);
        spans.entry(number(&stored.body, "sequence")).or_default().push(part);
    }
    let first = *spans.keys().next().expect("spans");
    assert!(spans.keys().copied().eq(first..first + spans.len() as u64), "a span is missing");
    for (sequence, parts) in &mut spans {
        parts.sort_unstable();
        let whole = parts
            .iter()
            .enumerate()
            .all(|(at, (part, last))| (*part, *last) == (at as u64, at + 1 == parts.len()));
        assert!(whole, "span {sequence}: {parts:?}");
    }
    let counted: i64 =
        ["rejected", "local", "unsent", "acknowledged", "refused", "unknown", "held", "pending"]
            .iter()
            .map(|state| {
                let of_state = |key: &&[String; 5]| key[4].split('/').next() == Some(state);
                stream.iter().filter(|(key, _)| of_state(key)).map(|(_, sum)| sum.0).sum::<i64>()
            })
            .sum();
    format!(
        "{} messages, each once: {} spans of sums with {counted} shares, {} shares of evidence with {} jobs; all of it \
         what the ledger holds",
        stored.len(),
        spans.len(),
        shares.len(),
        jobs.len()
    )
}

#[test]
#[ignore = "needs NATS' server and the release build: integration-tests/run"]
fn whatever_is_killed_the_stream_holds_every_record_once() {
    let folder = Folder::new();
    let pool = DevPool::start("pool", folder.path(), &["--shares-per-minute", "600"]);
    let mut broker = NatsServer::start(folder.path(), "");
    let directory = folder.path().join("ledger");
    let settings = settings(&directory, &pool.url(), &servers(&broker));
    let mut adit = Adit::start_ready(folder.path(), &settings);
    let mut miners = load(&adit);
    let (mut duplicates, mut kills) = (0, 0);
    let noted = |adit: &Adit| nats(adit)["duplicates_total"].as_u64().unwrap_or(0);
    wait::until_so("it is published", PATIENCE, || published(&adit) > 20);
    assert_eq!(nats(&adit)["connected"], true);

    let costs = cost(&adit);
    // The broker is killed and comes back, under load.
    for _ in 0..4 {
        broker.kill();
        kills += 1;
        wait::until_so("the broker is missed", PATIENCE, || !nats(&adit)["trouble"].is_null());
        broker.run();
        more_is_published(&adit, 20);
    }
    // It takes what it is sent and answers nothing.
    broker.signal("STOP");
    wait::until_so("an answer is missed", PATIENCE, || !nats(&adit)["trouble"].is_null());
    broker.signal("CONT");
    more_is_published(&adit, 20);
    // Adit is killed while it publishes, and while nobody takes anything.
    for away in [false, false, true] {
        if away {
            broker.kill();
            kills += 1;
        }
        more_shares(&adit);
        duplicates += noted(&adit);
        adit.kill();
        drop(miners);
        adit = Adit::start_ready(folder.path(), &settings);
        miners = load(&adit);
        if !away {
            more_is_published(&adit, 20);
        }
    }
    // Nobody takes anything for longer than two minutes. Mining goes on.
    let began = Instant::now();
    wait::until_so("records have waited for long", PATIENCE * 3, || {
        nats(&adit)["waiting_seconds"].as_f64().is_some_and(|seconds| seconds > LONG)
    });
    more_shares(&adit);
    let missed = nats(&adit);
    let alarm = |name: &str| {
        let alarms = adit.status()["alarms"].clone();
        let of_name = |alarm: &Value| alarm["name"] == name && alarm["active"] == true;
        alarms.as_array().is_some_and(|alarms| alarms.iter().any(of_name))
    };
    assert!(alarm("nats_degraded"));
    let (away, waited) = (began.elapsed(), waiting(&missed));
    broker.run();
    let back = Instant::now();
    wait::until_so("what waited is published", PATIENCE, || {
        let now = nats(&adit);
        now["trouble"].is_null() && now["waiting_seconds"].as_f64().is_some_and(|seconds| seconds < 5.0)
    });
    let caught_up = back.elapsed();
    wait::until_so("the alarm ends", PATIENCE, || !alarm("nats_degraded"));
    assert!(!alarm("nats_gap"));
    drop(miners);
    duplicates += noted(&adit);
    adit.signal("TERM");
    let _ = adit.wait_end(PATIENCE);

    let (stored, rest) = with_the_rest(&folder, &settings, &directory, &broker);
    assert!(stored.iter().any(|stored| stored.body["kind"] == "share"), "shares were kept meanwhile");
    let figures = compare(&stored, &directory);
    promise::kept(
        "the stream holds every record once",
        &format!(
            "{figures}; {costs}. Broker killed {kills} times and halted once, away for {:.0} s at last ({waited} bytes waited, \
             published {caught_up:.1?} after it was back), Adit killed 3 times; {duplicates} messages were sent again and known \
             again; {rest} were left to the next start",
            away.as_secs_f64()
        ),
    );
}

/// CPU time of the thread that publishes, so far.
fn cpu(adit: &Adit) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{}/task", adit.id())).into_iter().flatten().flatten();
    let of_thread = threads.filter_map(|thread| {
        let name = std::fs::read_to_string(thread.path().join("comm")).ok()?;
        let spent = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        (name.trim() == "nats").then(|| spent.split(' ').next()?.parse::<u64>().ok()).flatten()
    });
    Duration::from_nanos(of_thread.sum())
}

/// What publishing costs while all is well.
fn cost(adit: &Adit) -> String {
    let (began, spent, before) = (Instant::now(), cpu(adit), published(adit));
    wait::until_so("some more is published", PATIENCE, || published(adit) > before + 30);
    let (took, spent) = (began.elapsed(), cpu(adit) - spent);
    let per_worker = spent.as_secs_f64() / took.as_secs_f64() / 50.0;
    let part = 100.0 * spent.as_secs_f64() / took.as_secs_f64();
    format!("its thread takes {part:.2} % of a core, {:.1} us a worker and second", per_worker * 1e6)
}

pub(crate) fn more_shares(adit: &Adit) {
    let before = adit.books().submitted;
    wait::until_so("miners mine", PATIENCE, || adit.books().submitted > before + 500);
}

#[test]
#[ignore = "needs NATS' server and the release build: integration-tests/run"]
fn a_stream_that_does_not_do_is_told_and_what_is_mended_goes_on() {
    let folder = Folder::new();
    let pool = DevPool::start("pool", folder.path(), &["--shares-per-minute", "600"]);
    let broker = NatsServer::start(folder.path(), "");
    let directory = folder.path().join("ledger");
    let mut reader = JetStream::connect(broker.port());
    let mut config = json!({
        "name": STREAM, "subjects": ["adit.>"], "retention": "limits", "storage": "file", "num_replicas": 1,
        "discard": "new", "max_bytes": 20_000, "duplicate_window": 120_000_000_000_u64,
    });
    reader.ask(&format!("STREAM.CREATE.{STREAM}"), &config);
    let settings = settings(&directory, &pool.url(), &servers(&broker));
    let mut adit = Adit::start_ready(folder.path(), &settings);
    let miners = load(&adit);
    let trouble = |adit: &Adit, word: &str| {
        wait::until_so(word, PATIENCE, || {
            nats(adit)["trouble"].as_str().is_some_and(|trouble| trouble.contains(word))
        });
        nats(adit)["trouble"].as_str().unwrap_or_default().to_owned()
    };
    // It would forget too soon what it has.
    let short = trouble(&adit, "duplicate_window");
    more_shares(&adit);
    assert_eq!(published(&adit), 0);
    config["duplicate_window"] = json!(7_200_000_000_000_u64);
    reader.ask(&format!("STREAM.UPDATE.{STREAM}"), &config);
    // It is full, and drops nothing.
    let full = trouble(&adit, "maximum bytes exceeded");
    more_shares(&adit);
    config["max_bytes"] = json!(-1);
    reader.ask(&format!("STREAM.UPDATE.{STREAM}"), &config);
    wait::until_so("it is published", PATIENCE, || nats(&adit)["trouble"].is_null() && published(&adit) > 50);
    drop(miners);
    adit.signal("TERM");
    let _ = adit.wait_end(PATIENCE);
    let (stored, rest) = with_the_rest(&folder, &settings, &directory, &broker);
    let figures = compare(&stored, &directory);
    promise::kept(
        "a stream that does not do is told",
        &format!("{short:?}; {full:?}; then {figures}; {rest} messages were left to the next start"),
    );
}
