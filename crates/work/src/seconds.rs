//! Time as this crate takes it: whole seconds of a clock that the caller reads.

/// Seconds on the caller's monotonic clock. Only differences are used, so its zero may be anywhere; a clock
/// that steps back counts as one that stood still.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seconds(pub u64);

impl Seconds {
    /// Whole seconds from `earlier` to `self`, 0 if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
