//! What vardiff promises: fast from anywhere, still when settled, and never a nonsense difficulty. The figures of
//! `docs/vardiff.md` are from the same stories with more trials.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts and seconds of a simulation"
)]

#[expect(dead_code, reason = "shared with the example, which draws more kinds of luck")]
#[path = "../examples/vardiff_table/luck.rs"]
mod luck;
#[path = "../examples/vardiff_table/rows.rs"]
mod rows;
#[path = "../examples/vardiff_table/simulation.rs"]
mod simulation;

use std::time::Duration;

use luck::Luck;
use proptest::prelude::*;
use rows::{Kind, Row, Summary, rows};
use simulation::trial;
use work::vardiff::{Settings, Start, Vardiff};

/// Trials of a row; seeds are fixed, so each run is the same run.
const TRIALS: u64 = 500;

fn run(row: &Row, trials: u64) -> Summary {
    let settings = Settings::default();
    let outcomes: Vec<_> = (0..trials).map(|seed| trial(&settings, &row.scenario, seed)).collect();
    Summary::of(&outcomes)
}

#[test]
fn cold_starts_and_steps_converge_within_five_minutes_and_half_of_them_within_one() {
    for row in rows().iter().filter(|row| row.kind == Kind::Goal) {
        let summary = run(row, TRIALS);
        // 99.9 % of 500 is all but half a trial.
        assert!(
            summary.within(300.0) >= 1.0 - 1.0 / TRIALS as f64,
            "{}: {}",
            row.name,
            summary.within(300.0)
        );
        assert!(summary.quantile(0.5) < 60.0, "{}: median {} s", row.name, summary.quantile(0.5));
    }
}

#[test]
fn late_firmware_and_wild_steps_converge_as_well() {
    for row in rows().iter().filter(|row| row.kind == Kind::Convergence) {
        let summary = run(row, 200);
        assert!(summary.within(300.0) >= 0.99, "{}: {}", row.name, summary.within(300.0));
        assert!(summary.quantile(0.5) < 90.0, "{}: median {} s", row.name, summary.quantile(0.5));
    }
}

#[test]
fn a_settled_miner_is_left_alone() {
    for row in rows().iter().filter(|row| row.kind == Kind::Steady) {
        let summary = run(row, TRIALS);
        assert!(summary.outside_2() < 0.001, "{}: {}", row.name, summary.outside_2());
        assert!(summary.outside_1_5() < 0.02, "{}: {}", row.name, summary.outside_1_5());
        assert!(summary.changes_per_hour() < 45.0, "{}: {}", row.name, summary.changes_per_hour());
    }
}

#[test]
fn held_down_by_its_source_a_miner_is_measured_better_not_more_restlessly() {
    let settings = Settings::default();
    let mut luck = Luck::new(7);
    let mut vardiff = Vardiff::new(&settings, &Start::guess(10.0), Duration::ZERO);
    // The source's difficulty is 10, the miner's own would be 300: thirty times the share rate aimed at, for a day.
    vardiff.set_in_force(10.0, Duration::ZERO);
    let (mut now, mut wishes) = (0.0, 0);
    while now < 86_400.0 {
        now += luck.wait() * 0.1;
        wishes += u32::from(vardiff.on_share(&settings, 10.0, Duration::from_secs_f64(now)).is_some());
    }
    assert!(wishes < 24, "{wishes}");
}

#[derive(Clone, Debug)]
enum Act {
    Share { credited: f64 },
    ShareOfTheDifficultyInForce,
    Deadline,
    InForce { difficulty: f64 },
    Obey,
    Pause,
}

fn acts() -> impl Strategy<Value = (f64, Act)> {
    let act = prop_oneof![
        1 => any::<f64>().prop_map(|credited| Act::Share { credited }),
        4 => Just(Act::ShareOfTheDifficultyInForce),
        4 => Just(Act::Deadline),
        1 => any::<f64>().prop_map(|difficulty| Act::InForce { difficulty }),
        2 => Just(Act::Obey),
        1 => Just(Act::Pause),
    ];
    (prop_oneof![Just(0.0), -5.0..5.0, 0.0..1e-3, 0.0..1e6], act)
}

proptest! {
    #[test]
    fn whatever_happens_the_difficulty_is_one_and_deadlines_move_on(
        numbers in proptest::array::uniform8(any::<f64>()),
        acts in proptest::collection::vec(acts(), 1..300),
    ) {
        let [rate, min, max, suggested, minimum, fixed, remembered, guess] = numbers;
        for settings in [Settings::default(), Settings { shares_per_minute: rate, min, max }] {
            let start = Start {
                suggested: Some(suggested),
                minimum: Some(minimum),
                fixed: (fixed > 0.0).then_some(fixed),
                remembered: Some(remembered),
                default_guess: guess,
            };
            for start in [start, Start::guess(guess)] {
                let mut now = Duration::from_secs(1000);
                let mut vardiff = Vardiff::new(&settings, &start, now);
                let mut told = vardiff.difficulty();
                for (passed, act) in &acts {
                    let then = now.as_secs_f64() + passed;
                    now = Duration::from_secs_f64(then.max(0.0));
                    let wish = match *act {
                        Act::Share { credited } => vardiff.on_share(&settings, credited, now),
                        Act::ShareOfTheDifficultyInForce => vardiff.on_share(&settings, told, now),
                        Act::InForce { difficulty } => {
                            vardiff.set_in_force(difficulty, now);
                            None
                        }
                        Act::Obey => {
                            told = vardiff.difficulty();
                            vardiff.set_in_force(told, now);
                            None
                        }
                        Act::Pause => {
                            vardiff.pause();
                            None
                        }
                        Act::Deadline => match vardiff.deadline(&settings) {
                            Some(due) => {
                                now = now.max(due);
                                let wish = vardiff.on_deadline(&settings, now);
                                if let Some(next) = vardiff.deadline(&settings) {
                                    prop_assert!(next > now, "{next:?} {now:?} {vardiff:?}");
                                }
                                wish
                            }
                            None => None,
                        },
                    };
                    let difficulty = vardiff.difficulty();
                    prop_assert!(difficulty.is_finite() && difficulty > 0.0);
                    prop_assert!(wish.is_none_or(|wish| wish == difficulty));
                    let hashrate = vardiff.hashrate(now);
                    prop_assert!(hashrate.value.is_finite() && hashrate.high95.is_finite());
                    prop_assert!(hashrate.low95 <= hashrate.value && hashrate.value <= hashrate.high95);
                }
            }
        }
    }
}
