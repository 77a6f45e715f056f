//! Upstream: the router's task and one task per source, on a thread of their own, so that jobs never wait
//! behind what miners send.

mod messages;
mod outlet;
mod router_task;
mod solo_task;
mod source_task;

pub use messages::{
    GroupNews, Joined, Mailboxes, RouterMessage, RouterStatus, SHARE_QUEUE, SOLUTION_QUEUE, SourceDoor,
    SourceFigures, SourceReport,
};
pub use outlet::Outlet;
pub use router_task::run_router;
pub use solo_task::{SoloTask, run_solo};
pub use source_task::{SourceTask, run_source};
