//! `adit load`: many miners on one server, to measure it.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use lab::load::{LoadError, Mode, Options, Report, Sv2Options};

use super::{EX_UNAVAILABLE, EX_USAGE, complain, say};
use crate::cli::{LoadArgs, LoadMode};

pub(super) fn load(args: &LoadArgs) -> ExitCode {
    // Connections, and a reserve; if it cannot be raised that far, `run` says so.
    lab::load::raise_open_files(args.miners as u64 + 100);
    let mut options = Options::new(args.url.address.clone(), args.miners, args.shares_per_second);
    options.sv2 = args.url.sv2.map(|authority| Sv2Options { authority, standard: args.standard });
    options.duration = Duration::from_secs_f64(args.seconds);
    options.connect_over = Duration::from_secs_f64(args.connect_seconds);
    options.storms = args.storms;
    options.mode = match args.mode {
        LoadMode::Rate => Mode::Rate,
        LoadMode::Flood => Mode::Flood,
        LoadMode::Idle => Mode::Idle,
    };
    options.user.clone_from(&args.user);
    options.password.clone_from(&args.password);
    options.threads = args.threads;
    options.observe_pid = args.observe_pid;
    match lab::load::run(options, Arc::new(AtomicBool::new(false))) {
        Ok(report) => {
            if args.json {
                match serde_json::to_string(&report) {
                    Ok(line) => say(line),
                    Err(error) => complain(error),
                }
            } else {
                show(&report);
            }
            ExitCode::SUCCESS
        }
        Err(error @ (LoadError::Options(_) | LoadError::Resolve { .. } | LoadError::NoAddress(_))) => {
            complain(error);
            ExitCode::from(EX_USAGE)
        }
        Err(error) => {
            complain(error);
            ExitCode::from(EX_UNAVAILABLE)
        }
    }
}

fn show(report: &Report) {
    let connect = &report.connect;
    say(format_args!(
        "connected {} of {} ({} with work) in {:.2} s, {} failed",
        connect.connected, report.miners, connect.with_work, connect.seconds_to_all, connect.failed
    ));
    for (storm, number) in report.storms.iter().zip(1..) {
        let first_job = storm.first_job_ms;
        say(format_args!(
            "storm {number}   all closed, {} with work again in {:.2} s (each: p50 {:.1}, p99 {:.1} ms), {} failed",
            storm.with_work, storm.seconds_to_all, first_job.p50, first_job.p99, storm.failed
        ));
    }
    let shares = &report.shares;
    say(format_args!(
        "shares    {} due, {} submitted, {} accepted ({:.0}/s), {} not sent, {} unanswered",
        shares.due,
        shares.submitted,
        shares.accepted,
        shares.accepted_per_second,
        shares.not_sent,
        shares.unanswered
    ));
    for (code, count) in &shares.rejected {
        say(format_args!("          rejected, {code}: {count}"));
    }
    say(format_args!("latency   {:?} ms", shares.latency_ms));
    for fanout in &report.fanouts {
        say(format_args!(
            "fan-out   {} to {} miners: p50 {:.1} ms, p99 {:.1} ms, last {:.1} ms after the first",
            &fanout.prev_hash, fanout.receivers, fanout.p50_ms, fanout.p99_ms, fanout.last_ms
        ));
    }
    if let Some(server) = &report.server {
        say(format_args!("server    {server:?}"));
    }
    say(format_args!("own       {:?}", report.own));
}
