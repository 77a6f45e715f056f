//! `/api/v1/workers`: all of them, a page at a time, and one by its name.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path as Segment, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::answer::{json, problem};
use super::cache::Unavailable;
use super::pages::Pages;
use super::query::{BadQuery, limit};
use crate::snapshot::{ListedWorker, WorkerList, WorkerSnapshot, Workers};

/// All who ask for workers within this time see the same list.
const KEEP: Duration = Duration::from_secs(1);
/// The longest text that is searched for, bytes.
const SEARCH_MAX: usize = 256;

/// The list that was made last.
pub(super) struct WorkersCache {
    provider: Option<Workers>,
    kept: Mutex<Option<(Instant, Arc<dyn WorkerList>)>>,
}

impl WorkersCache {
    pub(super) fn new(provider: Option<Workers>) -> Self {
        Self { provider, kept: Mutex::default() }
    }

    /// All workers. However many ask at once, one list is made.
    pub(super) fn all(&self) -> Result<Arc<dyn WorkerList>, Unavailable> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some((at, list)) = &*kept
            && now.duration_since(*at) < KEEP
        {
            return Ok(Arc::clone(list));
        }
        let Some(provider) = &self.provider else { return Ok(Arc::new(())) };
        let list = catch_unwind(AssertUnwindSafe(|| provider())).map_err(|_| {
            tracing::error!("listing the workers panicked");
            Unavailable("the workers cannot be listed; see the log")
        })?;
        *kept = Some((now, Arc::clone(&list)));
        Ok(list)
    }
}

/// What may be asked of the list.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WorkersQuery {
    offset: usize,
    limit: Option<usize>,
    sort: Option<String>,
    search: Option<String>,
    listener: Option<String>,
    route: Option<String>,
    source: Option<String>,
}

/// A part of the list.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct WorkersAnswer {
    /// Workers that were searched for, on all pages.
    pub(super) total: usize,
    /// The first one's place among them.
    pub(super) offset: usize,
    /// The most that were to be given.
    pub(super) limit: usize,
    /// In the order that was asked for.
    pub(super) workers: Vec<WorkerSnapshot>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Name,
    Hashrate,
    LastShare,
    Acknowledged,
    Rejected,
    Connections,
}

/// By which key, and the other way round.
type Order = (Key, bool);

fn order(sort: &str) -> Option<Order> {
    let (word, reversed) = sort.strip_prefix('-').map_or((sort, false), |word| (word, true));
    let key = match word {
        "name" => Key::Name,
        "hashrate" => Key::Hashrate,
        "last_share" => Key::LastShare,
        "acknowledged" => Key::Acknowledged,
        "rejected" => Key::Rejected,
        "connections" => Key::Connections,
        _ => return None,
    };
    Some((key, reversed))
}

fn compare((key, reversed): Order, a: &ListedWorker, b: &ListedWorker) -> Ordering {
    let age = |w: &ListedWorker| w.last_share_seconds.unwrap_or(f64::INFINITY);
    let by_key = match key {
        Key::Name => Ordering::Equal,
        Key::Hashrate => a.hashrate_hs.total_cmp(&b.hashrate_hs),
        Key::LastShare => age(a).total_cmp(&age(b)),
        Key::Acknowledged => a.acknowledged.cmp(&b.acknowledged),
        Key::Rejected => a.rejected.cmp(&b.rejected),
        Key::Connections => a.connections.cmp(&b.connections),
    };
    // Names make the order whole, so that no worker is on two pages.
    let names = a.name.cmp(&b.name);
    match (key, reversed) {
        (Key::Name, true) => names.reverse(),
        (_, true) => by_key.reverse().then(names),
        (_, false) => by_key.then(names),
    }
}

impl WorkersQuery {
    fn wants(&self, worker: &ListedWorker, search: Option<&str>) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        let has = |text: &str, search: &str| lower(text).contains(search);
        is(&self.listener, &worker.listener)
            && is(&self.route, &worker.route)
            && self.source.as_ref().is_none_or(|wanted| worker.source.as_deref() == Some(wanted))
            && search.is_none_or(|search| {
                has(&worker.name, search)
                    || worker.user_agent.as_ref().is_some_and(|agent| has(agent, search))
                    || worker.address.is_some_and(|address| has(&address.to_string(), search))
            })
    }

    fn answer(&self, all: &dyn WorkerList) -> Result<Response, BadQuery> {
        let limit = limit(self.limit)?;
        let sort = self.sort.as_deref().unwrap_or("name");
        let order = order(sort).ok_or_else(|| {
            BadQuery(format!(
                "sort: expected name, hashrate, last_share, acknowledged, rejected or connections, with - before it for the \
                 other way round, found {sort:?}"
            ))
        })?;
        let search = self.search.as_deref().filter(|text| !text.is_empty());
        if search.is_some_and(|text| text.len() > SEARCH_MAX) {
            return Err(BadQuery(format!("search: at most {SEARCH_MAX} bytes")));
        }
        let search = search.map(lower);
        let listed = all.workers().iter().enumerate();
        let mut found: Vec<(usize, &ListedWorker)> =
            listed.filter(|(_, worker)| self.wants(worker, search.as_deref())).collect();
        let total = found.len();
        // Only what is shown is put in order, and what comes before it.
        let end = self.offset.saturating_add(limit).min(total);
        if end < total {
            found.select_nth_unstable_by(end, |(_, a), (_, b)| compare(order, a, b));
            found.truncate(end);
        }
        found.sort_unstable_by(|(_, a), (_, b)| compare(order, a, b));
        let workers = found.into_iter().skip(self.offset).map(|(at, _)| all.snapshot(at)).collect();
        let answer = WorkersAnswer { total, offset: self.offset, limit, workers };
        Ok(json(StatusCode::OK, &answer))
    }
}

/// As it is searched for.
fn lower(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_uppercase) { text.to_lowercase().into() } else { text.into() }
}

pub(super) async fn list(
    State(pages): State<Arc<Pages>>,
    query: Result<Query<WorkersQuery>, QueryRejection>,
) -> Response {
    let query = match query {
        Ok(Query(query)) => query,
        Err(rejection) => return BadQuery::from(rejection).response(),
    };
    match pages.workers.all() {
        Ok(all) => query.answer(&*all).unwrap_or_else(|refused| refused.response()),
        Err(problem) => problem.response(),
    }
}

pub(super) async fn one(
    State(pages): State<Arc<Pages>>,
    name: Result<Segment<String>, PathRejection>,
) -> Response {
    let Ok(Segment(name)) = name else {
        return BadQuery("the worker's name is no UTF-8".to_owned()).response();
    };
    match pages.workers.all() {
        Ok(all) => match all.workers().iter().position(|worker| *worker.name == *name) {
            Some(at) => json(StatusCode::OK, &all.snapshot(at)),
            None => problem(
                StatusCode::NOT_FOUND,
                "not_found",
                "no worker has this name, or none has it any more",
            ),
        },
        Err(problem) => problem.response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn worker(name: &str, hashrate_hs: f64) -> ListedWorker {
        ListedWorker { name: name.into(), hashrate_hs, ..ListedWorker::default() }
    }

    #[test]
    fn every_order_is_known_and_nothing_else_is() {
        for word in ["name", "hashrate", "last_share", "acknowledged", "rejected", "connections"] {
            assert!(order(word).is_some_and(|(_, reversed)| !reversed), "{word}");
            assert!(order(&format!("-{word}")).is_some_and(|(_, reversed)| reversed), "{word}");
        }
        for word in ["", "-", "--name", "Name", "worker"] {
            assert_eq!(order(word), None, "{word}");
        }
    }

    proptest! {
        #[test]
        fn pages_together_are_the_whole_list_in_order(
            rates in prop::collection::vec(0_u8..5, 0..60),
            limit in 1_usize..20,
            reversed: bool,
        ) {
            let all: Vec<_> = rates.iter().enumerate().map(|(n, r)| worker(&format!("w{n}"), f64::from(*r))).collect();
            let order = (Key::Hashrate, reversed);
            let mut sorted: Vec<_> = all.iter().collect();
            sorted.sort_by(|a, b| compare(order, a, b));
            let mut paged = Vec::new();
            for offset in (0..=all.len()).step_by(limit) {
                let mut found: Vec<_> = all.iter().collect();
                let end = (offset + limit).min(found.len());
                if end < found.len() {
                    found.select_nth_unstable_by(end, |a, b| compare(order, a, b));
                    found.truncate(end);
                }
                found.sort_unstable_by(|a, b| compare(order, a, b));
                paged.extend(found.into_iter().skip(offset).map(|w| w.name.clone()));
            }
            prop_assert_eq!(paged, sorted.iter().map(|w| w.name.clone()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn searching_takes_names_agents_and_addresses_in_any_case() {
        let mut found = worker("Farm.Rig-Ä", 1.0);
        found.user_agent = Some("cgminer/4.9".into());
        found.address = Some([10, 0, 0, 7].into());
        let query = WorkersQuery::default();
        for text in ["farm", "RIG-ä", "CGMINER", "0.0.7"] {
            assert!(query.wants(&found, Some(&lower(text))), "{text}");
        }
        assert!(!query.wants(&found, Some("other")));
        let other = WorkersQuery { source: Some("pool".into()), ..WorkersQuery::default() };
        assert!(!other.wants(&found, None));
    }
}
