//! Runs the simulator.
//!
//! ```text
//! cargo run --release -p adit-lab --features sim --example simulate -- --seeds 0..2000 --threads 2
//! cargo run --release -p adit-lab --features sim --example simulate -- --seed 17 --trace
//! cargo run --release -p adit-lab --features sim --example simulate -- --miners 1000000
//! ```
//!
//! Exit status 0: nothing was wrong. 1: an invariant broke, a run differed from itself, or (with 200 seeds and more)
//! a kind of fault or message never occurred. 64: the arguments make no sense.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the report is the program's output")]

use std::process::ExitCode;
use std::time::Duration;

use lab::sim::campaign::{CampaignOptions, CampaignReport, campaign};
use lab::sim::scale::scale;
use lab::sim::weights::{Farm, WEIGHTS, WeightsReport, weigh};
use lab::sim::{FaultKind, PlantedBug, RunOptions, RunReport, Switching, Teller, run};

/// From so many seeds on every kind of fault and message has to occur.
const ALL_FROM: u64 = 200;

const HELP: &str = "arguments:
  --seed N            one seed
  --trace             tell every event of it
  --seeds A..B        many seeds (default 0..100)
  --threads N         on so many threads (default: all)
  --minutes N         begin no new seed after so many minutes
  --twice N           run the first N seeds twice and compare (default 50)
  --faults N          faults a run (default 30; 0 for none)
  --only KIND         only this kind of fault (a name from the report)
  --virtual-minutes N length of a run (default 60)
  --failures N        stop after so many failing seeds (default 10)
  --weights A..B      farms whose work is shared out by weights, an hour each
  --miners N          what so many miners cost, without faults
  --planted NAME      make this mistake on purpose (feature planted-bugs)";

struct Arguments {
    run: RunOptions,
    one: bool,
    campaign: (u64, u64),
    threads: usize,
    minutes: Option<u64>,
    twice: u64,
    failures: usize,
    miners: Option<usize>,
    weights: Option<(u64, u64)>,
}

fn parse() -> Result<Arguments, String> {
    let mut read = Arguments {
        run: RunOptions::hour(0),
        one: false,
        campaign: (0, 100),
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        minutes: None,
        twice: 50,
        failures: 10,
        miners: None,
        weights: None,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        let number = |text: String| text.parse::<u64>().map_err(|_| format!("{text} is no number"));
        match word.as_str() {
            "--seed" => {
                read.run.seed = number(value()?)?;
                read.one = true;
            }
            "--trace" => read.run.trace = true,
            "--seeds" => {
                let text = value()?;
                let (from, to) = text.split_once("..").ok_or("--seeds wants A..B")?;
                read.campaign = (number(from.into())?, number(to.into())?);
            }
            "--threads" => read.threads = usize::try_from(number(value()?)?).unwrap_or(1),
            "--weights" => {
                let text = value()?;
                let (from, to) = text.split_once("..").ok_or("--weights wants A..B")?;
                read.weights = Some((number(from.into())?, number(to.into())?));
            }
            "--minutes" => read.minutes = Some(number(value()?)?),
            "--twice" => read.twice = number(value()?)?,
            "--failures" => read.failures = usize::try_from(number(value()?)?).unwrap_or(1),
            "--faults" => read.run.faults = usize::try_from(number(value()?)?).unwrap_or(0),
            "--miners" => read.miners = Some(usize::try_from(number(value()?)?).unwrap_or(1)),
            "--virtual-minutes" => read.run.duration = number(value()?)? * lab::sim::time::MINUTE,
            "--only" => {
                let name = value()?;
                let known = || FaultKind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join("\n  ");
                let kind = FaultKind::named(&name)
                    .ok_or_else(|| format!("no such fault; there are:\n  {}", known()))?;
                read.run.only = Some(kind);
            }
            "--planted" => {
                let name = value()?;
                read.run.planted = Some(PlantedBug::named(&name).ok_or(format!("no such mistake: {name}"))?);
            }
            _ => return Err(format!("{word} is not known\n{HELP}")),
        }
    }
    Ok(read)
}

fn main() -> ExitCode {
    let read = match parse() {
        Ok(read) => read,
        Err(text) => {
            eprintln!("{text}");
            return ExitCode::from(64);
        }
    };
    // A panic of the engine is caught and told with its seed.
    std::panic::set_hook(Box::new(|_| {}));
    if let Some(seeds) = read.weights {
        let (parts, switching) = (weights(seeds, read.threads), switching(&read, seeds));
        return if parts && switching { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    if let Some(miners) = read.miners {
        return grow(miners);
    }
    if read.one { one(&read.run) } else { many(&read) }
}

/// The promise: each goal's part, by true hashrates, is within this of its weight after an hour, of the time in which it
/// had a source...
const WITHIN: f64 = 0.01;
/// ...and what is measured is within three standard deviations of it in so many of the farms.
const MEASURED_RIGHT: f64 = 0.99;

/// At most this part of a farm's shares is lost because their miners were moved while they were on their way.
const STALE_AT_MOST: f64 = 0.001;
/// Miners of the farms that are simulated whole, one size after the other.
const WHOLE_FARMS: [usize; 4] = [1, 2, 7, 40];

/// Whole farms, with links, pools and tips, and nothing that goes wrong: what moves between goals cost.
fn switching(read: &Arguments, (from, to): (u64, u64)) -> bool {
    println!(
        "miners   farms      moves/miner/h     shares  crossed by a move  lost by it  of all  lost otherwise  closed"
    );
    let mut all = Switching::default();
    let mut good = true;
    for (turn, miners) in (0..).zip(WHOLE_FARMS) {
        let mut sum = Switching::default();
        let mut farms = 0;
        for (nth, weights) in (0..).zip(WEIGHTS) {
            let kinds = (WHOLE_FARMS.len() * WEIGHTS.len()) as u64;
            let of_kind = |seed: &u64| seed % kinds == turn * WEIGHTS.len() as u64 + nth;
            let seeds = (from..to).filter(of_kind);
            let run = RunOptions { weights: Some(weights), miners, faults: 0, ..read.run.clone() };
            for report in runs(&run, &seeds.collect::<Vec<_>>(), read.threads) {
                sum.add(&report.switching);
                farms += 1;
                if report.switching.disconnects > 0 {
                    let closed = report.tally.ends().filter(|(end, n)| end.starts_with("closed") && *n > 0);
                    println!(
                        "seed {}: {}",
                        report.seed,
                        closed.map(|(end, _)| end).collect::<Vec<_>>().join(", ")
                    );
                }
                if !report.violations.is_empty() {
                    println!("{}", line_of(&report));
                    good = false;
                }
            }
        }
        tell_switching(miners, farms, sum);
        good &= sum.stale_part() <= STALE_AT_MOST;
        all.add(&sum);
    }
    println!(
        "shares lost by moves: {:.4} % of all (at most {} % whatever the farm); connections closed: {}",
        100.0 * all.stale_part(),
        100.0 * STALE_AT_MOST,
        all.disconnects
    );
    good && all.disconnects == 0
}

/// Runs seeds on several threads.
fn runs(options: &RunOptions, seeds: &[u64], threads: usize) -> Vec<RunReport> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let work = || {
            let mut reports = Vec::new();
            while let Some(seed) = seeds.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                reports.push(run(&RunOptions { seed: *seed, ..options.clone() }, None));
            }
            reports
        };
        let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    })
}

fn tell_switching(miners: usize, farms: usize, sum: Switching) {
    println!(
        "{miners:>6}  {farms:>6}  {:>17.1}  {:>9}  {:>17}  {:>10}  {:>5.3} %  {:>14}  {:>6}",
        sum.moves as f64 / (miners * farms).max(1) as f64,
        sum.shares,
        sum.crossed,
        sum.lost,
        100.0 * sum.stale_part(),
        sum.lost_otherwise,
        sum.disconnects
    );
}

/// Shares out the work of many farms.
fn weights((from, to): (u64, u64), threads: usize) -> bool {
    let next = std::sync::atomic::AtomicU64::new(from);
    let mut reports: Vec<WeightsReport> = std::thread::scope(|scope| {
        let work = || {
            let mut reports = Vec::new();
            loop {
                let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if seed >= to {
                    return reports;
                }
                reports.push(weigh(&Farm::of_seed(seed)));
            }
        };
        let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    });
    reports.sort_by_key(|report| report.farm.seed);
    println!(
        "miners  sources   farms  worst part off  relative  measured off, sd  moves/miner/h  most/miner/min"
    );
    let mut good = reports.len() as u64 == to.saturating_sub(from);
    for miners in [1, 2, 7, 200, 5_000] {
        for unsteady in [false, true] {
            let of: Vec<_> =
                reports.iter().filter(|r| (r.farm.miners, r.farm.unsteady) == (miners, unsteady)).collect();
            let most =
                |of_one: &dyn Fn(&WeightsReport) -> f64| of.iter().map(|r| of_one(r)).fold(0.0, f64::max);
            println!(
                "{miners:>6}  {:<8} {:>6}  {:>13.3} %  {:>6.2} %  {:>16.2}  {:>13.1}  {:>14.3}",
                if unsteady { "go, come" } else { "stay" },
                of.len(),
                100.0 * most(&WeightsReport::worst),
                100.0 * most(&WeightsReport::worst_relative),
                most(&WeightsReport::deviation),
                most(&|r| r.moves),
                most(&|r| r.most_moves),
            );
        }
    }
    for report in reports.iter().filter(|r| r.worst() > WITHIN).take(20) {
        println!("seed {}: {:?} came to {:?}", report.farm.seed, report.farm, report.parts);
        good = false;
    }
    let right = reports.iter().filter(|r| r.deviation() <= 3.0).count() as f64 / reports.len().max(1) as f64;
    println!("measured within 3 standard deviations of the truth: {:.2} % of the farms", 100.0 * right);
    good && (right >= MEASURED_RIGHT || reports.len() < 200)
}

/// A tenth and a hundredth of the miners first, so that the growth shows.
fn grow(miners: usize) -> ExitCode {
    println!("   miners  bytes each, idle  after {} jobs and shares  connect us  notify us  share us", 3);
    for miners in [miners / 100, miners / 10, miners] {
        let report = scale(miners.max(1));
        let bytes = |bytes: Option<f64>| bytes.map_or("?".to_owned(), |bytes| format!("{bytes:.0}"));
        println!(
            "{:>9}  {:>16}  {:>24}  {:>10.2}  {:>9.2}  {:>8.2}   ({} shares, {} acknowledged)",
            report.miners,
            bytes(report.bytes_idle),
            bytes(report.bytes_worked),
            report.connect.as_secs_f64() * 1e6,
            report.notify.as_secs_f64() * 1e6,
            report.share.as_secs_f64() * 1e6,
            report.shares,
            report.acknowledged,
        );
        if report.shares == 0 || report.acknowledged == 0 {
            println!("no shares, or none acknowledged");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn one(options: &RunOptions) -> ExitCode {
    let teller: Option<Teller> =
        if options.trace { Some(Box::new(|line: &str| println!("{line}"))) } else { None };
    let report = run(options, teller);
    println!("{}", line_of(&report));
    for (kind, n) in report.tally.faults().filter(|(_, n)| *n > 0) {
        println!("  {:<44} {n}", kind.name());
    }
    if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn line_of(report: &RunReport) -> String {
    let mut text = format!(
        "seed {}: {} events, {} miners, {} shares, {} acknowledged, {} blocks, hash {:016x}",
        report.seed,
        report.events,
        report.miners,
        report.submitted,
        report.acknowledged,
        report.blocks,
        report.event_hash
    );
    for violation in &report.violations {
        text.push_str(&format!("\n  BROKEN {violation}"));
    }
    text
}

fn many(read: &Arguments) -> ExitCode {
    let options = CampaignOptions {
        seeds: read.campaign.0..read.campaign.1,
        threads: read.threads,
        at_most: read.minutes.map(|n| Duration::from_secs(n * 60)),
        twice: read.twice,
        run: read.run.clone(),
        failures: read.failures,
    };
    let report = campaign(&options, &|failed| {
        println!("{}", line_of(failed));
        println!(
            "  replay: cargo run --release -p adit-lab --features sim --example simulate -- --seed {} --trace",
            failed.seed
        );
    });
    show(&report);
    let needs_all = report.runs >= ALL_FROM && read.run.only.is_none() && read.run.faults >= 10;
    if report.is_good(needs_all) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn show(report: &CampaignReport) {
    println!("faults applied:");
    for (kind, n) in report.tally.faults() {
        println!("  {:<44} {n}", kind.name());
    }
    println!("messages:");
    for (kind, n) in report.tally.messages() {
        println!("  {:<52} {n}", kind.name());
    }
    println!("ends:");
    for (end, n) in report.tally.ends() {
        println!("  {end:<44} {n}");
    }
    println!(
        "{} runs in {:.1} s ({} virtual hours), at least {} miners and {} faults each; {} events, {} shares, {} \
         acknowledged, {} blocks; longest wait for a published job {} us",
        report.runs,
        report.took.as_secs_f64(),
        report.virtual_seconds / 3600,
        report.fewest_miners,
        report.fewest_faults,
        report.events,
        report.submitted,
        report.acknowledged,
        report.blocks,
        report.longest_fanout,
    );
    println!(
        "{} runs were repeated, {} of them differed: {:?}",
        report.repeated,
        report.unstable.len(),
        report.unstable
    );
    for (bug, n) in &report.known {
        println!("expected failure in {n} runs: {bug}");
    }
    let never = report.tally.never();
    if !never.is_empty() {
        println!("never occurred: {}", never.join(", "));
    }
    let seeds: Vec<u64> = report.failed.iter().map(|failed| failed.seed).collect();
    println!("{} seeds failed: {seeds:?}", seeds.len());
}
