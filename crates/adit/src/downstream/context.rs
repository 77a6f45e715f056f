//! What the connections of one listener share.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use engine::books::{Books, UnsentReason};
use engine::miner::{CloseReason, ListenerPolicy, MinerIdSource};
use engine::{Evidence, OutgoingShare, ShareSink};
use telemetry::Latencies;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};
use work::MinerId;

use super::access::{Rules, is_in};
use super::admission::{Admission, PerAddress, Place, Refused};
use super::agents::Agents;
use super::cap::Cap;
use super::certificate::Certificate;
use super::declarators::Declarators;
use super::ids::MinerIdPool;
use super::memory::WorkerMemory;
use super::presence::{Presence, Standings};
use super::quiet::{LeftOut, Quiet};
use super::roster::Roster;
use super::routes::RouteChoices;
use super::sv2::Sv2Identity;
use crate::clock::Clock;
use crate::config::{Network, Protocol};
use crate::upstream::{Mailboxes, RouterMessage, SourceDoors};

/// It is told so often how many lines were left out.
const LEFT_OUT_EVERY: Duration = Duration::from_secs(10);

/// Counters of a listener.
#[derive(Debug, Default)]
pub struct ListenerFigures {
    /// Bytes of its miners' `extranonce1` and extranonce2, as soon as they are chosen.
    pub split: ChosenSplit,
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
    /// Noise handshakes, ever.
    pub noise: Handshakes,
    /// TLS handshakes, ever.
    pub tls: Handshakes,
}

/// Bytes of miners' `extranonce1` and extranonce2, once they are chosen: for whoever comes from then on.
#[derive(Debug, Default)]
pub struct ChosenSplit(AtomicU32);

impl ChosenSplit {
    /// It says that anything is chosen.
    const CHOSEN: u32 = 1 << 16;

    /// Those in force.
    #[must_use]
    pub fn get(&self) -> Option<(u8, u8)> {
        let [_, chosen, extranonce1, extranonce2] = self.0.load(Relaxed).to_be_bytes();
        (chosen > 0).then_some((extranonce1, extranonce2))
    }

    /// Chosen.
    pub fn set(&self, (extranonce1, extranonce2): (u8, u8)) {
        self.0.store(Self::CHOSEN | u32::from(u16::from_be_bytes([extranonce1, extranonce2])), Relaxed);
    }
}

/// Handshakes by how they ended. One that the miner broke off is in none.
#[derive(Debug, Default)]
pub struct Handshakes {
    /// Done.
    pub done: AtomicU64,
    /// Not done in time, or wrong.
    pub failed: AtomicU64,
}

impl ListenerFigures {
    pub(super) fn count_close(&self, why: CloseReason) {
        if let Some(at) = CloseReason::ALL.iter().position(|r| *r == why) {
            self.closed[at].fetch_add(1, Relaxed);
        }
    }
}

/// Shared by the connections of one listener.
#[derive(Clone)]
pub struct ListenerContext {
    /// Its name in the configuration.
    pub name: String,
    /// What miners may speak there.
    pub protocol: Protocol,
    /// Who Adit is to SV2 miners; without it they are not served.
    pub identity: Option<Arc<Sv2Identity>>,
    /// What its miners have in common.
    pub policy: Arc<ListenerPolicy>,
    /// For job declarator clients, where they are served.
    pub declarators: Option<Arc<Declarators>>,
    /// Which route each takes.
    pub routes: RouteChoices,
    /// The books.
    pub books: Arc<Books>,
    /// Caps on connections.
    pub admission: Arc<Admission>,
    /// The listener's own cap.
    pub cap: Arc<Cap>,
    /// Who may come.
    pub rules: Arc<Rules>,
    /// Load balancers: each connection of theirs begins with a PROXY header.
    pub proxies: Vec<Network>,
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
    /// What miners call themselves.
    pub agents: Arc<Agents>,
    /// What workers' vardiff had learnt.
    pub memory: Arc<WorkerMemory>,
    /// The router's task.
    pub router: mpsc::Sender<RouterMessage>,
    /// The sources' tasks, by source; the tips that they told of are the epochs of miner ids.
    pub doors: Arc<SourceDoors>,
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
    /// Which log lines about single connections are written.
    pub quiet: Arc<Quiet>,
}

impl ListenerContext {
    /// Whether a connection from there must begin with a PROXY header. Of no other may it.
    pub(super) fn is_proxy(&self, address: IpAddr) -> bool {
        is_in(&self.proxies, address)
    }

    /// Whether a connection may stay, once it is known where it comes from.
    pub(super) fn let_in(&self, place: &mut Place, address: IpAddr) -> Result<(), Refused> {
        let access = self.rules.current();
        if !access.permits(address) {
            return Err(Refused::Denied);
        }
        let per_address = PerAddress { most: access.per_address, unlimited: &access.unlimited };
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
        if self.quiet.may_log(Some(address.ip())) {
            warn!(listener = self.name, %address, reason = %refused, "connection refused");
        }
    }

    /// A connection has ended by a mistake of ours.
    pub(super) fn say_panicked(&self, address: SocketAddr) {
        self.figures.panicked.fetch_add(1, Relaxed);
        if self.quiet.may_log(Some(address.ip())) {
            error!(listener = self.name, %address, "a connection ended by a mistake of Adit: please report it");
        }
    }

    /// Says now and then how many lines were left out.
    pub(super) async fn say_left_out(&self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(LEFT_OUT_EVERY);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            let Some(LeftOut { about, others }) = self.quiet.left_out() else { continue };
            for (address, lines) in about {
                info!(listener = self.name, %address, "{lines} more lines about it left out");
            }
            if others > 0 {
                info!(listener = self.name, "{others} more lines about other connections left out");
            }
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
        if self.quiet.may_log(Some(address.ip())) {
            let detail = Some(detail).filter(|detail| !detail.is_empty());
            info!(listener = self.name, %address, reason = %why, detail, "connection closed");
        }
    }

    /// Who has begun to mine over a connection.
    pub(super) fn presence(&self, address: IpAddr, sv2: bool, agent: Option<Box<str>>) -> Presence {
        Presence {
            listener: self.policy.id.0,
            sv2,
            address,
            agent: agent.and_then(|agent| self.agents.keep(&agent)),
            workers: Standings::default(),
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
        work::Epoch(self.doors.tips())
    }
}

/// Puts shares into their sources' queues.
pub(crate) struct Doors<'a>(pub(crate) &'a SourceDoors);

impl ShareSink for Doors<'_> {
    fn forward(&mut self, share: OutgoingShare) -> Result<(), UnsentReason> {
        let door = self.0.get(share.channel.source).ok_or(UnsentReason::NoSource)?;
        // A block has a queue of its own, and the common one if that should be full.
        let share = if share.is_block {
            match door.solutions.try_send(share) {
                Ok(()) => return Ok(()),
                Err(full) => full.into_inner(),
            }
        } else {
            share
        };
        door.shares.try_send(share).map_err(|refused| match refused {
            TrySendError::Full(_) => UnsentReason::QueueFull,
            // It was taken out of the configuration, and has had its time.
            TrySendError::Closed(_) => UnsentReason::NoSource,
        })
    }

    fn keep(&mut self, evidence: &Evidence<'_>) {
        if let Some(door) = self.0.evidence() {
            door.keep(evidence);
        }
    }
}
