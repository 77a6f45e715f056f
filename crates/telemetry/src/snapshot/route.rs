//! A route at one moment, and whether it can be mined on.

use schemars::JsonSchema;
use serde::Serialize;

use super::BooksSnapshot;

/// A source as one of its routes sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RouteSourceSnapshot {
    /// The source's name.
    pub name: String,
    /// The route could mine on it now.
    pub usable: bool,
    /// Why not; `None` when it is usable.
    pub reason: Option<String>,
}

/// What binds miners to sources.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct RouteSnapshot {
    /// Its name in the configuration.
    pub name: String,
    /// The source that it mines on; `None` while there is none.
    pub active: Option<String>,
    /// The active source has given a job that can be mined on.
    pub has_work: bool,
    /// Changes from one source to another since the start.
    pub switches_total: u64,
    /// Estimate of its miners' hashes per second.
    pub hashrate_hs: f64,
    /// Miners on it now.
    pub miners: u64,
    /// Its sources in the configured order.
    pub sources: Vec<RouteSourceSnapshot>,
    /// What its work is shared out among; one goal has it all.
    pub goals: Vec<GoalSnapshot>,
    /// Shares of its miners. Derived from the accounts: leave it empty.
    pub books: BooksSnapshot,
}

/// A part of a route's work.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct GoalSnapshot {
    /// Its name in the configuration; the route's where it is all of it.
    pub name: String,
    /// Its weight now.
    pub weight: f64,
    /// The part of the route's work that it should have now, 0 to 1.
    pub share_wanted: f64,
    /// The part of the route's work that it has had since the start, 0 to 1.
    pub share_delivered: f64,
    /// What it is owed now, hashes; below zero when it has had more than its part.
    pub owed_hashes: f64,
    /// Work verified for it since the start, hashes.
    pub work_hashes: f64,
    /// Estimate of its miners' hashes per second.
    pub hashrate_hs: f64,
    /// Miners that mine for it now.
    pub miners: u64,
    /// The source that it mines on; `None` while there is none.
    pub active: Option<String>,
    /// It may have work at this time.
    pub open: bool,
    /// It never has work again.
    pub ended: bool,
    /// What counts against the most that it is to have; `None` where there is no bound.
    pub lease: Option<LeaseSnapshot>,
}

/// Work that is counted against a bound, over all runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct LeaseSnapshot {
    /// Work so far, hashes.
    pub work_hashes: f64,
    /// The most that there is to be, hashes.
    pub work_max_hashes: f64,
    /// So much more may have been done, hashes: a run was killed, and its last second is not known.
    pub uncertain_hashes: f64,
}

/// Whether miners can be sent here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Readiness {
    /// They can.
    pub ready: bool,
    /// What is in the way, one sentence each; empty when ready.
    pub reasons: Vec<String>,
}

impl Readiness {
    /// Ready when there is a route, every route has an active source with work, and the process is not
    /// shutting down.
    #[must_use]
    pub fn judge(routes: &[RouteSnapshot], shutting_down: bool) -> Self {
        let mut reasons = Vec::new();
        if shutting_down {
            reasons.push("shutting down".to_owned());
        }
        if routes.is_empty() {
            reasons.push("no route is configured".to_owned());
        }
        for route in routes {
            match &route.active {
                None => reasons.push(without_source(route)),
                Some(source) if !route.has_work => {
                    reasons.push(format!(
                        "route {}: source {source} is active but has not given work yet",
                        route.name
                    ));
                }
                Some(_) => {}
            }
        }
        Self { ready: reasons.is_empty(), reasons }
    }
}

fn without_source(route: &RouteSnapshot) -> String {
    let mut text = format!("route {}: no active source", route.name);
    for (n, source) in route.sources.iter().enumerate() {
        text.push_str(if n == 0 { " (" } else { "; " });
        text.push_str(&source.name);
        text.push_str(": ");
        text.push_str(source.reason.as_deref().unwrap_or("usable"));
    }
    if !route.sources.is_empty() {
        text.push(')');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mining() -> RouteSnapshot {
        RouteSnapshot {
            name: "main".into(),
            active: Some("pool".into()),
            has_work: true,
            ..Default::default()
        }
    }

    #[test]
    fn ready_means_every_route_has_work_and_nobody_shuts_down() {
        assert_eq!(
            Readiness::judge(&[mining(), mining()], false),
            Readiness { ready: true, reasons: vec![] }
        );
        let starved = RouteSnapshot { has_work: false, ..mining() };
        let verdict = Readiness::judge(&[mining(), starved], false);
        assert_eq!(verdict.reasons, ["route main: source pool is active but has not given work yet"]);
        assert!(!verdict.ready);
        assert_eq!(Readiness::judge(&[mining()], true).reasons, ["shutting down"]);
        assert!(!Readiness::judge(&[], false).ready);
    }

    #[test]
    fn a_route_without_a_source_says_why_each_cannot_be_used() {
        let sources = vec![
            RouteSourceSnapshot {
                name: "a".into(),
                usable: false,
                reason: Some("certificate expired".into()),
            },
            RouteSourceSnapshot { name: "b".into(), usable: false, reason: Some("connecting".into()) },
        ];
        let route = RouteSnapshot { active: None, sources, ..mining() };
        let verdict = Readiness::judge(&[route], false);
        assert_eq!(verdict.reasons, ["route main: no active source (a: certificate expired; b: connecting)"]);
    }
}
