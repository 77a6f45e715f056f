//! The share-out by itself: farms without shares' noise, so that what is left is its own doing.

use proptest::prelude::*;

use super::*;

struct Farm {
    now: Duration,
    share_out: ShareOut,
    /// Goal, hashrate and meter of each miner.
    miners: Vec<(usize, f64, Arc<GroupMeter>)>,
    /// By goal, hashes.
    done: Vec<f64>,
    moves: usize,
}

impl Farm {
    fn new(weights: &[f64], hashrates: &[f64]) -> Self {
        let shares: Vec<_> =
            weights.iter().map(|weight| Share { weight: *weight, hashrate_max: None }).collect();
        let mut farm = Self {
            now: Duration::ZERO,
            share_out: ShareOut::new(&shares, 1, Duration::ZERO),
            miners: Vec::new(),
            done: vec![0.0; weights.len()],
            moves: 0,
        };
        for goal in 0..weights.len() {
            farm.share_out.set_present(goal, true, farm.now);
        }
        hashrates.iter().for_each(|hashrate| farm.join(*hashrate));
        farm
    }

    fn join(&mut self, hashrate: f64) {
        let goal = self.share_out.place(None);
        let meter = Arc::new(GroupMeter::default());
        meter.shift_hashrate(hashrate);
        let miner = MinerRef(self.miners.len() as u64);
        self.share_out.join(miner, goal, None, Arc::clone(&meter), hashrate, self.now);
        self.miners.push((goal, hashrate, meter));
    }

    fn second(&mut self) {
        self.now += Duration::from_secs(1);
        for (goal, hashrate, _) in &self.miners {
            self.done[*goal] += hashrate;
        }
        for Move { miner, to } in self.share_out.tick(self.now) {
            self.moves += 1;
            let (goal, hashrate, meter) = &mut self.miners[usize::try_from(miner.0).unwrap()];
            *goal = to;
            *meter = Arc::new(GroupMeter::default());
            meter.shift_hashrate(*hashrate);
            self.share_out.moved(miner, to, Arc::clone(meter), self.now);
        }
    }

    fn run(&mut self, seconds: u64) {
        (0..seconds).for_each(|_| self.second());
    }

    fn part(&self, goal: usize) -> f64 {
        self.done[goal] / self.done.iter().sum::<f64>()
    }
}

#[test]
fn a_lone_miner_is_sliced_in_time() {
    let mut farm = Farm::new(&[90.0, 10.0], &[1e14]);
    farm.run(3_600);
    assert!((farm.part(1) - 0.1).abs() < 0.001, "{}", farm.part(1));
    // Six seconds for the one, nearly a minute for the other.
    assert!((80..=140).contains(&farm.moves), "{} moves", farm.moves);
    let mut farm = Farm::new(&[50.0, 50.0], &[1e14]);
    farm.run(3_600);
    assert!((farm.part(1) - 0.5).abs() < 0.005, "{}", farm.part(1));
    // Twenty seconds each.
    assert!((160..=200).contains(&farm.moves), "{} moves", farm.moves);
}

#[test]
fn many_miners_are_assigned_and_seldom_moved() {
    let hashrates: Vec<f64> = (0..1_000).map(|n| 1e13 * f64::from(1 + n % 10)).collect();
    let mut farm = Farm::new(&[70.0, 20.0, 10.0], &hashrates);
    farm.run(3_600);
    for (goal, part) in [0.7, 0.2, 0.1].into_iter().enumerate() {
        assert!((farm.part(goal) - part).abs() < 0.003, "goal {goal}: {}", farm.part(goal));
    }
    assert!(farm.moves <= 6 * 1_000, "{} moves", farm.moves);
    // Each miner's own time is near the weights, too: nobody carries one goal for the others.
    let unfair = farm.share_out.members.iter().flat_map(|m| &m.owes).fold(0.0, |a: f64, b| a.max(b.abs()));
    assert!(unfair <= DEBT_MAX, "{unfair} s");
}

#[test]
fn what_an_absent_goal_would_have_had_goes_to_the_others_and_is_not_paid_back() {
    let mut farm = Farm::new(&[50.0, 30.0, 20.0], &[1e14, 2e14, 3e14, 1e14]);
    farm.run(1_200);
    farm.share_out.set_present(0, false, farm.now);
    farm.run(1);
    farm.done = vec![0.0; 3];
    farm.run(3_600);
    assert_eq!(farm.done[0], 0.0, "nobody mines for what is not there");
    assert!((farm.part(1) - 0.6).abs() < 0.01, "{}", farm.part(1));
    farm.share_out.set_present(0, true, farm.now);
    farm.done = vec![0.0; 3];
    farm.run(3_600);
    assert!((farm.part(0) - 0.5).abs() < 0.01, "{}", farm.part(0));
}

#[test]
fn a_pinned_miner_stays_while_its_goal_is_there() {
    let mut farm = Farm::new(&[50.0, 50.0], &[1e14, 1e14]);
    let goal = farm.share_out.place(Some(1));
    assert_eq!(goal, 1);
    let meter = Arc::new(GroupMeter::default());
    meter.shift_hashrate(5e14);
    farm.share_out.join(MinerRef(2), 1, Some(1), Arc::clone(&meter), 5e14, farm.now);
    farm.miners.push((1, 5e14, meter));
    let pinned = |farm: &Farm| farm.miners[2].0;
    for _ in 0..600 {
        farm.second();
        assert_eq!(pinned(&farm), 1);
    }
    farm.share_out.set_present(1, false, farm.now);
    farm.run(2);
    assert_eq!(pinned(&farm), 0, "it works all the same");
    farm.share_out.set_present(1, true, farm.now);
    farm.run(2);
    assert_eq!(pinned(&farm), 1);
}

#[test]
fn another_weight_holds_at_once() {
    let mut farm = Farm::new(&[50.0, 50.0], &[1e14; 40]);
    farm.run(600);
    farm.share_out.change(1, Share { weight: 0.0, hashrate_max: None });
    farm.share_out.change(0, Share { weight: 1.0, hashrate_max: None });
    farm.run(600);
    farm.done = vec![0.0; 2];
    farm.run(600);
    assert!(farm.part(1) < 0.01, "{}", farm.part(1));
}

#[test]
fn a_cap_holds() {
    let mut farm = Farm::new(&[50.0, 50.0], &[1e14; 20]);
    farm.share_out.change(1, Share { weight: 50.0, hashrate_max: Some(3e14) });
    farm.run(3_600);
    let hashrate = farm.done[1] / 3_600.0;
    assert!((hashrate / 3e14 - 1.0).abs() < 0.02, "{hashrate:e}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn whatever_the_farm_the_work_comes_out_in_the_weights(
        weights in prop::collection::vec(1u32..=100, 2..5),
        hashrates in prop::collection::vec(1u32..=1_000, 1..40),
    ) {
        let weights: Vec<f64> = weights.iter().map(|w| f64::from(*w)).collect();
        let hashrates: Vec<f64> = hashrates.iter().map(|h| f64::from(*h) * 1e12).collect();
        let mut farm = Farm::new(&weights, &hashrates);
        farm.run(3_600);
        let whole: f64 = weights.iter().sum();
        for (goal, weight) in weights.iter().enumerate() {
            let off = (farm.part(goal) - weight / whole).abs();
            prop_assert!(off < 0.005, "goal {goal} of {weights:?} has {} after {} moves", farm.part(goal), farm.moves);
        }
        // No more than the smallest stay allows for the biggest miner, and the bound for the rest.
        prop_assert!(farm.moves <= 3_600);
    }
}
