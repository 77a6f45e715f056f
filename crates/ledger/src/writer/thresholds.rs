//! The difficulties that hold for miners now, and what of them is still to be written.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::record::{Threshold, Thresholds};
use crate::rows::RowKey;

/// What is higher holds at once. What is lower holds when so long nothing higher was seen: by then every miner that brings
/// shares has brought one, and so has told its difficulty again.
const LOWER_AFTER_MS: u64 = 600_000;

#[derive(Debug, Default)]
struct Level {
    /// As it is said to hold.
    now: Threshold,
    /// The highest that was seen since `since_ms`.
    seen: Threshold,
    since_ms: u64,
    round: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Levels {
    levels: BTreeMap<Arc<RowKey>, Level>,
    round: u64,
    /// Changes that are not on the disk, and since when the first of them holds. While the disk is away they only rise.
    waiting: BTreeMap<Arc<RowKey>, Threshold>,
    waiting_since_ms: u64,
}

impl Levels {
    /// Takes what was seen of all who are there. One with nothing new (an `assigned` of 0) goes on as it is; who is not
    /// among them is gone.
    pub(super) fn take(&mut self, now_ms: u64, all: impl IntoIterator<Item = (Arc<RowKey>, Threshold)>) {
        self.round += 1;
        if self.waiting.is_empty() {
            self.waiting_since_ms = now_ms;
        }
        for (key, seen) in all {
            let level = self.levels.entry(Arc::clone(&key)).or_default();
            if level.since_ms == 0 {
                level.since_ms = now_ms;
            }
            level.round = self.round;
            level.seen = level.seen.max(seen);
            if !level.now.covers(&level.seen) {
                level.now = level.now.max(level.seen);
                let waits = self.waiting.entry(key).or_default();
                *waits = waits.max(level.now);
            }
        }
        let Self { levels, waiting, round, .. } = self;
        levels.retain(|key, level| {
            let gone = level.round != *round;
            let over = now_ms.saturating_sub(level.since_ms) >= LOWER_AFTER_MS;
            // What has not been written as it was does not go down before it is.
            if (gone || over) && waiting.contains_key(key) {
                return true;
            }
            if gone {
                waiting.insert(Arc::clone(key), Threshold::default());
                return false;
            }
            if over {
                let assigned =
                    if level.seen.assigned > 0.0 { level.seen.assigned } else { level.now.assigned };
                let lower = Threshold { assigned, kept_from: level.seen.kept_from };
                if lower != level.now {
                    level.now = lower;
                    waiting.insert(Arc::clone(key), lower);
                }
                (level.seen, level.since_ms) = (Threshold::default(), now_ms);
            }
            true
        });
    }

    /// What is to be written, if anything is: everything for a segment that begins.
    pub(super) fn to_write(&self, begins: bool, now_ms: u64) -> Option<Thresholds> {
        let rows = |rows: &mut dyn Iterator<Item = (&Arc<RowKey>, Threshold)>| {
            rows.map(|(key, threshold)| (Arc::clone(key), threshold)).collect()
        };
        let waiting = !self.waiting.is_empty();
        let at_ms = if waiting { self.waiting_since_ms } else { now_ms };
        let rows = if begins {
            // What waits may be higher than what holds now, and held since then.
            let with = |(key, level): (_, &Level)| {
                (key, self.waiting.get(key).map_or(level.now, |waits| waits.max(level.now)))
            };
            rows(&mut self.levels.iter().map(with))
        } else if waiting {
            rows(&mut self.waiting.iter().map(|(key, threshold)| (key, *threshold)))
        } else {
            return None;
        };
        Some(Thresholds { at_ms, anew: begins, rows })
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// That is on the disk.
    pub(super) fn written(&mut self) {
        self.waiting.clear();
    }
}
