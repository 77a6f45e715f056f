//! Prints how fast and how still Adit's vardiff is, side by side with the published ladder of `channels_sv2`:
//! `cargo run --release -p adit-work --example vardiff_table -- [--trials N] [--seed N] [--json]`
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "printing is its purpose")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts and seconds of a simulation"
)]

mod ladder;
mod luck;
mod rows;
mod simulation;

use std::process::ExitCode;

use rows::{Kind, Row, Summary, rows};
use simulation::{Firmware, Outcome};
use work::vardiff::Settings;

/// The ladder's own default share rate.
const LADDER_SHARES_PER_MINUTE: f32 = 6.0;
const THREADS: u64 = 2;

struct Options {
    trials: u64,
    seed: u64,
    json: bool,
}

fn options() -> Result<Options, String> {
    let mut options = Options { trials: 10_000, seed: 1, json: false };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || {
            let value = arguments.next().and_then(|value| value.parse().ok()).filter(|&value| value > 0);
            value.ok_or(format!("{argument} wants a whole number above 0"))
        };
        match argument.as_str() {
            "--trials" => options.trials = number()?,
            "--seed" => options.seed = number()?,
            "--json" => options.json = true,
            _ => {
                return Err(format!("unknown argument {argument}: [--trials N] [--seed N] [--json]"));
            }
        }
    }
    Ok(options)
}

/// All trials of a row, on all threads; the same seeds whatever the number of threads.
fn run(options: &Options, row: usize, trial: impl Fn(u64) -> Outcome + Sync) -> Summary {
    let seed = |n: u64| (options.seed << 40) ^ ((row as u64) << 32) ^ n;
    let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
        let part = |thread: u64| {
            let trial = &trial;
            scope.spawn(move || {
                (thread..options.trials).step_by(THREADS as usize).map(|n| trial(seed(n))).collect()
            })
        };
        let parts: Vec<_> = (0..THREADS).map(part).collect();
        let outcomes =
            |part: std::thread::ScopedJoinHandle<'_, Vec<Outcome>>| part.join().expect("no trial panics");
        parts.into_iter().flat_map(outcomes).collect()
    });
    Summary::of(&outcomes)
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(64);
        }
    };
    let settings = Settings::default();
    let results: Vec<(Row, Summary, Option<[Summary; 2]>)> = rows()
        .into_iter()
        .enumerate()
        .map(|(n, row)| {
            let ours = run(&options, n, |seed| simulation::trial(&settings, &row.scenario, seed));
            let ladders = (row.scenario.firmware == Firmware::AtOnce).then(|| {
                [LADDER_SHARES_PER_MINUTE, settings.shares_per_minute as f32]
                    .map(|rate| run(&options, n, |seed| ladder::trial(rate, &row.scenario, seed)))
            });
            (row, ours, ladders)
        })
        .collect();
    if options.json {
        json(&results);
    } else {
        println!("{} trials a row, seed {}\n", options.trials, options.seed);
        tables(&results);
    }
    ExitCode::SUCCESS
}

type Results = [(Row, Summary, Option<[Summary; 2]>)];

fn seconds(seconds: f64) -> String {
    if seconds.is_infinite() {
        "never".into()
    } else if seconds < 10.0 {
        format!("{seconds:.1} s")
    } else if seconds < 600.0 {
        format!("{seconds:.0} s")
    } else {
        format!("{:.0} min", seconds / 60.0)
    }
}

/// A share in percent, rounded down: 99.99 % is never shown as 100 %.
fn percent(share: f64) -> String {
    format!("{:.2} %", (share * 1e4).floor() / 1e2)
}

fn tables(results: &Results) {
    println!(
        "| converged | within 5 min | median | 99 % | 99.9 % | ladder, 6/min: 5 min | 55 min | median | ladder, 20/min: 5 min | 55 min | median |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for (row, ours, ladders) in results.iter().filter(|(row, ..)| row.kind != Kind::Steady) {
        let own = [0.5, 0.99, 0.999].map(|q| seconds(ours.quantile(q))).join(" | ");
        let ladder = |of: usize| {
            ladders.as_ref().map_or("| | ".into(), |ladders| {
                let of = &ladders[of];
                format!(
                    "{} | {} | {}",
                    percent(of.within(300.0)),
                    percent(of.within(3300.0)),
                    seconds(of.quantile(0.5))
                )
            })
        };
        println!(
            "| {} | {} | {own} | {} | {} |",
            row.name,
            percent(ours.within(300.0)),
            ladder(0),
            ladder(1)
        );
    }
    println!(
        "\n| settled, one hour | whose | time outside a factor 1.5 | outside a factor 2 | changes an hour |"
    );
    println!("| --- | --- | --- | --- | --- |");
    for (row, ours, ladders) in results.iter().filter(|(row, ..)| row.kind == Kind::Steady) {
        let line = |whose: &str, of: &Summary| {
            let outside = [of.outside_1_5(), of.outside_2()].map(|share| format!("{:.3} %", share * 100.0));
            println!("| {} | {whose} | {} | {:.0} |", row.name, outside.join(" | "), of.changes_per_hour());
        };
        line("Adit, 20/min", ours);
        if let Some([own, same]) = ladders {
            line("ladder, 6/min", own);
            line("ladder, 20/min", same);
        }
    }
}

fn json(results: &Results) {
    let number = |number: f64| {
        if number.is_finite() { format!("{number:.6}") } else { "null".into() }
    };
    let object = |of: &Summary| {
        let members = [
            ("within_5_min", of.within(300.0)),
            ("within_55_min", of.within(3300.0)),
            ("p50_s", of.quantile(0.5)),
            ("p90_s", of.quantile(0.9)),
            ("p99_s", of.quantile(0.99)),
            ("p999_s", of.quantile(0.999)),
            ("outside_1_5", of.outside_1_5()),
            ("outside_2", of.outside_2()),
            ("changes_per_hour", of.changes_per_hour()),
        ];
        let members = members.map(|(name, value)| format!("\"{name}\":{}", number(value)));
        format!("{{{}}}", members.join(","))
    };
    let lines = results.iter().map(|(row, ours, ladders)| {
        let ladders = ladders.as_ref().map_or(String::new(), |[own, same]| {
            format!(",\"ladder_6\":{},\"ladder_20\":{}", object(own), object(same))
        });
        format!(
            "{{\"row\":\"{}\",\"kind\":\"{:?}\",\"adit_20\":{}{ladders}}}",
            row.name,
            row.kind,
            object(ours)
        )
    });
    println!("[{}]", lines.collect::<Vec<_>>().join(",\n"));
}
