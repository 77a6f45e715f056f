//! Weights, pools, goals and a certificate change while 2,000 miners mine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use integration_tests::certificate::Certificate;
use integration_tests::folder::Folder;
use integration_tests::proxy::{Adit, Settings};
use integration_tests::wanderers::{Wanderers, Way};
use integration_tests::{http, promise, wait};
use lab::dev_pool::{DevPool, DevPoolKeys, DevPoolOptions};
use lab::load::Options;
use lab::sv1_miner::ServerAddress;

use crate::PATIENCE;

/// Miners that send shares, by Stratum V1, and such as are connected by TLS and watch: few, since until their silence shows
/// they count with a guess where the work is shared out.
const MINERS: usize = 2_000;
const BY_TLS: usize = 50;
/// Shares a second of all miners together.
const RATE: f64 = 2_000.0;
/// Longer than all that is done here: shares come until it is over.
const AT_MOST: Duration = Duration::from_secs(900);

/// Pools in this process, so that they can be asked what they have counted.
struct Pools {
    runtime: tokio::runtime::Runtime,
    pools: Vec<DevPool>,
}

impl Pools {
    fn start(count: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime can be had");
        let pool = |_| {
            // Hundreds of shares a second, and no block that would make any stale.
            let mut options = DevPoolOptions { shares_per_minute: 30_000.0, ..DevPoolOptions::default() };
            options.chain.nbits = 0x1d00_ffff;
            let address = ([127, 0, 0, 1], 0).into();
            let pool = runtime.block_on(DevPool::bind(address, options, DevPoolKeys::random()));
            pool.expect("loopback has a free port")
        };
        let pools = (0..count).map(pool).collect();
        Self { runtime, pools }
    }

    fn url(&self, at: usize) -> String {
        self.pools[at].url()
    }

    fn accepted(&self, at: usize) -> u64 {
        self.pools[at].stats().accepted
    }

    fn connections(&self, at: usize) -> u64 {
        self.pools[at].stats().connections
    }
}

/// A goal's table.
fn goal(name: &str, source: &str, weight: u32) -> String {
    format!("[goal.{name}]\nroute = \"main\"\nsources = [\"{source}\"]\nweight = {weight}\n")
}

/// Work is looked at over so long: ten thousand shares.
const WINDOW: Duration = Duration::from_secs(5);

/// What is in force: pools with what follows their URLs, and goals.
fn settings(certificate: &Certificate, sources: &[(&str, String, &str)], goals: &str) -> Settings {
    let easy = "difficulty_start = 1e-8\ndifficulty_min = 1e-8\nvardiff = false\nshares_per_minute = 60\n";
    let mut settings =
        Settings { listener: easy.to_owned(), tables: goals.to_owned(), ..Settings::default() };
    settings = settings.listener(&certificate.lines());
    for (name, url, lines) in sources {
        settings = settings.source(name, url, &format!("nominal_hashrate = 100000\n{lines}"));
    }
    settings
}

/// The goals' work so far, hashes.
fn work(adit: &Adit, goals: &[&str]) -> Vec<f64> {
    let of = |goal: &&str| adit.metric("adit_goal_work_hashes_total", &[&format!("goal=\"{goal}\"")]);
    goals.iter().map(of).collect()
}

/// Waits until the first of the goals has so much of their work, of a hundred, over some seconds. How long that took.
fn wait_part(adit: &Adit, goals: &[&str], least: f64, most: f64) -> Duration {
    let began = Instant::now();
    let mut before = (began, work(adit, goals));
    wait::until_so(&format!("{} has {least} to {most} % of the work", goals[0]), PATIENCE, || {
        if before.0.elapsed() < WINDOW {
            return false;
        }
        let now = work(adit, goals);
        let done: Vec<f64> = now.iter().zip(&before.1).map(|(now, before)| now - before).collect();
        before = (Instant::now(), now);
        let part = done[0] / done.iter().sum::<f64>() * 100.0;
        (least..=most).contains(&part)
    });
    began.elapsed()
}

#[test]
#[ignore = "needs the release build: integration-tests/run"]
fn weights_pools_and_a_certificate_change_while_2000_miners_mine() {
    let folder = Folder::new();
    let path = folder.path().to_owned();
    let old = Certificate::new(&path);
    let pools = Pools::start(3);
    let a = ("a", pools.url(0), "");
    let b = ("b", pools.url(1), "");
    let c = ("c", pools.url(2), "");
    let two = goal("ours", "a", 3) + &goal("friend", "b", 1);
    let mut adit = Adit::start_ready(&path, &settings(&old, &[a.clone(), b.clone()], &two));
    wait::until_so("both pools are there", PATIENCE, || adit.source("b")["state"] == "ready");
    let port = adit.port();
    let way = |certificate: &Certificate| Way {
        port,
        apart: Duration::from_secs(1),
        tls: Some(certificate.client()),
    };
    let by_tls = Wanderers::start(&way(&old), BY_TLS, Duration::from_secs(2));
    let over = Arc::new(AtomicBool::new(false));
    let mut options = Options::new(ServerAddress { host: "127.0.0.1".to_owned(), port }, MINERS, RATE);
    (options.user, options.password) = ("farm.load".to_owned(), "d=1e-8".to_owned());
    (options.connect_over, options.duration) = (Duration::from_secs(4), AT_MOST);
    let load = {
        let over = Arc::clone(&over);
        std::thread::spawn(move || lab::load::run(options, over))
    };
    wait::until_so("all have work", PATIENCE, || {
        by_tls.with_work() == BY_TLS && adit.connections() == (MINERS + BY_TLS) as f64
    });
    let began = Instant::now();
    let mut took = vec![("3:1", wait_part(&adit, &["friend", "ours"], 18.0, 32.0))];

    // Weights, by PATCH and by SIGHUP.
    let body = r#"{"goals": {"ours": {"weight": 1}, "friend": {"weight": 3}}}"#;
    let answer = http::patch(adit.http_port(), "/api/v1/routes", body).expect("Adit answers");
    assert_eq!(answer.status, 200, "{}", answer.body);
    took.push(("1:3 by PATCH", wait_part(&adit, &["friend", "ours"], 68.0, 82.0)));
    let two = goal("ours", "a", 2) + &goal("friend", "b", 2);
    let _ = adit.reload(&settings(&old, &[a.clone(), b.clone()], &two));
    took.push(("1:1 by SIGHUP", wait_part(&adit, &["friend", "ours"], 43.0, 57.0)));

    // A pool and a goal come; then a pool and its goal go.
    let three = two + &goal("third", "c", 4);
    let _ = adit.reload(&settings(&old, &[a.clone(), b.clone(), c.clone()], &three));
    took.push((
        "a pool comes, with half of the work",
        wait_part(&adit, &["third", "ours", "friend"], 43.0, 57.0),
    ));
    let left = goal("ours", "a", 1) + &goal("third", "c", 1);
    let _ = adit.reload(&settings(&old, &[a.clone(), c.clone()], &left));
    let removed = Instant::now();
    wait::until_so("the pool is left", PATIENCE, || {
        adit.source("b")["state"] == "removed" && pools.connections(1) == 0
    });
    took.push(("a pool is left, to the last answer", removed.elapsed()));

    // The certificate, and in the same moment a pool becomes another.
    let new = Certificate::new(&path);
    let another = ("a", pools.url(0), "user_identity = \"another\"\n");
    let _ = adit.reload(&settings(&new, &[another, c.clone()], &left));
    let others = Wanderers::start(&way(&new), 20, Duration::ZERO);
    wait::until_so("those who come trust the new certificate", PATIENCE, || others.with_work() == 20);
    drop(others);
    wait::until_so("one connection to the pool is left", PATIENCE, || pools.connections(0) == 1);
    let before = adit.source_books("a").acknowledged;
    wait::until_so("the other one is mined for", PATIENCE, || {
        adit.source("a")["state"] == "ready" && adit.source_books("a").acknowledged >= before + 100
    });
    let changed_for = began.elapsed();

    // Nobody noticed.
    assert_eq!(by_tls.with_work(), BY_TLS);
    assert_eq!(by_tls.outages(), Vec::<Duration>::new(), "nobody was closed");
    assert_eq!(by_tls.services().len(), BY_TLS, "nobody came twice");
    over.store(true, Ordering::Relaxed);
    let report = load.join().expect("the load ends").expect("the load runs");
    let (connect, shares) = (&report.connect, &report.shares);
    assert_eq!((connect.failed, connect.closed_later), (0, 0), "{connect:?}");
    assert_eq!(connect.with_work, MINERS as u64, "{connect:?}");
    assert_eq!((shares.unanswered, shares.rejected.len()), (0, 0), "{shares:?}");
    assert!(!adit.log().contains("restart_for"), "nothing needs a new start: {}", adit.log());

    // The books, and what the pools have counted.
    drop(by_tls);
    let books = adit.settled(PATIENCE);
    assert_eq!(books.submitted, shares.submitted, "{books}");
    assert_eq!(
        (books.rejected, books.unsent, books.refused, books.unknown, books.pending),
        (0, 0, 0, 0, 0),
        "{books}"
    );
    let counted: Vec<(u64, u64)> = ["a", "b", "c"]
        .iter()
        .enumerate()
        .map(|(at, name)| (adit.source_books(name).acknowledged, pools.accepted(at)))
        .collect();
    assert!(counted.iter().all(|(ours, theirs)| ours == theirs && *ours > 0), "{counted:?}");
    assert_eq!(counted.iter().map(|(ours, _)| ours).sum::<u64>(), books.acknowledged);
    adit.stop();
    let Pools { runtime, pools } = pools;
    pools.into_iter().for_each(|pool| runtime.block_on(pool.shutdown()));
    let took: Vec<String> =
        took.iter().map(|(what, time)| format!("{what} after {:.1} s", time.as_secs_f64())).collect();
    promise::figure(
        "29",
        &format!(
            "{MINERS} miners at {RATE} shares/s and {BY_TLS} by TLS, everything changed within {:.0} s: {}; a certificate and an \
             account exchanged; none of them noticed; acknowledged and counted by the three pools: {}; {books}",
            changed_for.as_secs_f64(),
            took.join(", "),
            counted.iter().map(|(_, theirs)| theirs.to_string()).collect::<Vec<_>>().join(", ")
        ),
    );
}
