//! Where connections come in, and wait for their places.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::counters::Counters;
use super::places::{Place, Places};
use super::server::Accept;

/// Connections that wait in hand for a place; when most of them are of one address, its newest are closed.
const WAITING: usize = 128;

/// Rest after a failed accept. With no file descriptor left an accept fails at once, again and again.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// A failing accept is logged at most this often.
const ACCEPT_LOG_EVERY: Duration = Duration::from_secs(60);

/// Lets connections in, to a place each.
pub(super) struct Door<L: Accept> {
    listener: L,
    counters: Arc<Counters>,
    logged: Option<Instant>,
    /// They were accepted, and there was no place for them yet. Nothing is read of them.
    waiting: VecDeque<(L::Io, Option<IpAddr>)>,
}

impl<L: Accept> Door<L> {
    pub(super) fn new(listener: L, counters: Arc<Counters>) -> Self {
        Self { listener, counters, logged: None, waiting: VecDeque::new() }
    }

    /// The next connection with its place. Dropping the future loses none.
    pub(super) async fn admit(&mut self, places: &Arc<Places>, finish: &watch::Sender<()>) -> (L::Io, Place) {
        loop {
            for at in 0..self.waiting.len() {
                if let Some(place) = places.take(self.waiting[at].1)
                    && let Some((io, _)) = self.waiting.remove(at)
                {
                    return (io, place);
                }
            }
            if !self.waiting.is_empty() {
                // Those that came since the last one, too.
                finish.send_replace(());
            }
            let waits = |address| self.waiting.iter().any(|(_, of)| *of == address);
            let hurry = if self.waiting.is_empty() { None } else { Some(places.hurry(waits)) };
            let is_full = self.waiting.len() >= WAITING && !self.make_room();
            tokio::select! {
                biased;
                () = places.freed() => {}
                () = tokio::time::sleep_until(hurry.unwrap_or_else(Instant::now)), if hurry.is_some() => {}
                io = self.accept(), if !is_full => {
                    let address = L::address(&io);
                    if self.waiting.is_empty()
                        && let Some(place) = places.take(address)
                    {
                        return (io, place);
                    }
                    self.waiting.push_back((io, address));
                }
            }
        }
    }

    /// Closes the newest of an address that most of those that wait have. Whether there was one.
    fn make_room(&mut self) -> bool {
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for address in self.waiting.iter().filter_map(|(_, address)| *address) {
            *counts.entry(address).or_default() += 1;
        }
        let Some((most, _)) = counts.into_iter().find(|(_, count)| *count > WAITING / 2) else {
            return false;
        };
        let newest = self.waiting.iter().rposition(|(_, address)| *address == Some(most));
        newest.and_then(|at| self.waiting.remove(at)).is_some_and(|_| {
            self.counters.crowded.fetch_add(1, Relaxed);
            true
        })
    }

    async fn accept(&mut self) -> L::Io {
        loop {
            match self.listener.accept().await {
                Ok(io) => return io,
                Err(error) => {
                    self.counters.accept_errors.fetch_add(1, Relaxed);
                    if self.logged.is_none_or(|at| at.elapsed() >= ACCEPT_LOG_EVERY) {
                        self.logged = Some(Instant::now());
                        tracing::warn!(%error, "the HTTP server cannot accept a connection; it tries again");
                    }
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }
}
