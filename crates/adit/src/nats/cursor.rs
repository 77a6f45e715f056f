//! How far the servers have acknowledged: a small file in the ledger's directory, always whole.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ledger::Mark;
use serde::{Deserialize, Serialize};

/// Its name.
pub(super) const NAME: &str = "nats.cursor";
/// Held while somebody publishes.
const LOCK: &str = "nats.lock";

/// How far a stream is published. Everything before it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Progress {
    pub(super) mark: Mark,
    /// Evidence: jobs of the mark's segment with numbers below this were published,
    pub(super) jobs: u64,
    /// apart from these, whose shares were given up.
    pub(super) owed: Arc<BTreeSet<u64>>,
    /// The moment of the last record, Unix milliseconds.
    pub(super) at_ms: u64,
}

#[derive(Serialize, Deserialize)]
struct Document {
    v: u32,
    streams: BTreeMap<String, Place>,
}

#[derive(Serialize, Deserialize)]
struct Place {
    segment: u64,
    instance: [u8; 4],
    began_ms: u64,
    offset: u64,
    sequence: u64,
    jobs: u64,
    owed: BTreeSet<u64>,
    at_ms: u64,
}

/// The file, and the right to change it.
#[derive(Debug)]
pub(super) struct CursorFile {
    directory: PathBuf,
    /// The system gives it back when it is closed, however the process ends.
    _lock: File,
}

impl CursorFile {
    /// Takes it. `None`: another Adit publishes this ledger, and has not ended yet.
    pub(super) fn take(directory: &Path) -> io::Result<Option<Self>> {
        let mut lock = OpenOptions::new();
        let lock = lock.write(true).create(true).truncate(false).mode(0o600).open(directory.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { directory: directory.to_owned(), _lock: lock })),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    /// How far each stream is, by its word; nothing where that was never noted.
    ///
    /// # Errors
    /// The file cannot be read, or is not what was written.
    pub(super) fn read(&self) -> io::Result<BTreeMap<String, Progress>> {
        let text = match fs::read(self.directory.join(NAME)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            read => read?,
        };
        let document: Document = serde_json::from_slice(&text)?;
        let progress = |place: Place| Progress {
            mark: Mark {
                segment: place.segment,
                instance: place.instance,
                began_ms: place.began_ms,
                offset: place.offset,
                sequence: place.sequence,
            },
            jobs: place.jobs,
            owed: Arc::new(place.owed),
            at_ms: place.at_ms,
        };
        Ok(document.streams.into_iter().map(|(stream, place)| (stream, progress(place))).collect())
    }

    /// Writes it anew: what was there before stays until the new one is on the disk.
    pub(super) fn write(&self, streams: &BTreeMap<String, Progress>) -> io::Result<()> {
        let place = |progress: &Progress| Place {
            segment: progress.mark.segment,
            instance: progress.mark.instance,
            began_ms: progress.mark.began_ms,
            offset: progress.mark.offset,
            sequence: progress.mark.sequence,
            jobs: progress.jobs,
            owed: (*progress.owed).clone(),
            at_ms: progress.at_ms,
        };
        let streams = streams.iter().map(|(stream, progress)| (stream.clone(), place(progress))).collect();
        let text = serde_json::to_vec(&Document { v: 1, streams })?;
        let temporary = self.directory.join(format!("{NAME}.new"));
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(&text)?;
        file.sync_data()?;
        fs::rename(&temporary, self.directory.join(NAME))?;
        File::open(&self.directory)?.sync_all()
    }
}
