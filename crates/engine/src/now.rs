//! Time, as an argument.

use std::time::Duration;

/// A moment, as the caller reads it from its clocks (or makes it up, in the simulator).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Now {
    /// Since an arbitrary beginning; never goes backwards. Every deadline and every age is told in it.
    pub mono: Duration,
    /// Unix seconds; may jump. Only what goes on the wire (ntime) and certificates are judged by it.
    pub unix: u32,
}

impl Now {
    /// Whether `deadline` has come.
    #[must_use]
    pub fn reached(&self, deadline: Duration) -> bool {
        self.mono >= deadline
    }

    /// Whole monotonic seconds, as the proof-of-work domain takes them.
    #[must_use]
    pub fn seconds(&self) -> work::Seconds {
        work::Seconds(self.mono.as_secs())
    }

    /// Time since an earlier moment; zero when it lies ahead.
    #[must_use]
    pub fn since(&self, earlier: Duration) -> Duration {
        self.mono.saturating_sub(earlier)
    }
}

/// The earlier of two optional deadlines.
#[must_use]
pub fn earliest(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
