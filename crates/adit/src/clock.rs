//! The process's clocks, read in one place and handed to the core as [`engine::Now`].

use std::time::{Duration, Instant};

pub use link::unix_time;

/// Counts from the start of the process.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Begins to count.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// This moment.
    #[must_use]
    pub fn now(&self) -> engine::Now {
        engine::Now { mono: self.start.elapsed(), unix: unix_time() }
    }

    /// The moment of a deadline, for tokio's timers.
    #[must_use]
    pub fn instant(&self, deadline: Duration) -> tokio::time::Instant {
        // A deadline without end is as good as a year.
        const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
        tokio::time::Instant::from_std(self.start + deadline.min(self.start.elapsed() + YEAR))
    }
}
