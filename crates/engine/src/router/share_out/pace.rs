//! How fast one miner works, measured over as long as it keeps its pace.

use std::sync::Arc;
use std::time::Duration;

use work::hashrate::HASHES_PER_DIFFICULTY;

use crate::feed::GroupMeter;

/// With fewer shares vardiff's own estimate is better.
const SHARES: u64 = 30;
/// The newest part is held against the rest when it is this old and as many shares were to be expected in it.
const LOOK: Duration = Duration::from_secs(120);
const LOOK_SHARES: f64 = 20.0;
/// So many standard deviations apart it is another pace, and what was before it no longer counts.
const APART: f64 = 4.0;
/// What is older than twice this no longer counts either.
const HALF: Duration = Duration::from_secs(1_800);

/// What was done until a moment.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at: Duration,
    work: f64,
    shares: u64,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    meter: Arc<GroupMeter>,
    /// What was done on meters before this one.
    before: (f64, u64),
    since: Mark,
    half: Mark,
    newest: Mark,
    rate: f64,
}

impl Pace {
    pub(super) fn new(meter: Arc<GroupMeter>, guess: f64, now: Duration) -> Self {
        let mark = Mark { at: now, work: 0.0, shares: 0 };
        Self { meter, before: (0.0, 0), since: mark, half: mark, newest: mark, rate: guess.max(0.0) }
    }

    /// The miner has another meter from now on.
    pub(super) fn goes_on(&mut self, meter: Arc<GroupMeter>) {
        self.before = (self.before.0 + self.meter.work(), self.before.1 + self.meter.shares());
        self.meter = meter;
    }

    /// Hashes per second at the last look.
    pub(super) fn rate(&self) -> f64 {
        self.rate
    }

    /// Reads the meter.
    pub(super) fn look(&mut self, now: Duration) {
        let mark = Mark {
            at: now,
            work: self.before.0 + self.meter.work(),
            shares: self.before.1 + self.meter.shares(),
        };
        if now.saturating_sub(self.half.at) >= HALF {
            self.since = self.half;
            self.half = mark;
        }
        let all = Stretch::between(self.since, mark);
        if all.shares < SHARES {
            let told = self.meter.hashrate();
            if told > 0.0 {
                self.rate = told;
            }
            self.newest = mark;
            return;
        }
        self.rate = all.rate();
        let new = Stretch::between(self.newest, mark);
        let expected = all.shares as f64 / all.seconds * new.seconds;
        if new.seconds < LOOK.as_secs_f64() || expected.max(new.shares as f64) < LOOK_SHARES {
            return;
        }
        let deviation = all.rate() / (new.shares as f64).max(LOOK_SHARES / 2.0).sqrt();
        if (new.rate() - all.rate()).abs() > APART * deviation {
            (self.since, self.half) = (self.newest, self.newest);
            self.rate = new.rate();
        }
        self.newest = mark;
    }
}

struct Stretch {
    seconds: f64,
    work: f64,
    shares: u64,
}

impl Stretch {
    fn between(from: Mark, to: Mark) -> Self {
        Self {
            seconds: to.at.saturating_sub(from.at).as_secs_f64().max(1e-3),
            work: (to.work - from.work).max(0.0),
            shares: to.shares.saturating_sub(from.shares),
        }
    }

    fn rate(&self) -> f64 {
        self.work * HASHES_PER_DIFFICULTY / self.seconds
    }
}
