//! `adit demo`: embedded pool, proxy and CPU miners in one process, to see the whole way of a share.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use lab::dev_pool::DevPoolError;
use lab::sv1_miner::{Miner, MinerConfig, ServerAddress};
use serde::Serialize;
use telemetry::{BooksSnapshot, Snapshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{EX_UNAVAILABLE, complain, dev, ended, runtime, say, start_logging};
use crate::cli::DemoArgs;
use crate::proxy::Proxy;

/// The last line of `adit demo --json`.
#[derive(Serialize)]
struct Summary {
    miners: u16,
    shares: Shares,
    blocks_found: u64,
    hashrate_hs: f64,
    seconds: f64,
}

#[derive(Serialize)]
struct Shares {
    submitted: u64,
    rejected: u64,
    local: u64,
    held: u64,
    unsent: u64,
    forwarded: u64,
    acknowledged: u64,
    refused: u64,
    unknown: u64,
    pending: u64,
}

impl From<&BooksSnapshot> for Shares {
    fn from(books: &BooksSnapshot) -> Self {
        Self {
            submitted: books.submitted,
            rejected: books.rejected_total,
            local: books.local,
            held: books.held,
            unsent: books.unsent_total,
            forwarded: books.forwarded,
            acknowledged: books.acknowledged,
            refused: books.refused_total,
            unknown: books.unknown,
            pending: books.pending,
        }
    }
}

pub(super) fn demo(args: &DemoArgs) -> ExitCode {
    let _ = start_logging("warn", crate::config::LogFormat::Text);
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(code) => return code,
    };
    let code = runtime.block_on(show(args));
    runtime.shutdown_timeout(Duration::from_millis(500));
    code
}

async fn show(args: &DemoArgs) -> ExitCode {
    // Where the farm's own blocks would wait for a node; gone when this ends.
    let state = std::env::temp_dir().join(format!("adit-demo-{}", std::process::id()));
    let size = dev::Size { pools: args.pools, miners: args.miners };
    let started = match args.declare {
        true => dev::start_declaring(dev::Ports::Any, size, &state).await,
        false => dev::start(dev::Ports::Any, size).await,
    };
    let dev::Dev { mut pool, mut spares, config, embedded } = match started {
        Ok(started) => started,
        Err(error) => {
            complain(error);
            return ExitCode::from(EX_UNAVAILABLE);
        }
    };
    let proxy = match Proxy::start(&config, embedded).await {
        Ok(proxy) => proxy,
        Err(error) => {
            complain(error);
            return ExitCode::from(EX_UNAVAILABLE);
        }
    };
    let address = proxy.addresses()[0];
    if !args.json {
        say(format_args!("pool   {}  (embedded: nothing here earns anything)", pool.url()));
        for spare in &spares {
            say(format_args!("pool   {}  (stands by)", spare.url()));
        }
        if let Some(jds) = pool.jds_url() {
            say(format_args!("jds    {jds}  (templates of the farm's own are declared there)"));
        }
        say(format_args!("adit   stratum+tcp://{address}"));
        if let Some(http) = proxy.http() {
            say(format_args!("page   http://{http}/  (also /metrics and /api/v1/status)"));
        }
        say(format_args!("miners {} on this machine's CPU, for {} s\n", args.miners, args.seconds));
    }

    let stop = CancellationToken::new();
    let miners = TaskTracker::new();
    let server = ServerAddress { host: address.ip().to_string(), port: address.port() };
    // Each miner has a thread of its own; together they leave the machine some air.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let throttle = (usize::from(args.miners) > cores).then_some(2e6 * cores as f64 / f64::from(args.miners));
    for n in 1..=args.miners {
        let mut config = MinerConfig::new(server.clone(), format!("demo.worker{n}"));
        config.hashes_per_second = throttle.map(|hashes| hashes * unlike(n));
        let stop = stop.clone();
        miners.spawn(async move { Miner::new(config).run(stop.cancelled_owned()).await });
    }
    miners.close();

    let began = Instant::now();
    let end = tokio::time::sleep(Duration::from_secs_f64(args.seconds));
    tokio::pin!(end);
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let live = !args.json && std::io::stdout().is_terminal();
    let mut last = proxy.snapshot();
    let mut turn = args
        .fail_over
        .map(|seconds| tokio::time::interval_at(after(seconds), Duration::from_secs_f64(seconds)));
    loop {
        tokio::select! {
            () = &mut end => break,
            _ = ended() => break,
            () = next(&mut turn) => {
                if let Err(error) = come_or_go(&mut pool, !args.json, live).await {
                    complain(error);
                }
            }
            _ = tick.tick() => {
                last = proxy.snapshot();
                if !args.json {
                    progress(&last, began.elapsed(), live);
                }
            }
        }
    }
    if live {
        say("");
    }
    let hashrate_hs = last.routes.first().map_or(0.0, |route| route.hashrate_hs);
    stop.cancel();
    miners.wait().await;
    let seconds = began.elapsed().as_secs_f64();
    let declared = declared(&proxy.snapshot());
    let totals = proxy.stop().await;
    if args.declare {
        // Nothing to keep: the chain ends with the process.
        let _ = std::fs::remove_dir_all(&state);
    }
    let books = crate::snapshot::books(&totals);
    let mut accepted = (0, 0);
    for pool in std::iter::once(&mut pool).chain(&mut spares) {
        let (shares, blocks) = pool.accepted();
        accepted = (accepted.0 + shares, accepted.1 + blocks);
        pool.leave().await;
    }

    let summary = Summary {
        miners: args.miners,
        shares: Shares::from(&books),
        blocks_found: books.blocks_found,
        hashrate_hs,
        seconds,
    };
    if args.json {
        match serde_json::to_string(&summary) {
            Ok(line) => say(line),
            Err(error) => complain(error),
        }
    } else {
        conclude(&summary, &books, accepted, args.pools);
        if let Some((jobs, shares)) = declared {
            say(format_args!("declared: {jobs} jobs acknowledged by the pool, {shares} shares of them"));
        }
    }
    if books.acknowledged == 0 {
        complain("no share was acknowledged by the pool");
        return ExitCode::FAILURE;
    }
    if declared.is_some_and(|(_, shares)| shares == 0) {
        complain("no share of a declared job was acknowledged by the pool");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Miners of one farm are not all alike: between half and one and a half of the mean.
fn unlike(n: u16) -> f64 {
    0.5 + f64::from(n.wrapping_mul(37) % 101) / 100.0
}

fn after(seconds: f64) -> tokio::time::Instant {
    tokio::time::Instant::now() + Duration::from_secs_f64(seconds)
}

/// When the pool comes or goes; never where it is to stay.
async fn next(turn: &mut Option<tokio::time::Interval>) {
    match turn {
        Some(turn) => {
            turn.tick().await;
        }
        None => std::future::pending().await,
    }
}

/// The first pool goes away, or is back.
async fn come_or_go(pool: &mut dev::EmbeddedPool, tell: bool, live: bool) -> Result<(), DevPoolError> {
    let gone = pool.is_up();
    if gone {
        pool.leave().await;
    } else {
        pool.come_back().await?;
    }
    if tell {
        let what = if gone { "the first pool is gone" } else { "the first pool is back" };
        // Below the line that is written over.
        say(format_args!("{}{what}", if live { "\n" } else { "" }));
    }
    Ok(())
}

/// Jobs that were declared and acknowledged, and shares of them that were.
fn declared(snapshot: &Snapshot) -> Option<(u64, u64)> {
    let source = snapshot.sources.iter().find(|source| source.name == dev::DECLARED)?;
    Some((source.declaration.as_ref()?.acknowledged_total, source.books.acknowledged))
}

fn progress(snapshot: &Snapshot, elapsed: Duration, live: bool) {
    let books = &snapshot.books;
    let hashrate = snapshot.routes.first().map_or(0.0, |route| route.hashrate_hs);
    let line = format!(
        "{:>4.0} s  {:>10}  shares {:>5}  acknowledged {:>5}  pending {:>3}  local {:>4}  rejected {:>3}  blocks {:>3}",
        elapsed.as_secs_f64(),
        engineering(hashrate),
        books.submitted,
        books.acknowledged,
        books.pending,
        books.local,
        books.rejected_total,
        books.blocks_found,
    );
    let mut out = std::io::stdout();
    let _ = if live { write!(out, "\r{line}").and_then(|()| out.flush()) } else { writeln!(out, "{line}") };
}

fn conclude(summary: &Summary, books: &BooksSnapshot, (accepted, blocks): (u64, u64), pools: u16) {
    let shares = &summary.shares;
    say(format_args!(
        "\n{} shares in {:.0} s: {} acknowledged, {} refused, {} local (easier than the pool's target), {} rejected, \
         {} unsent, {} unknown, {} pending",
        shares.submitted,
        summary.seconds,
        shares.acknowledged,
        shares.refused,
        shares.local,
        shares.rejected,
        shares.unsent,
        shares.unknown,
        shares.pending
    ));
    for (reason, count) in books.rejected.iter().filter(|(_, count)| **count > 0) {
        say(format_args!("  rejected, {reason}: {count}"));
    }
    let whose = if pools == 1 { "the pool's" } else { "the pools'" };
    say(format_args!("{whose} own books: {accepted} shares accepted, {blocks} blocks"));
}

/// 1234567.0 is `1.23 MH/s`.
fn engineering(hashrate: f64) -> String {
    let units = ["H/s", "kH/s", "MH/s", "GH/s", "TH/s", "PH/s", "EH/s"];
    let mut value = hashrate;
    let mut unit = units[0];
    for next in &units[1..] {
        if value < 1000.0 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    format!("{value:.2} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashrates_read_well() {
        assert_eq!(engineering(0.0), "0.00 H/s");
        assert_eq!(engineering(1_234_567.0), "1.23 MH/s");
        assert_eq!(engineering(2.5e21), "2500.00 EH/s");
    }
}
