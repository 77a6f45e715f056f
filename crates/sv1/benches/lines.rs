//! What one line costs: `cargo bench -p adit-sv1`.

#![allow(missing_docs, reason = "criterion's macros make functions without documentation")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};

const SUBMIT: &[u8] = br#"{"id":1234,"method":"mining.submit","params":["account.worker-17","1a2b","0000000000000f3a","6752a1b4","9f0e31c7","1fffe000"]}"#;
const CGMINER: &[u8] = br#"{"params": ["account.worker-17", "1a2b", "0000000000000f3a", "6752a1b4", "9f0e31c7", "00004000"], "id": 1234, "method": "mining.submit"}"#;

fn lines(c: &mut Criterion) {
    c.bench_function("parse_request: mining.submit", |b| {
        b.iter(|| sv1::parse_request(black_box(SUBMIT)).is_ok());
    });
    c.bench_function("parse_request: mining.submit, cgminer's spacing", |b| {
        b.iter(|| sv1::parse_request(black_box(CGMINER)).is_ok());
    });
    c.bench_function("parse_request_general: mining.submit", |b| {
        b.iter(|| sv1::parse_request_general(black_box(SUBMIT)).is_ok());
    });
    let subscribe = br#"{"id": 1, "method": "mining.subscribe", "params": ["cgminer/4.11.1"]}"#;
    c.bench_function("parse_request: mining.subscribe", |b| {
        b.iter(|| sv1::parse_request(black_box(subscribe)).is_ok());
    });
    let mut out = Vec::with_capacity(4096);
    c.bench_function("write_true", |b| {
        b.iter(|| {
            out.clear();
            sv1::write_true(&mut out, black_box(sv1::Id::number(1234)));
            out.len()
        });
    });
    let parts =
        sv1::notify::render_job(&[1; 32], &[2; 60], &[3; 180], &[[4; 32]; 12], 0x2000_0000, 0x1703_4219);
    c.bench_function("NotifyParts::write", |b| {
        b.iter(|| {
            out.clear();
            parts.write(&mut out, black_box(0x1a2b), black_box(&[5; 8]), black_box(0x6752_a1b4), true);
            out.len()
        });
    });
    let reply = br#"{"id":1234,"result":true,"error":null}"#;
    c.bench_function("client::parse_message: true", |b| {
        b.iter(|| sv1::client::parse_message(black_box(reply)).is_ok());
    });
}

criterion_group!(benches, lines);
criterion_main!(benches);
