//! Series of workers.

use std::borrow::Cow;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use super::families::{Families, descriptions};
use super::table::{self as t, Metric};
use crate::snapshot::{WorkerSeries, WorkersInSeries};

/// Whether a metric is one of workers.
pub(super) fn is_of_workers(metric: &Metric) -> bool {
    metric.labels.contains(&"worker")
}

/// Shows the workers that have series to a registry.
pub(super) struct FromWorkers {
    series: WorkersInSeries,
    descriptions: Vec<Desc>,
}

impl FromWorkers {
    pub(super) fn new(series: WorkersInSeries) -> Result<Self, prometheus::Error> {
        Ok(Self { series, descriptions: descriptions(is_of_workers)? })
    }
}

impl Collector for FromWorkers {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = Families::default();
        (self.series)().iter().for_each(|one| worker(&mut families, one));
        families.finish()
    }
}

fn worker(to: &mut Families, worker: &WorkerSeries) {
    let name = &*label(&worker.name);
    let (books, work) = (&worker.books, &worker.books.work);
    for (state, count, sum) in [
        ("rejected", books.rejected_total, work.rejected),
        ("local", books.local, work.local),
        ("unsent", books.unsent_total, work.unsent),
        ("acknowledged", books.acknowledged, work.acknowledged),
        ("refused", books.refused_total, work.refused),
        ("unknown", books.unknown, work.unknown),
    ] {
        to.count(t::WORKER_SHARES, [name, state], count);
        to.add(t::WORKER_WORK, [name, state], sum);
    }
    to.add(t::WORKER_WORK_VERIFIED, [name], work.verified);
    to.add(t::WORKER_HASHRATE, [name], worker.hashrate_hs);
    to.count(t::WORKER_CONNECTIONS, [name], worker.connections);
    if let Some(age) = worker.last_share_seconds {
        to.add(t::WORKER_LAST_SHARE, [name], age);
    }
}

/// A worker's name as a label's value. The encoder escapes what the format knows (quotes, backslashes, line ends); other
/// control characters, which readers may stumble over, are written as text.
pub(super) fn label(name: &str) -> Cow<'_, str> {
    let strange = |c: char| c.is_control() && c != '\n';
    if !name.contains(strange) {
        return Cow::Borrowed(name);
    }
    let mut text = String::with_capacity(name.len() + 8);
    for c in name.chars() {
        if strange(c) { text.extend(c.escape_unicode()) } else { text.push(c) }
    }
    Cow::Owned(text)
}
