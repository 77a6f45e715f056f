//! A channel of a dev pool: its target and prefix over time, its open batch, the shares it has had.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Target};
use sv2::mining::SubmitSharesSuccess;

use super::options::DevPoolOptions;
use super::stats::UserCounters;
use crate::pow;

/// Worker names that a channel remembers the counters of; with more it asks the pool's register.
const MAX_WORKERS: usize = 4_096;

/// A target is fitted to the work that arrived only if that differs by more than this factor.
const VARDIFF_TOLERANCE: f64 = 1.5;

/// What a channel is given for its work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Goal {
    /// Hashes at or below are shares.
    pub(super) target: Target,
    /// What a share counts.
    pub(super) difficulty: f64,
}

/// A value that changes from one job on.
#[derive(Debug)]
pub(super) struct ByJob<T>(Vec<(u32, T)>);

impl<T> ByJob<T> {
    /// A value that holds from this job on.
    pub(super) fn new(first_job: u32, value: T) -> ByJob<T> {
        ByJob(vec![(first_job, value)])
    }

    /// Another value from this job on.
    pub(super) fn change(&mut self, first_job: u32, value: T) {
        self.0.retain(|(job, _)| *job < first_job);
        self.0.push((first_job, value));
    }

    /// The value for a job; `None` for one before the first.
    pub(super) fn at(&self, job: u32) -> Option<&T> {
        self.0.iter().rev().find(|(first, _)| *first <= job).map(|(_, value)| value)
    }

    /// The value for jobs to come.
    pub(super) fn latest(&self) -> &T {
        &self.0.last().expect("there is always a value: `change` adds one").1
    }

    /// Forgets what only jobs before this one need.
    pub(super) fn forget_before(&mut self, job: u32) {
        let needed = self.0.iter().rposition(|(first, _)| *first <= job).unwrap_or(0);
        self.0.drain(..needed);
    }
}

/// Share hashes are random already.
#[derive(Debug, Default)]
pub(super) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _bytes: &[u8]) {}

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// Accepted shares that were not acknowledged yet.
#[derive(Debug, Default)]
struct Batch {
    count: u32,
    difficulty: f64,
    last_sequence_number: u32,
    since: Option<Instant>,
}

/// A channel.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) id: u32,
    /// Standard channels take jobs of their own when the connection requires it.
    pub(super) is_standard: bool,
    /// Bytes that a share must bring; 0 on a standard channel.
    pub(super) rollable_size: usize,
    pub(super) prefixes: ByJob<Vec<u8>>,
    pub(super) goals: ByJob<Goal>,
    pub(super) user: Arc<UserCounters>,
    workers: HashMap<Box<[u8]>, Arc<UserCounters>>,
    pub(super) nominal_hash_rate: f64,
    pub(super) max_target: Target,
    seen: HashSet<u64, BuildHasherDefault<AsItIs>>,
    batch: Batch,
    /// Work since the target was last fitted, difficulty.
    work: f64,
    fitted: Instant,
}

/// What a channel is opened with.
pub(super) struct NewChannel {
    pub(super) id: u32,
    pub(super) is_standard: bool,
    pub(super) rollable_size: usize,
    pub(super) prefix: Vec<u8>,
    pub(super) first_job: u32,
    pub(super) user: Arc<UserCounters>,
    pub(super) nominal_hash_rate: f64,
    pub(super) max_target: Target,
    pub(super) now: Instant,
}

impl Channel {
    pub(super) fn new(new: NewChannel, options: &DevPoolOptions) -> Channel {
        let goal = goal(options, new.nominal_hash_rate, new.max_target);
        Channel {
            id: new.id,
            is_standard: new.is_standard,
            rollable_size: new.rollable_size,
            prefixes: ByJob::new(new.first_job, new.prefix),
            goals: ByJob::new(new.first_job, goal),
            user: new.user,
            workers: HashMap::new(),
            nominal_hash_rate: new.nominal_hash_rate,
            max_target: new.max_target,
            seen: HashSet::default(),
            batch: Batch::default(),
            work: 0.0,
            fitted: new.now,
        }
    }

    /// Another hash rate or maximum target: the target for jobs after `last_job`, if it changes.
    pub(super) fn update(
        &mut self,
        options: &DevPoolOptions,
        nominal_hash_rate: f64,
        max_target: Target,
        last_job: u32,
        now: Instant,
    ) -> Option<Target> {
        self.nominal_hash_rate = nominal_hash_rate;
        self.max_target = max_target;
        self.work = 0.0;
        self.fitted = now;
        let goal = goal(options, nominal_hash_rate, max_target);
        (goal != *self.goals.latest()).then(|| {
            self.goals.change(last_job.saturating_add(1), goal);
            goal.target
        })
    }

    /// Fits the target to the work that arrived, once an interval has passed.
    pub(super) fn fit(
        &mut self,
        options: &DevPoolOptions,
        interval: Duration,
        last_job: u32,
        now: Instant,
    ) -> Option<Target> {
        let elapsed = now.saturating_duration_since(self.fitted);
        if elapsed < interval {
            return None;
        }
        let measured = self.work * 4_294_967_296.0 / elapsed.as_secs_f64();
        let ratio = measured / self.nominal_hash_rate;
        let max_target = self.max_target;
        if ratio.is_finite() && (1.0 / VARDIFF_TOLERANCE..VARDIFF_TOLERANCE).contains(&ratio) {
            self.work = 0.0;
            self.fitted = now;
            return None;
        }
        // Silence halves: it says only that the rate is lower.
        let estimate = if measured > 0.0 { measured } else { self.nominal_hash_rate / 2.0 };
        self.update(options, estimate, max_target, last_job, now)
    }

    /// The counters for a share: the worker's, if a name came with it.
    pub(super) fn user_of(
        &mut self,
        worker: Option<&[u8]>,
        register: impl FnOnce(&str) -> Arc<UserCounters>,
    ) -> Arc<UserCounters> {
        let Some(name) = worker else {
            return Arc::clone(&self.user);
        };
        if let Some(user) = self.workers.get(name) {
            return Arc::clone(user);
        }
        let user = register(&String::from_utf8_lossy(name));
        if self.workers.len() < MAX_WORKERS {
            self.workers.insert(name.into(), Arc::clone(&user));
        }
        user
    }

    /// Remembers a share's hash; `false` if it came before.
    pub(super) fn first_time(&mut self, hash: &BlockHash) -> bool {
        // The low half of the hash: the high one is zeros.
        let bytes = hash.as_byte_array();
        let low = u64::from_le_bytes(std::array::from_fn(|n| bytes[n]));
        self.seen.insert(low)
    }

    /// Accepted shares on this tip.
    pub(super) fn seen(&self) -> usize {
        self.seen.len()
    }

    /// The tip changed: shares of before cannot come again.
    pub(super) fn new_tip(&mut self, first_job: u32) {
        self.seen.clear();
        self.seen.shrink_to(1_024);
        self.goals.forget_before(first_job);
        self.prefixes.forget_before(first_job);
    }

    /// Books an accepted share; the acknowledgement, if that fills the batch (or must go out now).
    pub(super) fn accept(
        &mut self,
        sequence_number: u32,
        difficulty: f64,
        batch_size: u32,
        at_once: bool,
        now: Instant,
    ) -> Option<SubmitSharesSuccess> {
        self.work += difficulty;
        let batch = &mut self.batch;
        batch.count += 1;
        batch.difficulty += difficulty;
        batch.last_sequence_number = sequence_number;
        batch.since.get_or_insert(now);
        if batch.count >= batch_size || at_once { self.acknowledge() } else { None }
    }

    /// Acknowledges a batch that is older than this.
    pub(super) fn acknowledge_older(&mut self, age: Duration, now: Instant) -> Option<SubmitSharesSuccess> {
        let since = self.batch.since?;
        if now.saturating_duration_since(since) >= age { self.acknowledge() } else { None }
    }

    fn acknowledge(&mut self) -> Option<SubmitSharesSuccess> {
        let batch = std::mem::take(&mut self.batch);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the field is a whole number"
        )]
        let new_shares_sum = batch.difficulty as u64;
        (batch.count > 0).then_some(SubmitSharesSuccess {
            channel_id: self.id,
            last_sequence_number: batch.last_sequence_number,
            new_submits_accepted_count: batch.count,
            new_shares_sum,
        })
    }
}

/// The target that gives the wanted shares a minute at this hash rate, within both sides' limits.
fn goal(options: &DevPoolOptions, hash_rate: f64, max_target: Target) -> Goal {
    let hashes_per_share = hash_rate * 60.0 / options.shares_per_minute;
    let difficulty = (hashes_per_share / 4_294_967_296.0).max(options.easiest_difficulty);
    // Difficulty 0 is the easiest target there is.
    let target =
        Target::from_le_bytes(pow::Target::from_difficulty(difficulty).to_le_bytes()).min(max_target);
    // An all-zero target would have no difficulty.
    let target = target.max(Target::from_le_bytes(std::array::from_fn(|n| u8::from(n == 0))));
    Goal { target, difficulty: target.difficulty_float() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> DevPoolOptions {
        DevPoolOptions { shares_per_minute: 6.0, ..Default::default() }
    }

    fn channel(hash_rate: f64) -> Channel {
        let new = NewChannel {
            id: 7,
            is_standard: false,
            rollable_size: 8,
            prefix: vec![1],
            first_job: 5,
            user: Arc::default(),
            nominal_hash_rate: hash_rate,
            max_target: Target::from_le_bytes([0xff; 32]),
            now: Instant::now(),
        };
        Channel::new(new, &options())
    }

    #[test]
    fn the_target_gives_the_wanted_rate_of_shares() {
        for hash_rate in [1e6, 1e12, 1e18] {
            let difficulty = channel(hash_rate).goals.latest().difficulty;
            let per_minute = hash_rate * 60.0 / (difficulty * 4_294_967_296.0);
            assert!((per_minute / 6.0 - 1.0).abs() < 1e-3, "{hash_rate}: {per_minute}");
        }
        assert_eq!(channel(0.0).goals.latest().target, Target::from_le_bytes([0xff; 32]));
    }

    #[test]
    fn a_clients_maximum_target_and_the_pools_easiest_difficulty_both_hold() {
        let hard = Target::from_le_bytes(pow::Target::from_difficulty(1e6).to_le_bytes());
        assert_eq!(goal(&options(), 1.0, hard).target, hard);
        let floor = DevPoolOptions { easiest_difficulty: 2.0, ..options() };
        let free = Target::from_le_bytes([0xff; 32]);
        assert!((goal(&floor, 1.0, free).difficulty - 2.0).abs() < 1e-9);
        assert!(goal(&options(), 1.0, Target::ZERO).difficulty.is_finite());
    }

    #[test]
    fn a_new_target_holds_for_later_jobs_only() {
        let mut channel = channel(1e12);
        let before = *channel.goals.latest();
        let now = Instant::now();
        let target = channel.update(&options(), 2e12, Target::from_le_bytes([0xff; 32]), 9, now).unwrap();
        assert_eq!(channel.goals.at(4), None);
        assert_eq!(channel.goals.at(9), Some(&before));
        assert_eq!(channel.goals.at(10).unwrap().target, target);
        assert_eq!(channel.update(&options(), 2e12, Target::from_le_bytes([0xff; 32]), 10, now), None);
        channel.new_tip(10);
        assert_eq!(channel.goals.at(9), None);
        assert_eq!(channel.goals.at(10).unwrap().target, target);
    }

    #[test]
    fn batches_are_full_or_old_when_they_are_acknowledged() {
        let mut channel = channel(1e12);
        let now = Instant::now();
        assert!(channel.accept(1, 1.5, 3, false, now).is_none());
        assert!(channel.accept(2, 1.5, 3, false, now).is_none());
        let full = channel.accept(4, 1.5, 3, false, now).unwrap();
        assert_eq!(
            (full.last_sequence_number, full.new_submits_accepted_count, full.new_shares_sum),
            (4, 3, 4)
        );
        assert!(channel.acknowledge_older(Duration::ZERO, now).is_none());
        assert!(channel.accept(5, 1.0, 3, false, now).is_none());
        let later = now + Duration::from_secs(1);
        assert!(channel.acknowledge_older(Duration::from_secs(2), later).is_none());
        assert_eq!(
            channel.acknowledge_older(Duration::from_secs(1), later).unwrap().new_submits_accepted_count,
            1
        );
        assert_eq!(channel.accept(6, 1.0, 3, true, now).unwrap().new_submits_accepted_count, 1);
    }

    #[test]
    fn the_target_follows_the_work_that_arrives() {
        let mut channel = channel(1e12);
        let begin = Instant::now();
        let minute = Duration::from_secs(60);
        let fair = 1e12 * 60.0 / 4_294_967_296.0;
        channel.accept(1, fair, 10, false, begin);
        assert_eq!(channel.fit(&options(), minute, 9, begin + minute / 2), None);
        assert_eq!(channel.fit(&options(), minute, 9, begin + minute), None);
        channel.accept(2, 4.0 * fair, 10, false, begin);
        assert!(channel.fit(&options(), minute, 9, begin + 2 * minute).is_some());
        assert!((channel.nominal_hash_rate / 4e12 - 1.0).abs() < 1e-9);
        assert!(channel.fit(&options(), minute, 9, begin + 3 * minute).is_some());
        assert!((channel.nominal_hash_rate / 2e12 - 1.0).abs() < 1e-9);
    }
}
