//! From figures to what crate `prometheus` encodes, by the table of metrics only.

use std::collections::BTreeMap;

use prometheus::core::Desc;
use prometheus::proto;

use super::table::{Kind, METRICS, Metric};
use crate::latency::Histogram;

/// Figures of several metrics, to be encoded.
#[derive(Default)]
pub(crate) struct Families(BTreeMap<&'static str, (Metric, Vec<proto::Metric>)>);

impl Families {
    /// Adds a counter's or a gauge's value. What is not a finite number is left out: there is nothing to see.
    pub(crate) fn add<const N: usize>(&mut self, metric: Metric, labels: [&str; N], value: f64) {
        if value.is_finite() {
            let mut sample = proto::Metric::from_label(pairs(metric, &labels));
            if metric.kind == Kind::Counter {
                let mut counter = proto::Counter::default();
                counter.set_value(value);
                sample.set_counter(counter);
            } else {
                let mut gauge = proto::Gauge::default();
                gauge.set_value(value);
                sample.set_gauge(gauge);
            }
            self.push(metric, sample);
        }
    }

    /// Adds a count.
    pub(crate) fn count<const N: usize>(&mut self, metric: Metric, labels: [&str; N], value: u64) {
        // Exact up to 2^53, as everything in Prometheus.
        #[expect(clippy::cast_precision_loss, reason = "Prometheus has only floating-point numbers")]
        self.add(metric, labels, value as f64);
    }

    /// Adds a yes (1) or no (0).
    pub(crate) fn flag<const N: usize>(&mut self, metric: Metric, labels: [&str; N], value: bool) {
        self.add(metric, labels, if value { 1.0 } else { 0.0 });
    }

    /// Adds a histogram with its buckets from `lowest` to `highest`, seconds.
    pub(crate) fn histogram(&mut self, metric: Metric, from: &Histogram, lowest: f64, highest: f64) {
        let reading = from.read();
        let mut histogram = proto::Histogram::default();
        histogram.set_sample_count(reading.count);
        histogram.set_sample_sum(reading.sum_seconds);
        let within = reading.buckets().filter(|(bound, _)| (lowest..=highest).contains(bound));
        histogram.set_bucket(
            within
                .map(|(bound, count)| {
                    let mut bucket = proto::Bucket::default();
                    bucket.set_upper_bound(bound);
                    bucket.set_cumulative_count(count);
                    bucket
                })
                .collect(),
        );
        let mut sample = proto::Metric::default();
        sample.set_histogram(histogram);
        self.push(metric, sample);
    }

    fn push(&mut self, metric: Metric, sample: proto::Metric) {
        self.0.entry(metric.name).or_insert_with(|| (metric, Vec::new())).1.push(sample);
    }

    /// What the encoder takes. Of samples with the same labels only the first is kept.
    pub(crate) fn finish(self) -> Vec<proto::MetricFamily> {
        let family = |(metric, mut samples): (Metric, Vec<proto::Metric>)| {
            // Prometheus would refuse the whole scrape for one series that is there twice.
            samples.sort_by(|a, b| values(a).cmp(values(b)));
            samples.dedup_by(|later, first| later.get_label() == first.get_label());
            let mut family = proto::MetricFamily::default();
            family.set_name(metric.name.to_owned());
            family.set_help(metric.help.to_owned());
            family.set_field_type(match metric.kind {
                Kind::Counter => proto::MetricType::COUNTER,
                Kind::Gauge => proto::MetricType::GAUGE,
                Kind::Histogram => proto::MetricType::HISTOGRAM,
            });
            family.set_metric(samples);
            family
        };
        self.0.into_values().map(family).collect()
    }
}

fn values(sample: &proto::Metric) -> impl Iterator<Item = &str> {
    sample.get_label().iter().map(proto::LabelPair::value)
}

fn pairs(metric: Metric, labels: &[&str]) -> Vec<proto::LabelPair> {
    debug_assert_eq!(metric.labels.len(), labels.len(), "{}", metric.name);
    let pair = |(name, value): (&&str, &&str)| {
        let mut pair = proto::LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    metric.labels.iter().zip(labels).map(pair).collect()
}

/// Descriptions, as crate `prometheus` wants them of a collector, of Adit's metrics that `mine` picks.
pub(crate) fn descriptions(mine: impl Fn(&Metric) -> bool) -> Result<Vec<Desc>, prometheus::Error> {
    descriptions_of(METRICS, mine)
}

/// The same, of another table.
pub(crate) fn descriptions_of(
    metrics: &[Metric],
    mine: impl Fn(&Metric) -> bool,
) -> Result<Vec<Desc>, prometheus::Error> {
    let description = |metric: &Metric| {
        let labels = metric.labels.iter().map(|label| (*label).to_owned()).collect();
        Desc::new(
            metric.name.to_owned(),
            metric.help.to_owned(),
            labels,
            std::collections::HashMap::default(),
        )
    };
    metrics.iter().filter(|metric| mine(metric)).map(description).collect()
}
