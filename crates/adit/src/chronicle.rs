//! Tells what happens, for people: looks at the proxy once a second and notes what has changed.

use std::sync::Arc;
use std::time::Duration;

use telemetry::{EventKind, EventLevel, Events, Snapshot};
use tokio_util::sync::CancellationToken;

use crate::snapshot::SnapshotMaker;

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(1);

/// Runs until the end. `before` is how things stood before anything could happen.
pub(crate) async fn keep_chronicle(
    maker: Arc<SnapshotMaker>,
    events: Arc<Events>,
    mut before: Snapshot,
    stop: CancellationToken,
) {
    events.note(EventKind::Started, EventLevel::Info, "", format!("Adit {}", before.version));
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut draining = maker.draining.clone();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            Ok(_) = draining.wait_for(|draining| *draining) => {
                events.note(EventKind::Stopping, EventLevel::Warning, "", "no new miners, open shares are waited for");
                break;
            }
            _ = tick.tick() => {}
        }
        let after = maker.snapshot();
        events.compare(&before, &after);
        before = after;
    }
}
