//! What is on the screen.

use std::collections::{BTreeMap, VecDeque};

use super::model::{Books, Event, History, Status, WorkersPage};

/// Samples that are kept for a line of bars.
const SAMPLES: usize = 600;
/// Events that are kept.
const EVENTS: usize = 200;
/// Rates of shares are over so many samples.
const RATE_OVER: usize = 10;

/// By what workers can be sorted: the API's word, and the table's.
pub(super) const SORTS: [(&str, &str); 6] = [
    ("hashrate", "hashrate"),
    ("name", "name"),
    ("last_share", "last share"),
    ("acknowledged", "acknowledged"),
    ("rejected", "rejected"),
    ("connections", "connections"),
];

/// Everything that is shown, and what the user has chosen.
#[derive(Debug, Default)]
pub(super) struct Top {
    /// Where Adit is asked.
    pub(super) address: String,
    pub(super) status: Status,
    pub(super) workers: WorkersPage,
    pub(super) events: VecDeque<Event>,
    /// Why there was no answer the last time.
    pub(super) trouble: Option<String>,
    /// There was an answer, ever.
    pub(super) seen: bool,
    /// Hashes per second, of all and by route, the newest last.
    pub(super) total: VecDeque<f64>,
    pub(super) by_route: BTreeMap<String, VecDeque<f64>>,
    /// Seconds since Adit's start, and its books then.
    noted: VecDeque<(f64, Books)>,
    /// Which of [`SORTS`], and whether the greatest comes first.
    pub(super) sort: usize,
    pub(super) descending: bool,
    pub(super) search: String,
    /// What is typed goes into the search.
    pub(super) searching: bool,
    /// The first worker on the screen, and how many there is room for.
    pub(super) offset: usize,
    pub(super) page: usize,
}

impl Top {
    pub(super) fn new(address: String) -> Self {
        Self { address, descending: true, page: 10, ..Self::default() }
    }

    /// The newest event that is known; nothing before the first answer.
    pub(super) fn last_event(&self) -> Option<u64> {
        self.events.back().map(|event| event.id)
    }

    pub(super) fn take_status(&mut self, status: Status) {
        if status.uptime_seconds < self.status.uptime_seconds {
            // It was started anew: its counters begin again.
            self.noted.clear();
            self.events.clear();
        }
        self.seen = true;
        push(&mut self.total, status.routes.iter().map(|route| route.hashrate_hs).sum());
        self.by_route.retain(|name, _| status.routes.iter().any(|route| route.name == *name));
        for route in &status.routes {
            push(self.by_route.entry(route.name.clone()).or_default(), route.hashrate_hs);
        }
        if self.noted.len() > RATE_OVER {
            self.noted.pop_front();
        }
        self.noted.push_back((status.uptime_seconds, status.books.clone()));
        self.status = status;
    }

    /// What was before anybody looked, as if it had been looked at each second. What nobody knows is nothing.
    pub(super) fn take_history(&mut self, history: &History) {
        let step = history.step_seconds.clamp(1, SAMPLES);
        let of = |values: &[Option<f64>]| {
            let known = values.iter().position(Option::is_some).unwrap_or(values.len());
            // The present step is not over: it is what will be looked at.
            let known = &values[known..values.len().saturating_sub(1).max(known)];
            let newest = &known[known.len().saturating_sub(SAMPLES.div_ceil(step))..];
            let seconds = newest.iter().flat_map(|value| std::iter::repeat_n(value.unwrap_or(0.0), step));
            let mut seconds: VecDeque<f64> = seconds.collect();
            let many = seconds.len().saturating_sub(SAMPLES);
            seconds.drain(..many);
            seconds
        };
        for (name, values) in &history.series {
            match name.split_once(':') {
                None if name == "total" => self.total = of(values),
                Some(("route", route)) => {
                    self.by_route.insert(route.to_owned(), of(values));
                }
                _ => {}
            }
        }
    }

    pub(super) fn take_events(&mut self, events: Vec<Event>) {
        self.events.extend(events);
        let many = self.events.len().saturating_sub(EVENTS);
        self.events.drain(..many);
    }

    /// Of a count of the books, how many came each second lately.
    #[expect(clippy::cast_precision_loss, reason = "a rate on a screen")]
    pub(super) fn rate(&self, of: impl Fn(&Books) -> u64) -> f64 {
        let (Some((then, was)), Some((now, is))) = (self.noted.front(), self.noted.back()) else {
            return 0.0;
        };
        let passed = now - then;
        if passed > 0.0 { of(is).saturating_sub(of(was)) as f64 / passed } else { 0.0 }
    }

    /// As the API is asked for workers.
    pub(super) fn sort_word(&self) -> String {
        let (word, _) = SORTS[self.sort];
        format!("{}{word}", if self.descending { "-" } else { "" })
    }
}

fn push(samples: &mut VecDeque<f64>, value: f64) {
    if samples.len() >= SAMPLES {
        samples.pop_front();
    }
    samples.push_back(value);
}
