//! `adit report`

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use ledger::Reader;
use receipt::{Verified, verify_file};

use super::{EX_UNAVAILABLE, EX_USAGE, complain, load, say};
use crate::cli::ReportArgs;
use crate::config::{Config, Loaded, environment};
use crate::ledger::ledger_directory;
use crate::report::{Question, csv, json, proven, report, text};

/// Without `--from`: the last day.
const USUAL_MS: u64 = 24 * 3_600_000;

pub(super) fn make(args: &ReportArgs) -> ExitCode {
    let (directory, config) = match &args.ledger {
        Some(directory) => (directory.clone(), None),
        None => match of_config(args) {
            Ok((directory, config)) => (directory, Some(config)),
            Err(code) => return code,
        },
    };
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    let to_ms = args.to.map_or(now_ms, |moment| moment.before(now_ms));
    let from_ms = args.from.map_or_else(|| to_ms.saturating_sub(USUAL_MS), |moment| moment.before(now_ms));
    if from_ms >= to_ms {
        complain("--from is not before --to");
        return ExitCode::from(EX_USAGE);
    }
    let reader = match Reader::open(&directory) {
        Ok(reader) => reader,
        Err(error) => {
            complain(format_args!(
                "cannot read a ledger in {}: {error}; --ledger DIR says where it is",
                directory.display()
            ));
            return ExitCode::from(EX_UNAVAILABLE);
        }
    };
    let mut receipts = Vec::new();
    for path in &args.receipt {
        match std::fs::File::open(path) {
            Ok(file) => receipts.extend(parts(path, verify_file(std::io::BufReader::new(file), None))),
            Err(error) => return super::lease::unavailable(path, &error),
        }
    }
    let sources_of = |lease: &str| {
        let (_, goal) = config.as_ref()?.goals.iter().find(|(name, _)| **name == *lease)?;
        Some((goal.route.to_string(), goal.sources.iter().map(ToString::to_string).collect()))
    };
    let answer = report(&reader, Question { from_ms, to_ms, by: args.by }).and_then(|mut report| {
        for (name, receipt) in receipts {
            report.receipts.push(proven(&reader, name, receipt, &sources_of)?);
        }
        Ok(report)
    });
    match answer {
        Ok(report) if args.json => say(json(&report)),
        Ok(report) if args.csv => say(csv(&report).trim_end()),
        Ok(report) => say(text(&report).trim_end()),
        Err(error) => {
            complain(format_args!("cannot read the ledger in {}: {error}", directory.display()));
            return ExitCode::from(EX_UNAVAILABLE);
        }
    }
    ExitCode::SUCCESS
}

/// A file's receipts, each with a name.
fn parts(path: &Path, verified: Verified) -> Vec<(String, receipt::Report)> {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().escape_debug().to_string();
    match verified {
        Verified::One(report) => vec![(name, *report)],
        Verified::Merged(merged) => {
            (1..).zip(merged.receipts).map(|(at, report)| (format!("{name} ({at})"), report)).collect()
        }
    }
}

fn of_config(args: &ReportArgs) -> Result<(PathBuf, Config), ExitCode> {
    let Loaded { config, .. } = load(&args.config)?;
    let directory = ledger_directory(&config, environment()).ok_or_else(|| {
        complain("this configuration keeps no ledger ([ledger] in docs/configuration.md); --ledger DIR reads another one");
        ExitCode::from(EX_USAGE)
    })?;
    Ok((directory, config))
}
