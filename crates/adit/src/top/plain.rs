//! The same as text, for pipes.

use std::fmt::Write as _;

use super::state::Top;
use super::words::{clock, count, harmless, hashrate, percent, span};

/// Events that are printed.
const EVENTS: usize = 10;

/// One screen.
pub(super) fn screen(top: &Top) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut text, top);
    text
}

fn write(to: &mut String, top: &Top) -> std::fmt::Result {
    let status = &top.status;
    let ready = match status.readiness.ready {
        true => "ready".to_owned(),
        false => format!("not ready: {}", harmless(&status.readiness.reasons.join("; "))),
    };
    writeln!(to, "Adit {} at {}, up {}, {ready}", status.version, top.address, span(status.uptime_seconds))?;
    for alarm in status.alarms.iter().filter(|alarm| alarm.active) {
        let of =
            if alarm.subject.is_empty() { String::new() } else { format!(" {}", harmless(&alarm.subject)) };
        writeln!(to, "alarm: {}{of}: {}", alarm.name, harmless(&alarm.detail))?;
    }
    writeln!(to, "\n{:<16} {:>12} {:>7}  mines for", "route", "hashrate", "miners")?;
    for route in &status.routes {
        let active = route.active.as_deref().unwrap_or("no source");
        let rate = hashrate(route.hashrate_hs);
        writeln!(to, "{:<16} {rate:>12} {:>7}  {}", harmless(&route.name), route.miners, harmless(active))?;
    }
    writeln!(
        to,
        "\n{:<16} {:<10} {:<20} {:>8} {:>13} {:>10}  why not",
        "source", "kind", "state", "since", "acknowledged", "refused"
    )?;
    for source in &status.sources {
        let why = source.last_down.as_deref().filter(|_| source.state != "ready").unwrap_or_default();
        writeln!(
            to,
            "{:<16} {:<10} {:<20} {:>8} {:>13} {:>10}  {}",
            harmless(&source.name),
            source.kind,
            source.state,
            span(source.state_since_seconds),
            count(source.books.acknowledged),
            count(source.books.refused_total),
            harmless(why)
        )?;
    }
    let books = &status.books;
    writeln!(to, "\n{:<16} {:>13} {:>10}", "shares", "", "of all")?;
    for (word, number) in [
        ("submitted", books.submitted),
        ("acknowledged", books.acknowledged),
        ("local", books.local),
        ("pending", books.pending),
        ("held", books.held),
        ("rejected", books.rejected_total),
        ("refused", books.refused_total),
        ("unsent", books.unsent_total),
        ("unknown", books.unknown),
    ] {
        writeln!(to, "{word:<16} {:>13} {:>10}", count(number), percent(number, books.submitted))?;
    }
    let workers = &top.workers;
    writeln!(
        to,
        "\n{:<32} {:>12} {:>7} {:>13} {:>9}  ({} of {})",
        "worker",
        "hashrate",
        "last",
        "acknowledged",
        "rejected",
        workers.workers.len(),
        count(workers.total as u64)
    )?;
    for worker in &workers.workers {
        let last = worker.last_share_seconds.map_or_else(|| "-".to_owned(), span);
        writeln!(
            to,
            "{:<32} {:>12} {last:>7} {:>13} {:>9}",
            harmless(&worker.name),
            hashrate(worker.hashrate_hs),
            count(worker.books.acknowledged),
            count(worker.books.rejected_total)
        )?;
    }
    writeln!(to, "\nevents (UTC)")?;
    for event in top.events.iter().rev().take(EVENTS) {
        let subject =
            if event.subject.is_empty() { String::new() } else { format!(" {}", harmless(&event.subject)) };
        writeln!(to, "{} {}{subject}: {}", clock(event.unix_ms), event.kind, harmless(&event.text))?;
    }
    Ok(())
}
