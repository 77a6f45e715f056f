//! All workers, from the books and the roster.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::books::{Books, Totals, WorkerBooks, WorkerFigures};
use engine::miner::WorkerStanding;
use engine::{RouteId, SourceId};
use foldhash::quality::FixedState;
use telemetry::{ListedWorker, Protocols, WorkerSeries};
use tokio_util::sync::CancellationToken;

use super::listing::{Listing, Rest, Words};
use super::minutes::Minutes;
use super::series::{Candidate, Selection, Terms};
use crate::clock::Clock;
use crate::downstream::{Presence, Roster};
use crate::snapshot::Shown;

/// Who has series is looked at this often.
const EVERY: Duration = Duration::from_secs(10);
/// And each so many times a minute is over, and everything else is looked at, too.
const MINUTE: u32 = 6;
/// What nobody holds and has not moved for this long is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(600);
/// A worker without a connection that has brought nothing for this long is away.
const AWAY_AFTER: Duration = Duration::from_secs(300);

/// What is remembered of a worker from one look to the next.
#[derive(Debug, Default)]
struct Known {
    minutes: Minutes,
    /// What its connection was when there was one last.
    last: Option<Last>,
    /// Not there any more: looked for in the present round.
    seen: bool,
}

#[derive(Clone, Debug)]
struct Last {
    sv2: bool,
    agent: Option<Arc<str>>,
    address: IpAddr,
}

/// How many connections a worker has now, and what they deliver.
#[derive(Default)]
struct Connected {
    connections: u64,
    /// The sum of the estimates; nothing as soon as one has none.
    hashrate: Option<f64>,
}

impl Connected {
    fn add(&mut self, standing: &WorkerStanding) {
        self.hashrate = match (self.connections, self.hashrate) {
            (0, _) => standing.hashrate,
            (_, sum) => sum.zip(standing.hashrate).map(|(sum, one)| sum + one),
        };
        self.connections += 1;
    }
}

/// What the newest connection of a worker mines.
struct Newest {
    listener: u16,
    route: RouteId,
    source: Option<SourceId>,
    difficulty: f64,
}

/// A worker's connections now.
#[derive(Default)]
struct Present {
    connected: Connected,
    newest: Option<Newest>,
    since: Option<Duration>,
    last: Option<Last>,
}

impl Present {
    fn add(&mut self, presence: &Presence, standing: &WorkerStanding) {
        self.connected.add(standing);
        self.since = Some(self.since.map_or(standing.since, |since| since.min(standing.since)));
        // They come oldest first.
        self.newest = Some(Newest {
            listener: presence.listener,
            route: standing.route,
            source: standing.source,
            difficulty: standing.difficulty,
        });
        self.last = Some(Last {
            sv2: presence.sv2,
            agent: presence.agent.clone(),
            address: presence.address.to_canonical(),
        });
    }
}

/// Who is connected. What is looked up by name is small, so that thousands fit where they are found quickly; and the text of a
/// name is the books' own, as a rule, so that nobody has to read it to know it again.
struct ByName {
    places: HashMap<Arc<str>, usize, FixedState>,
    workers: Vec<Present>,
}

impl ByName {
    fn with_capacity(workers: usize) -> Self {
        let places = HashMap::with_capacity_and_hasher(workers, FixedState::with_seed(rand::random()));
        Self { places, workers: Vec::with_capacity(workers) }
    }

    /// Adds a connection's parts of its workers.
    fn add(&mut self, presence: &Presence) {
        for standing in presence.workers.iter() {
            let next = self.workers.len();
            let place = *self.places.entry(Arc::clone(&standing.name)).or_insert(next);
            if place == next {
                self.workers.push(Present::default());
            }
            self.workers[place].add(presence, standing);
        }
    }

    fn get(&self, name: &Arc<str>) -> Option<&Present> {
        self.places.get(name).map(|place| &self.workers[*place])
    }

    fn take(&mut self, name: &Arc<str>) -> Option<Present> {
        self.places.remove(name).map(|place| std::mem::take(&mut self.workers[place]))
    }

    /// Those that were not taken.
    fn rest(self) -> impl Iterator<Item = (Arc<str>, Present)> {
        let Self { places, mut workers } = self;
        places.into_iter().map(move |(name, place)| (name, std::mem::take(&mut workers[place])))
    }
}

struct State {
    known: HashMap<Arc<str>, Known>,
    selection: Selection,
    looked: Duration,
    /// As of the last look: workers that are connected and have no estimate of their own,
    unsure: HashSet<Arc<str>>,
    /// and what these, and those that are away, delivered in the last minutes; hashes per second.
    unestimated: f64,
}

/// See the module.
pub(crate) struct Directory {
    books: Arc<Books>,
    roster: Arc<Roster>,
    clock: Clock,
    /// Whose names are looked up by number.
    shown: Arc<Shown>,
    state: Mutex<State>,
}

impl Directory {
    pub(crate) fn new(
        books: Arc<Books>,
        roster: Arc<Roster>,
        clock: Clock,
        shown: Arc<Shown>,
        series: usize,
        allow: &[String],
    ) -> Self {
        let looked = clock.now().mono;
        let selection = Selection::new(series, names(allow));
        let state =
            State { known: HashMap::new(), selection, looked, unsure: HashSet::new(), unestimated: 0.0 };
        let state = Mutex::new(state);
        Self { books, roster, clock, shown, state }
    }

    fn present(&self) -> ByName {
        let mut present = ByName::with_capacity(self.roster.len());
        self.roster.each_presence(|presence| present.add(presence));
        present
    }

    /// Every worker that is connected, or was not long ago.
    pub(crate) fn list(self: &Arc<Self>) -> Listing {
        self.list_with(self.present())
    }

    /// The same, these being connected.
    fn list_with(self: &Arc<Self>, mut present: ByName) -> Listing {
        let now = self.clock.now().mono;
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let words = Words::of(&self.shown);
        let mut listing =
            Listing::with_capacity(Arc::clone(self), state.known.len().max(present.workers.len()));
        let mut put = |name: &Arc<str>, counted: Option<&WorkerFigures<'_>>, present: Present| {
            // Of those that are connected nothing has to be looked up.
            let known = || state.known.get(name);
            let last = present.last.or_else(|| known()?.last.clone());
            let newest = present.newest.as_ref();
            let key = if newest.is_none() { counted.and_then(WorkerFigures::newest_key) } else { None };
            let listener = newest.map(|newest| newest.listener).or(key.map(|key| key.listener));
            let route = newest.map(|n| n.route.0).or(key.map(|key| key.route));
            let last_share = counted.and_then(WorkerFigures::last_share);
            let (acknowledged, rejected) = counted.map(WorkerFigures::ends).unwrap_or_default();
            let worker = ListedWorker {
                name: Arc::clone(name),
                listener: words.listener(listener),
                route: words.route(route),
                source: newest.and_then(|newest| newest.source).and_then(|at| words.source(at.0)),
                user_agent: last.as_ref().and_then(|last| last.agent.clone()),
                address: last.as_ref().map(|last| last.address),
                connections: present.connected.connections,
                hashrate_hs: hashrate(present.connected.hashrate, known),
                last_share_seconds: last_share.map(|at| now.saturating_sub(at).as_secs_f64()),
                acknowledged,
                rejected,
            };
            let rest = Rest {
                // Whom shares alone name came by the extension that only Stratum V2 has.
                sv2: last.is_none_or(|last| last.sv2),
                since: present.since.map_or(Duration::ZERO, |since| now.saturating_sub(since)),
                difficulty: newest.map_or(0.0, |newest| newest.difficulty),
            };
            listing.put(worker, rest);
        };
        self.books.each_worker(|worker| {
            let name = worker.worker().name();
            let present = present.take(name).unwrap_or_default();
            put(name, Some(worker), present);
        });
        for (name, present) in present.rest() {
            put(&name, None, present);
        }
        listing
    }

    /// All of a worker's shares, as the books have them now.
    pub(super) fn totals(&self, name: &str) -> Totals {
        self.books.worker(name).map(|counted| counted.totals()).unwrap_or_default()
    }

    /// What a worker delivered in each of the last minutes.
    pub(super) fn minutes(&self, name: &str) -> Vec<f64> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.known.get(name).map(|known| known.minutes.list()).unwrap_or_default()
    }

    /// The workers that have series of their own, and all others together.
    pub(crate) fn series(&self) -> Vec<WorkerSeries> {
        let now = self.clock.now().mono;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { known, selection, unsure, unestimated, .. } = &mut *state;
        let mut own: HashMap<Arc<str>, Connected> =
            selection.names().map(|name| (Arc::clone(name), Connected::default())).collect();
        let (mut connections, mut estimates) = (0, 0.0);
        self.roster.each_presence(|presence| {
            for standing in presence.workers.iter() {
                connections += 1;
                if unsure.is_empty() || !unsure.contains(&standing.name) {
                    estimates += standing.hashrate.unwrap_or(0.0);
                }
                if let Some(own) = own.get_mut(&standing.name) {
                    own.add(standing);
                }
            }
        });
        selection.series(
            &self.books,
            |name, counted| {
                let own = own.get(name);
                Terms {
                    connections: own.map_or(0, |own| own.connections),
                    hashrate: hashrate(own.and_then(|own| own.hashrate), || known.get(name)),
                    last_share: counted.and_then(last_share).map(|at| now.saturating_sub(at).as_secs_f64()),
                }
            },
            || Terms { connections, hashrate: estimates + *unestimated, last_share: None },
        )
    }

    /// Who mines by which protocol.
    pub(crate) fn protocols(&self) -> Protocols {
        let mut sums = Protocols::default();
        self.roster.each_presence(|presence| {
            let workers = &presence.workers;
            let hashrate: f64 = workers.iter().filter_map(|worker| worker.hashrate).sum();
            if presence.sv2 {
                let standard = workers.iter().filter(|worker| worker.standard).count() as u64;
                sums.sv2_connections += 1;
                sums.sv2_standard_channels += standard;
                sums.sv2_extended_channels += workers.len() as u64 - standard;
                sums.sv2_hashrate_hs += hashrate;
            } else {
                sums.sv1_connections += 1;
                sums.sv1_hashrate_hs += hashrate;
            }
        });
        sums
    }

    /// From now on so many workers, and these besides, have series.
    pub(crate) fn set_series(&self, series: usize, allow: &[String]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.selection.set(series, names(allow));
        drop(state);
        self.look_at_all(false);
    }

    /// A minute is over: looks at all workers, at what they delivered, their keep targets, who has series, who is gone.
    pub(crate) fn look(&self) {
        self.look_at_all(true);
        self.books.forget_gone(self.clock.now().mono, FORGET_AFTER);
    }

    /// Looks at who has series; `whole`: a minute is over.
    fn look_at_all(&self, whole: bool) {
        let now = self.clock.now().mono;
        let present = self.present();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { known, selection, looked, unsure, unestimated } = &mut *state;
        let seconds = now.saturating_sub(*looked).as_secs_f64().max(1e-3);
        if whole {
            *looked = now;
        }
        let mut candidates = Vec::new();
        *unestimated = 0.0;
        self.books.each_worker(|counted| {
            let name = counted.worker().name();
            let work = counted.work_verified();
            let entry = match known.get_mut(name) {
                Some(entry) => entry,
                None => known
                    .entry(Arc::clone(name))
                    .or_insert_with(|| Known { minutes: Minutes::begin(0.0), ..Known::default() }),
            };
            if whole {
                entry.minutes.tick(work, seconds);
            }
            entry.seen = true;
            let here = present.get(name);
            if let Some(last) = here.and_then(|here| here.last.as_ref()) {
                entry.last = Some(last.clone());
            }
            let estimate = here.and_then(|here| here.connected.hashrate);
            if estimate.is_none() {
                *unestimated += entry.minutes.recent();
            }
            if whole {
                counted.worker().aim(hashrate(estimate, || Some(entry)));
            }
            let quiet = counted.last_share().is_none_or(|at| now.saturating_sub(at) >= AWAY_AFTER);
            if here.is_some() || !quiet {
                candidates.push(Candidate {
                    score: entry.minutes.sum() + entry.minutes.since(work),
                    name: Arc::clone(name),
                });
            }
        });
        known.retain(|_, known| std::mem::take(&mut known.seen));
        let without = present.rest().filter(|(_, here)| here.connected.hashrate.is_none());
        *unsure = without.map(|(name, _)| name).collect();
        selection.choose(&self.books, candidates);
    }
}

fn names(allow: &[String]) -> BTreeSet<Arc<str>> {
    allow.iter().map(|name| Arc::from(name.as_str())).collect()
}

/// The estimate of its connections, or what it delivered in the last minutes.
fn hashrate<'k>(estimate: Option<f64>, known: impl FnOnce() -> Option<&'k Known>) -> f64 {
    estimate.or_else(|| known().map(|known| known.minutes.recent())).unwrap_or(0.0)
}

fn last_share(counted: &WorkerBooks) -> Option<Duration> {
    counted.tallies.iter().filter_map(|tally| tally.last_share()).max()
}

/// Looks at the workers from time to time.
pub(crate) async fn watch(directory: Arc<Directory>, stop: CancellationToken) {
    let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + EVERY, EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut looks = 0_u32;
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        looks = (looks + 1) % MINUTE;
        if looks == 0 { directory.look() } else { directory.look_at_all(false) }
    }
}

#[cfg(test)]
mod tests;
