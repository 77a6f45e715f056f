//! Looks at memory and does what the rung asks for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use engine::miner::CloseReason;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::ladder::Ladder;
use crate::clock::Clock;
use crate::downstream::{Admission, Entry, Roster};

/// How often memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often miners are chosen and sent away: what that frees shows only after a while.
const STEP_EVERY: Duration = Duration::from_secs(1);
/// On rung 1 so much of the miners (one in ...) must leave before others are taken.
const HEADROOM: u32 = 16;
/// Memory that has grown by less than this part of the budget since miners were last sent away has not grown: a few pages
/// come and go, and nobody who mines is sent away for them.
const NOTICEABLE: u64 = 512;
/// How long memory must not have grown before so many more are taken after all.
const RELAX_EVERY: Duration = Duration::from_secs(5);
/// On rung 2 a miner that has not authorised for this long goes, on rung 3 at once.
const UNAUTHORISED: Duration = Duration::from_secs(2);
/// On rung 2 a miner that brought no good share for this long goes.
const IDLE: Duration = Duration::from_secs(300);
/// How many times harder miners work on rung 2, at most up to their source's difficulty.
const RELIEF: f64 = 4.0;
/// On rung 3 so much of the miners (one in ...) goes at a step.
const SHED: usize = 50;
/// What the warden shows of itself.
#[derive(Debug, Default)]
pub struct OverloadFigures {
    /// The rung, 0 to 3.
    pub rung: AtomicUsize,
    /// Memory in use, bytes.
    pub used: AtomicU64,
    /// Memory that may be used, bytes; 0 where it is unknown.
    pub budget: AtomicU64,
}

/// Keeps the process within its memory.
pub struct Warden {
    ladder: Ladder,
    admission: Arc<Admission>,
    roster: Arc<Roster>,
    figures: Arc<OverloadFigures>,
    clock: Clock,
    stepped: Option<Duration>,
    /// The most memory at a step on rung 3.
    shed_at: u64,
    /// Memory when the cap on connections was last looked at, and when that was.
    held: (u64, Duration),
    entries: Vec<Entry>,
}

impl Warden {
    /// For a budget of so many bytes.
    #[must_use]
    pub fn new(
        budget: u64,
        admission: Arc<Admission>,
        roster: Arc<Roster>,
        figures: Arc<OverloadFigures>,
        clock: Clock,
    ) -> Self {
        figures.budget.store(budget, Relaxed);
        let (ladder, entries) = (Ladder::default(), Vec::new());
        let (stepped, shed_at, held) = (None, 0, (0, Duration::ZERO));
        Self { ladder, admission, roster, figures, clock, stepped, shed_at, held, entries }
    }

    /// In bytes; it may be changed while it runs.
    fn budget(&self) -> u64 {
        self.figures.budget.load(Relaxed)
    }

    /// Looks every quarter of a second until `stop`. `memory` gives the memory in use.
    pub async fn run(mut self, memory: impl Fn() -> Option<u64> + Send, stop: CancellationToken) {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            if let Some(used) = memory() {
                self.look(used, self.clock.now().mono);
            }
        }
    }

    /// Does what has to be done with so much memory in use.
    fn look(&mut self, used: u64, now: Duration) {
        self.figures.used.store(used, Relaxed);
        let rung_before = self.ladder.rung();
        #[expect(clippy::cast_precision_loss, reason = "memory is far below 2^53 bytes")]
        let part = used as f64 / self.budget().max(1) as f64;
        let rung = self.ladder.observe(part, now);
        if rung != rung_before {
            self.figures.rung.store(rung, Relaxed);
            self.enter(rung, rung_before, used);
            self.held = (used, now);
            // A higher rung does not wait for the next step.
            self.stepped = self.stepped.filter(|_| rung < rung_before);
        }
        if rung == 1 || rung == 2 {
            self.relax(used, now);
        }
        if rung >= 2 && self.stepped.is_none_or(|at| now.saturating_sub(at) >= STEP_EVERY) {
            self.stepped = Some(now);
            self.roster.read(&mut self.entries);
            // Who was asked a step ago and is still there does not read: it goes without a word.
            let roster = &self.roster;
            self.entries.retain(|entry| {
                if entry.closing {
                    roster.close(entry.miner, CloseReason::Overload);
                }
                !entry.closing
            });
            let before = self.entries.len();
            self.send_away_idle(if rung == 3 { Duration::ZERO } else { UNAUTHORISED }, now);
            if rung == 3 {
                // What is freed is used again, but not always given back to the system: memory that does not grow is
                // enough, and what the idle ones leave has to show first.
                if self.entries.len() != before {
                    self.shed_at = self.shed_at.max(used);
                } else if used > self.shed_at + self.budget() / NOTICEABLE {
                    self.shed();
                    self.shed_at = used;
                }
            }
            // Whoever has gone is not to be replaced by the next.
            let left = self.entries.len();
            let sent = before - left;
            if sent > 0 || rung != rung_before {
                self.admission.set_cap(narrow(left).min(self.admission.cap()));
            }
            if sent > 0 {
                warn!(sent, left, used, budget = self.budget(), "memory is short: miners are sent away");
            }
        }
    }

    /// Memory that miners left behind is used again, but the system mostly does not get it back: while it does not
    /// grow, a few more miners may come.
    fn relax(&mut self, used: u64, now: Duration) {
        if now.saturating_sub(self.held.1) < RELAX_EVERY {
            return;
        }
        let cap = self.admission.cap();
        if used <= self.held.0 && cap < u32::MAX {
            self.admission.set_cap(cap.saturating_add(cap / HEADROOM + 1));
        }
        self.held = (used, now);
    }

    /// A rung was reached or left. At most twice in two seconds, so that this may be logged each time.
    fn enter(&mut self, rung: usize, before: usize, used: u64) {
        self.roster.set_relief(if rung >= 2 { RELIEF } else { 1.0 });
        if rung == 0 {
            self.admission.set_cap(u32::MAX);
        } else if before == 0 {
            let miners = narrow(self.roster.len());
            self.admission.set_cap(miners - miners.div_ceil(HEADROOM));
        }
        if rung < 3 {
            self.shed_at = 0;
        }
        let (budget, miners) = (self.budget(), self.roster.len());
        let what = match rung {
            0 => "memory suffices again: miners are taken as usual",
            1 => "memory is short: no more miners are taken",
            2 => "memory is very short: idle miners are sent away, the others are given harder work",
            _ => "memory is all but gone: miners with the least hashrate are sent away",
        };
        if rung > before {
            warn!(rung, used, budget, miners, "{what}");
        } else {
            info!(rung, used, budget, miners, "{what}");
        }
    }

    /// Sends away who is not authorised or brings nothing.
    fn send_away_idle(&mut self, unauthorised: Duration, now: Duration) {
        let roster = &self.roster;
        self.entries.retain(|entry| {
            let (since, patience) =
                if entry.mining { (entry.last_share, IDLE) } else { (entry.since, unauthorised) };
            let is_idle = now.saturating_sub(since) >= patience;
            if is_idle {
                roster.close(entry.miner, CloseReason::Overload);
            }
            !is_idle
        });
    }

    /// Sends away those with the least hashrate; among equals those who came last.
    fn shed(&mut self) {
        let many = self.entries.len().div_ceil(SHED);
        if many == 0 {
            return;
        }
        let least = |a: &Entry, b: &Entry| a.hashrate.total_cmp(&b.hashrate).then(b.miner.cmp(&a.miner));
        self.entries.select_nth_unstable_by(many - 1, least);
        for entry in self.entries.drain(..many) {
            self.roster.close(entry.miner, CloseReason::Overload);
        }
    }
}

fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
