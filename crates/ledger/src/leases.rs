//! How much work goals with a bound have had, over all runs: on the disk before anything else is done with it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use crate::log::Log;
use crate::record::{Cut, Entry, Lease};
use crate::storage::Storage;
use crate::stream::Stream;

/// A segment is closed when it is longer.
const LENGTH_MAX: u64 = 1 << 20;
/// Segments that are kept behind the one that is written, though each begins with all that holds.
const SEGMENTS_KEPT: usize = 8;

/// See the module.
#[derive(Debug)]
pub struct LeaseLog {
    log: Log,
    /// The newest of every goal that was ever in it.
    newest: BTreeMap<String, Lease>,
}

impl LeaseLog {
    /// Opens the stream of leases. Gives what each goal has had; where the run before this one was killed, with what may
    /// be missing. Tells of a torn end that was cut off.
    ///
    /// # Errors
    /// The system's.
    pub fn open(
        storage: &Arc<dyn Storage + Sync>,
        instance: [u8; 4],
        now_ms: u64,
    ) -> io::Result<(Self, Vec<Cut>)> {
        let mut cuts = Vec::new();
        let log = Log::open(Arc::clone(storage), Stream::Leases, instance, now_ms, &mut cuts)?
            .with_bounds(LENGTH_MAX, u64::MAX);
        let mut newest = BTreeMap::new();
        // All of them, the oldest first: the last one may have been torn in its very beginning.
        for segment in log.newest_first().collect::<Vec<_>>().into_iter().rev() {
            log.read(segment, &mut |entry| {
                if let Entry::Lease(lease) = entry {
                    newest.insert(lease.goal.clone(), lease);
                }
            })?;
        }
        for lease in newest.values_mut() {
            if !std::mem::replace(&mut lease.last, true) {
                // One is written each second.
                lease.uncertain += lease.rate;
                lease.rate = 0.0;
            }
        }
        let mut leases = Self { log, newest };
        // On the disk as what it is from now on: who looks again finds no more of it uncertain.
        leases.write(now_ms, &[])?;
        Ok((leases, cuts))
    }

    /// What each goal has had.
    pub fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.newest.values()
    }

    /// Notes how much goals have had. It is on the disk when this returns.
    ///
    /// # Errors
    /// The system's. What was not written is written the next time.
    pub fn note(&mut self, now_ms: u64, leases: &[Lease]) -> io::Result<()> {
        let changed: Vec<&Lease> =
            leases.iter().filter(|lease| self.newest.get(&lease.goal) != Some(lease)).collect();
        if changed.is_empty() {
            return Ok(());
        }
        let changed: Vec<Lease> = changed.into_iter().cloned().collect();
        for lease in &changed {
            self.newest.insert(lease.goal.clone(), lease.clone());
        }
        self.write(now_ms, &changed)
    }

    fn write(&mut self, now_ms: u64, changed: &[Lease]) -> io::Result<()> {
        let mut bytes = Vec::new();
        let begun = self.log.begin(now_ms)?;
        if begun {
            self.newest.values().for_each(|lease| lease.encode(&mut bytes));
        } else {
            changed.iter().for_each(|lease| lease.encode(&mut bytes));
        }
        if bytes.is_empty() {
            return self.log.sync();
        }
        self.log.append(&bytes)?;
        self.log.sync()?;
        if begun {
            while self.log.newest_first().count() > SEGMENTS_KEPT {
                self.log.remove_oldest()?;
            }
        }
        Ok(())
    }
}
