//! Intervals cover the truth as often as they say, and estimates are right on average: receipts whose true work is known.
//!
//! Every share is drawn by itself. A miner's shares of its own difficulty come as a Poisson process; how far above that a share
//! is, is a coin for each doubling. Difficulties are changed by what came, as vardiff does, so that the receipt difficulty
//! may be raised by luck. All difficulties are powers of two; work is in units of the receipt difficulty that the terms give.

use std::fmt::Write as _;

use super::chance::Chance;
use crate::fixture::{header, terms};
use crate::{Ending, Figures, Interval, sampling, weighted};

/// What one simulated receipt says and what was true.
struct Outcome {
    /// What was to be expected, in shares.
    expected: f64,
    /// The true work, in shares of the receipt difficulty.
    truth: f64,
    shares: u64,
    /// The estimate of the hashrate by the true one.
    rate: f64,
}

/// A miner: its hashrate, and the difficulty that it was told.
struct Miner {
    rate: f64,
    /// How many shares of its own difficulty it is to bring in a step.
    wanted: f64,
    /// Two to the power of this, the terms' receipt difficulty being 0.
    assigned: i32,
}

/// Shares of a miner in a step of unit time, each by how many doublings it is above the terms' receipt difficulty (negative below).
fn shares(chance: &mut Chance, miner: &Miner, mut each: impl FnMut(f64, i32)) -> u32 {
    let per_share = f64::from(miner.assigned).exp2();
    let (mut at, mut count) = (0.0, 0);
    loop {
        at += chance.wait() * per_share / miner.rate;
        if at >= 1.0 {
            return count;
        }
        count += 1;
        each(at, miner.assigned.saturating_add_unsigned(chance.bits().trailing_zeros()));
    }
}

/// A farm of up to four miners of different sizes, that comes to `work` in so many steps of unit time.
fn farm(chance: &mut Chance, work: f64, steps: f64) -> Vec<Miner> {
    let sizes: Vec<f64> = (0..=chance.below(4)).map(|_| chance.factor(0.05, 1.0)).collect();
    let all: f64 = sizes.iter().sum();
    let wanted = chance.factor(4.0, 400.0);
    let rates = sizes.iter().map(|size| size / all * work / steps);
    rates
        .map(|rate| {
            // Right for it give or take two doublings.
            #[expect(clippy::cast_possible_truncation, reason = "a small logarithm")]
            let right = (rate / wanted).log2().floor() as i32;
            let off = i32::try_from(chance.below(5)).unwrap_or(0) - 2;
            Miner { rate, wanted, assigned: (right + off).min(0) }
        })
        .collect()
}

/// Vardiff: up when there were clearly too many, down when clearly too few, and hashrates change.
fn after_a_step(chance: &mut Chance, miner: &mut Miner, count: u32) {
    let count = f64::from(count);
    if count > 2.0 * miner.wanted {
        miner.assigned += 1;
    } else if count < miner.wanted / 3.0 {
        miner.assigned -= 1;
    }
    miner.assigned = miner.assigned.max(-12);
    miner.rate *= chance.factor(0.7, 1.0 / 0.7);
}

/// A period that time ends. The receipt difficulty is raised to the highest that a miner was told.
fn by_time(chance: &mut Chance) -> Outcome {
    const STEPS: u32 = 24;
    let work = chance.factor(0.05, 5_000.0);
    let mut miners = farm(chance, work, f64::from(STEPS));
    let (mut truth, mut highest) = (0.0, 0);
    // How many shares there are of each number of doublings above the terms' difficulty, and more.
    let mut above = [0_u64; 64];
    for _ in 0..STEPS {
        for miner in &mut miners {
            truth += miner.rate;
            highest = highest.max(miner.assigned);
            let count = shares(chance, miner, |_, doublings| {
                if let Ok(doublings) = usize::try_from(doublings) {
                    above[doublings.min(63)] += 1;
                }
            });
            after_a_step(chance, miner, count);
        }
    }
    let raised = usize::try_from(highest).unwrap_or(0);
    let shares = above[raised..].iter().sum();
    let truth = truth / f64::from(highest).exp2();
    Outcome { expected: truth, truth, shares, rate: crate::claim::float(u128::from(shares)) / truth }
}

/// So many shares of the receipt, the last of which ends it.
fn by_shares(chance: &mut Chance) -> Outcome {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 5,000")]
    let wanted = chance.factor(1.0, 5_000.0) as u64;
    // Hashes until the last of them, at a hashrate of one a unit of time.
    let truth: f64 = (0..wanted).map(|_| chance.wait()).sum();
    let (mut terms, each) = (terms(), f64::from(sampling::exponent(&terms())).exp2() * 4_294_967_296.0);
    terms.ending = Ending::Shares { count: wanted };
    let figures = Figures::of(wanted, &terms, &header(&terms));
    assert!(figures.last_ended_it);
    let seconds = crate::claim::float(u128::from(header(&terms).seconds()));
    let rate = figures.hashrate * seconds / each / truth;
    Outcome { expected: crate::claim::float(u128::from(wanted)), truth, shares: wanted, rate }
}

/// So much work by the books, in which every share counts at its own difficulty.
fn by_work(chance: &mut Chance) -> Outcome {
    let wanted = chance.factor(0.05, 5_000.0);
    let mut miners = farm(chance, wanted, 24.0);
    let (mut booked, mut truth, mut counted) = (0.0, 0.0, 0);
    'period: loop {
        // All miners' shares of a step in the order of time.
        let mut all = Vec::new();
        let counts: Vec<u32> = miners
            .iter()
            .map(|miner| shares(chance, miner, |at, doublings| all.push((at, miner.assigned, doublings))))
            .collect();
        all.sort_by(|(a, ..), (b, ..)| a.total_cmp(b));
        let rate: f64 = miners.iter().map(|miner| miner.rate).sum();
        for (at, assigned, doublings) in all {
            booked += f64::from(assigned).exp2();
            counted += u64::from(doublings >= 0);
            if booked >= wanted {
                truth += at * rate;
                break 'period;
            }
        }
        truth += rate;
        for (miner, count) in miners.iter_mut().zip(counts) {
            after_a_step(chance, miner, count);
            // The receipt difficulty is not raised while it runs: miners stay below it.
            miner.assigned = miner.assigned.min(0);
        }
    }
    Outcome { expected: wanted, truth, shares: counted, rate: 1.0 }
}

/// Up to four receipts of different difficulties, merged.
fn merged(chance: &mut Chance) -> (f64, f64, bool) {
    let (mut truth, mut parts) = (0.0, Vec::new());
    for _ in 0..2 + chance.below(3) {
        let one = by_time(chance);
        #[expect(clippy::cast_possible_truncation, reason = "0 to 5")]
        let weight = f64::from(chance.below(6) as u32).exp2();
        truth += weight * one.truth;
        parts.push((weight, one.shares));
    }
    let interval = weighted(&parts);
    let estimate =
        parts.iter().map(|(weight, shares)| weight * crate::claim::float(u128::from(*shares))).sum();
    (truth, estimate, interval.low <= truth && truth <= interval.high)
}

/// What many receipts come to, by how many shares are expected.
#[derive(Clone, Copy, Default)]
struct Tally {
    receipts: f64,
    covered: f64,
    truth: f64,
    estimate: f64,
    square: f64,
    rate: f64,
    rate_square: f64,
}

impl Tally {
    fn add(&mut self, truth: f64, estimate: f64, rate: f64, covered: bool) {
        self.receipts += 1.0;
        self.covered += f64::from(u8::from(covered));
        self.truth += truth;
        self.estimate += estimate;
        self.square += (estimate - truth) * (estimate - truth);
        self.rate += rate - 1.0;
        self.rate_square += (rate - 1.0) * (rate - 1.0);
    }

    fn coverage(&self) -> f64 {
        self.covered / self.receipts
    }

    /// By how much coverage may be off by chance: three standard deviations.
    fn chance(&self) -> f64 {
        3.0 * (0.05 * 0.95 / self.receipts).sqrt()
    }

    /// Sum of estimates by sum of truths, less one; and what chance leaves open, three standard deviations.
    fn bias(&self) -> (f64, f64) {
        (self.estimate / self.truth - 1.0, 3.0 * self.square.sqrt() / self.truth)
    }

    fn rate_bias(&self) -> (f64, f64) {
        (self.rate / self.receipts, 3.0 * self.rate_square.sqrt() / self.receipts)
    }
}

const BOUNDS: [f64; 5] = [5.0, 50.0, 500.0, 1_500.0, f64::INFINITY];
const NAMES: [&str; 5] = ["below 5", "5 to 50", "50 to 500", "500 to 1,500", "1,500 to 5,000"];

/// `receipts` of each kind; prints and checks the figures.
fn calibrate(receipts: u32) {
    let mut chance = Chance::new(6);
    let mut table = String::from(
        "| ended by | shares expected | receipts | covered | bias of work | bias of hashrate |\n",
    );
    type Kind = (&'static str, fn(&mut Chance) -> Outcome, bool);
    let kinds: [Kind; 3] = [
        ("time", by_time, true),
        ("a number of shares", by_shares, true),
        ("work by the books", by_work, false),
    ];
    let mut wrong = String::new();
    for (kind, simulate, rate) in kinds {
        let mut tallies = [Tally::default(); 5];
        let mut all = Tally::default();
        for _ in 0..receipts {
            let Outcome { expected, truth, shares, rate } = simulate(&mut chance);
            let interval = Interval::of(shares);
            let covered = interval.low <= truth && truth <= interval.high;
            let estimate = crate::claim::float(u128::from(shares));
            let bin = BOUNDS.iter().position(|bound| expected < *bound).unwrap_or(4);
            // A rate is known of some shares only.
            let rate = if shares > 1 { rate } else { 1.0 };
            tallies[bin].add(truth, estimate, rate, covered);
            all.add(truth, estimate, rate, covered);
        }
        for (bin, tally) in tallies.iter().enumerate() {
            let ((bias, chance), (rate_bias, rate_chance)) = (tally.bias(), tally.rate_bias());
            let shown_rate = if rate && bin > 1 {
                format!("{:+.3} % (± {:.3})", 100.0 * rate_bias, 100.0 * rate_chance)
            } else {
                String::new()
            };
            writeln!(
                table,
                "| {kind} | {} | {} | {:.2} % | {:+.3} % (± {:.3}) | {shown_rate} |",
                NAMES[bin],
                tally.receipts,
                100.0 * tally.coverage(),
                100.0 * bias,
                100.0 * chance
            )
            .expect("memory");
            let upper = if bin >= 2 { 0.965 + tally.chance() / 3.0 } else { 1.0 };
            if !(0.95 - tally.chance()..=upper).contains(&tally.coverage()) {
                writeln!(wrong, "{kind}, {}: covered {}", NAMES[bin], tally.coverage()).expect("memory");
            }
            if bias.abs() > chance || (bin > 1 && rate && rate_bias.abs() > rate_chance) {
                writeln!(wrong, "{kind}, {}: bias {bias} or {rate_bias}", NAMES[bin]).expect("memory");
            }
        }
        writeln!(table, "| {kind} | 0 to 5,000 | {} | {:.2} % | | |", all.receipts, 100.0 * all.coverage())
            .expect("memory");
        if all.coverage() < 0.95 {
            writeln!(wrong, "{kind}: covered {}", all.coverage()).expect("memory");
        }
    }
    let mut all = Tally::default();
    for _ in 0..receipts / 4 {
        let (truth, estimate, covered) = merged(&mut chance);
        all.add(truth, estimate, 1.0, covered);
    }
    let (bias, left) = all.bias();
    writeln!(
        table,
        "| merged, 2 to 4 of different difficulties | 0 to 5,000 each | {} | {:.2} % | {:+.3} % (± {:.3}) | |",
        all.receipts,
        100.0 * all.coverage(),
        100.0 * bias,
        100.0 * left
    )
    .expect("memory");
    println!("{table}");
    assert!(wrong.is_empty() && all.coverage() > 0.95 && bias.abs() < left, "{wrong}{table}");
}

#[test]
fn intervals_cover_and_estimates_have_no_bias() {
    calibrate(10_000);
}

/// As many as leave little to chance.
#[test]
#[ignore = "takes long"]
fn long_calibration() {
    calibrate(300_000);
}

/// Without chance: for each mean, the probability of the counts whose interval holds it.
#[test]
fn coverage_is_never_below_95_percent_whatever_the_mean() {
    let limits: Vec<_> = (0..5_600).map(Interval::of).collect();
    let coverage = |mean: f64| {
        let covering = (0_u32..).zip(&limits).filter(|(_, limit)| limit.low <= mean && mean <= limit.high);
        let mut ln_factorials = LnFactorials::default();
        covering.map(|(n, _)| (f64::from(n) * mean.ln() - mean - ln_factorials.of(n)).exp()).sum::<f64>()
    };
    let (mut lowest, mut sum, mut count) = (1.0_f64, 0.0, 0.0);
    let mut mean = 0.01;
    while mean < 5_000.0 {
        let covered = coverage(mean);
        lowest = lowest.min(covered);
        if mean >= 50.0 {
            sum += covered;
            count += 1.0;
        }
        mean *= 1.003;
    }
    println!("Garwood's interval: lowest coverage {lowest:.4}, {:.4} on average from 50 on", sum / count);
    assert!(lowest >= 0.95 - 1e-9, "{lowest}");
    assert!((0.94..0.965).contains(&(sum / count)));
}

/// `ln n!` for growing n.
#[derive(Default)]
struct LnFactorials {
    n: u32,
    sum: f64,
}

impl LnFactorials {
    fn of(&mut self, n: u32) -> f64 {
        while self.n < n {
            self.n += 1;
            self.sum += f64::from(self.n).ln();
        }
        self.sum
    }
}
