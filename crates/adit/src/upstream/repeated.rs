//! A line of the log that could come a thousand times a second.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two of them.
const PAUSE: Duration = Duration::from_secs(5);

/// Lets one line through every five seconds, and counts the others.
#[derive(Debug, Default)]
pub struct Repeated(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    left_out: u64,
}

impl Repeated {
    /// Whether the line is to be written now; if so, how many were left out since the last one.
    pub(super) fn next(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last.is_some_and(|last| now.saturating_duration_since(last) < PAUSE) {
            state.left_out += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_many_is_written_and_the_next_says_how_many_were_not() {
        let repeated = Repeated::default();
        let began = Instant::now();
        assert_eq!(repeated.next(began), Some(0));
        for _ in 0..1_000 {
            assert_eq!(repeated.next(began + PAUSE / 2), None);
        }
        assert_eq!(repeated.next(began + PAUSE), Some(1_000));
        assert_eq!(repeated.next(began + PAUSE * 3), Some(0));
    }
}
