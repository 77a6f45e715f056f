//! What comes out of every source's machine, whatever it is: events for the router, answers for miners, latencies.

use std::sync::Arc;
use std::time::Instant;

use engine::SourceId;
use engine::source::{ChannelRefusal, DownReason, Effects, SourceEvent};
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::messages::{Mailboxes, RouterMessage, SourceFigures};
use super::repeated::Repeated;
use crate::clock::unix_time;

/// Where it goes.
pub struct Outlet {
    /// The source.
    pub id: SourceId,
    /// Its name in the configuration.
    pub name: String,
    /// What the log calls it: a pool, or else.
    pub what: &'static str,
    /// To the router.
    pub router: mpsc::Sender<RouterMessage>,
    /// To miners that wait for answers.
    pub mailboxes: Arc<Mailboxes>,
    /// Histograms.
    pub latencies: telemetry::Latencies,
    /// The source's figures.
    pub figures: Arc<SourceFigures>,
    /// Channels that were not opened: a farm with a channel for each miner would fill the log with them.
    pub not_opened: Repeated,
}

impl Outlet {
    /// Tells who is to be told.
    pub(super) async fn deliver(&self, fx: &mut Effects) {
        if !fx.answers.is_empty() {
            self.mailboxes.deliver(fx.answers.drain(..));
        }
        for waited in fx.ack_latencies.drain(..) {
            self.latencies.share_to_ack().observe(waited);
        }
        let mut events = std::mem::take(&mut fx.events);
        for event in events.drain(..) {
            self.log(&event);
            if let SourceEvent::Work(feed) = &event {
                self.figures.take_work(feed);
                // One that goes out again says nothing of the clock.
                if feed.received.as_secs() == feed.job.received_at.0 {
                    self.figures.clock_offset.saw(feed.job.job.min_ntime, unix_time());
                }
            }
            // The router never waits for a source, so this cannot stand still for good.
            if self.router.send(RouterMessage::Source(self.id, event)).await.is_err() {
                break;
            }
        }
        fx.events = events;
    }

    fn log(&self, event: &SourceEvent) {
        let (source, what) = (self.name.as_str(), self.what);
        match event {
            SourceEvent::Ready { worker_names } => info!(source, worker_names, "{what} is ready"),
            SourceEvent::Down(why) if *why == DownReason::NotStarted => {}
            SourceEvent::Down(why) => warn!(source, reason = %why, "{what} is down"),
            // Nobody wants it any more.
            SourceEvent::NotOpened { why: ChannelRefusal::LinkEnded(DownReason::NotStarted), .. } => {}
            SourceEvent::NotOpened { why, .. } => {
                if let Some(left_out) = self.not_opened.next(Instant::now()) {
                    warn!(source, reason = %why, left_out, "no channel");
                }
            }
            SourceEvent::Closed { channel_id, reason } => {
                warn!(source, channel_id, reason, "the {what} closed a channel");
            }
            SourceEvent::Opened { .. } | SourceEvent::TargetChanged { .. } => {}
            SourceEvent::Work(_) => {}
        }
    }
}
