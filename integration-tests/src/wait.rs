//! Waiting for something to be so.

use std::time::{Duration, Instant};

/// How long to wait between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Asks until there is an answer, and gives it.
///
/// # Panics
/// When there is none after `limit`: with `what` was waited for.
pub fn until<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: not within {limit:?}");
        std::thread::sleep(PAUSE);
    }
}

/// Asks until it is so.
///
/// # Panics
/// As [`until`].
pub fn until_so(what: &str, limit: Duration, mut ask: impl FnMut() -> bool) {
    until(what, limit, || ask().then_some(()));
}

/// Watches that something stays so for a time.
///
/// # Panics
/// When it is not so at one look.
pub fn stays_so(what: &str, time: Duration, mut ask: impl FnMut() -> bool) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        assert!(ask(), "{what}: no longer");
        std::thread::sleep(PAUSE);
    }
}
