//! `[ledger]`

use std::path::PathBuf;
use std::time::Duration;

use super::seconds;
use crate::config::kind::{FilePath, Flag, Maybe, Size, Span};
use crate::config::table::table;

const DAY: u64 = 86_400;

/// `ledger.minutes_kept`
pub const MINUTES_KEPT: Duration = seconds(14 * DAY);
/// `ledger.hours_kept`: a year and its comparison with the one before.
pub const HOURS_KEPT: Duration = seconds(400 * DAY);
/// `ledger.sums_max`, in bytes.
pub const SUMS_MAX: usize = if usize::BITS > 32 { 1_usize.wrapping_shl(32) } else { 1 << 30 };
/// `ledger.evidence_kept`: a quarter, and the time to argue about it.
pub const EVIDENCE_KEPT: Duration = seconds(90 * DAY);
/// `ledger.evidence_max`, in bytes.
pub const EVIDENCE_MAX: usize = if usize::BITS > 32 { 1_usize.wrapping_shl(33) } else { 1 << 30 };
/// The most that may be kept.
const BYTES_MAX: usize = if usize::BITS > 32 { 1_usize.wrapping_shl(44) } else { usize::MAX / 2 };

table! {
    /// What Adit writes down of every share, to be added up later: docs/ledger.md.
    pub struct Ledger {
        /// Keep a ledger.
        enabled: Option<bool> = Maybe(Flag), default None,
            says "not set: `true` where `ledger.directory` or `state.directory` is set or a service manager gives a state directory (`$STATE_DIRECTORY`), else `false`";
        /// Where it is kept, in a directory of its own.
        directory: Option<PathBuf> = Maybe(FilePath("/var/lib/adit/ledger")), default None,
            says "not set: `ledger` in the state directory";
        /// How long sums are known by the minute.
        minutes_kept: Duration = Span::of(seconds(7_200)..=seconds(4_000 * DAY)), default MINUTES_KEPT;
        /// How long sums are known by the hour.
        hours_kept: Duration = Span::of(seconds(DAY)..=seconds(4_000 * DAY)), default HOURS_KEPT;
        /// Bytes that all sums may take. Beyond it the oldest minutes go first, then the oldest hours, of which a total
        /// stays.
        sums_max: usize = Size(1_048_576..=BYTES_MAX), default SUMS_MAX;
        /// Keep about 3,000 shares a day of each worker whole, with their jobs, as evidence of what it delivered.
        evidence: bool = Flag, default true;
        /// How long they are kept.
        evidence_kept: Duration = Span::of(seconds(DAY)..=seconds(4_000 * DAY)), default EVIDENCE_KEPT;
        /// Bytes that they may take: about 60 a share, and a kilobyte for each job. The oldest go first.
        evidence_max: usize = Size(1_048_576..=BYTES_MAX), default EVIDENCE_MAX;
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            enabled: None,
            directory: None,
            minutes_kept: MINUTES_KEPT,
            hours_kept: HOURS_KEPT,
            sums_max: SUMS_MAX,
            evidence: true,
            evidence_kept: EVIDENCE_KEPT,
            evidence_max: EVIDENCE_MAX,
        }
    }
}
