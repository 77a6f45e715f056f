//! The published threshold ladder of `channels_sv2`, driven as its makers' translator drives it: one look at every
//! miner each 60 s, a new target for what it returns.

use std::time::{SystemTime, UNIX_EPOCH};

use bitcoin::Target;
use channels_sv2::target::hash_rate_to_target;
use channels_sv2::{Vardiff, VardiffState};
use work::hashrate::HASHES_PER_DIFFICULTY;

use crate::luck::Luck;
use crate::simulation::{Outcome, Scenario, Watch};

const LOOK_EVERY: f64 = 60.0;

/// One trial. Every change holds at once, and its targets are not rounded to powers of two: both are in its favour.
/// The miner joins at any moment between two looks.
pub(crate) fn trial(shares_per_minute: f32, scenario: &Scenario, seed: u64) -> Outcome {
    let luck = &mut Luck::new(seed);
    let difficulty_of =
        |hashrate: f64| hashrate / HASHES_PER_DIFFICULTY * 60.0 / f64::from(shares_per_minute);
    let mut believed = scenario.guess as f32;
    let mut target =
        hash_rate_to_target(f64::from(believed), f64::from(shares_per_minute)).expect("a finite hashrate");
    let mut hashrate = scenario.before;
    let (mut shares, mut last) = (0.0, 0.0_f64);
    let mut look = LOOK_EVERY * luck.uniform();
    let mut watch: Option<Watch> = None;
    let end = scenario.warm_up + scenario.watch;
    let mut now = 0.0;
    loop {
        let mined = difficulty(target);
        let begins = if watch.is_none() { scenario.warm_up } else { f64::MAX };
        let next = look.min(begins).min(end);
        shares += luck.count((next - now) * hashrate / (mined * HASHES_PER_DIFFICULTY));
        now = next;
        if let Some(watch) = &mut watch {
            watch.pass(now);
            if now >= end || scenario.until_converged && watch.outcome.converged.is_some() {
                return watch.outcome;
            }
        }
        if now == begins {
            hashrate = scenario.hashrate;
            watch = Some(Watch::new(difficulty_of(hashrate), now, mined));
            continue;
        }
        look += LOOK_EVERY;
        let count = shares.min(f64::from(u32::MAX)) as u32;
        let elapsed = (now.floor() - last.floor()) as u64;
        if let Some(new) = look_at(count, elapsed, believed, &target, shares_per_minute) {
            (believed, shares, last) = (new, 0.0, now);
            target =
                hash_rate_to_target(f64::from(new), f64::from(shares_per_minute)).expect("a finite hashrate");
            if let Some(watch) = &mut watch {
                watch.outcome.changes += 1.0;
                watch.turn(difficulty(target));
            }
        }
    }
}

/// The ladder reads the clock itself, in whole seconds: it is shown a last update so far in the past, as its own
/// tests do, and asked again should the second have turned meanwhile.
#[expect(
    clippy::disallowed_methods,
    reason = "the ladder reads this clock, so its past can only be told by it"
)]
fn look_at(shares: u32, elapsed: u64, believed: f32, target: &Target, shares_per_minute: f32) -> Option<f32> {
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    loop {
        let second = clock();
        let mut ladder = VardiffState::new().expect("a clock after 1970");
        ladder.set_shares_since_last_update(shares);
        ladder.set_timestamp_of_last_update(second - elapsed);
        let looked = ladder.try_vardiff(believed, target, shares_per_minute).expect("a clock after 1970");
        if clock() == second {
            return looked;
        }
    }
}

/// The difficulty of a target, in 2^32 hashes.
fn difficulty(target: Target) -> f64 {
    let target = target.to_be_bytes().iter().fold(0.0, |sum, &byte| sum * 256.0 + f64::from(byte));
    2.0_f64.powi(256) / (target + 1.0) / HASHES_PER_DIFFICULTY
}
