//! Which workers have series of their own, and what these count.
//!
//! A counter must never go down, nor jump when a worker gets its own series or loses them, or `rate` would show what never
//! was. So a share is counted in exactly one series, by where its worker stood when it came: a worker's own series begin at
//! 0 and grow by what it brings while it has them; `other` is all shares of Adit but these.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use engine::books::{Books, OTHER, Totals};
use telemetry::WorkerSeries;

use crate::snapshot::books as as_books;

/// A worker that may have series.
pub(super) struct Candidate {
    /// What it delivered in the last hour.
    pub(super) score: f64,
    pub(super) name: Arc<str>,
}

/// What of a worker's series is no counter.
pub(super) struct Terms {
    pub(super) connections: u64,
    pub(super) hashrate: f64,
    pub(super) last_share: Option<f64>,
}

/// A worker that has series.
#[derive(Debug)]
struct Own {
    /// What its books had when they began, or were looked at last.
    read: Totals,
    /// What they count.
    counted: Totals,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Selection {
    most: usize,
    allow: BTreeSet<Arc<str>>,
    shown: BTreeMap<Arc<str>, Own>,
    /// Of workers that had series and may have them again: where these go on.
    former: BTreeMap<Arc<str>, Totals>,
    /// All that own series ever counted.
    own: Totals,
    /// What `other` showed last: it never shows less.
    other: Totals,
}

impl Selection {
    pub(super) fn new(most: usize, allow: BTreeSet<Arc<str>>) -> Self {
        Self {
            most,
            allow,
            shown: BTreeMap::new(),
            former: BTreeMap::new(),
            own: Totals::default(),
            other: Totals::default(),
        }
    }

    /// So many may have series, and these besides, from the next choice on.
    pub(super) fn set(&mut self, most: usize, allow: BTreeSet<Arc<str>>) {
        (self.most, self.allow) = (most, allow);
    }

    /// Who has series.
    pub(super) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.shown.keys()
    }

    /// Chooses anew. Who has series keeps them while it is among the first five quarters of as many as there may be, so
    /// that those at the edge do not change places all the time; who is no candidate loses them.
    pub(super) fn choose(&mut self, books: &Books, mut candidates: Vec<Candidate>) {
        candidates.retain(|candidate| *candidate.name != *OTHER && !candidate.name.is_empty());
        candidates.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.name.cmp(&b.name)));
        let near = self.most.saturating_add(self.most / 4);
        let ranked = || candidates.iter().filter(|c| !self.allow.contains(&c.name)).map(|c| &c.name);
        let mut chosen: HashSet<Arc<str>> = ranked()
            .take(near)
            .filter(|name| self.shown.contains_key(*name))
            .take(self.most)
            .cloned()
            .collect();
        let free = self.most - chosen.len();
        let new: Vec<_> = ranked().filter(|name| !chosen.contains(*name)).take(free).cloned().collect();
        chosen.extend(new);
        chosen
            .extend(candidates.iter().filter(|c| self.allow.contains(&c.name)).map(|c| Arc::clone(&c.name)));
        // What has come until now counts where it came.
        self.read(books);
        let gone: Vec<_> = self.shown.keys().filter(|name| !chosen.contains(*name)).cloned().collect();
        for name in gone {
            if let Some(own) = self.shown.remove(&name) {
                self.former.insert(name, own.counted);
            }
        }
        for name in chosen {
            if self.shown.contains_key(&name) {
                continue;
            }
            let counted = self.former.remove(&name).unwrap_or_default();
            let read = totals(books, &name).unwrap_or_default();
            self.shown.insert(name, Own { read, counted });
        }
        // Who is forgotten altogether begins at nothing when it comes back.
        if self.former.len() > 2 * self.most.max(1_000) {
            self.former.retain(|name, _| books.worker(name).is_some());
        }
    }

    /// Counts what has come for those that have series.
    fn read(&mut self, books: &Books) {
        for (name, own) in &mut self.shown {
            let Some(now) = totals(books, name) else { continue };
            let grown = now.since(&own.read);
            own.counted.add(&grown);
            self.own.add(&grown);
            own.read = now;
        }
    }

    /// All series. `terms` says what of a worker is no counter, `all` the same of everybody together.
    pub(super) fn series(
        &mut self,
        books: &Books,
        terms: impl Fn(&Arc<str>, Option<&engine::books::WorkerBooks>) -> Terms,
        all: impl FnOnce() -> Terms,
    ) -> Vec<WorkerSeries> {
        // Workers first: what comes meanwhile is in the sum of all, and so with the others until the next time.
        self.read(books);
        self.other = at_least(&books.totals().since(&self.own), &self.other);
        let mut rest = all();
        let mut series: Vec<_> = self
            .shown
            .iter()
            .map(|(name, own)| {
                let terms = terms(name, books.worker(name).as_ref());
                rest.connections = rest.connections.saturating_sub(terms.connections);
                rest.hashrate = (rest.hashrate - terms.hashrate).max(0.0);
                one(name.to_string(), &own.counted, &terms)
            })
            .collect();
        series.push(one(OTHER.to_owned(), &self.other, &rest));
        series
    }
}

fn one(name: String, counted: &Totals, terms: &Terms) -> WorkerSeries {
    WorkerSeries {
        name,
        books: as_books(counted),
        connections: terms.connections,
        hashrate_hs: terms.hashrate,
        last_share_seconds: terms.last_share,
    }
}

fn totals(books: &Books, name: &str) -> Option<Totals> {
    books.worker(name).map(|counted| counted.totals())
}

/// `now`, but nothing of it less than `before`.
fn at_least(now: &Totals, before: &Totals) -> Totals {
    // What `before` is ahead of `now` by, on top of `now`; negative sums of work are cut by the same.
    let mut sum = now.clone();
    let mut ahead = before.since(now);
    for work in [
        &mut ahead.work_verified,
        &mut ahead.work_rejected,
        &mut ahead.work_local,
        &mut ahead.work_unsent,
        &mut ahead.work_acknowledged,
        &mut ahead.work_refused,
        &mut ahead.work_unknown,
    ] {
        *work = work.max(0.0);
    }
    sum.add(&ahead);
    sum
}

#[cfg(test)]
mod tests;
