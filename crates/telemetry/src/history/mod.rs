//! What the page's charts are drawn from: hashrates and shares by state over the last 31 days, in one file that never
//! grows.
//!
//! A sample is taken each [`SAMPLE_EVERY`]. Ten-second values are kept for a day, minutes for a week, ten minutes for
//! 31 days. The file is written whole when it is made, so that a disk that fills up later takes nothing away; each row
//! has its check sum, so that one that was torn is a gap. A file that cannot be read is set aside and a new one begun.

mod layout;
mod medium;
mod sample;
mod store;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use medium::HistoryError;
pub use store::{HistoryAnswer, HistoryQuery, POINTS_MAX};

use crate::snapshot::Snapshot;
use medium::Memory;
use sample::Sampler;
use store::Store;

/// A sample is taken this often.
pub const SAMPLE_EVERY: Duration = Duration::from_secs(layout::RINGS[0].step);

/// Values by series and time; clones are the same history.
#[derive(Clone)]
pub struct History(Arc<Mutex<Inner>>);

struct Inner {
    store: Store,
    sampler: Sampler,
}

impl Default for History {
    /// In memory: it ends with the process.
    fn default() -> Self {
        let store = Store::open(Box::new(Memory::new())).expect("memory can be read");
        Self(Arc::new(Mutex::new(Inner { store, sampler: Sampler::default() })))
    }
}

impl History {
    /// From now on it is kept in the file of this directory, with all that stands there; what was in memory is forgotten.
    /// Gives the new name of a file that had to be set aside.
    ///
    /// # Errors
    /// [`HistoryError`]; it stays in memory then.
    pub fn keep_in(&self, directory: &Path) -> Result<Option<PathBuf>, HistoryError> {
        let (file, aside) = medium::open(directory)?;
        let store = Store::open(Box::new(file)).map_err(|error| HistoryError::File {
            what: "read",
            path: directory.to_owned(),
            error,
        })?;
        self.lock().store = store;
        Ok(aside)
    }

    /// Takes a sample. Gives how many series there was no room for. It may wait for the disk.
    ///
    /// # Errors
    /// What the disk said; the sample is lost then, no more.
    pub fn record(&self, snapshot: &Snapshot) -> io::Result<usize> {
        let mut inner = self.lock();
        let samples = inner.sampler.sample(snapshot);
        inner.store.record(snapshot.unix_time, samples.iter().map(|(name, value)| (name.as_str(), *value)))
    }

    /// What is known. It may wait for the disk.
    ///
    /// # Errors
    /// What the disk said.
    pub fn query(&self, query: &HistoryQuery, unix_now: u64) -> io::Result<HistoryAnswer> {
        self.lock().store.query(query, unix_now)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
