//! The difficulties that hold for miners now, and what of them is still to be written.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Ledger;
use crate::numbers::{Key, Numbers, Renumbered};
use crate::record::{Threshold, Thresholds};
use crate::rows::RowKey;

/// What is higher holds at once. What is lower holds when so long nothing higher was seen: by then every miner that brings
/// shares has brought one, and so has told its difficulty again.
const LOWER_AFTER_MS: u64 = 600_000;

#[derive(Clone, Debug, Default)]
struct Level {
    /// As it is said to hold.
    now: Threshold,
    /// The highest that was seen since `since_ms`.
    seen: Threshold,
    since_ms: u64,
    /// When it was there last; 0 for nobody.
    round: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Levels {
    /// By the numbers of their keys.
    levels: Vec<Level>,
    round: u64,
    /// Changes that are not on the disk, and since when the first of them holds. While the disk is away they only rise.
    waiting: BTreeMap<u32, Threshold>,
    waiting_since_ms: u64,
}

/// One look at the difficulties of all who are there: see [`Ledger::looking`].
#[derive(Debug)]
pub struct Looking<'l> {
    ledger: &'l mut Ledger,
    now_ms: u64,
}

impl Looking<'_> {
    /// The number of a key: see [`Taking::key`](super::Taking::key).
    pub fn key(&mut self, key: &RowKey) -> Key {
        self.ledger.numbers.key(key)
    }

    /// What was seen of one. An `assigned` of 0 says that nothing was, and it goes on as it is. `false`: the number is no
    /// longer known, and nothing was taken.
    pub fn add(&mut self, key: Key, seen: Threshold) -> bool {
        let Some(number) = self.ledger.numbers.known(key) else { return false };
        self.ledger.levels.add(number, seen, self.now_ms);
        true
    }

    /// Those were all: who was not among them is gone. What of it is new is noted beside the evidence.
    pub fn end(self) {
        self.ledger.levels.end(self.now_ms);
    }
}

impl Ledger {
    /// Takes which difficulties were seen of everybody who is there since this was last asked.
    pub fn looking(&mut self, now_ms: u64) -> Looking<'_> {
        self.levels.begin(now_ms);
        Looking { ledger: self, now_ms }
    }
}

impl Levels {
    fn begin(&mut self, now_ms: u64) {
        self.round += 1;
        if self.waiting.is_empty() {
            self.waiting_since_ms = now_ms;
        }
    }

    fn add(&mut self, key: u32, seen: Threshold, now_ms: u64) {
        let at = key as usize;
        if at >= self.levels.len() {
            self.levels.resize(at + at / 2 + 16, Level::default());
        }
        let level = &mut self.levels[at];
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

    fn end(&mut self, now_ms: u64) {
        let Self { levels, waiting, round, .. } = self;
        for (key, level) in (0..).zip(levels).filter(|(_, level)| level.round > 0) {
            let gone = level.round != *round;
            let over = now_ms.saturating_sub(level.since_ms) >= LOWER_AFTER_MS;
            // What has not been written as it was does not go down before it is.
            if (!gone && !over) || waiting.contains_key(&key) {
                continue;
            }
            if gone {
                waiting.insert(key, Threshold::default());
                *level = Level::default();
                continue;
            }
            let assigned = if level.seen.assigned > 0.0 { level.seen.assigned } else { level.now.assigned };
            let lower = Threshold { assigned, kept_from: level.seen.kept_from };
            if lower != level.now {
                level.now = lower;
                waiting.insert(key, lower);
            }
            (level.seen, level.since_ms) = (Threshold::default(), now_ms);
        }
    }

    /// What is to be written, if anything is: everything for a segment that begins.
    pub(super) fn to_write(&self, begins: bool, now_ms: u64, numbers: &Numbers) -> Option<Thresholds> {
        let rows = |rows: &mut dyn Iterator<Item = (u32, Threshold)>| {
            rows.map(|(key, threshold)| (Arc::clone(numbers.shared(key)), threshold)).collect()
        };
        let waiting = !self.waiting.is_empty();
        let at_ms = if waiting { self.waiting_since_ms } else { now_ms };
        let rows = if begins {
            // What waits may be higher than what holds now, and held since then.
            let levels = (0..).zip(&self.levels).filter(|(_, level)| level.round > 0);
            rows(&mut levels.map(|(key, level)| {
                (key, self.waiting.get(&key).map_or(level.now, |waits| waits.max(level.now)))
            }))
        } else if waiting {
            rows(&mut self.waiting.iter().map(|(key, threshold)| (*key, *threshold)))
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

    /// Notes which keys it has.
    pub(super) fn mark(&self, used: &mut [bool]) {
        let there = (0..).zip(&self.levels).filter(|(_, level)| level.round > 0).map(|(key, _)| key);
        there.chain(self.waiting.keys().copied()).for_each(|key: u32| used[key as usize] = true);
    }

    /// Its keys have new numbers; all that it has are among them.
    pub(super) fn renumber(&mut self, numbers: &Renumbered) {
        let former = std::mem::take(&mut self.levels);
        for (from, level) in (0..).zip(former).filter(|(_, level)| level.round > 0) {
            let Some(at) = numbers.of(from) else { continue };
            self.levels.resize(self.levels.len().max(at as usize + 1), Level::default());
            self.levels[at as usize] = level;
        }
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        self.waiting = waiting.filter_map(|(from, threshold)| Some((numbers.of(from)?, threshold))).collect();
    }
}
