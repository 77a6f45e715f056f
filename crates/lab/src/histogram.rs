//! Counts of durations in buckets a thirty-second of an octave wide: quantiles within 3 % in 15 kB, whatever
//! the number of samples.

use std::time::Duration;

use serde::Serialize;

/// Buckets an octave is cut into, as a power of two.
const SUB_BITS: u32 = 5;
const SUB: u64 = 1 << SUB_BITS;
const BUCKETS: usize = (64 - SUB_BITS as usize + 1) << SUB_BITS;

/// A histogram of durations, in nanoseconds.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    sum: u128,
    max: u64,
}

/// What a histogram says, in milliseconds. All zero when there was no sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Quantiles {
    /// Samples.
    pub count: u64,
    /// Arithmetic mean, exact.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 90 % of the samples are at or below.
    pub p90: f64,
    /// 99 %.
    pub p99: f64,
    /// 99.9 %.
    pub p999: f64,
    /// The largest sample, exact.
    pub max: f64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { counts: vec![0; BUCKETS], total: 0, sum: 0, max: 0 }
    }
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&mut self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanos)] += 1;
        self.total += 1;
        self.sum += u128::from(nanos);
        self.max = self.max.max(nanos);
    }

    /// Adds another histogram's samples.
    pub fn merge(&mut self, other: &Histogram) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
        self.sum += other.sum;
        self.max = self.max.max(other.max);
    }

    /// The usual quantiles.
    pub fn quantiles(&self) -> Quantiles {
        if self.total == 0 {
            return Quantiles::default();
        }
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let mean = self.sum as f64 / self.total as f64 / 1e6;
        Quantiles {
            count: self.total,
            mean,
            p50: self.at(0.5),
            p90: self.at(0.9),
            p99: self.at(0.99),
            p999: self.at(0.999),
            max: millis(self.max),
        }
    }

    /// The value that this share of the samples is at or below, milliseconds.
    fn at(&self, share: f64) -> f64 {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "share is between 0 and 1"
        )]
        let rank = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return millis(upper_bound(index).min(self.max));
            }
        }
        millis(self.max)
    }
}

fn bucket(nanos: u64) -> usize {
    if nanos < SUB {
        return usize::try_from(nanos).unwrap_or(0);
    }
    let octave = 63 - nanos.leading_zeros() - SUB_BITS;
    let sub = (nanos >> octave) - SUB;
    usize::try_from(u64::from(octave + 1) * SUB + sub).unwrap_or(BUCKETS - 1)
}

/// Largest value that falls into a bucket.
fn upper_bound(index: usize) -> u64 {
    let index = index as u64;
    if index < SUB {
        return index;
    }
    let octave = index / SUB - 1;
    let sub = index % SUB + SUB;
    (u128::from(sub + 1) << octave).saturating_sub(1).try_into().unwrap_or(u64::MAX)
}

fn millis(nanos: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let nanos = nanos as f64;
    nanos / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket_within_a_thirty_second() {
        for shift in 0..64 {
            for value in [1_u64 << shift, (1 << shift) | (1 << shift >> 1), u64::MAX >> shift] {
                let upper = upper_bound(bucket(value));
                assert!(upper >= value, "{value}: {upper}");
                assert!(u128::from(upper - value) * 32 <= u128::from(value), "{value}: {upper}");
                if bucket(value) > 0 {
                    assert!(upper_bound(bucket(value) - 1) < value);
                }
            }
        }
    }

    #[test]
    fn quantiles_of_known_samples() {
        let mut histogram = Histogram::default();
        for ms in 1..=1_000 {
            histogram.record(Duration::from_millis(ms));
        }
        let quantiles = histogram.quantiles();
        assert_eq!((quantiles.count, quantiles.mean, quantiles.max), (1_000, 500.5, 1_000.0));
        for (got, expected) in [(quantiles.p50, 500.0), (quantiles.p90, 900.0), (quantiles.p99, 990.0)] {
            assert!((got / expected - 1.0).abs() < 0.04, "{got} {expected}");
        }
    }

    #[test]
    fn merging_is_as_recording_into_one() {
        let (mut one, mut other, mut both) =
            (Histogram::default(), Histogram::default(), Histogram::default());
        for n in 0..100 {
            let duration = Duration::from_micros(n * n);
            both.record(duration);
            if n % 3 == 0 { one.record(duration) } else { other.record(duration) }
        }
        one.merge(&other);
        assert_eq!(one.quantiles(), both.quantiles());
        assert_eq!(Histogram::default().quantiles(), Quantiles::default());
    }
}
