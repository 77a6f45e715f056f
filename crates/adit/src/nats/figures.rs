//! What publishing shows of itself.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use telemetry::NatsSnapshot;

use super::lane::Backlog;
use super::messages::{Gap, Why};
use super::settings::Subject;

/// Written by the thread that publishes, read by whoever makes a snapshot.
#[derive(Debug, Default)]
pub(crate) struct NatsFigures(Mutex<Figures>);

#[derive(Debug, Default)]
struct Figures {
    /// Something is to be published.
    on: bool,
    /// The streams that are.
    streams: Vec<Subject>,
    stream: String,
    server: Option<String>,
    trouble: Option<(String, Instant)>,
    published: BTreeMap<Subject, u64>,
    duplicates: u64,
    failures: u64,
    given_up: BTreeMap<(Subject, Why), u64>,
    gaps: u64,
    backlog: BTreeMap<Subject, Backlog>,
    in_flight: u64,
}

impl NatsFigures {
    fn change<R>(&self, change: impl FnOnce(&mut Figures) -> R) -> R {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// These streams are published to that one from now on; none where nothing is.
    pub(super) fn begin(&self, streams: &[Subject], stream: &str) {
        self.change(|figures| {
            figures.on = !streams.is_empty();
            figures.streams = streams.to_vec();
            stream.clone_into(&mut figures.stream);
            figures.server = None;
            figures.trouble = None;
            figures.backlog.clear();
            figures.in_flight = 0;
        });
    }

    pub(super) fn connected(&self, server: String) {
        self.change(|figures| figures.server = Some(server));
    }

    /// It is over. True where that is news.
    pub(super) fn failed(&self, why: &str) -> bool {
        self.change(|figures| {
            figures.server = None;
            figures.in_flight = 0;
            figures.failures += 1;
            let since = figures.trouble.as_ref().map_or_else(Instant::now, |(_, since)| *since);
            let news = figures.trouble.as_ref().is_none_or(|(before, _)| before != why);
            figures.trouble = Some((why.to_owned(), since));
            news
        })
    }

    /// A message was acknowledged. True where that ends trouble.
    pub(super) fn acknowledged(&self, subject: Subject, duplicate: bool, gap: Option<&Gap>) -> bool {
        self.change(|figures| {
            *figures.published.entry(subject).or_default() += 1;
            figures.duplicates += u64::from(duplicate);
            if let Some(gap) = gap.filter(|_| !duplicate) {
                figures.gaps += 1;
                *figures.given_up.entry((gap.stream, gap.why)).or_default() += gap.records.unwrap_or(0);
            }
            figures.trouble.take().is_some()
        })
    }

    /// All is published. True where that ends trouble.
    pub(super) fn well(&self) -> bool {
        self.change(|figures| figures.trouble.take().is_some())
    }

    pub(super) fn waiting(&self, stream: Subject, backlog: Backlog) {
        self.change(|figures| figures.backlog.insert(stream, backlog));
    }

    pub(super) fn in_flight(&self, messages: usize) {
        self.change(|figures| figures.in_flight = messages as u64);
    }

    /// Nothing where nothing is published.
    pub(crate) fn snapshot(&self) -> Option<NatsSnapshot> {
        self.change(|figures| {
            figures.on.then(|| {
                let waiting = |stream: &Subject| figures.backlog.get(stream).copied().unwrap_or_default();
                let by_stream =
                    figures.streams.iter().map(|stream| (stream.word().into(), waiting(stream).bytes));
                let oldest = figures.streams.iter().map(|stream| waiting(stream).age_ms).max();
                let given_up = |stream: &Subject| {
                    let reasons = Why::ALL.into_iter().map(|why| {
                        let records = figures.given_up.get(&(*stream, why)).copied().unwrap_or_default();
                        (why.word().into(), records)
                    });
                    (stream.word().into(), reasons.collect())
                };
                #[expect(clippy::cast_precision_loss, reason = "seconds")]
                let seconds = |ms: u64| ms as f64 / 1_000.0;
                NatsSnapshot {
                    connected: figures.server.is_some(),
                    server: figures.server.clone(),
                    stream: figures.stream.clone(),
                    trouble: figures.trouble.as_ref().map(|(why, _)| why.clone()),
                    trouble_seconds: figures
                        .trouble
                        .as_ref()
                        .map_or(0.0, |(_, since)| since.elapsed().as_secs_f64()),
                    published_total: Subject::ALL
                        .into_iter()
                        .map(|subject| {
                            let count = figures.published.get(&subject).copied().unwrap_or_default();
                            (subject.word().into(), count)
                        })
                        .collect(),
                    duplicates_total: figures.duplicates,
                    failures_total: figures.failures,
                    given_up_total: figures.streams.iter().map(given_up).collect(),
                    gaps_total: figures.gaps,
                    waiting_bytes: by_stream.collect(),
                    waiting_seconds: seconds(oldest.unwrap_or(0)),
                    in_flight: figures.in_flight,
                }
            })
        })
    }
}
