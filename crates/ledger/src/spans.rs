//! Spans of sums as their parts come.

use std::collections::BTreeSet;

use crate::record::Sums;

/// Only whole spans count: one that lacks its last part was being written when all ended. One that comes a second time is
/// the same again: it was written anew because nobody knew whether the disk had it.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    seen: BTreeSet<(u64, u64)>,
    parts: Vec<Sums>,
}

impl Spans {
    /// Takes the next part; gives the span's parts when it was the last, and the span is new.
    pub(crate) fn take(&mut self, sums: Sums) -> Option<Vec<Sums>> {
        let name = |sums: &Sums| (sums.sequence, sums.from_ms);
        if self.parts.first().is_some_and(|first| name(first) != name(&sums)) || sums.part == 0 {
            self.parts.clear();
        }
        if self.parts.len() as u64 != sums.part {
            return None;
        }
        let (last, name) = (sums.last, name(&sums));
        self.parts.push(sums);
        if !last {
            return None;
        }
        let parts = std::mem::take(&mut self.parts);
        self.seen.insert(name).then_some(parts)
    }
}
