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
use crate::snapshot::{RouteView, Shown};
use crate::splits::{Given, Split};
use crate::upstream::{GoalChange, Reshape, RouterMessage, SourceDoors};

const BUSY: &str = "the router is busy: try again";

/// Changes sources, routes and goals: at SIGHUP, and goals by `PATCH /api/v1/routes`.
pub struct RouteControl {
    standing: Mutex<Standing>,
    common: Common,
    doors: Arc<SourceDoors>,
    shown: Arc<Shown>,
}

struct Standing {
    numbers: Numbers,
    granted: Granted,
    goals: BTreeMap<Name, Goal>,
    /// What the sources' `ca_file`s held when they were read.
    authorities: Authorities,
}

/// The contents of files, by source; nothing where one cannot be read.
type Authorities = BTreeMap<Name, Option<Vec<u8>>>;

fn authorities(config: &Config) -> Authorities {
    let of = |(name, source): (&Name, &config::Source)| {
        Some((name.clone(), std::fs::read(source.ca_file.as_ref()?).ok()))
    };
    config.sources.iter().filter_map(of).collect()
}

impl RouteControl {
    pub(super) fn new(
        config: &Config,
        numbers: Numbers,
        common: Common,
        (doors, shown): (Arc<SourceDoors>, Arc<Shown>),
    ) -> Self {
        let standing = Standing {
            numbers,
            granted: Granted::by(config),
            goals: config.goals.clone(),
            authorities: authorities(config),
        };
        Self { standing: Mutex::new(standing), common, doors, shown }
    }

    /// How the miners of each listener share their extranonce.
    pub(crate) fn splits(&self, config: &Config) -> BTreeMap<Name, Split> {
        let shown = self.shown.lock();
        let split = |(name, listener): (&Name, &config::Listener)| {
            let chosen = shown.listener(name.as_str()).and_then(|view| view.figures.split.get());
            let chosen = chosen.map(|(extranonce1, extranonce2)| Split { extranonce1, extranonce2 });
            (name.clone(), chosen.unwrap_or_else(|| Given::of(listener).usual()))
        };
        config.listeners.iter().map(split).collect()
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

    /// The goals in force, with what a change has made of them.
    pub(crate) fn goals(&self) -> BTreeMap<Name, Goal> {
        self.lock().goals.clone()
    }

    /// Works out what another configuration changes of sources, routes, goals and pins. Nothing is done.
    pub(crate) fn plan(&self, running: &Config, fresh: &Config) -> Planned {
        let standing = self.lock();
        let now = authorities(fresh);
        let renewed = |name: &&Name| {
            // Another path is another source anyhow.
            standing.authorities.contains_key(*name) && standing.authorities.get(*name) != now.get(*name)
        };
        let renewed: Vec<Name> = now.keys().filter(renewed).cloned().collect();
        plan(running, fresh, &renewed, (&standing.numbers, &standing.granted, self.doors.room()))
    }

    /// Puts it in force.
    ///
    /// # Errors
    /// Why that cannot be; nothing has changed then.
    pub(crate) fn apply(&self, plan: Plan) -> Result<(), String> {
        let Plan { config, reshapes, added, removed, routes, pins, numbers, .. } = plan;
        if !reshapes {
            let mut standing = self.lock();
            self.change_goals(&mut standing, config.goals.clone())?;
            standing.granted = standing.granted.clone().with(&config);
            return Ok(());
        }
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
        let views = route_views(&routes, &config);
        shown.routes = following(&shown.routes, views);
        standing.numbers = numbers;
        standing.granted = standing.granted.clone().with(&config);
        standing.authorities = authorities(&config);
        standing.goals = config.goals;
        let removed = removed.into_iter().map(|(removed, _)| removed).collect();
        let change = Change { sources: Vec::new(), routes, removed };
        permit.send(RouterMessage::Reshape(Box::new(Reshape { sources, change, pins })));
        Ok(())
    }
}

/// Routes as they are shown from now on. Miners of a listener that was taken out, or given to another route, mine where they
/// did as long as they stay.
fn following(before: &[RouteView], mut routes: Vec<RouteView>) -> Vec<RouteView> {
    let owned =
        |routes: &[RouteView], name: &String| routes.iter().any(|route| route.listeners.contains(name));
    for (at, was) in before.iter().enumerate() {
        for name in &was.listeners {
            let is_same = routes.get(at).is_some_and(|route| route.listeners.contains(name));
            if is_same {
                continue;
            }
            let moved = owned(&routes, name);
            for route in routes.iter_mut().filter(|route| moved && route.listeners.contains(name)) {
                route.shares_listeners = true;
            }
            if let Some(route) = routes.get_mut(at) {
                route.shares_listeners |= moved;
                route.listeners.push(name.clone());
            }
        }
        if let Some(route) = routes.get_mut(at) {
            route.shares_listeners |= was.shares_listeners;
        }
    }
    routes
}
