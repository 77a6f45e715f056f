//! What a share costs: the raw hash as a floor, its parts, and the whole judgement.
//!
//! The share is that of the figures in `docs/performance.md`: a coinbase of 250 bytes, a merkle path of 12, a header.
//! Beside the parts stands the same work through other implementations of SHA-256.

#![expect(clippy::unwrap_used, reason = "constants of the benchmark")]

use std::hint::black_box;
use std::sync::Arc;

use bitcoin::hashes::{Hash as _, sha256d as other};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sha2::{Digest as _, Sha256};
use work::{
    ChannelJob, ChannelTerms, Difficulty, Header, Job, JobParts, Limits, MinerId, Seconds, SourceId,
    Submission, Target, Validator, merkle, sha256d,
};

const MASK: u32 = 0x1fff_e000;

fn job() -> Arc<ChannelJob> {
    // 42 bytes, 48 of script before the extranonce of 16; two outputs and a commitment: 250 bytes with it.
    let prefix =
        [hex::decode(format!("0200000001{}ffffffff46", "00".repeat(32))).unwrap(), vec![3; 48]].concat();
    let mut suffix = vec![5; 6];
    suffix.extend([0xff; 4]);
    suffix.push(3);
    for script in [34u8, 25, 38] {
        suffix.extend([1, 0, 0, 0, 0, 0, 0, 0, script]);
        suffix.extend(vec![0x51; usize::from(script)]);
    }
    suffix.extend([0; 4]);
    let len = prefix.len() + 16 + suffix.len();
    assert!((240..=260).contains(&len), "{len}");
    let parts = JobParts {
        id: 1,
        version: 0x2000_0000,
        version_rolling_allowed: true,
        prev_hash: [1; 32],
        nbits: 0x1702_4781,
        min_ntime: 1_700_000_000,
        merkle_path: (0..12).map(|node| [node; 32]).collect(),
        coinbase_tx_prefix: prefix.into(),
        coinbase_tx_suffix: suffix.into(),
    };
    let terms = ChannelTerms {
        source: SourceId(0),
        generation: 0,
        extranonce_prefix: &[0xbe; 8],
        filler: &[],
        source_target: Target::from_difficulty(Difficulty::ONE),
        ntime_slack: 600,
        received_at: Seconds(0),
    };
    Arc::new(ChannelJob::new(Arc::new(Job::new(parts, 16).unwrap()), terms).unwrap())
}

fn parts(c: &mut Criterion) {
    let job = job();
    let mut group = c.benchmark_group("parts");
    let header =
        Header { version: 1, prev_hash: [1; 32], merkle_root: [2; 32], ntime: 3, nbits: 4, nonce: 5 };
    let bytes = header.to_bytes();
    group.bench_function("header, 80 bytes (the floor)", |b| {
        b.iter(|| sha256d::hash_header(black_box(&bytes)))
    });
    group.bench_function("header, by sha2's Digest", |b| {
        b.iter(|| Sha256::digest(Sha256::digest(black_box(&bytes))));
    });
    group.bench_function("header, by bitcoin_hashes", |b| b.iter(|| other::Hash::hash(black_box(&bytes))));
    let path = job.job.merkle_path.clone();
    group.bench_function("merkle path of 12", |b| b.iter(|| merkle::root(black_box([9; 32]), &path)));
    group.bench_function("merkle path of 12, by bitcoin_hashes", |b| {
        b.iter(|| {
            path.iter().fold(black_box([9; 32]), |node, sibling| {
                let mut pair = [0; 64];
                pair[..32].copy_from_slice(&node);
                pair[32..].copy_from_slice(sibling);
                other::Hash::hash(&pair).to_byte_array()
            })
        });
    });
    let rolled = [7; 8];
    group.bench_function("coinbase of 250 bytes, from its midstate", |b| {
        b.iter(|| job.coinbase_txid(black_box(&[&rolled])));
    });
    let coinbase = job.coinbase(&rolled);
    group.bench_function("coinbase of 250 bytes, whole", |b| b.iter(|| sha256d::hash(black_box(&coinbase))));
    let difficulty = Difficulty::new(123_456.789).unwrap();
    group.bench_function("target of a difficulty", |b| b.iter(|| black_box(difficulty).target()));
    let target = difficulty.target();
    group.bench_function("difficulty of a target", |b| b.iter(|| black_box(target).difficulty()));
    group.finish();
}

fn whole(c: &mut Criterion) {
    let job = job();
    let mut group = c.benchmark_group("share");
    group.throughput(Throughput::Elements(1));
    group.bench_function("hash: coinbase, path, header", |b| {
        let mut nonce = 0u32;
        b.iter(|| {
            nonce = nonce.wrapping_add(1);
            job.header_hash(black_box(&[7; 8]), 0x2000_0000, 1_700_000_000, nonce)
        });
    });
    for (name, target) in [("judged above its target", Target::MIN), ("judged valid", Target::MAX)] {
        let limits = Limits { shares_per_tip: 1_000, ..Limits::default() };
        let miner_id = MinerId::from_bytes(&[7; 4]).unwrap();
        let fresh = || {
            let mut validator = Validator::new(miner_id, 4, 1, limits);
            let job_id = validator.advertise(Arc::clone(&job), target, Seconds(0)).unwrap().job_id;
            (validator, job_id)
        };
        let (mut validator, mut job_id) = fresh();
        let mut nonce = 0u32;
        group.bench_function(name, |b| {
            b.iter(|| {
                nonce = nonce.wrapping_add(1);
                if validator.shares_remembered() >= 1_000 {
                    (validator, job_id) = fresh();
                }
                let submission = Submission {
                    job_id,
                    extranonce2: &[7; 4],
                    ntime: 1_700_000_000,
                    nonce,
                    version_bits: Some(0x4000),
                };
                black_box(validator.judge(&submission, MASK, Seconds(0)));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, parts, whole);
criterion_main!(benches);
