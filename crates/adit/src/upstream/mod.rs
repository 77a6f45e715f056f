//! Upstream: the router's task and one task per source, on a thread of their own, so that jobs never wait
//! behind what miners send.

use std::time::Duration;

use engine::source::LinkSecurity;
use link::Link;

mod declared_task;
mod doors;
mod job_board;
mod line;
mod messages;
mod outlet;
mod pins;
mod probe;
mod repeated;
mod reporter;
mod router_task;
mod solo_task;
mod source_task;
mod sources;
mod sv1_lane;
mod sv1_task;

pub use declared_task::{DeclaredTask, run_declared};
pub use doors::{SOURCES_TO_COME, SourceDoors};
pub use job_board::JobBoard;
pub use line::LineSettings;
pub(crate) use line::{Line, LineEvent};
pub use messages::{
    GoalChange, GroupNews, Joined, Mailboxes, Moved, Reshape, RouterMessage, RouterStatus, SHARE_QUEUE,
    SOLUTION_QUEUE, SourceDoor, SourceFigures, SourceReport,
};
pub use outlet::Outlet;
pub use pins::{Pinned, Pins};
pub use probe::{PoolOffer, ProbeError, probe_sv1, probe_sv2};
pub use repeated::Repeated;
pub use reporter::Reporter;
pub(crate) use reporter::state_word;
pub use router_task::run_router;
pub use solo_task::{SoloTask, run_solo};
pub use source_task::{SourceTask, run_source};
pub use sources::{MadeSource, Sources};
pub use sv1_lane::LaneSettings;
pub use sv1_task::{Sv1Task, run_sv1};

/// Shares taken from a queue at once, encrypted and written together.
const BATCH: usize = 256;
/// After shares were taken from the queue, those that follow gather this long, so that a busy farm costs one
/// wake-up, one record and one write for many shares. The first after a pause and blocks go at once.
const GATHER: Duration = Duration::from_millis(2);
/// No more shares are taken from the queue while this much waits to be written.
pub(crate) const OUTBOX_FULL: usize = 256 * 1024;
/// A pool that takes nothing from a full outbox for this long is gone.
const WRITE_STALL: Duration = Duration::from_secs(20);

/// Whether somebody vouches for the other side of a link.
fn security(link: &Link) -> LinkSecurity {
    match link.certificate_until() {
        Some(_) => LinkSecurity::Authenticated,
        None => LinkSecurity::Unauthenticated,
    }
}
