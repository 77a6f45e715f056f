//! The numbers of sources and goals. They are given out in the order of the configuration at the start, then one after the
//! other, and none twice: books and figures go by them.

use engine::{GoalId, SourceId};

use super::settings::{goals, position, source_names};
use crate::config::{Config, Name};

/// Who has which.
#[derive(Clone, Debug)]
pub(crate) struct Numbers {
    /// By number. The newest of a name is the one in force, unless it was taken out.
    sources: Vec<(Name, bool)>,
    /// By number: route and goal. A goal that comes back has the number that it had.
    goals: Vec<(Name, Name)>,
}

impl Numbers {
    /// As a process begins with them.
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            sources: source_names(config).map(|name| (name.clone(), true)).collect(),
            goals: goals(config).into_iter().map(|(route, name, _)| (route.clone(), name.clone())).collect(),
        }
    }

    /// Sources that there are or were.
    pub(super) fn sources(&self) -> usize {
        self.sources.len()
    }

    /// The source in force with this name.
    pub(super) fn source(&self, name: &Name) -> Option<SourceId> {
        let at = self.sources.iter().rposition(|(of, there)| *there && of == name)?;
        Some(SourceId(position(at)))
    }

    /// Gives a number to a source that comes.
    pub(super) fn add_source(&mut self, name: &Name) -> SourceId {
        self.sources.push((name.clone(), true));
        SourceId(position(self.sources.len() - 1))
    }

    /// A source is taken out.
    pub(super) fn remove_source(&mut self, source: SourceId) {
        if let Some((_, there)) = self.sources.get_mut(usize::from(source.0)) {
            *there = false;
        }
    }

    /// The number of a goal, if it ever had one.
    pub(super) fn goal(&self, route: &Name, name: &Name) -> Option<GoalId> {
        let at = self.goals.iter().position(|(of, goal)| of == route && goal == name)?;
        Some(GoalId(position(at)))
    }

    /// The number of a goal, a new one if it never had one.
    pub(super) fn goal_or_new(&mut self, route: &Name, name: &Name) -> GoalId {
        self.goal(route, name).unwrap_or_else(|| {
            self.goals.push((route.clone(), name.clone()));
            GoalId(position(self.goals.len() - 1))
        })
    }

    /// How many goals a route has or had.
    pub(super) fn goals_of(&self, route: &Name) -> usize {
        self.goals.iter().filter(|(of, _)| of == route).count()
    }
}
