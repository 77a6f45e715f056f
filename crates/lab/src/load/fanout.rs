//! How a job spreads over the connections: when the first had it, when the last.

use std::time::{Duration, Instant};

/// Jobs whose spreading is recorded; later ones are not.
const MAX_RECORDS: usize = 4_096;

/// One job's spreading among one thread's connections.
#[derive(Clone, Debug)]
pub(super) struct Spread {
    /// The parent, as hashes are written.
    pub(super) prev_hash: String,
    /// The common part's fields; the same job has the same key in all threads.
    pub(super) key: Box<[u8]>,
    pub(super) first: Instant,
    /// Arrivals at each connection after `first`, microseconds.
    pub(super) after_us: Vec<u32>,
}

/// Records of all jobs after the connections were set up.
#[derive(Debug, Default)]
pub(super) struct Fanouts {
    spreads: Vec<Spread>,
    /// Number of the first job that is recorded: those before came while connecting.
    first_number: usize,
}

impl Fanouts {
    /// Jobs with smaller numbers are not recorded.
    pub(super) fn begin(&mut self, first_number: usize) {
        self.first_number = first_number;
    }

    /// A connection got the job with this number for the first time.
    pub(super) fn arrived(
        &mut self,
        number: usize,
        now: Instant,
        describe: impl FnOnce() -> (String, Box<[u8]>),
    ) {
        let Some(index) = number.checked_sub(self.first_number) else {
            return;
        };
        if self.first_number == 0 {
            return;
        }
        if index == self.spreads.len() && index < MAX_RECORDS {
            let (prev_hash, key) = describe();
            self.spreads.push(Spread { prev_hash, key, first: now, after_us: Vec::new() });
        }
        if let Some(spread) = self.spreads.get_mut(index) {
            let after = now.saturating_duration_since(spread.first);
            spread.after_us.push(u32::try_from(after.as_micros()).unwrap_or(u32::MAX));
        }
    }

    pub(super) fn into_spreads(self) -> Vec<Spread> {
        self.spreads
    }
}

/// Joins the records of several threads. A job that comes back (its tip did) is another one each time.
pub(super) fn merge(threads: Vec<Vec<Spread>>) -> Vec<Spread> {
    let mut merged: Vec<(usize, Spread)> = Vec::new();
    for spread in threads.into_iter().flat_map(with_occurrence) {
        let (occurrence, spread) = spread;
        let same = |known: &&mut (usize, Spread)| known.0 == occurrence && known.1.key == spread.key;
        match merged.iter_mut().find(same) {
            None => merged.push((occurrence, spread)),
            Some((_, known)) => {
                let earlier = known.first.min(spread.first);
                let shift = |first: Instant, after: u32| {
                    let total = (first - earlier) + Duration::from_micros(u64::from(after));
                    u32::try_from(total.as_micros()).unwrap_or(u32::MAX)
                };
                let mine = known.first;
                known.after_us.iter_mut().for_each(|after| *after = shift(mine, *after));
                known.after_us.extend(spread.after_us.iter().map(|after| shift(spread.first, *after)));
                known.first = earlier;
            }
        }
    }
    let mut merged: Vec<Spread> = merged.into_iter().map(|(_, spread)| spread).collect();
    merged.sort_by_key(|spread| spread.first);
    merged
}

/// One thread's records, each with how many before it are of an equal job.
fn with_occurrence(spreads: Vec<Spread>) -> Vec<(usize, Spread)> {
    let mut counted: Vec<(usize, Spread)> = Vec::with_capacity(spreads.len());
    for spread in spreads {
        let before = counted.iter().rev().find(|(_, earlier)| earlier.key == spread.key);
        let occurrence = before.map_or(0, |(occurrence, _)| occurrence + 1);
        counted.push((occurrence, spread));
    }
    counted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_joined_on_one_clock() {
        let begin = Instant::now();
        let spread = |ms, after_us: &[u32]| Spread {
            prev_hash: String::new(),
            key: Box::new([1]),
            first: begin + Duration::from_millis(ms),
            after_us: after_us.to_vec(),
        };
        let merged = merge(vec![vec![spread(5, &[0, 100])], vec![spread(2, &[0, 7])]]);
        assert_eq!(merged.len(), 1);
        assert_eq!(merged[0].after_us, [3_000, 3_100, 0, 7]);
        let again =
            merge(vec![vec![spread(5, &[0]), spread(900, &[0])], vec![spread(2, &[0]), spread(901, &[0])]]);
        let counts: Vec<_> = again.iter().map(|spread| spread.after_us.len()).collect();
        assert_eq!(counts, [2, 2], "a job that comes back is another one");
    }

    #[test]
    fn jobs_from_before_the_beginning_are_left_out() {
        let mut fanouts = Fanouts::default();
        let now = Instant::now();
        let describe = || (String::new(), Box::from([0_u8]));
        fanouts.arrived(0, now, describe);
        fanouts.begin(1);
        fanouts.arrived(0, now, describe);
        fanouts.arrived(1, now, describe);
        fanouts.arrived(1, now, describe);
        let spreads = fanouts.into_spreads();
        assert_eq!((spreads.len(), spreads[0].after_us.len()), (1, 2));
    }
}
