//! Runs the simulator.
//!
//! ```text
//! cargo run --release -p adit-lab --features sim --example simulate -- --seeds 0..2000 --threads 2
//! cargo run --release -p adit-lab --features sim --example simulate -- --seed 17 --trace
//! ```
use lab::sim::{RunOptions, run};
fn main() {
    let seed: u64 = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    let to: u64 = std::env::args().nth(2).and_then(|s| s.parse().ok()).unwrap_or(seed + 1);
    let faults: usize = std::env::args().nth(3).and_then(|s| s.parse().ok()).unwrap_or(0);
    let trace = std::env::args().nth(4).is_some();
    for seed in seed..to {
        let began = std::time::Instant::now();
        let mut options = RunOptions::hour(seed);
        options.faults = faults;
        let teller: Option<Box<dyn FnMut(&str)>> = if trace { Some(Box::new(|line: &str| println!("{line}"))) } else { None };
        let report = run(&options, teller);
        println!("seed {seed}: {:?} events {} submitted {} acked {} blocks {} fanout {} hash {:x}", began.elapsed(), report.events, report.submitted, report.acknowledged, report.blocks, report.longest_fanout, report.event_hash);
        for v in report.violations { println!("   {v}"); }
    }
}
