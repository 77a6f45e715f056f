//! What a run prints: one line per promise, with figures.

use std::io::Write;

/// Says that a promise was kept. Written past the test runner, which would keep it to itself.
pub fn kept(promise: &str, figures: &str) {
    say(&format!("kept: {promise}: {figures}"));
}

/// Says what was measured for a row of `docs/faults.md`.
pub fn figure(row: &str, figures: &str) {
    say(&format!("figure: row {row}: {figures}"));
}

/// Prints a line.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // A closed pipe is no reason to fail.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
