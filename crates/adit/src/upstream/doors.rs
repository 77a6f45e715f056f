//! The way to every source for miners' tasks.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};

use engine::SourceId;

use super::messages::{SourceDoor, SourceFigures};
use crate::ledger::EvidenceDoor;

/// Sources that may come while Adit runs, in place of others or besides them, until it has to be started anew: their
/// numbers are not given out again.
pub const SOURCES_TO_COME: usize = 512;

/// The sources' queues by their numbers. Looking one up takes no lock; what is there once stays, though its task may end.
#[derive(Debug)]
pub struct SourceDoors {
    sources: Box<[OnceLock<Known>]>,
    evidence: OnceLock<EvidenceDoor>,
}

type Known = (SourceDoor, Arc<SourceFigures>);

impl SourceDoors {
    /// With room for so many sources, and for those to come.
    #[must_use]
    pub fn for_sources(sources: usize) -> Self {
        Self {
            sources: (0..sources + SOURCES_TO_COME).map(|_| OnceLock::new()).collect(),
            evidence: OnceLock::new(),
        }
    }

    /// Shares that are to be kept go here from now on.
    pub(crate) fn keep_evidence(&self, door: EvidenceDoor) {
        let _ = self.evidence.set(door);
    }

    /// Where shares that are to be kept go.
    pub(crate) fn evidence(&self) -> Option<&EvidenceDoor> {
        self.evidence.get()
    }

    /// How many sources there may ever be.
    #[must_use]
    pub fn room(&self) -> usize {
        self.sources.len()
    }

    /// A source has come.
    pub fn add(&self, source: SourceId, door: SourceDoor, figures: Arc<SourceFigures>) {
        if let Some(place) = self.sources.get(usize::from(source.0)) {
            let _ = place.set((door, figures));
        }
    }

    /// The way to a source.
    #[must_use]
    pub fn get(&self, source: SourceId) -> Option<&SourceDoor> {
        self.sources.get(usize::from(source.0)).and_then(OnceLock::get).map(|(door, _)| door)
    }

    /// Tips that all sources have told of, ever.
    #[must_use]
    pub fn tips(&self) -> u64 {
        self.sources.iter().map_while(OnceLock::get).map(|(_, figures)| figures.tips.load(Relaxed)).sum()
    }
}
