//! Alarms in the log.

use std::sync::Arc;
use std::time::Duration;

use telemetry::AlarmSnapshot;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::snapshot::SnapshotMaker;

/// Alarms are looked at this often, besides whenever somebody asks.
const ALARMS_EVERY: Duration = Duration::from_secs(10);

/// Says when an alarm begins and ends to hold.
pub(super) async fn watch_alarms(maker: Arc<SnapshotMaker>, stop: CancellationToken) {
    let mut held = Vec::new();
    let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + ALARMS_EVERY, ALARMS_EVERY);
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        let mut alarms = maker.snapshot().alarms;
        alarms.retain(|alarm| alarm.active);
        for alarm in alarms.iter().filter(|alarm| !held.contains(&key(alarm))) {
            warn!(alarm = %alarm.name, subject = alarm.subject, "{}", alarm.detail);
        }
        let holds: Vec<_> = alarms.iter().map(key).collect();
        for (name, subject) in held.iter().filter(|alarm| !holds.contains(alarm)) {
            info!(alarm = %name, subject, "no longer");
        }
        held = holds;
    }
}

fn key(alarm: &AlarmSnapshot) -> (String, String) {
    (alarm.name.to_string(), alarm.subject.clone())
}
