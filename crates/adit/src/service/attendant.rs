//! Tells the service manager when Adit is ready, and how it goes.

use std::sync::Arc;
use std::time::Duration;

use telemetry::Snapshot;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::Manager;
use super::status_line::status_line;

/// A start ends at the latest after this, even if no pool has given work yet: Adit goes on trying, and the service manager must
/// not give it up meanwhile.
const READY_AT_LATEST: Duration = Duration::from_secs(20);
/// How often it is looked whether Adit is ready.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often the line is renewed.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// A task that attends to the service manager, until this is dropped.
#[derive(Debug)]
pub(crate) struct Attendant(Option<JoinHandle<()>>);

impl Attendant {
    /// Begins, if somebody wants to know.
    pub(crate) fn begin(manager: Manager, look: Arc<dyn Fn() -> Snapshot + Send + Sync>) -> Self {
        Self(manager.is_there().then(|| tokio::spawn(attend(manager, look))))
    }
}

impl Drop for Attendant {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.abort();
        }
    }
}

async fn attend(manager: Manager, look: Arc<dyn Fn() -> Snapshot + Send + Sync>) {
    let mut tick = tokio::time::interval(LOOK_EVERY);
    let latest = tokio::time::Instant::now() + READY_AT_LATEST;
    loop {
        tick.tick().await;
        let snapshot = look();
        if snapshot.readiness.ready {
            manager.ready(&status_line(&snapshot));
            info!("the service manager is told that Adit is ready");
            break;
        }
        if tokio::time::Instant::now() >= latest {
            manager.ready(&status_line(&snapshot));
            warn!(
                "no pool has given work yet: the service manager is told that Adit is ready all the same, pools are tried on"
            );
            break;
        }
    }
    let mut tick = tokio::time::interval(TELL_EVERY);
    loop {
        tick.tick().await;
        manager.status(&status_line(&look()));
    }
}
