//! The committed corpus, a bounded number of mutations of it, and the proof that each target can fail.

#![expect(clippy::print_stderr, reason = "how to replay a failure")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use adit_fuzz::mutate::Seeded;
use adit_fuzz::{Target, find};

/// The committed inputs of a target, in the order of their names.
fn corpus(target: Target) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let entries = std::fs::read_dir(&folder).expect("every target has a corpus");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
        .iter()
        .map(|file| (file.display().to_string(), std::fs::read(file).expect("a readable file")))
        .collect()
}

fn inputs(target: Target) -> Vec<Vec<u8>> {
    corpus(target).into_iter().map(|(_, data)| data).collect()
}

/// Runs the corpus and `count` mutations of it. A failure names the input, which is left in a file.
fn run(name: &str, count: u64) {
    let target = find(name).expect("a target of that name");
    for (file, data) in corpus(target) {
        attempt(target, &data, &file);
    }
    let inputs = inputs(target);
    for seed in 0..count {
        let data = Seeded::new(seed).mutate(&inputs, target.max_len);
        attempt(target, &data, &format!("seed {seed}"));
    }
}

fn attempt(target: Target, data: &[u8], origin: &str) {
    let result = catch_unwind(AssertUnwindSafe(|| (target.run)(data)));
    if let Err(panic) = result {
        let file = std::env::temp_dir().join(format!("adit-fuzz-{}-{}", target.name, std::process::id()));
        std::fs::write(&file, data).expect("the temporary folder can be written");
        eprintln!(
            "{} fails for {origin}; replay with: cargo run -p adit-fuzz --bin replay -- {} {}",
            target.name,
            target.name,
            file.display()
        );
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn sv1_lines() {
    run("sv1_lines", 20_000);
}

#[test]
fn sv2_frames() {
    run("sv2_frames", 20_000);
}

#[test]
fn noise_transport() {
    run("noise_transport", 1_000);
}

#[test]
fn configuration() {
    run("configuration", 5_000);
}

#[test]
fn engine_actions() {
    run("engine_actions", 2_000);
}

#[test]
fn jobs() {
    run("jobs", 5_000);
}

#[test]
fn coinbases() {
    run("coinbases", 5_000);
}

#[test]
fn template_distribution() {
    run("template_distribution", 5_000);
}

#[test]
fn job_declaration() {
    run("job_declaration", 1_000);
}

#[test]
fn first_bytes() {
    run("first_bytes", 20_000);
}

#[test]
fn sv2_miner() {
    run("sv2_miner", 5_000);
}

#[test]
fn ledger_segments() {
    run("ledger_segments", 20_000);
}

#[test]
fn receipts() {
    run("receipts", 5_000);
}

/// With a mistake made on purpose, the corpus alone makes each target fail.
#[test]
fn every_target_can_fail() {
    for target in adit_fuzz::TARGETS {
        let inputs = inputs(target);
        let found = inputs.iter().filter(|data| catch_unwind(|| (target.planted)(data)).is_err()).count();
        assert!(found > 0, "{}: {} inputs, and none finds the planted mistake", target.name, inputs.len());
    }
}
