//! A report as text, as CSV and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::figures::difficulty;
use super::{By, Figures, Proven, Report, proven};
use crate::config::UnixTime;

/// A moment as people write it, UTC.
pub(super) fn time(ms: u64) -> String {
    UnixTime(ms / 1_000).to_string()
}

/// Hashes per second with a prefix.
fn hashrate(hs: f64) -> String {
    const UNITS: [&str; 7] = ["H/s", "kH/s", "MH/s", "GH/s", "TH/s", "PH/s", "EH/s"];
    let mut value = hs;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if value < 1_000.0 {
            break;
        }
        value /= 1_000.0;
        unit = next;
    }
    format!("{value:.2} {unit}")
}

fn error(relative: Option<f64>) -> String {
    relative.map_or_else(|| "-".to_owned(), |relative| format!("{:.2} %", relative * 100.0))
}

fn bitcoin(satoshi: f64) -> String {
    format!("{:.8}", satoshi / 1e8)
}

/// For people.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_text(&mut out, report);
    out
}

fn write_text(out: &mut String, report: &Report) -> std::fmt::Result {
    let (period, total) = (&report.period, &report.total);
    writeln!(out, "from {} to {}", time(period.from_ms), time(period.to_ms))?;
    if (period.from_ms, period.to_ms) != (report.question.from_ms, report.question.to_ms) {
        writeln!(out, "  (widened: the ledger knows nothing finer there)")?;
    }
    for line in remarks(report) {
        writeln!(out, "! {line}")?;
    }
    let (hs, relative) = total.hashrate();
    writeln!(out, "\nshares      {}", total.submitted())?;
    writeln!(out, "work        {:.6} (difficulty)", total.verified())?;
    writeln!(out, "hashrate    {} +- {}", hashrate(hs), error(relative))?;
    writeln!(out, "worth       {} BTC expected{}", bitcoin(total.satoshi), unpriced(total))?;
    writeln!(out, "\n{:<44} {:>14} {:>22}", "state", "shares", "work (difficulty)")?;
    for (column, amount) in &total.columns {
        let work = difficulty(amount.hashes);
        let work = if amount.hashes == 0 { String::new() } else { format!("{work:.6}") };
        let count = if amount.count == 0 { String::new() } else { amount.count.to_string() };
        writeln!(out, "{column:<44} {count:>14} {work:>22}")?;
    }
    writeln!(
        out,
        "\n{:<24} {:>18} {:>18} {:>18} {:>12} {:>12} {:>12}",
        "source", "delivered", "acknowledged", "difference", "part", "+-", "refused"
    )?;
    for (name, figures) in &report.sources {
        let acknowledged = difficulty(figures.state("acknowledged").hashes);
        let part = figures.acknowledged_part();
        writeln!(
            out,
            "{:<24} {:>18.6} {acknowledged:>18.6} {:>18.6} {:>12} {:>12} {:>12}",
            named(name, "(none)"),
            figures.verified(),
            acknowledged - figures.verified(),
            part.map_or_else(|| "-".to_owned(), |(part, _)| format!("{:.2} %", part * 100.0)),
            error(part.map(|(_, error)| error)),
            figures.state("refused").count,
        )?;
    }
    if !report.receipts.is_empty() {
        writeln!(out, "\n{}", proven::head())?;
    }
    for receipt in &report.receipts {
        writeln!(out, "{}", receipt.line())?;
    }
    if let Some(by) = report.question.by {
        writeln!(
            out,
            "\n{:<32} {:>10} {:>16} {:>14} {:>9} {:>12} {:>9} {:>9} {:>9} {:>14}",
            word(by),
            "shares",
            "work",
            "hashrate",
            "+-",
            "acknowledged",
            "rejected",
            "refused",
            "unsent",
            "BTC"
        )?;
        for (name, figures) in &report.groups {
            let (hs, relative) = figures.hashrate();
            writeln!(
                out,
                "{:<32} {:>10} {:>16.6} {:>14} {:>9} {:>12} {:>9} {:>9} {:>9} {:>14}",
                named(name, "(unnamed)"),
                figures.submitted(),
                figures.verified(),
                hashrate(hs),
                error(relative),
                figures.state("acknowledged").count,
                figures.state("rejected").count,
                figures.state("refused").count,
                figures.state("unsent").count,
                bitcoin(figures.satoshi),
            )?;
        }
    }
    Ok(())
}

/// What a miner or an owner chose as a name, so that a terminal shows it and does not obey it.
fn named(name: &str, empty: &str) -> String {
    if name.is_empty() { empty.to_owned() } else { name.escape_debug().to_string() }
}

fn word(by: By) -> &'static str {
    match by {
        By::Worker => "worker",
        By::Source => "source",
        By::Route => "route",
        By::Hour => "hour",
    }
}

fn unpriced(figures: &Figures) -> String {
    if figures.unpriced > 0.0 {
        format!("; of {:.6} of the work it is not known what it was worth", figures.unpriced)
    } else {
        String::new()
    }
}

/// What is to be known of the sums besides.
fn remarks(report: &Report) -> Vec<String> {
    let mut remarks = Vec::new();
    for gap in &report.gaps {
        remarks.push(format!(
            "gap from {} to {} ({}): {} shares are missing from the evidence; the sums are complete{}",
            time(gap.from_ms),
            time(gap.to_ms),
            gap.why,
            gap.shares_lost,
            if gap.sums_merged > 0 { ", known for that time by the hour only" } else { "" }
        ));
    }
    if let Some(evicted) = &report.period.evicted {
        let counted = if report.evicted_counted {
            "a total by route and source is left of them, and counted here"
        } else {
            "they are not in these sums, since only a total of all of them is left"
        };
        remarks.push(format!(
            "hours from {} to {} were evicted: {counted}",
            time(evicted.from_ms),
            time(evicted.to_ms)
        ));
    }
    for cut in &report.cuts {
        remarks.push(format!(
            "{}: a torn end of {} bytes was cut off at {}: what was being written when a run ended, at most its last second",
            cut.stream.file_name(cut.segment),
            cut.bytes,
            time(cut.at_ms)
        ));
    }
    for damage in &report.period.damages {
        let what =
            if damage.newest { "torn, or just being written" } else { "damaged: records may be missing" };
        remarks.push(format!("{}: {} bytes from {} on are {what}", damage.file, damage.bytes, damage.offset));
    }
    let (begun, ended) = report.runs;
    if begun > ended + 1 {
        remarks.push(format!(
            "{begun} runs began and {ended} ended in order: of each other one up to a second is missing, and its open shares \
             stay open here"
        ));
    }
    remarks
}

/// For spreadsheets: one line a group, or one for everything.
#[must_use]
pub fn csv(report: &Report) -> String {
    let by = report.question.by.map_or("all", word);
    let mut out = format!(
        "{by},from,to,shares,work,hashrate_hs,error_95,rejected,local,acknowledged,refused,unsent,unknown,open,\
         acknowledged_work,refused_work,unsent_work,unknown_work,satoshi\n"
    );
    let all = [("all".to_owned(), report.total.clone())];
    let groups: &[(String, Figures)] = if report.question.by.is_some() { &report.groups[..] } else { &all };
    for (name, figures) in groups {
        let (hs, relative) = figures.hashrate();
        let count = |state| figures.state(state).count;
        let work = |state| difficulty(figures.state(state).hashes);
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{},{},{},{},{},{hs},{},{},{},{},{},{},{},{},{},{},{},{},{}",
            field(name),
            time(report.period.from_ms),
            time(report.period.to_ms),
            figures.submitted(),
            figures.verified(),
            relative.map_or_else(String::new, |relative| relative.to_string()),
            count("rejected"),
            count("local"),
            count("acknowledged"),
            count("refused"),
            count("unsent"),
            count("unknown"),
            count("held") + count("pending"),
            work("acknowledged"),
            work("refused"),
            work("unsent"),
            work("unknown"),
            figures.satoshi,
        );
    }
    out
}

/// RFC 4180; and no spreadsheet takes a worker's name for a formula.
fn field(text: &str) -> String {
    let guarded =
        if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() };
    if guarded.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", guarded.replace('"', "\"\""))
    } else {
        guarded
    }
}

/// For programs.
#[must_use]
pub fn json(report: &Report) -> Value {
    let groups = report.groups.iter().map(|(name, figures)| of_figures(Some(name), figures));
    let sources = report.sources.iter().map(|(name, figures)| of_figures(Some(name), figures));
    let gap = |gap: &ledger::record::Gap| {
        json!({
            "from_ms": gap.from_ms, "to_ms": gap.to_ms, "why": gap.why,
            "shares_lost": gap.shares_lost, "sums_merged": gap.sums_merged,
        })
    };
    let evicted = |evicted: &ledger::record::Evicted| {
        json!({
            "from_ms": evicted.from_ms, "to_ms": evicted.to_ms,
            "records": evicted.records, "bytes": evicted.bytes,
        })
    };
    json!({
        "from_ms": report.period.from_ms,
        "to_ms": report.period.to_ms,
        "asked_from_ms": report.question.from_ms,
        "asked_to_ms": report.question.to_ms,
        "by": report.question.by.map(word),
        "groups": groups.collect::<Vec<_>>(),
        "sources": sources.collect::<Vec<_>>(),
        "total": of_figures(None, &report.total),
        "gaps": report.gaps.iter().map(gap).collect::<Vec<_>>(),
        "hours_evicted": report.period.evicted.as_ref().map(evicted),
        "hours_evicted_counted": report.evicted_counted,
        "evidence_evicted": report.evidence_evicted.as_ref().map(evicted),
        "runs_begun": report.runs.0,
        "runs_ended": report.runs.1,
        "receipts": report.receipts.iter().map(Proven::json).collect::<Vec<_>>(),
        "remarks": remarks(report),
    })
}

fn of_figures(name: Option<&str>, figures: &Figures) -> Value {
    let (hs, relative) = figures.hashrate();
    let column = |(column, amount): (&String, &ledger::Amount)| {
        // Whole hashes may be more than JSON readers take for a number.
        let value = json!({
            "shares": amount.count, "hashes": amount.hashes.to_string(),
            "work": difficulty(amount.hashes),
        });
        (column.clone(), value)
    };
    let part = figures.acknowledged_part();
    json!({
        "name": name,
        "shares": figures.submitted(),
        "work": figures.verified(),
        "hashrate_hs": hs,
        "error_95": relative,
        "columns": figures.columns.iter().map(column).collect::<serde_json::Map<_, _>>(),
        "acknowledged_part": part.map(|(part, _)| part),
        "acknowledged_part_error_95": part.map(|(_, error)| error),
        "satoshi": figures.satoshi,
        "unpriced_work": figures.unpriced,
    })
}
