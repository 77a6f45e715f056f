//! What `adit report` adds up from a ledger.

mod figures;
mod prices;
mod proven;
mod show;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;

use clap::ValueEnum;
use ledger::record::{Cut, Entry, Evicted, Gap};
use ledger::{Damage, HOUR_MS, Period, Reader, Row, RowKey, Stream};

pub use figures::Figures;
use prices::Prices;
pub use proven::{Proven, proven};
pub use show::{csv, json, text};

/// What the sums are shown by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// A line for each worker.
    Worker,
    /// A line for each source.
    Source,
    /// A line for each route.
    Route,
    /// A line for each hour, UTC.
    Hour,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// The beginning, Unix milliseconds.
    pub from_ms: u64,
    /// The end.
    pub to_ms: u64,
    /// Lines.
    pub by: Option<By>,
}

/// The answer.
#[derive(Debug)]
pub struct Report {
    /// What was asked.
    pub question: Question,
    /// What the sums are really of: more, where the ledger knows no finer than the minute or hour.
    pub period: Period,
    /// By name, or by the hour's beginning.
    pub groups: Vec<(String, Figures)>,
    /// By source: what it was sent, and what it acknowledged.
    pub sources: Vec<(String, Figures)>,
    /// Everything.
    pub total: Figures,
    /// Gaps that reach into the period.
    pub gaps: Vec<Gap>,
    /// What was cut off at starts within the period.
    pub cuts: Vec<Cut>,
    /// Runs that began in it, and that ended in order.
    pub runs: (u64, u64),
    /// Evidence that was evicted.
    pub evidence_evicted: Option<Evicted>,
    /// Hours in it were evicted, and only a total is left of them: it is in the sums if all of it belongs there.
    pub evicted_counted: bool,
    /// Receipts that are shown beside it.
    pub receipts: Vec<Proven>,
}

#[derive(Debug, Default)]
struct Sums {
    groups: BTreeMap<String, Figures>,
    sources: BTreeMap<String, Figures>,
    total: Figures,
}

impl Sums {
    fn add(&mut self, by: Option<By>, prices: &Prices, at: std::ops::Range<u64>, key: &RowKey, row: &Row) {
        let price = prices.over(&key.source, &at);
        self.total.add(row, price);
        self.sources.entry(key.source.to_string()).or_default().add(row, price);
        let group = match by {
            None => return,
            Some(By::Worker) => key.worker.to_string(),
            Some(By::Source) => key.source.to_string(),
            Some(By::Route) => key.route.to_string(),
            Some(By::Hour) => show::time(at.start - at.start % HOUR_MS),
        };
        self.groups.entry(group).or_default().add(row, price);
    }
}

/// Adds up.
///
/// # Errors
/// The ledger cannot be read.
pub fn report(reader: &Reader, question: Question) -> io::Result<Report> {
    let Question { from_ms, to_ms, by } = question;
    let mut prices = Prices::default();
    let (mut gaps, mut cuts, mut runs) = (Vec::new(), Vec::new(), (0, 0));
    let within = |at: u64| (from_ms..to_ms).contains(&at);
    let damages: Vec<Damage> = reader.entries(Stream::Notes, &mut |entry| match entry {
        Entry::Network(network) => prices.note(network),
        Entry::Gap(gap) if gap.from_ms < to_ms && gap.to_ms > from_ms => gaps.push(gap),
        Entry::Cut(cut) if within(cut.at_ms) => cuts.push(cut),
        Entry::Run(run) if within(run.at_ms) && run.begins => runs.0 += 1,
        Entry::Run(run) if within(run.at_ms) => runs.1 += 1,
        _ => {}
    })?;
    prices.sort();
    let (mut sums, mut period) =
        reader.sums::<Sums>(from_ms, to_ms, |sums, at, key, row| sums.add(by, &prices, at, key, row))?;
    period.damages.extend(damages);
    let mut evicted_counted = false;
    if let Some(evicted) = &period.evicted
        && evicted.from_ms >= from_ms
        && evicted.to_ms <= to_ms
    {
        evicted_counted = true;
        // Nobody knows any more whose, and in which hour.
        let by = by.filter(|by| matches!(by, By::Source | By::Route));
        for (key, row) in &evicted.rows {
            sums.add(by, &prices, evicted.from_ms..evicted.to_ms, key, row);
        }
    }
    let seconds = period.to_ms.saturating_sub(period.from_ms) / 1_000;
    let timed = |figures: Figures, seconds| Figures { seconds, ..figures };
    let hour = HOUR_MS / 1_000;
    let of_groups = if by == Some(By::Hour) { hour.min(seconds) } else { seconds };
    let mut groups: Vec<_> =
        sums.groups.into_iter().map(|(name, figures)| (name, timed(figures, of_groups))).collect();
    if by == Some(By::Worker) {
        groups.sort_by(|a, b| b.1.verified().total_cmp(&a.1.verified()).then_with(|| a.0.cmp(&b.0)));
    }
    Ok(Report {
        question,
        period,
        groups,
        sources: sums.sources.into_iter().map(|(name, figures)| (name, timed(figures, seconds))).collect(),
        total: timed(sums.total, seconds),
        gaps,
        cuts,
        runs,
        evidence_evicted: reader.evicted()?.remove(&Stream::Evidence),
        evicted_counted,
        receipts: Vec::new(),
    })
}
