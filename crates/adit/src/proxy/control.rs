//! What can be changed of the routes while they run.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use engine::GoalId;
use tokio::sync::mpsc;
use tracing::info;

use super::settings::{goal_share, goal_term, goals, position};
use crate::config::{self, Config, Goal, Name};
use crate::upstream::{GoalChange, RouterMessage};

/// Changes goals: at SIGHUP and by `PATCH /api/v1/routes`.
#[derive(Debug)]
pub struct RouteControl {
    ids: BTreeMap<Name, GoalId>,
    goals: Mutex<BTreeMap<Name, Goal>>,
    router: mpsc::Sender<RouterMessage>,
}

impl RouteControl {
    pub(super) fn new(config: &Config, router: mpsc::Sender<RouterMessage>) -> Self {
        let named = goals(config).into_iter().enumerate().filter(|(_, (_, _, goal))| goal.is_some());
        let ids = named.map(|(at, (_, name, _))| (name.clone(), GoalId(position(at)))).collect();
        Self { ids, goals: Mutex::new(config.goals.clone()), router }
    }

    /// Takes a change as [`changed_goals`](config::changed_goals) reads it.
    ///
    /// # Errors
    /// What is wrong with it; nothing has changed then.
    pub fn patch(&self, change: &[u8]) -> Result<(), String> {
        let mut goals = self.goals.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = config::changed_goals(&goals, change)?;
        self.apply(&mut goals, changed)
    }

    /// Takes the weights, caps and terms of another configuration with the same goals. Gives the names of those that
    /// have changed.
    ///
    /// # Errors
    /// The router does not take them; nothing has changed then.
    pub fn replace(&self, fresh: &BTreeMap<Name, Goal>) -> Result<Vec<Name>, String> {
        let mut goals = self.goals.lock().unwrap_or_else(PoisonError::into_inner);
        let differs = |(name, goal): (&Name, &Goal)| (fresh.get(name) != Some(goal)).then(|| name.clone());
        let changed = goals.iter().filter_map(differs).collect();
        self.apply(&mut goals, fresh.clone())?;
        Ok(changed)
    }

    fn apply(&self, goals: &mut BTreeMap<Name, Goal>, changed: BTreeMap<Name, Goal>) -> Result<(), String> {
        let differ = changed.iter().filter(|(name, goal)| goals.get(*name) != Some(goal));
        let changes: Vec<GoalChange> = differ
            .filter_map(|(name, goal)| {
                Some(GoalChange {
                    goal: *self.ids.get(name)?,
                    share: goal_share(goal),
                    term: goal_term(goal),
                })
            })
            .collect();
        if !changes.is_empty() {
            let busy = |_| "the router is busy: try again".to_owned();
            self.router.try_send(RouterMessage::Change(changes)).map_err(busy)?;
            for (name, goal) in changed.iter().filter(|(name, goal)| goals.get(*name) != Some(goal)) {
                info!(goal = %name, weight = goal.weight, "the goal is changed");
            }
        }
        *goals = changed;
        Ok(())
    }
}
