//! The thread that writes the journal: nobody else waits for the disk.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use tracing::error;

use super::journal::{Count, Journal};

/// Failures are logged at most so often, in notes (seconds).
const LOG_EVERY: u32 = 60;

/// What the goals have had: name, count and present rate in hashes per second.
pub(super) type LeaseNote = Vec<(String, Count, f64)>;

/// Hands notes to the thread.
#[derive(Debug)]
pub(super) struct LeaseKeeper {
    notes: Option<SyncSender<(LeaseNote, bool)>>,
    thread: Option<JoinHandle<()>>,
}

impl LeaseKeeper {
    /// Begins to keep.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(super) fn start(journal: Journal) -> std::io::Result<Self> {
        let (notes, taken) = sync_channel(1);
        let thread =
            std::thread::Builder::new().name("leases".to_owned()).spawn(move || keep(journal, &taken))?;
        Ok(Self { notes: Some(notes), thread: Some(thread) })
    }

    /// Notes what the goals have had. While the disk is slower than a second, the next note has it all.
    pub(super) fn note(&self, note: LeaseNote) {
        if let Some(notes) = &self.notes
            && let Err(TrySendError::Disconnected(_)) = notes.try_send((note, false))
        {
            error!("the lease journal is no longer kept: please report it");
        }
    }

    /// Notes the last of this run, and waits until it is on the disk.
    pub(super) fn end(mut self, note: LeaseNote) {
        if let Some(notes) = self.notes.take() {
            let _ = notes.send((note, true));
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn keep(mut journal: Journal, notes: &Receiver<(LeaseNote, bool)>) {
    let mut failed = 0;
    while let Ok((note, last)) = notes.recv() {
        let goals: Vec<_> = note.iter().map(|(goal, count, rate)| (goal.as_str(), *count, *rate)).collect();
        match journal.note(&goals, last) {
            Ok(()) => failed = 0,
            Err(error) => {
                if failed % LOG_EVERY == 0 {
                    error!(%error, "the lease journal cannot be written: after a crash goals may get more work than work_max");
                }
                failed += 1;
            }
        }
    }
}
