//! How much work goals with a bound (`work_max`) have had, over all runs.

mod earlier;
mod journal;
mod keeper;

use std::sync::Arc;
use std::time::Duration;

use engine::GoalId;
use engine::router::Router;
use tracing::{info, warn};

use journal::{Count, Journal};
use keeper::{LeaseKeeper, LeaseNote};

use crate::config::{Config, Goal, Name};
use crate::proxy::goals;
use crate::state::{StateDirectory, StateError};

/// The journal is written this often at most.
const EVERY: Duration = Duration::from_secs(1);

/// The goals that are counted, and where.
#[derive(Debug)]
pub struct Leases {
    goals: Vec<Lease>,
    keeper: LeaseKeeper,
    /// No other process counts there meanwhile.
    _state: Arc<StateDirectory>,
    noted: Duration,
}

#[derive(Debug)]
struct Lease {
    goal: GoalId,
    /// What the journal calls it.
    name: String,
    before: Count,
}

impl Leases {
    /// Reads what the goals have had.
    ///
    /// # Errors
    /// The journal cannot be read or written.
    pub fn open(config: &Config, state: Arc<StateDirectory>) -> Result<Self, StateError> {
        let path = state.leases_directory();
        let failed = |error| StateError::File { what: "keep", path: path.clone(), error };
        let (journal, counts) = Journal::open(&state).map_err(failed)?;
        let all = goals(config).into_iter().enumerate();
        let counted = all.filter_map(|(at, (_, name, goal))| Some((at, name, goal?)));
        let lease = |(at, name, goal): (usize, &Name, &Goal)| {
            let name = match goal.from {
                Some(from) => format!("{name}@{}", from.0),
                None => name.to_string(),
            };
            let before = counts.get(&name).copied().unwrap_or_default();
            if before.uncertain > 0.0 {
                warn!(
                    goal = name,
                    hashes = before.hashes,
                    uncertain = before.uncertain,
                    "a run before this one was killed: so much more may have been done than is counted"
                );
            } else if before.hashes > 0.0 {
                info!(goal = name, hashes = before.hashes, "work counted so far");
            }
            Lease { goal: GoalId(u16::try_from(at).unwrap_or(u16::MAX)), name, before }
        };
        let goals = counted.filter(|(_, _, goal)| goal.work_max.is_some()).map(lease).collect();
        let keeper = LeaseKeeper::start(journal).map_err(failed)?;
        Ok(Self { goals, keeper, _state: state, noted: Duration::ZERO })
    }

    /// Tells the router what was done before.
    pub fn begin(&self, router: &mut Router) {
        for lease in &self.goals {
            router.set_earlier_work(lease.goal, lease.before.hashes);
        }
    }

    /// How much more than counted a goal may have had.
    #[must_use]
    pub fn uncertain(&self, goal: GoalId) -> f64 {
        self.goals.iter().find(|lease| lease.goal == goal).map_or(0.0, |lease| lease.before.uncertain)
    }

    /// Notes what the goals have had, if it is time.
    pub fn note(&mut self, router: &Router, now: Duration) {
        if now >= self.noted + EVERY {
            self.noted = now;
            self.keeper.note(self.so_far(router));
        }
    }

    /// Notes the last of this run, and waits until it is on the disk.
    pub fn end(self, router: &Router) {
        let last = self.so_far(router);
        self.keeper.end(last);
    }

    fn so_far(&self, router: &Router) -> LeaseNote {
        let note = |lease: &Lease| {
            let report = router.goal(lease.goal);
            let hashes = lease.before.hashes + report.work;
            (lease.name.clone(), Count { hashes, uncertain: lease.before.uncertain }, report.hashrate)
        };
        self.goals.iter().map(note).collect()
    }
}
