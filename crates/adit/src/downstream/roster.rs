//! Who is connected: what has to be known to close a miner from outside its task.
//!
//! Written when a miner comes and goes and when it is sent a job, never for a share. A miner is closed by shutting
//! down the reading half of its socket: its task takes what had come before, finds the end of the input and the
//! reason here, says its last words and cleans up as it always does. So being able to close it costs its task
//! nothing while it runs.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::net::Shutdown;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use engine::MinerRef;
use engine::miner::{CloseReason, WorkerStanding};
use socket2::SockRef;
use tokio::net::TcpStream;

use super::presence::Presence;

/// So many are looked at together.
const AT_ONCE: usize = 32;

/// A miner's socket, and what others may know of the miner.
#[derive(Debug)]
pub(super) struct Attached {
    stream: TcpStream,
    me: MinerRef,
    since: Duration,
    listener: u16,
    mining: AtomicBool,
    /// Bits of hashes per second.
    hashrate: AtomicU64,
    last_share_ms: AtomicU64,
    why: OnceLock<CloseReason>,
    roster: Weak<Roster>,
    /// Who mines; nothing before anybody does. Held for moments: by the connection with each job, and by who lists workers.
    presence: Mutex<Option<Presence>>,
}

impl Deref for Attached {
    type Target = TcpStream;

    fn deref(&self) -> &TcpStream {
        &self.stream
    }
}

impl Attached {
    /// Shows what has become of the miner. Called with each job.
    pub(super) fn show(&self, mining: bool, hashrate: f64, last_share: Duration) {
        self.mining.store(mining, Relaxed);
        self.hashrate.store(hashrate.to_bits(), Relaxed);
        self.last_share_ms.store(milliseconds(last_share), Relaxed);
    }

    /// The miner has begun to mine. What it was before stays, if it does so again.
    pub(super) fn introduce(&self, presence: impl FnOnce() -> Presence) {
        self.presence().get_or_insert_with(presence);
    }

    /// Shows how its workers stand. Called with each job.
    pub(super) fn show_workers(&self, each: impl FnOnce(&mut dyn FnMut(WorkerStanding))) {
        if let Some(presence) = &mut *self.presence() {
            presence.workers.replace(each);
        }
    }

    fn presence(&self) -> MutexGuard<'_, Option<Presence>> {
        self.presence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the input ends, when it was Adit that ended it.
    pub(super) fn why_closed(&self) -> Option<CloseReason> {
        self.why.get().copied()
    }

    fn close(&self, why: CloseReason) {
        if self.why.set(why).is_ok() {
            // It may have gone by itself in the meantime.
            let _ = SockRef::from(&self.stream).shutdown(Shutdown::Read);
        } else {
            // Asked before and still there: it takes nothing that it is sent.
            let _ = SockRef::from(&self.stream).shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if let Some(roster) = self.roster.upgrade() {
            roster.lock().remove(&self.me);
        }
    }
}

/// What is known of one miner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    /// Which it is; later miners have greater numbers.
    pub miner: MinerRef,
    /// When it connected, on the process's clock.
    pub since: Duration,
    /// The number of the listener that it came to.
    pub listener: u16,
    /// Subscribed and authorised.
    pub mining: bool,
    /// Hashes per second, as vardiff estimated with the last job.
    pub hashrate: f64,
    /// Its last good share as of the last job; when it connected, before the first.
    pub last_share: Duration,
    /// It was asked to go.
    pub closing: bool,
}

/// Every miner of the process.
#[derive(Debug)]
pub struct Roster {
    /// Later miners have greater numbers: oldest first.
    miners: Mutex<BTreeMap<MinerRef, Weak<Attached>>>,
    /// Bits of the factor.
    relief: AtomicU64,
}

impl Default for Roster {
    fn default() -> Self {
        Self { miners: Mutex::default(), relief: AtomicU64::new(1.0_f64.to_bits()) }
    }
}

impl Roster {
    /// A miner has connected: to which listener, and when.
    pub(super) fn attach(
        self: &Arc<Self>,
        stream: TcpStream,
        me: MinerRef,
        (listener, now): (u16, Duration),
    ) -> Arc<Attached> {
        let attached = Arc::new(Attached {
            stream,
            me,
            since: now,
            listener,
            mining: AtomicBool::new(false),
            hashrate: AtomicU64::new(0),
            last_share_ms: AtomicU64::new(milliseconds(now)),
            why: OnceLock::new(),
            roster: Arc::downgrade(self),
            presence: Mutex::default(),
        });
        self.lock().insert(me, Arc::downgrade(&attached));
        attached
    }

    /// Every miner there is, oldest first, into a list that is used again and again.
    pub fn read(&self, entries: &mut Vec<Entry>) {
        entries.clear();
        entries.extend(self.attached().iter().map(|attached| Entry {
            miner: attached.me,
            since: attached.since,
            listener: attached.listener,
            mining: attached.mining.load(Relaxed),
            hashrate: f64::from_bits(attached.hashrate.load(Relaxed)),
            last_share: Duration::from_millis(attached.last_share_ms.load(Relaxed)),
            closing: attached.why.get().is_some(),
        }));
    }

    /// Shows who mines over each connection, oldest first. Few are held at a time, and for moments.
    pub fn each_presence(&self, mut each: impl FnMut(&Presence)) {
        let mut all = self.attached().into_iter();
        loop {
            let some: Vec<_> = all.by_ref().take(AT_ONCE).collect();
            if some.is_empty() {
                return;
            }
            // See `attached`.
            black_box(some.iter().filter(|attached| attached.presence.is_poisoned()).count());
            // In the order of all: two who look wait for each other in turn.
            let some: Vec<_> = some.iter().map(|attached| attached.presence()).collect();
            let mining = || some.iter().filter_map(|presence| presence.as_ref());
            black_box(mining().fold(0, |all, presence| all ^ presence.workers.touch()));
            mining().for_each(&mut each);
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Nobody is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Asks a miner to go: what it sent before still counts, and it is told why. Asked again, it goes at once.
    pub fn close(&self, miner: MinerRef, why: CloseReason) {
        // Not while the lock is held: the last one to let go of a miner takes the lock.
        let attached = self.lock().get(&miner).and_then(Weak::upgrade);
        if let Some(attached) = attached {
            attached.close(why);
        }
    }

    /// How many times harder than wished all miners work from their next job on, to spare memory; 1 usually.
    #[must_use]
    pub fn relief(&self) -> f64 {
        f64::from_bits(self.relief.load(Relaxed))
    }

    /// Sets it.
    pub fn set_relief(&self, factor: f64) {
        self.relief.store(factor.to_bits(), Relaxed);
    }

    fn attached(&self) -> Vec<Arc<Attached>> {
        let miners = self.lock();
        let mut all = Vec::with_capacity(miners.len());
        let mut rest = miners.values();
        while rest.len() > 0 {
            // Those of thousands are in no cache. Touched first, with nothing that waits for one of them, they come from
            // memory several at a time and not one after the other.
            black_box(rest.clone().take(AT_ONCE).map(Weak::strong_count).sum::<usize>());
            all.extend(rest.by_ref().take(AT_ONCE).filter_map(Weak::upgrade));
        }
        all
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<MinerRef, Weak<Attached>>> {
        self.miners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a miner is told before Adit closes it from outside its task.
pub(super) fn farewell(why: CloseReason) -> &'static str {
    match why {
        CloseReason::Overload => "Adit is short of memory: use your backup pool",
        CloseReason::ListenerGone => "this port of Adit is closed: use another",
        _ => "Adit is shutting down",
    }
}

fn milliseconds(at: Duration) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or(u64::MAX)
}
