//! What workers' vardiff had learnt, for their next connection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Workers that are remembered. About 100 bytes each.
const MAX_REMEMBERED: usize = 50_000;

/// Difficulties by worker. Touched when a miner comes and goes, never for a share.
#[derive(Debug, Default)]
pub struct WorkerMemory(Mutex<Generations>);

/// Two generations: when the young one is half of what may be remembered, the old one is forgotten.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Arc<str>, f64>,
    old: HashMap<Arc<str>, f64>,
}

impl WorkerMemory {
    /// What a worker's difficulty was when it left.
    #[must_use]
    pub fn recall(&self, worker: &str) -> Option<f64> {
        let generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        generations.young.get(worker).or_else(|| generations.old.get(worker)).copied()
    }

    /// Remembers it.
    pub fn remember(&self, worker: &Arc<str>, difficulty: f64) {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if generations.young.len() >= MAX_REMEMBERED / 2 {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(Arc::clone(worker), difficulty);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_the_last_ones_and_not_too_many() {
        let memory = WorkerMemory::default();
        for n in 0..MAX_REMEMBERED * 2 {
            memory.remember(&Arc::from(format!("w{n}")), 1.0);
        }
        assert_eq!(memory.recall(&format!("w{}", MAX_REMEMBERED * 2 - 1)), Some(1.0));
        assert_eq!(memory.recall("w0"), None);
        let generations = memory.0.lock().unwrap();
        assert!(generations.young.len() + generations.old.len() <= MAX_REMEMBERED);
    }
}
