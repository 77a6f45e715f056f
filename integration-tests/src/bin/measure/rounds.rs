//! The rounds: each with a fresh process of who is measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use integration_tests::pool::Pool;
use integration_tests::promise::say;
use lab::load::{self, Mode, Options, Report};
use lab::sv1_miner::ServerAddress;

use crate::figure::Table;
use crate::subject::{Kind, Subject};
use crate::world::World;

/// Between two changes of the node's tip.
const BETWEEN_TIPS: Duration = Duration::from_secs(3);
/// Rates that are tried, shares a second, until one is too much.
const RATES: [f64; 6] = [20_000.0, 25_000.0, 30_000.0, 40_000.0, 50_000.0, 60_000.0];
/// A rate is too much when replies take longer than this (99 of 100 are faster), milliseconds.
const P99_AT_MOST: f64 = 50.0;
/// Or when less than this part of what was due is answered.
const ANSWERED_AT_LEAST: f64 = 0.98;
/// The rate of the round in which the pool's target lets one share in ten through.
const TENTH_RATE: f64 = 60_000.0;
/// Adit's listener for it: a miner is announced to the pool as one that brings so many shares a minute.
const ANNOUNCED: &str = "shares_per_minute = 600\n";
/// A pool that wants so many shares a minute of each miner wants one in ten of what it really brings, which is known by the
/// second time that the miners come.
const TENTH_OF_ANNOUNCED: f64 = 360.0;

/// All rounds for all of `kinds`.
pub(crate) fn all(world: &mut World, kinds: &[Kind]) {
    let mut table = Table::new(kinds.iter().map(|kind| kind.name()).collect());
    for &kind in kinds {
        crowd(world, kind, &mut table);
    }
    for &kind in kinds {
        busy(world, kind, &mut table);
    }
    for &kind in kinds {
        flood(world, kind, &mut table);
    }
    tenths(world, kinds, &mut table);
    for &kind in kinds.iter().filter(|kind| !kind.is_proxy() || kind.is_adit()) {
        sizes(world, kind, &mut table);
    }
    say(&format!("\n{}", table.markdown()));
}

/// 10,000 miners connect and only listen, while tips change.
fn crowd(world: &mut World, kind: Kind, table: &mut Table) {
    let subject = Subject::start(kind, world, &world.pool);
    let mut options = options(kind, &subject, 10_000, 0.0, 20);
    options.mode = Mode::Idle;
    let (report, tips) = with_tips(world, kind, options);
    let Some(report) = report else { return table.put("10,000 miners", kind.name(), "failed") };
    let who = kind.name();
    table.put("10,000 connect and have work, s", who, &format!("{:.2}", report.connect.seconds_to_all));
    if let Some(server) = &report.server {
        let each = server.rss_bytes_per_connection.unwrap_or(f64::NAN) / 1_000.0;
        let later = grown(server.rss_before_bytes, server.rss_end_bytes, report.connect.with_work);
        let text = format!("{each:.1} (after {} more jobs {later:.1})", report.fanouts.len());
        table.put("memory of each idle miner of 10,000, kB", who, &text);
        let cpu = server.cpu_connecting_seconds.unwrap_or(f64::NAN) * 1e6;
        #[expect(clippy::cast_precision_loss, reason = "at most 20,000 connections")]
        let each = cpu / report.connect.with_work.max(1) as f64;
        table.put("CPU to connect one of 10,000, us", who, &format!("{each:.0}"));
    }
    put_tips(&report, &tips, "10,000 idle", who, table);
}

/// 1,000 miners that bring more and more shares, and tips among 30,000 a second.
fn busy(world: &mut World, kind: Kind, table: &mut Table) {
    let subject = Subject::start(kind, world, &world.pool);
    let who = kind.name();
    let Some(calm) = run(options(kind, &subject, 1_000, 10_000.0, 8)) else {
        return table.put("10,000 shares/s", who, "failed");
    };
    put_shares(&calm, &of_a_thousand(10_000.0), who, table);
    let mut best = 10_000.0;
    for rate in RATES {
        // The pool ends a connection with 2^20 good shares on one tip.
        if kind.is_proxy() {
            let _ = world.change_tip();
        }
        let Some(report) = run(options(kind, &subject, 1_000, rate, 8)) else { break };
        put_shares(&report, &of_a_thousand(rate), who, table);
        let answered = report.shares.accepted_per_second / rate;
        if report.shares.latency_ms.p99 > P99_AT_MOST || answered < ANSWERED_AT_LEAST {
            break;
        }
        best = rate;
    }
    table.put("highest rate tried with p99 under 50 ms, shares/s", who, &format!("{best:.0}"));
    if let Some(books) = subject.books() {
        say(&format!("    {who}: {books}"));
    }
    drop(subject);
    let subject = Subject::start(kind, world, &world.pool);
    let (report, tips) = with_tips(world, kind, options(kind, &subject, 1_000, 30_000.0, 16));
    let Some(report) = report else { return };
    put_tips(&report, &tips, "1,000 at 30,000 shares/s", who, table);
    if let Some(fanout) = subject.fanout() {
        table.put(
            "of that from the pool's frame read to the last notify written, ms",
            who,
            &format!("{fanout:.0}"),
        );
    }
}

/// One connection sends as fast as it can; a hundred others do not notice.
fn flood(world: &mut World, kind: Kind, table: &mut Table) {
    let subject = Subject::start(kind, world, &world.pool);
    let mut options = options(kind, &subject, 101, 100.0, 8);
    options.mode = Mode::Flood;
    let (report, tips) = with_tips(world, kind, options);
    let who = kind.name();
    let Some(report) = report else { return table.put("one floods", who, "failed") };
    let latency = report.shares.latency_ms;
    let rate = report.flood.as_ref().map_or(f64::NAN, |flood| flood.answered_per_second);
    let text = format!("p50 {:.1}, p99 {:.1} (flood of {rate:.0}/s answered)", latency.p50, latency.p99);
    table.put("one floods: replies to 100 others, ms", who, &text);
    if let Some(server) = &report.server {
        let grown = grown(server.rss_connected_bytes, server.rss_end_bytes, 1) / 1_000.0;
        table.put("one floods: memory grows by, MB", who, &format!("{grown:.1}"));
    }
    put_tips(&report, &tips, "one floods, 100 others", who, table);
}

/// Only the round in which the pool wants one share in ten.
pub(crate) fn one_in_ten_alone(world: &mut World) {
    let kinds = [Kind::Adit, Kind::AditPerMiner];
    let mut table = Table::new(kinds.iter().map(|kind| kind.name()).collect());
    tenths(world, &kinds, &mut table);
    say(&format!("\n{}", table.markdown()));
}

fn tenths(world: &mut World, kinds: &[Kind], table: &mut Table) {
    for (kind, pool, miners) in [(Kind::Adit, "pool-b", 1_000.0), (Kind::AditPerMiner, "pool-c", 1.0)] {
        if kinds.contains(&kind) {
            let pool = world.pool_with(pool, TENTH_OF_ANNOUNCED * miners);
            one_in_ten(world, &pool, kind, table);
        }
    }
}

/// 60,000 shares a second of which the pool wants one in ten.
fn one_in_ten(world: &mut World, pool: &Pool, kind: Kind, table: &mut Table) {
    let subject = Subject::start_with(kind, world, pool, ANNOUNCED);
    // The pool sets its target by the hashrate that it is told when miners join, and a new target holds for new jobs.
    let _ = run(options(kind, &subject, 1_000, TENTH_RATE, 5));
    let _ = world.change_tip();
    let before = subject.forwarded();
    let Some(report) = run(options(kind, &subject, 1_000, TENTH_RATE, 10)) else { return };
    put_shares(&report, "60,000 shares/s, the pool wants one in ten", kind.name(), table);
    if let Some((before, after)) = before.zip(subject.forwarded()) {
        #[expect(clippy::cast_precision_loss, reason = "a ratio")]
        let part = (after - before) as f64 / report.shares.submitted.max(1) as f64;
        table.put("and of them it got", kind.name(), &format!("{:.1} %", part * 100.0));
    }
    if let Some(books) = subject.books() {
        say(&format!("    {}: {books}", kind.name()));
    }
}

/// Does it grow in a line?
fn sizes(world: &World, kind: Kind, table: &mut Table) {
    for miners in [100, 1_000, 10_000, 19_000] {
        let subject = Subject::start(kind, world, &world.pool);
        let mut options = options(kind, &subject, miners, 0.0, 1);
        options.mode = Mode::Idle;
        let Some(report) = run(options) else { continue };
        let Some(server) = &report.server else { continue };
        #[expect(clippy::cast_precision_loss, reason = "at most 20,000 connections")]
        let each = 1e6 / report.connect.with_work.max(1) as f64;
        let text = format!(
            "{:.2} s, {:.1} kB, {:.0} us",
            report.connect.seconds_to_all,
            server.rss_bytes_per_connection.unwrap_or(f64::NAN) / 1_000.0,
            server.cpu_connecting_seconds.unwrap_or(f64::NAN) * each,
        );
        table.put(&format!("{miners} idle: to connect; memory, CPU of each"), kind.name(), &text);
    }
}

fn options(kind: Kind, subject: &Subject, miners: usize, rate: f64, seconds: u64) -> Options {
    let server = ServerAddress { host: "127.0.0.1".to_owned(), port: subject.port() };
    let mut options = Options::new(server, miners, rate);
    options.duration = Duration::from_secs(seconds);
    options.observe_pid = Some(subject.id());
    options.sv2 = kind.sv2();
    options
}

fn run(options: Options) -> Option<Report> {
    match load::run(options, Arc::new(AtomicBool::new(false))) {
        Ok(report) => Some(report),
        Err(error) => {
            say(&format!("    failed: {error}"));
            None
        }
    }
}

/// Runs a load while the node's tip changes again and again. Gives the changes: Unix time of the call, and the tip.
fn with_tips(world: &mut World, kind: Kind, options: Options) -> (Option<Report>, Vec<(f64, String)>) {
    if !kind.is_proxy() {
        return (run(options), Vec::new());
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let changing = scope.spawn(|| {
            let mut tips = Vec::new();
            while !done.load(Ordering::Acquire) {
                tips.push(world.change_tip());
                std::thread::park_timeout(BETWEEN_TIPS);
            }
            tips
        });
        let report = run(options);
        done.store(true, Ordering::Release);
        changing.thread().unpark();
        (report, changing.join().unwrap_or_default())
    })
}

fn of_a_thousand(rate: f64) -> String {
    format!("{rate:.0} shares/s of 1,000 miners: CPU a share; replies")
}

fn put_shares(report: &Report, row: &str, who: &'static str, table: &mut Table) {
    let shares = &report.shares;
    let cpu = report.server.as_ref().and_then(|server| server.cpu_us_per_share).unwrap_or(f64::NAN);
    let rejected: u64 = shares.rejected.values().sum();
    let latency = shares.latency_ms;
    let text = format!(
        "{cpu:.1} us; p50 {:.1}, p99 {:.1} ms; {:.0}/s accepted, {rejected} rejected, {} unanswered, {} not sent",
        latency.p50, latency.p99, shares.accepted_per_second, shares.unanswered, shares.not_sent
    );
    table.put(row, who, &text);
    say(&format!("    load generator: {:.1} us a share", report.own.cpu_us_per_share));
}

/// From the node's call to the last miner's notify, where there is a node; and from the first to the last.
fn put_tips(report: &Report, tips: &[(f64, String)], what: &str, who: &'static str, table: &mut Table) {
    // Who floods may have been sent away.
    let there = report.connect.with_work - report.connect.closed_later;
    let everybody = usize::try_from(there).unwrap_or(usize::MAX);
    let whole = report.fanouts.iter().filter(|fanout| fanout.receivers >= everybody);
    let spread: Vec<f64> = whole.clone().map(|fanout| fanout.last_ms).collect();
    table.put(&format!("{what}: first to last notify, ms"), who, &middle_and_most(spread));
    if tips.is_empty() {
        return;
    }
    let mut last = Vec::new();
    let mut late = 0;
    let all_connected = report.began_unix + report.connect.seconds_to_all;
    for (called, tip) in tips.iter().filter(|(called, _)| *called > all_connected) {
        let news = report.fanouts.iter().filter(|fanout| &fanout.prev_hash == tip);
        let reached = news.filter(|fanout| fanout.last_unix > *called && fanout.receivers >= everybody);
        match reached.map(|fanout| fanout.last_unix).min_by(f64::total_cmp) {
            Some(at) => last.push((at - called) * 1e3),
            None => late += 1,
        }
    }
    let late = if late > 0 {
        format!("; {late} of {} not with everybody at the end", tips.len())
    } else {
        String::new()
    };
    table.put(
        &format!("{what}: node's call to last notify, ms"),
        who,
        &format!("{}{late}", middle_and_most(last)),
    );
}

fn middle_and_most(mut of: Vec<f64>) -> String {
    of.sort_by(f64::total_cmp);
    match (of.get(of.len() / 2), of.last()) {
        (Some(middle), Some(most)) => format!("{middle:.0}, at most {most:.0} ({} jobs)", of.len()),
        _ => "none".to_owned(),
    }
}

/// Growth of memory for each of `count`, kB.
fn grown(from: Option<u64>, to: Option<u64>, count: u64) -> f64 {
    let (Some(from), Some(to)) = (from, to) else { return f64::NAN };
    #[expect(clippy::cast_precision_loss, reason = "bytes of memory")]
    let grown = to as f64 - from as f64;
    #[expect(clippy::cast_precision_loss, reason = "at most 20,000 connections")]
    let count = count.max(1) as f64;
    grown / count / 1_000.0
}
