//! A simulated SV1 miner: what firmware does, with a reader of its own, and with its own idea of what it may expect.

mod find;
mod mischief;
mod session;

use std::collections::{BTreeMap, VecDeque};

use super::faults::FaultKind;
use super::link::LinkId;
use super::plan::MinerPlan;
use super::pool::job::JobTag;
use super::rng::Rng;
use super::tally::Tally;
use super::time::Micros;
use crate::pow::Target;
use crate::sv1_wire::NotifiedJob;
pub(super) use find::Found;

/// Jobs that a miner remembers.
const JOBS: usize = 12;
/// Ids of submits begin here.
pub(super) const FIRST_SUBMIT: u64 = 1_000;

/// A job as the miner got it.
#[derive(Debug)]
pub(super) struct ClientJob {
    pub(super) job: NotifiedJob,
    pub(super) difficulty: f64,
    pub(super) target: Target,
    pub(super) tag: Option<JobTag>,
    pub(super) came: Micros,
    /// Counts the clean jobs of the connection: jobs of another count are dead.
    pub(super) epoch: u32,
}

/// Where a job came from: pool, connection, and the channel's prefix where that matters.
pub(super) type GivenOn = (u8, u32, Vec<u8>);

/// What a submit is to be answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    /// It is good.
    Good,
    /// It is bad: one of these codes, never `true`.
    Code(i64),
    /// It was found for a dead job.
    Stale,
    /// Good, or stale: a job from before it was moved to another goal, or of an upstream that was left.
    OldJob,
    /// A block on a dead job: goes up all the same.
    LateBlock,
    /// Anything but `true`.
    NotTrue,
}

/// A submit under way.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) expect: Expect,
    pub(super) at: Micros,
    pub(super) epoch: u32,
    /// Notifies seen when it was sent.
    pub(super) notifies: u64,
    /// Of a good share.
    pub(super) hash: Option<[u8; 32]>,
}

/// What a miner wants done.
#[derive(Debug)]
pub(super) enum MinerAct {
    /// Something is wrong.
    Broken(&'static str, String),
    /// It got a job: to be checked with the pool's record.
    Job { tag: Option<JobTag>, prefix_at: Vec<u8>, prev_hash: [u8; 32], ntime: u32, difficulty: f64 },
    /// A good share was sent.
    Good { tag: JobTag, prefix_at: Vec<u8>, hash: [u8; 32] },
    /// A good share was answered.
    Answered { hash: [u8; 32], taken: bool },
    /// A share that is a block was sent.
    Block { tag: JobTag, prefix_at: Vec<u8>, nonce: u32, hash: [u8; 32] },
    /// Draw the time of the next share.
    Aim,
}

/// What a miner works with during one call.
pub(super) struct MinerIo<'a> {
    pub(super) now: Micros,
    pub(super) rng: &'a mut Rng,
    pub(super) tally: &'a mut Tally,
    pub(super) out: &'a mut Vec<u8>,
    pub(super) acts: &'a mut Vec<MinerAct>,
}

#[derive(Debug)]
pub(super) struct Miner {
    pub(super) index: usize,
    pub(super) plan: MinerPlan,
    /// Times its hashrate.
    pub(super) factor: f64,
    pub(super) stands_still: bool,
    pub(super) reads: bool,
    pub(super) link: Option<LinkId>,
    /// Counts its connections.
    pub(super) session: u32,
    input: Vec<u8>,
    asked: BTreeMap<u64, Asked>,
    next_id: u64,
    pub(super) extranonce1: Vec<u8>,
    extranonce2_size: usize,
    pub(super) subscribed: bool,
    pub(super) authorized: bool,
    mask: Option<u32>,
    difficulty: Option<f64>,
    pub(super) jobs: VecDeque<ClientJob>,
    pub(super) epoch: u32,
    pub(super) notifies: u64,
    pub(super) notified_at: Micros,
    pub(super) submits: BTreeMap<u64, Sent>,
    next_submit: u64,
    next_extranonce2: u64,
    /// Invalidates shares that were to be found.
    pub(super) aim: u32,
    /// What it does wrong, and until when.
    pub(super) mischief: Option<(FaultKind, Micros)>,
    /// Its last good submit line, for duplicates.
    last_line: Option<Vec<u8>>,
    /// Bad answers that Adit had reason for, so that it may be closed for them.
    pub(super) misbehaved: bool,
    /// It is not there now, on purpose.
    pub(super) away: bool,
    pub(super) taken: u64,
    pub(super) farewell: bool,
    pub(super) version_rolls: bool,
    /// Bytes that the link did not take.
    pub(super) outbox: Vec<u8>,
    /// It connects and says nothing.
    pub(super) silent: bool,
    /// Counts its attempts to connect: only the newest counts.
    pub(super) attempt: u32,
    /// A connection ended for a reason of Adit's own, last.
    pub(super) turned_away_at: Option<Micros>,
    /// Since when it has a connection.
    pub(super) connected_at: Micros,
    /// Pool, connection and time of the newest job that it was given.
    pub(super) last_given: Option<(GivenOn, Micros)>,
    /// The pool of its newest job.
    pub(super) mines_for: Option<u8>,
    /// When its hashrate or its manners last changed.
    pub(super) unsettled_at: Micros,
    /// When it sent the newest share that was taken.
    pub(super) found_at: Micros,
    /// It read slowly on this connection.
    pub(super) was_slow: bool,
}

/// A request of the set-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Configure,
    Subscribe,
    Authorize,
    Other,
}

impl Miner {
    pub(super) fn new(index: usize, plan: MinerPlan) -> Self {
        Self {
            index,
            plan,
            factor: 1.0,
            stands_still: false,
            reads: true,
            link: None,
            session: 0,
            input: Vec::new(),
            asked: BTreeMap::new(),
            next_id: 1,
            extranonce1: Vec::new(),
            extranonce2_size: 0,
            subscribed: false,
            authorized: false,
            mask: None,
            difficulty: None,
            jobs: VecDeque::new(),
            epoch: 0,
            notifies: 0,
            notified_at: 0,
            submits: BTreeMap::new(),
            next_submit: FIRST_SUBMIT,
            next_extranonce2: 0,
            aim: 0,
            mischief: None,
            last_line: None,
            misbehaved: false,
            away: false,
            taken: 0,
            farewell: false,
            version_rolls: false,
            outbox: Vec::new(),
            silent: false,
            attempt: 0,
            turned_away_at: None,
            connected_at: 0,
            last_given: None,
            mines_for: None,
            unsettled_at: 0,
            found_at: 0,
            was_slow: false,
        }
    }

    /// Hashes per second now.
    pub(super) fn hashrate(&self) -> f64 {
        if self.stands_still { 0.0 } else { self.plan.hashrate * self.factor }
    }

    /// Whether it has work.
    pub(super) fn has_work(&self) -> bool {
        self.link.is_some() && !self.jobs.is_empty() && self.authorized
    }

    /// Seconds to its next share, on average.
    pub(super) fn seconds_per_share(&self) -> Option<f64> {
        let job = self.jobs.back()?;
        let hashrate = self.hashrate();
        (hashrate > 0.0 && self.has_work()).then(|| (job.difficulty * 4_294_967_296.0).max(1.0) / hashrate)
    }
}
