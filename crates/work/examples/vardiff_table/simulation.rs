//! A simulated miner in front of a vardiff, and the watch that both vardiffs are judged by.

use std::time::Duration;

use work::hashrate::HASHES_PER_DIFFICULTY;
use work::vardiff::{Settings, Start, Vardiff, is_urgent};

use crate::luck::Luck;

/// When a change of difficulty reaches the miner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Firmware {
    /// 0.1 s later: the current job is sent again with every change.
    AtOnce,
    /// With the next job, one every 30 s.
    NextJob,
    /// With the next job, one every 30 s, but the vardiff is told that it holds at once.
    NextJobUnknown,
    /// As advised: urgent changes at once, the others with the next job.
    UrgentAtOnce,
}

const LATENCY: f64 = 0.1;
const JOB_EVERY: f64 = 30.0;

/// A miner's story.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    /// Hashrate that the first difficulty is made for, hashes per second.
    pub(crate) guess: f64,
    /// That first difficulty is a memory of the worker's, not the configured guess.
    pub(crate) remembered: bool,
    /// True hashrate until the watch begins, hashes per second.
    pub(crate) before: f64,
    /// Seconds until the watch begins.
    pub(crate) warm_up: f64,
    /// True hashrate from then on.
    pub(crate) hashrate: f64,
    /// Seconds to watch.
    pub(crate) watch: f64,
    /// The trial ends as soon as it has converged.
    pub(crate) until_converged: bool,
    pub(crate) firmware: Firmware,
}

/// What one trial came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    /// Seconds until it had converged.
    pub(crate) converged: Option<f64>,
    /// Seconds watched, and of them those outside a factor 1.5 and 2 of the ideal.
    pub(crate) watched: f64,
    pub(crate) outside_1_5: f64,
    pub(crate) outside_2: f64,
    /// Changes of difficulty.
    pub(crate) changes: f64,
}

/// Converged = within a factor 1.5 of the ideal difficulty at a point after which it stays within a factor 2 for
/// five minutes. The difficulty looked at is the one that the miner works at.
pub(crate) struct Watch {
    ideal: f64,
    from: f64,
    at: f64,
    /// How far off, as a factor of at least 1.
    off: f64,
    since: Option<f64>,
    pub(crate) outcome: Outcome,
}

const STAY: f64 = 300.0;

impl Watch {
    pub(crate) fn new(ideal: f64, from: f64, difficulty: f64) -> Self {
        let mut watch = Self { ideal, from, at: from, off: 1.0, since: None, outcome: Outcome::default() };
        watch.turn(difficulty);
        watch
    }

    /// Time passed with the difficulty as it was.
    pub(crate) fn pass(&mut self, now: f64) {
        let elapsed = now - self.at;
        self.at = now;
        self.outcome.watched += elapsed;
        self.outcome.outside_1_5 += if self.off > 1.5 { elapsed } else { 0.0 };
        self.outcome.outside_2 += if self.off > 2.0 { elapsed } else { 0.0 };
        if let Some(since) = self.since.filter(|since| now >= since + STAY) {
            self.outcome.converged.get_or_insert(since - self.from);
        }
    }

    /// The difficulty changed.
    pub(crate) fn turn(&mut self, difficulty: f64) {
        let ratio = difficulty / self.ideal;
        self.off = ratio.max(1.0 / ratio);
        if self.off > 2.0 {
            self.since = None;
        } else if self.off <= 1.5 {
            self.since.get_or_insert(self.at);
        }
    }
}

/// One trial of this crate's vardiff.
pub(crate) fn trial(settings: &Settings, scenario: &Scenario, seed: u64) -> Outcome {
    let luck = &mut Luck::new(seed);
    let time = Duration::from_secs_f64;
    let guess = settings.difficulty_of(scenario.guess);
    let start = Start { remembered: scenario.remembered.then_some(guess), ..Start::guess(guess) };
    let ideal = settings.difficulty_of(scenario.hashrate);
    let mut vardiff = Vardiff::new(settings, &start, time(0.0));
    let mut hashrate = scenario.before;
    // What the miner works at; what is on its way to it; what waits for the next job.
    let mut mined = vardiff.difficulty();
    let mut sent: Option<(f64, f64)> = None;
    let mut waiting: Option<f64> = None;
    vardiff.set_in_force(mined, time(0.0));
    let mut job = if scenario.firmware == Firmware::AtOnce { f64::MAX } else { JOB_EVERY * luck.uniform() };
    let mut watch: Option<Watch> = None;
    let end = scenario.warm_up + scenario.watch;
    let mut now = 0.0;
    loop {
        let share = now + luck.wait() * mined * HASHES_PER_DIFFICULTY / hashrate;
        let deadline =
            vardiff.deadline(settings).map_or(f64::MAX, |deadline| deadline.as_secs_f64().max(now));
        let arrives = sent.map_or(f64::MAX, |(at, _)| at);
        let begins = if watch.is_none() { scenario.warm_up } else { f64::MAX };
        now = share.min(deadline).min(arrives).min(begins).min(job).min(end);
        if let Some(watch) = &mut watch {
            watch.pass(now);
            if now >= end || scenario.until_converged && watch.outcome.converged.is_some() {
                return watch.outcome;
            }
        }
        let was = mined;
        let mut wish = None;
        if now == begins {
            hashrate = scenario.hashrate;
            watch = Some(Watch::new(ideal, now, mined));
        } else if now == arrives {
            mined = sent.take().map_or(mined, |(_, difficulty)| difficulty);
        } else if now == job {
            job += JOB_EVERY;
            if let Some(difficulty) = waiting.take() {
                mined = difficulty;
                if scenario.firmware != Firmware::NextJobUnknown {
                    vardiff.set_in_force(mined, time(now));
                }
            }
        } else if now == share {
            wish = vardiff.on_share(settings, mined, time(now));
        } else {
            wish = vardiff.on_deadline(settings, time(now));
        }
        if let Some(wish) = wish {
            if let Some(watch) = &mut watch {
                watch.outcome.changes += 1.0;
            }
            let at_once = match scenario.firmware {
                Firmware::AtOnce => true,
                Firmware::NextJob | Firmware::NextJobUnknown => false,
                Firmware::UrgentAtOnce => is_urgent(mined, wish),
            };
            if at_once {
                (sent, waiting) = (Some((now + LATENCY, wish)), None);
            } else {
                waiting = Some(wish);
            }
            if at_once || scenario.firmware == Firmware::NextJobUnknown {
                vardiff.set_in_force(wish, time(now));
            }
        }
        if let Some(watch) = watch.as_mut().filter(|_| mined != was) {
            watch.turn(mined);
        }
    }
}
