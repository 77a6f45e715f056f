//! What a ledger shows of itself.

use std::sync::{Mutex, PoisonError};

use ledger::{Standing, Stream};
use telemetry::LedgerSnapshot;

/// Written by its thread, read by whoever makes a snapshot.
#[derive(Debug, Default)]
pub(crate) struct LedgerFigures(Mutex<Figures>);

#[derive(Debug, Default)]
struct Figures {
    standing: Standing,
    /// Why it cannot be opened.
    closed: Option<String>,
}

impl LedgerFigures {
    pub(super) fn opened(&self, standing: &Standing) {
        let mut figures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        figures.standing = standing.clone();
        figures.closed = None;
    }

    pub(super) fn cannot_open(&self, why: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).closed = Some(why);
    }

    pub(crate) fn snapshot(&self) -> LedgerSnapshot {
        let figures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let standing = &figures.standing;
        LedgerSnapshot {
            trouble: figures.closed.clone().or_else(|| standing.trouble.clone()),
            records_total: standing.records,
            shares_total: standing.shares,
            shares_lost_total: standing.shares_lost,
            failures_total: standing.failures,
            gaps_total: standing.gaps,
            bytes: standing.bytes.iter().map(|(stream, bytes)| (stream.as_str().into(), *bytes)).collect(),
            // Each stream that things go from, also while nothing has.
            evicted_total: [Stream::Seconds, Stream::Minutes, Stream::Hours, Stream::Evidence]
                .map(|stream| {
                    (stream.as_str().into(), standing.evicted.get(&stream).copied().unwrap_or_default())
                })
                .into(),
        }
    }
}
