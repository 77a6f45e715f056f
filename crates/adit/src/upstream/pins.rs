//! Which workers mine for one goal alone.

use engine::miner::glob;
use engine::{GoalId, RouteId};

/// The pins of all routes, in the order of their names: the first that fits holds.
#[derive(Clone, Debug, Default)]
pub struct Pins(pub Vec<Pinned>);

/// One of them.
#[derive(Clone, Debug)]
pub struct Pinned {
    /// Patterns of workers' names.
    pub workers: Vec<String>,
    /// The goal's route.
    pub route: RouteId,
    /// The goal.
    pub goal: GoalId,
}

impl Pins {
    /// The goal that a worker of a route is bound to.
    #[must_use]
    pub fn goal(&self, route: RouteId, worker: &str) -> Option<GoalId> {
        let fits = |pinned: &&Pinned| {
            pinned.route == route
                && pinned.workers.iter().any(|pattern| glob(pattern.as_bytes(), worker.as_bytes()))
        };
        self.0.iter().find(fits).map(|pinned| pinned.goal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_pin_of_the_route_that_fits_holds() {
        let pin = |pattern: &str, route, goal| Pinned {
            workers: vec!["other.*".to_owned(), pattern.to_owned()],
            route: RouteId(route),
            goal: GoalId(goal),
        };
        let pins = Pins(vec![pin("farm.rig7", 0, 1), pin("farm.rig7*", 0, 0), pin("*", 1, 2)]);
        assert_eq!(pins.goal(RouteId(0), "farm.rig7"), Some(GoalId(1)));
        assert_eq!(pins.goal(RouteId(0), "farm.rig77"), Some(GoalId(0)));
        assert_eq!(pins.goal(RouteId(0), "farm.rig8"), None);
        assert_eq!(pins.goal(RouteId(1), "whoever"), Some(GoalId(2)));
    }
}
