//! Sums of seconds put together by minute and by hour.

use std::collections::VecDeque;

use crate::numbers::Renumbered;
use crate::sheet::Sheet;

/// A minute, in milliseconds.
pub const MINUTE_MS: u64 = 60_000;
/// An hour.
pub const HOUR_MS: u64 = 60 * MINUTE_MS;

/// The sums of one minute or hour.
#[derive(Debug)]
pub(crate) struct Bucket {
    /// Where it begins.
    pub(crate) from_ms: u64,
    pub(crate) sheet: Sheet,
}

/// Buckets that are not written yet: the one that is being filled, and those that wait for the disk.
#[derive(Debug)]
pub(crate) struct Rollup {
    /// How long each is.
    pub(crate) length_ms: u64,
    buckets: VecDeque<Bucket>,
    /// One that was written, for the next bucket.
    spare: Sheet,
}

impl Rollup {
    pub(crate) fn new(length_ms: u64) -> Self {
        Self { length_ms, buckets: VecDeque::new(), spare: Sheet::default() }
    }

    /// The sums that a moment belongs to. Moments only grow.
    pub(crate) fn at(&mut self, at_ms: u64) -> &mut Sheet {
        let from_ms = at_ms - at_ms % self.length_ms;
        if self.buckets.back().is_none_or(|last| last.from_ms < from_ms) {
            self.buckets.push_back(Bucket { from_ms, sheet: std::mem::take(&mut self.spare) });
        }
        &mut self.buckets.back_mut().expect("one was just seen to").sheet
    }

    /// The oldest bucket, if nothing can be added to it any more from this moment on.
    pub(crate) fn complete(&self, now_ms: u64) -> Option<&Bucket> {
        self.buckets.front().filter(|bucket| bucket.from_ms + self.length_ms <= now_ms)
    }

    /// The oldest is written.
    pub(crate) fn written(&mut self) {
        if let Some(Bucket { mut sheet, .. }) = self.buckets.pop_front() {
            sheet.clear();
            self.spare = sheet;
        }
    }

    /// Notes which keys are in buckets.
    pub(crate) fn mark(&self, used: &mut [bool]) {
        self.buckets.iter().for_each(|bucket| bucket.sheet.mark(used));
    }

    /// Keys have new numbers.
    pub(crate) fn renumber(&mut self, numbers: &Renumbered) {
        self.buckets.iter_mut().for_each(|bucket| bucket.sheet.renumber(numbers));
        self.spare = Sheet::default();
    }

    /// The oldest moment that is not written yet.
    pub(crate) fn pending_from(&self) -> Option<u64> {
        self.buckets.front().map(|bucket| bucket.from_ms)
    }
}
