//! Fuzz targets: what bytes from outside may never break, whatever they are.
//!
//! Each target is a function of bytes that panics when a promise is broken. The same functions are run
//! - by `cargo test -p adit-fuzz`, over the committed corpus and a bounded number of seeded mutations of it;
//! - by libFuzzer, guided by coverage, on the stable toolchain (feature `guided`, script `crates/fuzz/run`);
//! - by `cargo run -p adit-fuzz -- TARGET FILE...`, over single inputs.
//!
//! `docs/fuzzing.md` says what each promises and how to add one.

pub mod coinbases;
pub mod configuration;
mod cursor;
pub mod engine_actions;
pub mod first_bytes;
pub mod job_declaration;
pub mod jobs;
pub mod ledger_segments;
pub mod mutate;
pub mod noise_transport;
pub mod receipts;
pub mod sv1_lines;
pub mod sv2_frames;
pub mod sv2_miner;
pub mod template_distribution;

/// A fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: that of its module and of its corpus's folder.
    pub name: &'static str,
    /// Takes any bytes; panics when a promise is broken.
    pub run: fn(&[u8]),
    /// The same with a mistake made on purpose between the product and the checks, for the test that the checks
    /// can fail.
    pub planted: fn(&[u8]),
    /// The longest input that is worth its time, in bytes.
    pub max_len: usize,
}

/// Every target.
pub const TARGETS: [Target; 13] = [
    Target {
        name: "sv1_lines",
        run: sv1_lines::target,
        planted: |data| sv1_lines::check(data, true),
        max_len: 4_096,
    },
    Target {
        name: "sv2_frames",
        run: sv2_frames::target,
        planted: |data| sv2_frames::check(data, true),
        max_len: 4_096,
    },
    Target {
        name: "noise_transport",
        run: noise_transport::target,
        planted: |data| noise_transport::check(data, true),
        max_len: 1_024,
    },
    Target {
        name: "configuration",
        run: configuration::target,
        planted: |data| configuration::check(data, true),
        max_len: 4_096,
    },
    Target {
        name: "engine_actions",
        run: engine_actions::target,
        planted: |data| engine_actions::check(data, true),
        max_len: 2_048,
    },
    Target {
        name: "coinbases",
        run: coinbases::target,
        planted: |data| coinbases::check(data, true),
        max_len: 1_024,
    },
    Target { name: "jobs", run: jobs::target, planted: |data| jobs::check(data, true), max_len: 1_024 },
    Target {
        name: "template_distribution",
        run: template_distribution::target,
        planted: |data| template_distribution::check(data, true),
        max_len: 1_024,
    },
    Target {
        name: "job_declaration",
        run: job_declaration::target,
        planted: |data| job_declaration::check(data, true),
        max_len: 512,
    },
    Target {
        name: "first_bytes",
        run: first_bytes::target,
        planted: |data| first_bytes::check(data, true),
        max_len: 1_024,
    },
    Target {
        name: "sv2_miner",
        run: sv2_miner::target,
        planted: |data| sv2_miner::check(data, true),
        max_len: 2_048,
    },
    Target {
        name: "ledger_segments",
        run: ledger_segments::target,
        planted: |data| ledger_segments::check(data, true),
        max_len: 2_048,
    },
    Target {
        name: "receipts",
        run: receipts::target,
        planted: |data| receipts::check(data, true),
        max_len: 1_024,
    },
];

/// The target of that name.
#[must_use]
pub fn find(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}
