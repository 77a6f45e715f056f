//! The end: miners are parted with, what is open is waited for.

use std::sync::Arc;
use std::time::Duration;

use engine::books::Totals;
use engine::miner::CloseReason;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::live::Drain;
use super::{Parting, Proxy};
use crate::downstream::Roster;
use crate::upstream::RouterMessage;

/// At the end each miner has so long until the next is closed, as far as the grace allows.
const CLOSE_EVERY: Duration = Duration::from_millis(10);
/// So long where a successor waits for the end: what miners lose is the time until then.
const CLOSE_EVERY_AWAITED: Duration = Duration::from_millis(1);
/// At most so much of the grace is used for closing miners: the rest is for the pools' answers.
const CLOSE_WITHIN: f64 = 0.6;
/// While draining, the end is not waited for any longer once no share was answered for this long.
const DRAIN_WITHOUT_PROGRESS: Duration = Duration::from_secs(3);
/// The end of publishing it may take so long.
const NATS_END: Duration = Duration::from_secs(3);
/// The threads' end may take so long, with what the router notes of leases on a slow disk, and then the ledger's.
const LEDGER_END: Duration = Duration::from_secs(5);

impl Proxy {
    /// Stops. First load balancers are given their time to notice; then: no new miners, queued shares are sent, answers to open shares are waited for while they still
    /// come, miners are told and closed. Gives the books as they stand at the end.
    pub async fn stop(self) -> Totals {
        self.stop_for(Parting::Drain).await
    }

    /// As [`stop`](Self::stop), for somebody.
    pub async fn stop_for(self, parting: Parting) -> Totals {
        let _ = self.draining.send(true);
        let drain = self.live.drain();
        let Drain { delay, accept, spread, grace } = match parting {
            Parting::Drain => drain,
            // Nobody has to be waited for who would send miners elsewhere.
            Parting::Served => Drain { delay: Duration::ZERO, accept: false, ..drain },
            Parting::Awaited => Drain { delay: Duration::ZERO, accept: false, spread: None, ..drain },
        };
        if parting != Parting::Drain {
            // From now on the successor answers.
            self.stop_http.cancel();
        }
        if !accept {
            self.stop_accepting.cancel();
        }
        tokio::time::sleep(delay).await;
        self.stop_accepting.cancel();
        self.tasks.close();
        // Miners first: what they sent so far is counted and queued. One after the other, so that not all of them come
        // to their backup pool at once.
        let began = tokio::time::Instant::now();
        let (within, deadline) = match spread {
            // Ten milliseconds each, if that is possible.
            None => (grace.mul_f64(CLOSE_WITHIN), began + grace),
            Some(spread) => (spread, began + spread + grace),
        };
        let at_most = match (parting, spread) {
            (Parting::Awaited, _) => CLOSE_EVERY_AWAITED,
            (_, Some(_)) => Duration::MAX,
            (_, None) => CLOSE_EVERY,
        };
        let _ = tokio::time::timeout_at(began + within, self.close_miners(at_most, within)).await;
        // Those who are left or came meanwhile, all at once.
        let mut left = Vec::new();
        self.roster.read(&mut left);
        for miner in left.iter().filter(|miner| !miner.closing) {
            self.roster.close(miner.miner, CloseReason::ShuttingDown);
        }
        let _ = self.router.send(RouterMessage::Drain("Adit is shutting down")).await;
        let mut seen = (u64::MAX, tokio::time::Instant::now());
        let miners = tokio::time::timeout_at(deadline, self.tasks.wait()).await;
        if miners.is_err() {
            info!(left = self.tasks.len(), "some miners did not leave in time");
        }
        // Then the answers of the sources, while they come.
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        loop {
            let pending = self.books.totals().pending;
            let now = tokio::time::Instant::now();
            if pending != seen.0 {
                seen = (pending, now);
            }
            if pending == 0 || now >= deadline || now - seen.1 >= DRAIN_WITHOUT_PROGRESS {
                break;
            }
            tick.tick().await;
        }
        self.stop_http.cancel();
        let _ = self.router.send(RouterMessage::End).await;
        let threads = self.threads;
        let ended = tokio::task::spawn_blocking(move || {
            threads.into_iter().for_each(|t| {
                let _ = t.join();
            });
        });
        if tokio::time::timeout(LEDGER_END, ended).await.is_err() {
            warn!(
                "a thread does not end, or its disk does not answer: the last second of leases may be uncertain"
            );
        }
        if let Some(ledger) = self.ledger {
            // The last of the books: a disk that stands still must not hold up the end.
            let kept = tokio::task::spawn_blocking(move || ledger.end());
            if tokio::time::timeout(LEDGER_END, kept).await.is_err() {
                warn!("the ledger's disk does not answer: its last second may be missing");
            }
        }
        // A successor that waits publishes what is left: no miner is to wait for that.
        if let Some(nats) = self.nats.filter(|_| parting != Parting::Awaited) {
            // What is left is published by the next run.
            let ended = tokio::task::spawn_blocking(move || nats.end());
            let _ = tokio::time::timeout(NATS_END, ended).await;
        }
        self.books.totals()
    }

    /// Closes every miner, evenly over the time that there is but `at_most` so long after each other, those with the least
    /// hashrate first.
    async fn close_miners(&self, at_most: Duration, within: Duration) {
        let mut miners = Vec::new();
        self.roster.read(&mut miners);
        miners.sort_unstable_by(|a, b| a.hashrate.total_cmp(&b.hashrate));
        let count = u32::try_from(miners.len()).unwrap_or(u32::MAX).max(1);
        let every = at_most.min(within / count);
        let mut next = tokio::time::Instant::now();
        for miner in miners {
            // Timers are no finer than a millisecond: those whose time has come meanwhile go together.
            if next > tokio::time::Instant::now() {
                tokio::time::sleep_until(next).await;
            }
            next += every;
            self.roster.close(miner.miner, CloseReason::ShuttingDown);
        }
    }
}

/// Closes the miners of a listener that was taken out, one after the other, those with the least hashrate first.
pub(super) async fn part_with(
    roster: Arc<Roster>,
    listener: u16,
    after: Duration,
    (came_back, end): (CancellationToken, CancellationToken),
) {
    let closing = async {
        tokio::time::sleep(after).await;
        let mut miners = Vec::new();
        roster.read(&mut miners);
        miners.retain(|miner| miner.listener == listener && !miner.closing);
        miners.sort_unstable_by(|a, b| a.hashrate.total_cmp(&b.hashrate));
        for miner in miners {
            roster.close(miner.miner, CloseReason::ListenerGone);
            tokio::time::sleep(CLOSE_EVERY).await;
        }
    };
    tokio::select! {
        () = closing => {}
        () = came_back.cancelled() => {}
        // The end closes everybody.
        () = end.cancelled() => {}
    }
}
