//! The ledger of a running Adit: a thread of its own takes what the books have grown by, each second, and waits for the
//! disk. Nobody else does.

mod evidence;
#[cfg(test)]
mod evidence_cost;
mod figures;
mod keeper;
mod names;
mod place;
mod tally;
mod thresholds;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use engine::books::Reader;
use ledger::{Bounds, HOUR_MS};
use telemetry::Latencies;

pub use evidence::EvidenceDoor;
pub(crate) use figures::LedgerFigures;
pub(crate) use keeper::LedgerKeeper;
use names::Names;
pub use place::{PlaceError, ledger_directory};
use tally::BooksTally;
use thresholds::Seen;

use crate::config::{Config, environment};
use crate::snapshot::Shown;

/// Where it is kept, and how much of it.
#[derive(Clone, Debug)]
pub(crate) struct LedgerSettings {
    pub(crate) directory: PathBuf,
    pub(crate) bounds: Bounds,
    /// Shares are kept, too.
    pub(crate) evidence: bool,
    /// The number of this Adit, by which segments say whose they are.
    pub(crate) instance: [u8; 4],
}

impl LedgerSettings {
    /// As the configuration has it; nothing where no ledger is kept.
    pub(crate) fn of(config: &Config) -> Option<Self> {
        let directory = ledger_directory(config, environment())?;
        let ledger = &config.ledger;
        let milliseconds = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let bounds = Bounds {
            minutes_ms: milliseconds(ledger.minutes_kept),
            hours_ms: milliseconds(ledger.hours_kept),
            sums_bytes: ledger.sums_max as u64,
            evidence_ms: milliseconds(ledger.evidence_kept),
            evidence_bytes: ledger.evidence_max as u64,
            seconds_ms: seconds_kept(config),
        };
        Some(Self { directory, bounds, evidence: ledger.evidence, instance: rand::random() })
    }

    /// Begins to keep it. What cannot be had is tried again; mining does not wait for it.
    ///
    /// # Errors
    /// There is no thread.
    pub(crate) fn keep(
        self,
        books: Reader,
        shown: Arc<Shown>,
        latencies: Latencies,
    ) -> std::io::Result<LedgerKeeper> {
        let seen = self.evidence.then(Seen::default);
        LedgerKeeper::start(self, BooksTally::new(books), seen, Names::new(shown), latencies)
    }
}

/// How long seconds are kept: also as long as they may wait to be published.
fn seconds_kept(config: &Config) -> u64 {
    let usual = Bounds::default().seconds_ms;
    let spool = u64::try_from(config.nats.spool_age.as_millis()).unwrap_or(u64::MAX);
    if config.nats.enabled() { usual.max(spool.saturating_add(HOUR_MS)) } else { usual }
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
