//! What is kept of a snapshot.

use crate::snapshot::{BooksSnapshot, Snapshot, SourceState};

/// Where a count stands.
type Count = fn(&BooksSnapshot) -> u64;

/// The states whose shares are counted.
const STATES: [(&str, Count); 7] = [
    ("shares:submitted", |books| books.submitted),
    ("shares:rejected", |books| books.rejected_total),
    ("shares:local", |books| books.local),
    ("shares:acknowledged", |books| books.acknowledged),
    ("shares:refused", |books| books.refused_total),
    ("shares:unsent", |books| books.unsent_total),
    ("shares:unknown", |books| books.unknown),
];

/// Makes values of snapshots; rates are those since the one before.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    before: Option<(f64, [u64; STATES.len()])>,
}

impl Sampler {
    /// The series of a snapshot whose sums are made, the most important first: there may be no room for all.
    pub(super) fn sample(&mut self, snapshot: &Snapshot) -> Vec<(String, f64)> {
        let total = snapshot.routes.iter().map(|route| route.hashrate_hs).sum();
        let miners = snapshot.listeners.iter().map(|listener| listener.miners.connected).sum::<u64>();
        #[expect(clippy::cast_precision_loss, reason = "nobody has so many miners")]
        let mut samples = vec![("total".to_owned(), total), ("miners".to_owned(), miners as f64)];

        let counts = STATES.map(|(_, count)| count(&snapshot.books));
        let at = snapshot.uptime_seconds;
        if let Some((then, before)) = self.before.replace((at, counts))
            && at > then
        {
            for (((name, _), now), before) in STATES.iter().zip(counts).zip(before) {
                #[expect(clippy::cast_precision_loss, reason = "shares of a few seconds")]
                samples.push(((*name).to_owned(), now.saturating_sub(before) as f64 / (at - then)));
            }
        }
        samples
            .extend(snapshot.routes.iter().map(|route| (format!("route:{}", route.name), route.hashrate_hs)));
        for source in snapshot.sources.iter().filter(|source| source.state != SourceState::Removed) {
            let goals = snapshot.routes.iter().flat_map(|route| &route.goals);
            let mining = goals.filter(|goal| goal.active.as_ref() == Some(&source.name));
            samples.push((format!("source:{}", source.name), mining.map(|goal| goal.hashrate_hs).sum()));
        }
        samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{GoalSnapshot, RouteSnapshot, SourceSnapshot};

    #[test]
    fn hashrates_are_taken_as_they_are_and_shares_as_rates_since_the_last_look() {
        let goal = |active: &str, hashrate_hs| GoalSnapshot {
            active: Some(active.into()),
            hashrate_hs,
            ..GoalSnapshot::default()
        };
        let source = |name: &str| SourceSnapshot { name: name.into(), ..SourceSnapshot::default() };
        let mut snapshot = Snapshot {
            uptime_seconds: 100.0,
            routes: vec![RouteSnapshot {
                name: "main".into(),
                hashrate_hs: 5.0,
                goals: vec![goal("a", 3.0), goal("b", 2.0)],
                ..RouteSnapshot::default()
            }],
            sources: vec![source("a"), source("b"), source("idle")],
            books: BooksSnapshot { acknowledged: 1_000, ..BooksSnapshot::default() },
            ..Snapshot::default()
        };
        let mut sampler = Sampler::default();
        let value = |samples: &[(String, f64)], name: &str| {
            samples.iter().find(|(n, _)| n == name).map(|(_, value)| *value)
        };
        let first = sampler.sample(&snapshot);
        assert_eq!(value(&first, "total"), Some(5.0));
        assert_eq!(value(&first, "route:main"), Some(5.0));
        assert_eq!(value(&first, "source:a"), Some(3.0));
        assert_eq!(value(&first, "source:idle"), Some(0.0));
        assert_eq!(value(&first, "shares:acknowledged"), None, "no rate of one look");
        snapshot.uptime_seconds = 110.0;
        snapshot.books.acknowledged = 1_020;
        let second = sampler.sample(&snapshot);
        assert_eq!(value(&second, "shares:acknowledged"), Some(2.0));
        assert_eq!(value(&second, "shares:refused"), Some(0.0));
    }
}
