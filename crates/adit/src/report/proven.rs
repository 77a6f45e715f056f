//! What receipts prove, beside what the books have of the same.

use std::io;

use ledger::{Reader, Row, RowKey};
use receipt::{Outcome, Subject, utc};
use serde_json::{Value, json};
use work::hashrate::HASHES_PER_DIFFICULTY;

use super::Figures;
use super::figures::difficulty;

/// A receipt, and the books' sums of its period and subject.
#[derive(Debug)]
pub struct Proven {
    /// The file, and which part of it where it has several.
    pub name: String,
    /// What verifying it came to.
    pub report: receipt::Report,
    /// What the books have. Nothing where they cannot tell: a lease's sources are not known.
    pub books: Option<Figures>,
}

/// What a lease's work is counted by: its route, and its sources.
pub(crate) type LeaseOf = (String, Vec<String>);

/// Looks up what the books have of a receipt. `sources_of` knows a lease's route and sources.
///
/// # Errors
/// The ledger cannot be read.
pub fn proven(
    ledger: &Reader,
    name: String,
    report: receipt::Report,
    sources_of: &dyn Fn(&str) -> Option<LeaseOf>,
) -> io::Result<Proven> {
    let books = match (&report.terms, report.header) {
        (Some(terms), Some(header)) => {
            let sum = |has: &dyn Fn(&RowKey) -> bool| {
                let add = |sum: &mut Figures, _, key: &std::sync::Arc<RowKey>, row: &Row| {
                    if has(key) {
                        sum.add(row, None);
                    }
                };
                let (sum, _) = ledger.sums::<Figures>(header.from * 1_000, header.to * 1_000, add)?;
                Ok::<_, io::Error>(Some(sum))
            };
            match &terms.subject {
                Subject::Route(name) => sum(&|key| key.route == *name)?,
                Subject::Worker(name) => sum(&|key| key.worker == *name)?,
                Subject::Lease(name) => match sources_of(name) {
                    Some((route, sources)) => sum(&|key| {
                        *key.route == *route && sources.iter().any(|source| **source == *key.source)
                    })?,
                    None => None,
                },
            }
        }
        _ => None,
    };
    Ok(Proven { name, report, books })
}

impl Proven {
    /// Estimate and limits of the work that is proven, as difficulty.
    fn work(&self) -> Option<(f64, f64, f64)> {
        let figures = self.report.counted?;
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let hashes = figures.hashes as f64;
        Some((
            hashes / HASHES_PER_DIFFICULTY,
            figures.low / HASHES_PER_DIFFICULTY,
            figures.high / HASHES_PER_DIFFICULTY,
        ))
    }

    fn delivered(&self) -> Option<(f64, f64)> {
        let books = self.books.as_ref()?;
        Some((books.verified(), difficulty(books.state("acknowledged").hashes)))
    }

    /// For people: a line of the table that [`head`] begins.
    pub(super) fn line(&self) -> String {
        let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.6}"));
        let period = self.report.header.map_or_else(String::new, |header| utc(header.from));
        let (delivered, work) = (self.delivered(), self.work());
        format!(
            "{:<32} {:<24} {:>18} {:>18} {:>18} {:>18} {:>18} {}",
            self.name,
            period,
            number(delivered.map(|(delivered, _)| delivered)),
            number(delivered.map(|(_, acknowledged)| acknowledged)),
            number(work.map(|(proven, ..)| proven)),
            number(work.map(|(_, low, _)| low)),
            number(work.map(|(.., high)| high)),
            match self.report.outcome {
                Outcome::Holds => "",
                Outcome::Partly => "in part",
                Outcome::Refused => "REFUSED",
                Outcome::Unreadable => "UNREADABLE",
            }
        )
        .trim_end()
        .to_owned()
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let (delivered, work) = (self.delivered(), self.work());
        json!({
            "file": self.name,
            "outcome": self.report.outcome,
            "from": self.report.header.map(|header| header.from),
            "to": self.report.header.map(|header| header.to),
            "delivered_work": delivered.map(|(delivered, _)| delivered),
            "acknowledged_work": delivered.map(|(_, acknowledged)| acknowledged),
            "proven_work": work.map(|(proven, ..)| proven),
            "proven_low": work.map(|(_, low, _)| low),
            "proven_high": work.map(|(.., high)| high),
        })
    }
}

/// The names of [`Proven::line`]'s columns.
pub(super) fn head() -> String {
    format!(
        "{:<32} {:<24} {:>18} {:>18} {:>18} {:>18} {:>18}",
        "receipt", "from", "delivered", "acknowledged", "proven", "at least", "at most"
    )
}
