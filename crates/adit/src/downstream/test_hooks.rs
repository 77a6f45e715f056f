//! Mistakes on request, for tests: compiled only for this crate's own tests and with the feature `test-hooks`.

/// A miner that sends this method makes its connection's task panic.
pub(crate) const PANIC_METHOD: &str = "adit.test.panic";

/// Looks at a miner's line before it is read.
#[expect(clippy::panic, reason = "what it is for")]
pub(super) fn line(line: &[u8]) {
    if line.windows(PANIC_METHOD.len()).any(|part| part == PANIC_METHOD.as_bytes()) {
        panic!("a test asked for this");
    }
}
