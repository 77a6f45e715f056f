//! What being looked at costs: CPU a share of 10,000 workers that bring a share a second each, with and without each of those
//! who look, in turns.
//!
//! CPU time, not time: the machine may have other work. Still, what a share costs differs from run to run by more than what
//! is looked for, so that each part is switched on and off again and again (off, on, on, off, so that what drifts cancels
//! out), and the difference is told with its spread.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use integration_tests::promise::say;
use integration_tests::proxy::{Adit, Settings};
use integration_tests::{http, wait};
use lab::load::{self, Options};
use lab::sv1_miner::ServerAddress;

use crate::subject::EASY;
use crate::world::World;

/// Workers, each with a connection and a name of its own.
const WORKERS: usize = 10_000;
/// Shares a second of all of them together.
const RATE: f64 = 10_000.0;
/// One turn.
const TURN: Duration = Duration::from_secs(8);
/// Nothing is measured before everything has run for so long.
const WARM: Duration = Duration::from_secs(3);
/// So often off, on, on, off: for each part, and for all together.
const ROUNDS: [usize; 2] = [2, 4];
/// How long miners may take to come.
const PATIENCE: Duration = Duration::from_secs(60);
/// Prometheus, and people who look at lists, ask this often.
const POLL: Duration = Duration::from_secs(5);
/// Pages that are open.
const PAGES: usize = 2;

/// Who looks.
#[derive(Clone, Copy, Debug, Default)]
struct Looking {
    ledger: bool,
    metrics: bool,
    workers: bool,
    pages: bool,
    history: bool,
}

/// What is switched on, and what it is called.
const PARTS: [(&str, Looking); 6] = {
    let nothing = Looking { ledger: false, metrics: false, workers: false, pages: false, history: false };
    [
        ("ledger with evidence", Looking { ledger: true, ..nothing }),
        ("100 series of workers, /metrics every 5 s", Looking { metrics: true, ..nothing }),
        ("/api/v1/workers, 100 of 10,000, every 5 s", Looking { workers: true, ..nothing }),
        ("two pages' streams", Looking { pages: true, ..nothing }),
        ("history on disk", Looking { history: true, ..nothing }),
        (EVERYTHING, Looking { ledger: true, metrics: true, workers: true, pages: true, history: true }),
    ]
};
const EVERYTHING: &str = "everything";

/// CPU of one turn, microseconds a share: of the whole process, and of its threads by name.
#[derive(Debug)]
struct Turn {
    whole: f64,
    threads: BTreeMap<String, f64>,
}

/// Measures all parts. Says a table, and what else is bounded.
pub(crate) fn all(world: &World) {
    let mut lines = vec![
        "| what is on | off, us a share | on | difference | its standard error | of that threads that do nothing else |"
            .to_owned(),
        "| --- | --- | --- | --- | --- | --- |".to_owned(),
    ];
    for (name, looking) in PARTS {
        let (mut off, mut on) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS[usize::from(name == EVERYTHING)] {
            for is_on in [false, true, true, false] {
                let turn = turn(world, if is_on { looking } else { Looking::default() });
                say(&format!("    {name}: {is_on}: {:.2} us; {:?}", turn.whole, turn.threads));
                if is_on { on.push(turn) } else { off.push(turn) }
            }
        }
        lines.push(line(name, &off, &on));
        say(lines.last().map_or("", String::as_str));
    }
    say(&format!("\n{}", lines.join("\n")));
    answers(world);
}

fn line(name: &str, off: &[Turn], on: &[Turn]) -> String {
    let mean = |of: &[f64]| of.iter().sum::<f64>() / count(of.len());
    let whole = |turns: &[Turn]| turns.iter().map(|turn| turn.whole).collect::<Vec<_>>();
    // The first two of a round are a pair, and the last two.
    let pairs: Vec<f64> = off.iter().zip(on).map(|(off, on)| on.whole - off.whole).collect();
    let difference = mean(&pairs);
    let variance =
        pairs.iter().map(|pair| (pair - difference).powi(2)).sum::<f64>() / count(pairs.len().max(2) - 1);
    let error = (variance / count(pairs.len())).sqrt();
    let before = mean(&whole(off));
    let own = |turns: &[Turn]| {
        let of = |turn: &Turn| turn.threads.iter().filter(|(name, _)| is_watching(name)).map(|t| t.1).sum();
        mean(&turns.iter().map(of).collect::<Vec<f64>>())
    };
    let own = own(on) - own(off);
    let percent = |of: f64| of / before * 100.0;
    format!(
        "| {name} | {before:.2} | {:.2} | {difference:+.2} ({:+.1} %) | {error:.2} ({:.1} %) | {own:+.2} ({:+.1} %) |",
        mean(&whole(on)),
        percent(difference),
        percent(error),
        percent(own),
    )
}

/// Threads that serve no miner.
fn is_watching(thread: &str) -> bool {
    ["ledger", "http", "history"].contains(&thread)
}

fn count(of: usize) -> f64 {
    u32::try_from(of).map_or(f64::NAN, f64::from)
}

/// One turn with a fresh process.
fn turn(world: &World, looking: Looking) -> Turn {
    let (adit, load) = Crowd::start(world, looking);
    let ends = Arc::new(AtomicBool::new(false));
    let lookers = look(&adit, looking, &ends);
    std::thread::sleep(WARM);
    let before = (threads(adit.id()), adit.books().submitted);
    std::thread::sleep(TURN);
    let after = (threads(adit.id()), adit.books().submitted);
    ends.store(true, Ordering::Release);
    load.end();
    lookers.into_iter().for_each(|looker| looker.join().expect("a looker does not panic"));
    drop(adit);
    #[expect(clippy::cast_precision_loss, reason = "some hundred thousand")]
    let shares = (after.1 - before.1) as f64;
    let mut by_name = BTreeMap::new();
    for (id, (name, spent)) in &after.0 {
        let earlier = before.0.get(id).map_or(0, |(_, spent)| *spent);
        #[expect(clippy::cast_precision_loss, reason = "nanoseconds of a few seconds")]
        let each = spent.saturating_sub(earlier) as f64 / 1e3 / shares;
        *by_name.entry(name.clone()).or_default() += each;
    }
    Turn { whole: by_name.values().sum(), threads: by_name }
}

/// The miners.
struct Crowd {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Crowd {
    fn start(world: &World, looking: Looking) -> (Adit, Self) {
        let folder = world.folder.path();
        let state = folder.join("state");
        let _ = std::fs::remove_dir_all(&state);
        let mut settings = Settings::default().listener(EASY).source("pool", &world.pool.url(), "");
        if looking.ledger || looking.history {
            settings.tables = format!("[state]\ndirectory = {state:?}\n");
        }
        if !looking.ledger {
            settings.tables.push_str("[ledger]\nenabled = false\n");
        }
        let adit = Adit::start_ready(folder, &settings);
        let server = ServerAddress { host: "127.0.0.1".to_owned(), port: adit.port() };
        let mut options = Options::new(server, WORKERS, RATE);
        options.duration = Duration::from_secs(3_600);
        let stop = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let report = load::run(options, ended).unwrap_or_else(|error| panic!("the load ended: {error}"));
            let rejected: u64 = report.shares.rejected.values().sum();
            assert_eq!((rejected, report.shares.unanswered), (0, 0), "every share is accepted");
        });
        wait::until_so("shares come", PATIENCE, || adit.books().submitted > 1_000);
        (adit, Self { stop, thread })
    }

    fn end(self) {
        self.stop.store(true, Ordering::Release);
        self.thread.join().expect("the load runs to its end");
    }
}

/// Begins to look.
fn look(adit: &Adit, looking: Looking, ends: &Arc<AtomicBool>) -> Vec<JoinHandle<()>> {
    let port = adit.http_port();
    let mut lookers = Vec::new();
    for (asks, path) in
        [(looking.metrics, "/metrics"), (looking.workers, "/api/v1/workers?sort=-hashrate&limit=100")]
    {
        if asks {
            let ends = Arc::clone(ends);
            lookers.push(std::thread::spawn(move || {
                let mut next = Instant::now();
                while !ends.load(Ordering::Acquire) {
                    if Instant::now() < next {
                        std::thread::sleep(Duration::from_millis(20));
                        continue;
                    }
                    next += POLL;
                    assert!(http::get(port, path).is_ok_and(|answer| answer.status == 200), "{path}");
                }
            }));
        }
    }
    if looking.pages {
        for _ in 0..PAGES {
            let ends = Arc::clone(ends);
            lookers.push(std::thread::spawn(move || watch_stream(port, &ends)));
        }
    }
    lookers
}

/// What a page that is open does all the time.
fn watch_stream(port: u16, ends: &AtomicBool) {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("Adit serves pages");
    stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a socket can have a timeout");
    stream
        .write_all(b"GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("a request can be sent");
    let mut piece = [0; 8 << 10];
    let mut read = 0;
    while !ends.load(Ordering::Acquire) {
        read += stream.read(&mut piece).unwrap_or(0);
    }
    assert!(read > 1_000, "the status came, {read} bytes");
}

/// The threads of a process by number: their names, and nanoseconds on a CPU.
fn threads(process: u32) -> BTreeMap<PathBuf, (String, u64)> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let figures = tasks.filter_map(|task| {
        let name = std::fs::read_to_string(task.path().join("comm")).ok()?.trim().to_owned();
        let spent = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        Some((task.path(), (name, spent.split(' ').next()?.parse().ok()?)))
    });
    figures.collect()
}

/// How long answers are, and take, with everything on.
fn answers(world: &World) {
    let (_, everything) = PARTS[PARTS.len() - 1];
    let (adit, load) = Crowd::start(world, everything);
    std::thread::sleep(WARM);
    for path in ["/metrics", "/api/v1/workers?limit=100", "/api/v1/status"] {
        let mut took = Vec::new();
        let mut bytes = 0;
        for _ in 0..9 {
            // Answers are shared by all who ask at about the same time.
            std::thread::sleep(Duration::from_millis(1_100));
            let asked = Instant::now();
            bytes = http::get(adit.http_port(), path).expect("Adit answers").body.len();
            took.push(asked.elapsed());
        }
        took.sort_unstable();
        say(&format!(
            "{path} with {WORKERS} workers: {bytes} bytes in {:?} (median of nine; at most {:?})",
            took[took.len() / 2],
            took[took.len() - 1]
        ));
    }
    say(&format!("the page's first paint: {} bytes", first_paint(adit.http_port())));
    load.end();
}

/// The page, and what it says that it cannot be painted without.
fn first_paint(port: u16) -> usize {
    let page = http::get(port, "/").expect("Adit has a page").body;
    let parts = page.split(['"', '\'']).filter(|part| part.ends_with(".js") || part.ends_with(".css"));
    let mut paths: Vec<&str> = parts.collect();
    paths.sort_unstable();
    paths.dedup();
    let of = |path: &&str| {
        let path = format!("/{}", path.trim_start_matches(['.', '/']));
        http::get(port, &path)
            .ok()
            .filter(|answer| answer.status == 200)
            .map_or(0, |answer| answer.body.len())
    };
    page.len() + paths.iter().map(of).sum::<usize>()
}
