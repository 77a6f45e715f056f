//! A goal's choice of source.

use std::time::Duration;

use super::group::Remembered;
use super::settings::{GoalSettings, RouteSettings};
use crate::ids::{GoalId, RouteId, SourceId};

/// A source that failed a goal's channels is left out by that goal for this long.
pub(super) const UNUSABLE_FOR: Duration = Duration::from_secs(30);

/// So long after the start a source that declares is taken as soon as it is ready: it needs more than the pools' own jobs
/// and always comes up after them.
const STARTING: Duration = Duration::from_secs(15);

/// What a goal knows of one of its sources.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) source: SourceId,
    /// Set up since.
    pub(super) ready_since: Option<Duration>,
    /// It is returned to only after [`RouteSettings::return_after`], at the start too: as a pool is, which may be up and
    /// serve nobody, and as anything that has been down.
    pub(super) must_be_steady: bool,
    /// Channels for this goal failed there: not before.
    pub(super) unusable_until: Option<Duration>,
    /// Why they failed.
    pub(super) unusable_why: Option<String>,
}

impl Candidate {
    pub(super) fn new(source: SourceId) -> Self {
        Self { source, ready_since: None, must_be_steady: true, unusable_until: None, unusable_why: None }
    }

    fn usable(&self, now: Duration) -> bool {
        self.ready_since.is_some() && self.unusable_until.is_none_or(|t| now >= t)
    }
}

/// A goal. Where a route has one only, its miners' work is all of it.
#[derive(Debug)]
pub(super) struct Goal {
    pub(super) id: GoalId,
    pub(super) route: RouteId,
    pub(super) settings: GoalSettings,
    return_after: Duration,
    pub(super) candidates: Vec<Candidate>,
    pub(super) active: Option<SourceId>,
    /// When it began.
    began: Duration,
    pub(super) switches: u64,
    /// Difficulty of the shares that groups brought which are no more.
    pub(super) work_before: f64,
    /// Hashes of earlier runs of this program.
    pub(super) earlier: f64,
    /// What the miners did who shared a channel and are gone.
    pub(super) had: Remembered,
}

impl Goal {
    pub(super) fn new(settings: GoalSettings, route: &RouteSettings, now: Duration) -> Self {
        let candidates = settings.sources.iter().map(|s| Candidate::new(*s)).collect();
        Self {
            id: settings.id,
            route: route.id,
            settings,
            return_after: route.return_after,
            candidates,
            active: None,
            began: now,
            switches: 0,
            work_before: 0.0,
            earlier: 0.0,
            had: Remembered::default(),
        }
    }

    /// The source that the goal should mine for now. It leaves a working source only for a better one that
    /// has been ready for `return_after`, or that declares and comes up for the first time while the
    /// goal is starting.
    pub(super) fn choose(&self, now: Duration) -> Option<SourceId> {
        let starting = now.saturating_sub(self.began) < STARTING;
        let best = |stable: bool| {
            self.candidates.iter().find(|c| {
                c.usable(now)
                    && (!stable
                        || Some(c.source) == self.active
                        || (starting && !c.must_be_steady)
                        || c.ready_since.is_some_and(|since| now.saturating_sub(since) >= self.return_after))
            })
        };
        let active_works = self.candidates.iter().any(|c| Some(c.source) == self.active && c.usable(now));
        best(active_works).or_else(|| best(false)).map(|c| c.source)
    }

    /// When the choice may change by the passing of time alone.
    pub(super) fn deadline(&self, now: Duration) -> Option<Duration> {
        let returns = self.candidates.iter().take_while(|c| Some(c.source) != self.active).filter_map(|c| {
            let stable = c.ready_since? + self.return_after;
            Some(c.unusable_until.map_or(stable, |u| u.max(stable)))
        });
        let usable = self.candidates.iter().filter_map(|c| c.unusable_until);
        returns.chain(usable).filter(|t| *t > now).min()
    }

    pub(super) fn candidate(&mut self, source: SourceId) -> Option<&mut Candidate> {
        self.candidates.iter_mut().find(|c| c.source == source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn goal() -> Goal {
        let settings = || GoalSettings::whole(GoalId(0), vec![SourceId(0), SourceId(1)]);
        let route = RouteSettings {
            id: RouteId(0),
            goals: vec![settings()],
            return_after: s(60),
            outage_grace: s(600),
            keepalive: s(30),
        };
        Goal::new(settings(), &route, s(0))
    }

    #[test]
    fn takes_the_first_that_works_and_returns_only_when_the_better_one_is_steady() {
        let mut goal = goal();
        assert_eq!(goal.choose(s(1)), None);
        goal.candidate(SourceId(1)).unwrap().ready_since = Some(s(1));
        assert_eq!(goal.choose(s(1)), Some(SourceId(1)), "anything beats nothing");
        goal.active = Some(SourceId(1));
        goal.candidate(SourceId(0)).unwrap().ready_since = Some(s(20));
        assert_eq!(goal.choose(s(79)), Some(SourceId(1)));
        assert_eq!(goal.deadline(s(79)), Some(s(80)));
        assert_eq!(goal.choose(s(80)), Some(SourceId(0)));
        goal.candidate(SourceId(1)).unwrap().ready_since = None;
        assert_eq!(goal.choose(s(21)), Some(SourceId(0)), "no waiting when the active one is gone");
    }

    #[test]
    fn at_the_start_one_that_declares_need_not_wait_because_it_came_second() {
        for declares in [true, false] {
            let mut goal = goal();
            goal.candidate(SourceId(0)).unwrap().must_be_steady = !declares;
            goal.candidate(SourceId(1)).unwrap().ready_since = Some(s(1));
            goal.active = goal.choose(s(1));
            goal.candidate(SourceId(0)).unwrap().ready_since = Some(s(2));
            assert_eq!(goal.choose(s(2)), Some(SourceId(u16::from(!declares))));
        }
    }

    #[test]
    fn at_the_start_too_a_better_one_that_has_failed_must_be_steady_again() {
        let mut goal = goal();
        goal.candidate(SourceId(1)).unwrap().ready_since = Some(s(1));
        goal.active = Some(SourceId(1));
        let better = goal.candidate(SourceId(0)).unwrap();
        better.ready_since = Some(s(3));
        assert_eq!(goal.choose(s(3)), Some(SourceId(1)), "it would only fail again");
        assert_eq!(goal.choose(s(63)), Some(SourceId(0)));
    }

    #[test]
    fn a_source_that_cannot_serve_the_route_is_left_out_for_a_while_only() {
        let mut goal = goal();
        goal.candidate(SourceId(0)).unwrap().ready_since = Some(s(0));
        goal.candidate(SourceId(0)).unwrap().unusable_until = Some(s(40));
        assert_eq!(goal.choose(s(39)), None);
        assert_eq!(goal.choose(s(40)), Some(SourceId(0)));
    }
}
