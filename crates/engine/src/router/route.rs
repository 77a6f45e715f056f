//! A route's choice of source.

use std::time::Duration;

use super::settings::RouteSettings;
use crate::ids::SourceId;

/// A source that failed a route's channels is left out by that route for this long.
pub(super) const UNUSABLE_FOR: Duration = Duration::from_secs(30);

/// So long after the start a source that declares is taken as soon as it is ready: it needs more than the pools' own jobs
/// and always comes up after them.
const STARTING: Duration = Duration::from_secs(15);

/// What a route knows of one of its sources.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) source: SourceId,
    /// Set up since.
    pub(super) ready_since: Option<Duration>,
    /// It is returned to only after [`RouteSettings::return_after`], at the start too: as a pool is, which may be up and
    /// serve nobody, and as anything that has been down.
    pub(super) must_be_steady: bool,
    /// Channels for this route failed there: not before.
    pub(super) unusable_until: Option<Duration>,
    /// Why they failed.
    pub(super) unusable_why: Option<String>,
}

impl Candidate {
    fn usable(&self, now: Duration) -> bool {
        self.ready_since.is_some() && self.unusable_until.is_none_or(|t| now >= t)
    }
}

#[derive(Debug)]
pub(super) struct Route {
    pub(super) settings: RouteSettings,
    pub(super) candidates: Vec<Candidate>,
    pub(super) active: Option<SourceId>,
    /// When it began.
    began: Duration,
    /// No source since.
    pub(super) down_since: Option<Duration>,
    /// Miners were told of the outage.
    pub(super) told: bool,
    pub(super) switches: u64,
}

impl Route {
    pub(super) fn new(settings: RouteSettings, now: Duration) -> Self {
        let candidates = settings
            .sources
            .iter()
            .map(|s| Candidate {
                source: *s,
                ready_since: None,
                must_be_steady: true,
                unusable_until: None,
                unusable_why: None,
            })
            .collect();
        Self {
            settings,
            candidates,
            active: None,
            began: now,
            down_since: Some(now),
            told: false,
            switches: 0,
        }
    }

    /// The source that the route should mine for now. It leaves a working source only for a better one that
    /// has been ready for `return_after`, or that declares and comes up for the first time while the
    /// route is starting.
    pub(super) fn choose(&self, now: Duration) -> Option<SourceId> {
        let starting = now.saturating_sub(self.began) < STARTING;
        let best = |stable: bool| {
            self.candidates.iter().find(|c| {
                c.usable(now)
                    && (!stable
                        || Some(c.source) == self.active
                        || (starting && !c.must_be_steady)
                        || c.ready_since
                            .is_some_and(|since| now.saturating_sub(since) >= self.settings.return_after))
            })
        };
        let active_works = self.candidates.iter().any(|c| Some(c.source) == self.active && c.usable(now));
        best(active_works).or_else(|| best(false)).map(|c| c.source)
    }

    /// When the choice may change by the passing of time alone.
    pub(super) fn deadline(&self, now: Duration) -> Option<Duration> {
        let returns = self.candidates.iter().take_while(|c| Some(c.source) != self.active).filter_map(|c| {
            let stable = c.ready_since? + self.settings.return_after;
            Some(c.unusable_until.map_or(stable, |u| u.max(stable)))
        });
        let usable = self.candidates.iter().filter_map(|c| c.unusable_until);
        let outage = self.down_since.filter(|_| !self.told).map(|t| t + self.settings.outage_grace);
        returns.chain(usable).chain(outage).filter(|t| *t > now).min()
    }

    pub(super) fn candidate(&mut self, source: SourceId) -> Option<&mut Candidate> {
        self.candidates.iter_mut().find(|c| c.source == source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RouteId;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn route() -> Route {
        Route::new(
            RouteSettings {
                id: RouteId(0),
                sources: vec![SourceId(0), SourceId(1)],
                return_after: s(60),
                outage_grace: s(600),
                keepalive: s(30),
            },
            s(0),
        )
    }

    #[test]
    fn takes_the_first_that_works_and_returns_only_when_the_better_one_is_steady() {
        let mut route = route();
        assert_eq!(route.choose(s(1)), None);
        route.candidate(SourceId(1)).unwrap().ready_since = Some(s(1));
        assert_eq!(route.choose(s(1)), Some(SourceId(1)), "anything beats nothing");
        route.active = Some(SourceId(1));
        route.candidate(SourceId(0)).unwrap().ready_since = Some(s(20));
        assert_eq!(route.choose(s(79)), Some(SourceId(1)));
        assert_eq!(route.deadline(s(79)), Some(s(80)));
        assert_eq!(route.choose(s(80)), Some(SourceId(0)));
        route.candidate(SourceId(1)).unwrap().ready_since = None;
        assert_eq!(route.choose(s(21)), Some(SourceId(0)), "no waiting when the active one is gone");
    }

    #[test]
    fn at_the_start_one_that_declares_need_not_wait_because_it_came_second() {
        for declares in [true, false] {
            let mut route = route();
            route.candidate(SourceId(0)).unwrap().must_be_steady = !declares;
            route.candidate(SourceId(1)).unwrap().ready_since = Some(s(1));
            route.active = route.choose(s(1));
            route.candidate(SourceId(0)).unwrap().ready_since = Some(s(2));
            assert_eq!(route.choose(s(2)), Some(SourceId(u16::from(!declares))));
        }
    }

    #[test]
    fn at_the_start_too_a_better_one_that_has_failed_must_be_steady_again() {
        let mut route = route();
        route.candidate(SourceId(1)).unwrap().ready_since = Some(s(1));
        route.active = Some(SourceId(1));
        let better = route.candidate(SourceId(0)).unwrap();
        better.ready_since = Some(s(3));
        assert_eq!(route.choose(s(3)), Some(SourceId(1)), "it would only fail again");
        assert_eq!(route.choose(s(63)), Some(SourceId(0)));
    }

    #[test]
    fn a_source_that_cannot_serve_the_route_is_left_out_for_a_while_only() {
        let mut route = route();
        route.candidate(SourceId(0)).unwrap().ready_since = Some(s(0));
        route.candidate(SourceId(0)).unwrap().unusable_until = Some(s(40));
        assert_eq!(route.choose(s(39)), None);
        assert_eq!(route.choose(s(40)), Some(SourceId(0)));
    }
}
