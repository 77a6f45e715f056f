//! A histogram of durations that the share path can afford.
//!
//! The one of crate `prometheus` moves three words that all threads share and compares its way through the
//! bounds; while it is scraped it waits for the threads that are inside it. This one finds its bucket with
//! one table look-up and moves two words in a stripe of the calling thread. `benches/costs.rs` has both.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the buckets (inclusive, as Prometheus has them), nanoseconds: 1, 2.5 and 5 per decade, so
/// that at most one bound lies between two powers of two.
const BOUNDS_NS: [u64; 24] = [
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    25_000_000_000,
    60_000_000_000,
];

/// The buckets, and one for all above.
const BUCKETS: usize = BOUNDS_NS.len() + 1;

/// Threads write to different stripes; more threads than stripes share them.
const STRIPES: usize = 8;

/// For each bit length of a duration: how many bounds lie below its smallest value, and the one bound that
/// lies among its values, if any.
const BY_BIT_LENGTH: [(u8, u64); 65] = by_bit_length();

#[expect(clippy::cast_possible_truncation, reason = "there are 24 bounds")]
const fn by_bit_length() -> [(u8, u64); 65] {
    let mut table = [(0, u64::MAX); 65];
    let mut bits = 0;
    while bits <= 64 {
        let smallest = if bits == 0 { 0 } else { 1_u64 << (bits - 1) };
        let largest = if bits == 0 { 0 } else { smallest + (smallest - 1) };
        let mut below = 0;
        while below < BOUNDS_NS.len() && BOUNDS_NS[below] < smallest {
            below += 1;
        }
        let bound =
            if below < BOUNDS_NS.len() && BOUNDS_NS[below] < largest { BOUNDS_NS[below] } else { u64::MAX };
        table[bits] = (below as u8, bound);
        bits += 1;
    }
    table
}

/// The bucket of a duration.
fn bucket(ns: u64) -> usize {
    let (below, bound) = BY_BIT_LENGTH[(u64::BITS - ns.leading_zeros()) as usize];
    usize::from(below) + usize::from(ns > bound)
}

/// The calling thread's stripe.
fn stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static STRIPE: usize = NEXT.fetch_add(1, Relaxed) % STRIPES;
    }
    // While a thread ends its locals may be gone already.
    STRIPE.try_with(|stripe| *stripe).unwrap_or(0)
}

#[derive(Debug)]
#[repr(align(128))]
struct Stripe {
    buckets: [AtomicU64; BUCKETS],
    sum_ns: AtomicU64,
}

impl Default for Stripe {
    fn default() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BUCKETS], sum_ns: AtomicU64::new(0) }
    }
}

/// Durations by size: any thread may observe, without a lock and without waiting.
#[derive(Debug, Default)]
pub struct Histogram {
    stripes: [Stripe; STRIPES],
}

impl Histogram {
    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        // 584 years.
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let stripe = &self.stripes[stripe()];
        stripe.buckets[bucket(ns)].fetch_add(1, Relaxed);
        stripe.sum_ns.fetch_add(ns, Relaxed);
    }

    /// How many durations were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.read().count
    }

    /// What it holds now. The count is the sum of the buckets, so those always agree; the sum of durations may
    /// be behind or ahead by those being counted meanwhile.
    pub(crate) fn read(&self) -> Reading {
        let mut reading = Reading { cumulative: [0; BOUNDS_NS.len()], count: 0, sum_seconds: 0.0 };
        let mut sum_ns = 0_u128;
        for stripe in &self.stripes {
            sum_ns += u128::from(stripe.sum_ns.load(Relaxed));
        }
        for n in 0..BUCKETS {
            for stripe in &self.stripes {
                reading.count += stripe.buckets[n].load(Relaxed);
            }
            if let Some(cumulative) = reading.cumulative.get_mut(n) {
                *cumulative = reading.count;
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "seconds with 16 digits are exact enough")]
        let sum = sum_ns as f64;
        reading.sum_seconds = sum / 1e9;
        reading
    }
}

/// A histogram's content.
pub(crate) struct Reading {
    cumulative: [u64; BOUNDS_NS.len()],
    /// All durations counted.
    pub(crate) count: u64,
    /// Their sum, seconds.
    pub(crate) sum_seconds: f64,
}

impl Reading {
    /// Bounds in seconds and how many durations were at most as long.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        BOUNDS_NS.iter().zip(self.cumulative).map(|(ns, count)| {
            #[expect(clippy::cast_precision_loss, reason = "all bounds are exact")]
            let ns = *ns as f64;
            (ns / 1e9, count)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What Prometheus means: the first bucket whose bound is not smaller.
    fn by_definition(ns: u64) -> usize {
        BOUNDS_NS.iter().position(|bound| ns <= *bound).unwrap_or(BOUNDS_NS.len())
    }

    #[test]
    fn bounds_are_inclusive_at_every_edge() {
        for bound in BOUNDS_NS {
            for ns in [bound - 1, bound, bound + 1] {
                assert_eq!(bucket(ns), by_definition(ns), "{ns}");
            }
        }
        for bits in 0..64 {
            for ns in [(1_u64 << bits) - 1, 1 << bits, (1 << bits) + 1] {
                assert_eq!(bucket(ns), by_definition(ns), "{ns}");
            }
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    proptest! {
        #[test]
        fn every_duration_is_in_its_bucket(bits in 0..64_u32, low in any::<u64>()) {
            let ns = low >> bits;
            prop_assert_eq!(bucket(ns), by_definition(ns));
        }
    }

    #[test]
    fn nothing_is_lost_between_threads() {
        let histogram = Histogram::default();
        std::thread::scope(|scope| {
            for _ in 0..12 {
                scope.spawn(|| (0..1000).for_each(|n| histogram.observe(Duration::from_micros(n))));
            }
        });
        let reading = histogram.read();
        assert_eq!(reading.count, 12_000);
        assert!((reading.sum_seconds - 12.0 * 0.4995).abs() < 1e-9);
        let at_most: Vec<_> = reading.buckets().collect();
        assert_eq!(at_most[0], (1e-6, 24));
        assert_eq!(at_most[8], (0.0005, 12 * 501));
        assert_eq!(at_most[23], (60.0, 12_000));
    }

    #[test]
    fn the_longest_duration_is_counted_above_all_bounds() {
        let histogram = Histogram::default();
        histogram.observe(Duration::MAX);
        assert_eq!(histogram.count(), 1);
        assert!(histogram.read().buckets().all(|(_, count)| count == 0));
    }
}
