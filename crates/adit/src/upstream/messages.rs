//! What miners' tasks, sources' tasks and the router's task send each other, and the queues between them.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::router::{GoalReport, JoinRequest, Share, Term};
use engine::source::{SourceEvent, SourceState, SourceStatus};
use engine::{Answer, Feed, GoalId, GroupId, GroupMeter, MinerRef, OutgoingShare, SourceId};
use tokio::sync::{mpsc, oneshot, watch};
use work::{Job, LeaseTag};

use super::pins::Pins;
use super::sources::MadeSource;

/// Shares that wait for their source's task. When it is full a share ends `unsent(queue_full)` and its miner
/// is told so.
pub const SHARE_QUEUE: usize = 65_536;
/// Solutions that wait for their source's task, in a queue of their own: they go out first.
pub const SOLUTION_QUEUE: usize = 1024;

/// The newest that a group's miners have to know. Only the last value counts, so a slow miner skips what it
/// missed.
#[derive(Clone, Debug, Default)]
pub struct GroupNews {
    /// The newest work.
    pub feed: Option<Arc<Feed>>,
    /// Follows that work on its way to the miners.
    pub fanout: Option<Arc<telemetry::JobFanout>>,
    /// Set when miners are to be told something and closed.
    pub farewell: Option<&'static str>,
}

/// A miner's place.
#[derive(Debug)]
pub struct Joined {
    /// Its group.
    pub group: GroupId,
    /// The group's sums.
    pub meter: Arc<GroupMeter>,
    /// The group's news from now on; the present ones are not marked as seen.
    pub news: watch::Receiver<GroupNews>,
    /// Where it learns that it has moved to another group, if its route moves miners.
    pub moves: Option<watch::Receiver<Option<Moved>>>,
}

/// A miner's place after a move to another group. Only the last counts.
#[derive(Clone, Debug)]
pub struct Moved {
    /// Its group.
    pub group: GroupId,
    /// Where it is counted from now on.
    pub meter: Arc<GroupMeter>,
    /// The group's news from now on; the present ones are not marked as seen.
    pub news: watch::Receiver<GroupNews>,
}

/// For the router's task.
#[derive(Debug)]
pub enum RouterMessage {
    /// A miner is ready for work.
    Join {
        /// What it needs.
        request: JoinRequest,
        /// Where it learns its place; dropped when the route takes nobody now.
        reply: oneshot::Sender<Joined>,
    },
    /// A miner has gone, as far as it knew from this group.
    Leave(MinerRef, GroupId),
    /// A source has told something.
    Source(SourceId, SourceEvent),
    /// Goals have other weights, caps or terms from now on.
    Change(Vec<GoalChange>),
    /// Sources and goals come, go and change.
    Reshape(Box<Reshape>),
    /// Sources have other leases' tags from now on.
    Tags(Vec<(SourceId, LeaseTag)>),
    /// Somebody wants to know whether the router's thread is alive.
    Answer(std::sync::mpsc::SyncSender<()>),
    /// The process ends: every miner is told so.
    Drain(&'static str),
    /// The router's task ends, and with it every source's.
    End,
}

/// What is to be otherwise from now on.
pub struct Reshape {
    /// Sources that come.
    pub sources: Vec<MadeSource>,
    /// Which routes have which goals, those which sources, and what was taken out. Its own list of sources is not looked
    /// at.
    pub change: engine::router::Change,
    /// Which workers are bound to which goals.
    pub pins: Pins,
}

impl std::fmt::Debug for Reshape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reshape").field("change", &self.change).finish_non_exhaustive()
    }
}

/// What a goal is to have from now on.
#[derive(Clone, Copy, Debug)]
pub struct GoalChange {
    /// Which.
    pub goal: GoalId,
    /// How much.
    pub share: Share,
    /// When.
    pub term: Term,
}

/// What the router's task shows of itself, renewed about once a second.
#[derive(Clone, Debug, Default)]
pub struct RouterStatus {
    /// By route.
    pub routes: Vec<RouteReport>,
    /// Of all routes, each with the hashes that it may have had beyond what is counted.
    pub goals: Vec<(GoalReport, f64)>,
}

/// One route.
#[derive(Clone, Debug)]
pub struct RouteReport {
    /// The source that it mines for.
    pub active: Option<SourceId>,
    /// How often that changed.
    pub switches: u64,
    /// Hashes per second, as vardiff estimates its miners.
    pub hashrate: f64,
    /// Sources that it leaves out, with the reason.
    pub unusable: Vec<(SourceId, String)>,
}

/// The way to a source for miners' tasks.
#[derive(Clone, Debug)]
pub struct SourceDoor {
    /// Shares.
    pub shares: mpsc::Sender<OutgoingShare>,
    /// Shares that are blocks.
    pub solutions: mpsc::Sender<OutgoingShare>,
}

/// Figures of a source that its task keeps for whoever wants to see them.
#[derive(Debug, Default)]
pub struct SourceFigures {
    /// Jobs received.
    pub jobs: AtomicU64,
    /// Tips received.
    pub tips: AtomicU64,
    /// When the last job came, milliseconds on the process's clock.
    pub last_job_ms: AtomicU64,
    /// When the last tip came, milliseconds on the process's clock.
    pub last_tip_ms: AtomicU64,
    /// Shares taken from the queue, not yet written to the socket, bytes.
    pub outbox: AtomicUsize,
    /// End of the pool's certificate, Unix seconds; 0 while there is none.
    pub certificate_until: AtomicU64,
    /// Handshakes that failed.
    pub handshake_failures: AtomicU64,
    /// Seconds by which the time in the source's newest job was ahead of this machine's clock when it came; `i64::MIN`
    /// before the first.
    pub clock_offset: ClockOffset,
    /// How long it was in which state.
    pub states: StateTimes,
    /// The newest job.
    newest_job: Mutex<Option<Arc<Job>>>,
}

/// See [`SourceFigures::clock_offset`].
#[derive(Debug)]
pub struct ClockOffset(AtomicI64);

impl Default for ClockOffset {
    fn default() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }
}

impl ClockOffset {
    /// A job with this time has come now, both Unix seconds.
    pub fn saw(&self, time: u32, now: u32) {
        self.0.store(i64::from(time) - i64::from(now), Relaxed);
    }

    /// Nothing before the first job.
    #[must_use]
    pub fn get(&self) -> Option<i64> {
        Some(self.0.load(Relaxed)).filter(|offset| *offset > i64::MIN)
    }
}

/// The time that a source has spent in each of its states. Touched when its task shows itself.
#[derive(Debug, Default)]
pub struct StateTimes(Mutex<Option<Times>>);

#[derive(Debug)]
struct Times {
    state: &'static str,
    since: Duration,
    spent: BTreeMap<&'static str, Duration>,
}

impl StateTimes {
    /// The source is in this state now.
    pub fn enter(&self, state: &SourceState, now: Duration) {
        let state = state.as_str();
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let times = times.get_or_insert_with(|| Times { state, since: now, spent: BTreeMap::new() });
        if times.state != state {
            *times.spent.entry(times.state).or_default() += now.saturating_sub(times.since);
            (times.state, times.since) = (state, now);
        }
    }

    /// By state, those that it never was in left out; nothing before it was in any.
    #[must_use]
    pub fn read(&self, now: Duration) -> BTreeMap<&'static str, Duration> {
        let times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(times) = &*times else { return BTreeMap::new() };
        let mut spent = times.spent.clone();
        *spent.entry(times.state).or_default() += now.saturating_sub(times.since);
        spent
    }
}

impl SourceFigures {
    /// A job has come, at this moment.
    pub fn count_job(&self, now: Duration) {
        self.jobs.fetch_add(1, Relaxed);
        self.last_job_ms.store(milliseconds(now), Relaxed);
    }

    /// What the newest work is.
    pub(super) fn take_work(&self, feed: &Feed) {
        *self.newest_job.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&feed.job.job));
    }

    /// The newest job, once there was one.
    #[must_use]
    pub fn newest_job(&self) -> Option<Arc<Job>> {
        self.newest_job.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A tip has come, at this moment.
    pub fn count_tip(&self, now: Duration) {
        self.tips.fetch_add(1, Relaxed);
        self.last_tip_ms.store(milliseconds(now), Relaxed);
    }
}

fn milliseconds(moment: Duration) -> u64 {
    u64::try_from(moment.as_millis()).unwrap_or(u64::MAX)
}

/// What a source's task shows of itself.
#[derive(Clone, Debug)]
pub struct SourceReport {
    /// The machine's own words.
    pub status: SourceStatus,
    /// When this was written.
    pub at: Duration,
}

/// Where miners that wait for their source's answer (`reply = "source"`) get it.
#[derive(Debug, Default)]
pub struct Mailboxes(Mutex<HashMap<MinerRef, mpsc::Sender<Answer>>>);

impl Mailboxes {
    /// A miner's mailbox; it holds as many answers as the miner may have shares waiting.
    pub fn open(&self, miner: MinerRef) -> mpsc::Receiver<Answer> {
        let (sender, receiver) = mpsc::channel(engine::miner::sv1::MAX_WAITING);
        self.lock().insert(miner, sender);
        receiver
    }

    /// The miner has gone.
    pub fn close(&self, miner: MinerRef) {
        self.lock().remove(&miner);
    }

    /// Brings the answers to their miners. One that does not fit is dropped: its miner has answered that
    /// share by itself already (it never lets more wait than fit).
    pub fn deliver(&self, answers: impl Iterator<Item = (MinerRef, Answer)>) {
        let mailboxes = self.lock();
        for (miner, answer) in answers {
            if let Some(mailbox) = mailboxes.get(&miner) {
                let _ = mailbox.try_send(answer);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<MinerRef, mpsc::Sender<Answer>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
