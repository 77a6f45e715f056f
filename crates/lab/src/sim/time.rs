//! Virtual time.

use std::time::Duration;

use engine::Now;

/// Virtual microseconds since the run began.
pub type Micros = u64;

/// One millisecond.
pub const MILLI: Micros = 1_000;
/// One second.
pub const SECOND: Micros = 1_000_000;
/// One minute.
pub const MINUTE: Micros = 60 * SECOND;

/// Unix time at which every run begins.
pub const EPOCH: u32 = 1_795_000_000;

/// A moment as the engine takes it. `clock_error` is by how many seconds Adit's own clock is off.
#[must_use]
pub fn engine_now(now: Micros, clock_error: i64) -> Now {
    let unix = i64::from(unix(now)) + clock_error;
    Now { mono: Duration::from_micros(now), unix: u32::try_from(unix).unwrap_or(0) }
}

/// True Unix seconds: what pools go by.
#[must_use]
pub fn unix(now: Micros) -> u32 {
    EPOCH + u32::try_from(now / SECOND).unwrap_or(0)
}

/// A duration as the engine gives it, rounded up, so that a deadline is never met too early.
#[must_use]
pub fn micros(duration: Duration) -> Micros {
    let nanos = duration.as_nanos().div_ceil(1_000);
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

/// Seconds as a float, rounded down to microseconds.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped before; the cast saturates"
)]
pub fn from_seconds(seconds: f64) -> Micros {
    (seconds.clamp(0.0, 1e9) * 1e6) as u64
}
