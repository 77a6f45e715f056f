//! What can be changed of sources and routes while they run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::router::Change;
use tracing::info;

use super::numbers::Numbers;
use super::plan::{Granted, Plan, Planned, plan};
use super::settings::{goal_share, goal_term, route_views};
use super::upstream::Common;
use crate::config::{self, Config, Goal, Name};
use crate::downstream::ListenerFigures;
use crate::snapshot::Shown;
use crate::splits::{Given, Split};
use crate::upstream::{GoalChange, Reshape, RouterMessage, SourceDoors};

const BUSY: &str = "the router is busy: try again";

/// Changes sources, routes and goals: at SIGHUP, and goals by `PATCH /api/v1/routes`.
pub struct RouteControl {
    standing: Mutex<Standing>,
    granted: Granted,
    common: Common,
    doors: Arc<SourceDoors>,
    shown: Arc<Shown>,
    /// By listener, in the order of their names.
    figures: Vec<Arc<ListenerFigures>>,
}

struct Standing {
    numbers: Numbers,
    goals: BTreeMap<Name, Goal>,
}

impl RouteControl {
    pub(super) fn new(
        config: &Config,
        numbers: Numbers,
        common: Common,
        (doors, shown): (Arc<SourceDoors>, Arc<Shown>),
        figures: Vec<Arc<ListenerFigures>>,
    ) -> Self {
        let standing = Mutex::new(Standing { numbers, goals: config.goals.clone() });
        Self { standing, granted: Granted::at_start(config), common, doors, shown, figures }
    }

    /// How the miners of each listener share their extranonce.
    pub(crate) fn splits(&self, config: &Config) -> BTreeMap<Name, Split> {
        let split = |((name, listener), figures): ((&Name, &config::Listener), &Arc<ListenerFigures>)| {
            let chosen = figures.split.get().map(|(extranonce1, extranonce2)| Split {
                extranonce1: *extranonce1,
                extranonce2: *extranonce2,
            });
            (name.clone(), chosen.unwrap_or_else(|| Given::of(listener).usual()))
        };
        config.listeners.iter().zip(&self.figures).map(split).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a change as [`changed_goals`](config::changed_goals) reads it.
    ///
    /// # Errors
    /// What is wrong with it; nothing has changed then.
    pub fn patch(&self, change: &[u8]) -> Result<(), String> {
        let mut standing = self.lock();
        let changed = config::changed_goals(&standing.goals, change)?;
        self.change_goals(&mut standing, changed)
    }

    /// Takes the weights, caps and terms of another configuration with the same goals. Whether any has changed.
    ///
    /// # Errors
    /// The router does not take them; nothing has changed then.
    pub fn replace(&self, fresh: &BTreeMap<Name, Goal>) -> Result<bool, String> {
        let mut standing = self.lock();
        let differs = standing.goals != *fresh;
        self.change_goals(&mut standing, fresh.clone())?;
        Ok(differs)
    }

    fn change_goals(&self, standing: &mut Standing, changed: BTreeMap<Name, Goal>) -> Result<(), String> {
        let differ = |(name, goal): &(&Name, &Goal)| standing.goals.get(*name) != Some(*goal);
        let changes: Vec<GoalChange> = changed
            .iter()
            .filter(differ)
            .filter_map(|(name, goal)| {
                Some(GoalChange {
                    goal: standing.numbers.goal(&goal.route, name)?,
                    share: goal_share(goal),
                    term: goal_term(goal),
                })
            })
            .collect();
        if !changes.is_empty() {
            self.common.router.try_send(RouterMessage::Change(changes)).map_err(|_| BUSY.to_owned())?;
            for (name, goal) in changed.iter().filter(differ) {
                info!(goal = %name, weight = goal.weight, "the goal is changed");
            }
        }
        standing.goals = changed;
        Ok(())
    }

    /// Works out what another configuration changes of sources, routes, goals and pins. Nothing is done.
    pub(crate) fn plan(&self, running: &Config, fresh: &Config) -> Planned {
        plan(running, fresh, &self.lock().numbers, &self.granted, self.doors.room())
    }

    /// Puts it in force.
    ///
    /// # Errors
    /// Why that cannot be; nothing has changed then.
    pub(crate) fn apply(&self, plan: Plan) -> Result<(), String> {
        let Plan { config, added, removed, routes, pins, numbers } = plan;
        let (mut sources, mut views) = (Vec::new(), Vec::new());
        for (id, name) in &added {
            let source = config.sources.get(name).expect("planned");
            let made = self.common.pool(usize::from(id.0), name, source, &config);
            let (made, view) = made.map_err(|error| error.to_string())?;
            sources.push(made);
            views.push(view);
        }
        let permit = self.common.router.try_reserve().map_err(|_| BUSY.to_owned())?;
        let mut standing = self.lock();
        let mut shown = self.shown.lock();
        for (made, view) in sources.iter().zip(&views) {
            self.doors.add(made.plan.id, made.door.clone(), Arc::clone(&view.figures));
        }
        shown.sources.extend(views);
        for (removed, _) in &removed {
            if let Some(view) = shown.sources.get_mut(usize::from(removed.source.0)) {
                view.removed = true;
            }
        }
        shown.routes = route_views(&routes, &config);
        standing.numbers = numbers;
        standing.goals = config.goals;
        let removed = removed.into_iter().map(|(removed, _)| removed).collect();
        let change = Change { sources: Vec::new(), routes, removed };
        permit.send(RouterMessage::Reshape(Box::new(Reshape { sources, change, pins })));
        Ok(())
    }
}
