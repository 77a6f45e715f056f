//! The load generator as a program of its own: measurements without the product in the same process.
//!
//! `load SERVER --miners N [--shares-per-second R] [--seconds S] [--connect-seconds C] [--mode rate|flood|idle]
//! [--threads T] [--pid SERVER_PID] [--password P]`; prints its report as JSON.

use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use lab::load::{Mode, Options, run};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let server = args.next().ok_or("usage: load SERVER --miners N ...")?.parse()?;
    let mut options = Options::new(server, 100, 1_000.0);
    while let Some(arg) = args.next() {
        let value = args.next().ok_or_else(|| format!("{arg} needs a value"))?;
        let seconds = || value.parse().map(Duration::from_secs_f64);
        match arg.as_str() {
            "--miners" => options.miners = value.parse()?,
            "--shares-per-second" => options.shares_per_second = value.parse()?,
            "--seconds" => options.duration = seconds()?,
            "--connect-seconds" => options.connect_over = seconds()?,
            "--settle" => options.settle = seconds()?,
            "--window" => options.connect_window = value.parse()?,
            "--threads" => options.threads = value.parse()?,
            "--pid" => options.observe_pid = Some(value.parse()?),
            "--password" => options.password = value,
            "--version-rolling" => options.version_rolling = value.parse()?,
            "--mode" => {
                options.mode = match value.as_str() {
                    "rate" => Mode::Rate,
                    "flood" => Mode::Flood,
                    "idle" => Mode::Idle,
                    _ => return Err("mode is rate, flood or idle".into()),
                }
            }
            _ => return Err(format!("unknown option {arg}").into()),
        }
    }
    let report = run(options, Arc::new(AtomicBool::new(false)))?;
    writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(&report)?)?;
    Ok(())
}
