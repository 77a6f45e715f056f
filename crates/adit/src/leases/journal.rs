//! How much work goals have had, as it stands in the ledger's stream of leases.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use ledger::record::Lease;
use ledger::{Directory, LeaseLog, Storage};

use super::earlier;
use crate::clock::unix_time;
use crate::state::StateDirectory;

/// How much a goal has had.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Count {
    /// Hashes.
    pub(super) hashes: f64,
    /// Up to so many more may have been done, after the last entry of a run that was killed.
    pub(super) uncertain: f64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Journal {
    log: LeaseLog,
}

impl Journal {
    /// Opens the journal of a state directory, which this process holds. A torn end, as a machine leaves it that loses its
    /// power, is cut off. Gives what each goal has had; where the run before this one was killed, with what may be
    /// missing. Here the stream stands whether a ledger is kept otherwise or not.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn open(state: &StateDirectory) -> io::Result<(Self, BTreeMap<String, Count>)> {
        let storage: Arc<dyn Storage + Sync> = Arc::new(Directory::make(&state.leases_directory())?);
        let (mut log, cuts) = LeaseLog::open(&storage, state.instance(), now_ms())?;
        for cut in cuts {
            tracing::warn!(
                offset = cut.offset,
                bytes = cut.bytes,
                "a torn end of the lease journal was cut off"
            );
        }
        let mut earlier = earlier::read(state.path())?;
        earlier.retain(|lease| log.leases().all(|known| known.goal != lease.goal));
        log.note(now_ms(), &earlier)?;
        earlier::remove(state.path())?;
        let count =
            |lease: &Lease| (lease.goal.clone(), Count { hashes: lease.hashes, uncertain: lease.uncertain });
        let counts = log.leases().map(count).collect();
        Ok((Self { log }, counts))
    }

    /// Notes how much goals have had: name, count and present rate. `last`: nothing follows. It is on the disk when this
    /// returns.
    ///
    /// # Errors
    /// The system's. The journal can be used all the same.
    pub(super) fn note(&mut self, goals: &[(&str, Count, f64)], last: bool) -> io::Result<()> {
        let lease = |(goal, count, rate): &(&str, Count, f64)| Lease {
            goal: (*goal).to_owned(),
            hashes: count.hashes,
            uncertain: count.uncertain,
            rate: *rate,
            last,
        };
        self.log.note(now_ms(), &goals.iter().map(lease).collect::<Vec<_>>())
    }
}

fn now_ms() -> u64 {
    u64::from(unix_time()) * 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_version_before_counted_is_taken_over_once() {
        let path = std::env::temp_dir().join(format!("adit-leases-taken-over-{}", std::process::id()));
        let state = StateDirectory::open(&path).unwrap();
        std::fs::write(path.join("leases"), "a7fb1e55 no such line\n").unwrap();
        let (mut journal, counts) = Journal::open(&state).unwrap();
        assert!(counts.is_empty() && !path.join("leases").exists());
        let count = Count { hashes: 1e15, uncertain: 0.0 };
        journal.note(&[("lent", count, 3e12)], false).unwrap();
        drop(journal);
        let (_, counts) = Journal::open(&state).unwrap();
        assert_eq!(counts["lent"], Count { hashes: 1e15, uncertain: 3e12 });
        drop(state);
        std::fs::remove_dir_all(&path).unwrap();
    }
}
