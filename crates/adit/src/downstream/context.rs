//! What the connections of one listener share.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use engine::books::{Books, UnsentReason};
use engine::miner::{CloseReason, ListenerPolicy, MinerIdSource};
use engine::{OutgoingShare, ShareSink};
use telemetry::Latencies;
use tokio::sync::{Semaphore, mpsc};
use tracing::{debug, info, warn};
use work::MinerId;

use super::access::Access;
use super::admission::{Admission, PerAddress, Place, Refused};
use super::certificate::Certificate;
use super::declarators::Declarators;
use super::ids::MinerIdPool;
use super::memory::WorkerMemory;
use super::roster::Roster;
use super::routes::RouteChoices;
use super::sv2::Sv2Identity;
use crate::clock::Clock;
use crate::config::{Network, Protocol};
use crate::upstream::{Mailboxes, RouterMessage, SourceDoor, SourceFigures};

/// Counters of a listener.
#[derive(Debug, Default)]
pub struct ListenerFigures {
    /// Bytes of its miners' `extranonce1` and extranonce2, as soon as nobody can change them any more.
    pub split: OnceLock<(u8, u8)>,
    /// Connected now.
    pub connected: AtomicU64,
    /// Subscribed and authorised now.
    pub mining: AtomicU64,
    /// Connections accepted, ever.
    pub accepted: AtomicU64,
    /// Connections refused because the listener or their address had too many, ever.
    pub refused: AtomicU64,
    /// Of these, because of their address.
    pub refused_address: AtomicU64,
    /// Connections refused by the listener's `allow` and `deny`, ever.
    pub denied: AtomicU64,
    /// Times that the system had no connection to give although one was there, ever.
    pub accept_errors: AtomicU64,
    /// Connections that ended by themselves, ever.
    pub left: AtomicU64,
    /// Connections that ended by a mistake of ours, ever.
    pub panicked: AtomicU64,
    /// Connections that Adit closed, ever, by reason.
    pub closed: [AtomicU64; CloseReason::ALL.len()],
    /// Of firmware that connects also to see whether somebody is there: connections that brought no share and are gone,
    /// ever. They are in none of the other figures of an end.
    pub probes: AtomicU64,
    /// SV2 channels that were refused, ever.
    pub channels_refused: AtomicU64,
    /// Workers whose names were too long for extension 0x0002, ever.
    pub names_cut: AtomicU64,
}

impl ListenerFigures {
    pub(super) fn count_close(&self, why: CloseReason) {
        if let Some(at) = CloseReason::ALL.iter().position(|r| *r == why) {
            self.closed[at].fetch_add(1, Relaxed);
        }
    }
}

/// Shared by the connections of one listener.
pub struct ListenerContext {
    /// Its name in the configuration.
    pub name: String,
    /// What miners may speak there.
    pub protocol: Protocol,
    /// Who Adit is to SV2 miners; without it they are not served.
    pub identity: Option<Sv2Identity>,
    /// What its miners have in common.
    pub policy: Arc<ListenerPolicy>,
    /// For job declarator clients, where they are served.
    pub declarators: Option<Declarators>,
    /// Which route each takes.
    pub routes: RouteChoices,
    /// The books.
    pub books: Arc<Books>,
    /// Caps on connections.
    pub admission: Arc<Admission>,
    /// The listener's own cap.
    pub cap: Option<Arc<Semaphore>>,
    /// Who may come.
    pub access: Access,
    /// Connections per public address.
    pub per_address: u32,
    /// Addresses with as many connections as they like.
    pub unlimited_addresses: Vec<Network>,
    /// The longest line.
    pub max_line: usize,
    /// Bytes that may wait for a miner that does not read.
    pub outbox: usize,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// What the listener proves itself with, where TLS is spoken.
    pub certificate: Arc<Certificate>,
    /// A miner that takes nothing for this long is closed.
    pub write_stall: Duration,
    /// Who is connected.
    pub roster: Arc<Roster>,
    /// Miner ids.
    pub ids: Arc<MinerIdPool>,
    /// In how many spaces the same ids may be given out to its miners: connections that there may be to each Stratum V1
    /// pool of theirs.
    pub id_spaces: u16,
    /// What workers' vardiff had learnt.
    pub memory: Arc<WorkerMemory>,
    /// The router's task.
    pub router: mpsc::Sender<RouterMessage>,
    /// The sources' tasks, by source.
    pub doors: Arc<[SourceDoor]>,
    /// The sources' figures, by source: their tips are the epochs of miner ids.
    pub sources: Arc<[Arc<SourceFigures>]>,
    /// Where the sources' answers come.
    pub mailboxes: Arc<Mailboxes>,
    /// Histograms.
    pub latencies: Latencies,
    /// Counters.
    pub figures: Arc<ListenerFigures>,
    /// The process's clock.
    pub clock: Clock,
    /// Numbers the connections of the process.
    pub next_miner: Arc<AtomicU64>,
    /// Log lines about single connections, at most so many a second.
    pub quiet: Quiet,
}

impl ListenerContext {
    /// Whether a connection may stay, once it is known where it comes from.
    pub(super) fn let_in(&self, place: &mut Place, address: IpAddr) -> Result<(), Refused> {
        if !self.access.permits(address) {
            return Err(Refused::Denied);
        }
        let per_address = PerAddress { most: self.per_address, unlimited: &self.unlimited_addresses };
        self.admission.count(place, address, per_address)
    }

    /// A connection is refused.
    pub(super) fn say_refused(&self, address: SocketAddr, refused: Refused) {
        let figures = &self.figures;
        match refused {
            Refused::Denied => &figures.denied,
            Refused::ListenerFull | Refused::AddressFull => &figures.refused,
        }
        .fetch_add(1, Relaxed);
        if refused == Refused::AddressFull {
            figures.refused_address.fetch_add(1, Relaxed);
        }
        if self.quiet.may_log() {
            warn!(listener = self.name, %address, reason = %refused, "connection refused");
        }
    }

    /// A miner has left by itself.
    pub(super) fn say_left(&self, address: SocketAddr) {
        self.figures.left.fetch_add(1, Relaxed);
        debug!(listener = self.name, %address, "miner left");
    }

    /// Adit closes a connection; `detail` may say more than the reason.
    pub(super) fn say_closed(&self, address: SocketAddr, why: CloseReason, detail: &str) {
        self.figures.count_close(why);
        if self.quiet.may_log() {
            let detail = Some(detail).filter(|detail| !detail.is_empty());
            info!(listener = self.name, %address, reason = %why, detail, "connection closed");
        }
    }

    /// Where a miner's id comes from.
    pub(super) fn miner_ids(&self) -> impl MinerIdSource + '_ {
        self.ids.handle(self.id_spaces, || self.epoch())
    }

    /// A miner has gone; `shared`: it had brought a good share.
    pub(super) fn take_back(&self, id: MinerId, shared: bool) {
        self.ids.take_back(id, shared, self.epoch());
    }

    /// A miner that only wanted to see whether somebody is there has gone.
    pub(super) fn say_looked(&self, address: SocketAddr) {
        self.figures.probes.fetch_add(1, Relaxed);
        debug!(listener = self.name, %address, "a probe: it connected, took a look and is gone");
    }

    /// Grows with each tip of each source: jobs of an epoch two before are dead.
    fn epoch(&self) -> work::Epoch {
        work::Epoch(self.sources.iter().map(|s| s.tips.load(Relaxed)).sum())
    }
}

/// Puts shares into their sources' queues.
pub(super) struct Doors<'a>(pub(super) &'a [SourceDoor]);

impl ShareSink for Doors<'_> {
    fn forward(&mut self, share: OutgoingShare) -> Result<(), UnsentReason> {
        let door = self.0.get(usize::from(share.channel.source.0)).ok_or(UnsentReason::NoSource)?;
        // A block has a queue of its own, and the common one if that should be full.
        let share = if share.is_block {
            match door.solutions.try_send(share) {
                Ok(()) => return Ok(()),
                Err(full) => full.into_inner(),
            }
        } else {
            share
        };
        door.shares.try_send(share).map_err(|_| UnsentReason::QueueFull)
    }
}

/// Lets through a few log lines a second, so that nobody can fill the disk.
#[derive(Debug, Default)]
pub struct Quiet {
    second: AtomicU64,
    count: AtomicU64,
    start: OnceLock<std::time::Instant>,
}

impl Quiet {
    /// Lines a second.
    pub const PER_SECOND: u64 = 5;

    /// Whether one more line may be written now.
    pub fn may_log(&self) -> bool {
        let second = self.start.get_or_init(std::time::Instant::now).elapsed().as_secs();
        if self.second.swap(second, Relaxed) != second {
            self.count.store(0, Relaxed);
        }
        self.count.fetch_add(1, Relaxed) < Self::PER_SECOND
    }
}
